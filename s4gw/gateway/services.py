"""What a worker holds: one frozen `Services`, built after the fork and handed to every resource.

Nothing here is made before the fork: a database handle, a socket or a thread must never be inherited.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from s4gw.auth import CredentialStore
    from s4gw.backends.base import Backend
    from s4gw.objects import Objects
    from s4gw.observability import Metrics
    from s4gw.settings import Settings


_ID_STEP: Final = 0x9E3779B97F4A7C15
"""Odd, so that its multiples modulo 2**64 are all different; of the golden ratio, so that neighbours look unlike."""


class Authorizer(Protocol):
    """Decides on every operation: `gateway.middleware.authorization.PolicyAuthorizer`."""

    def authorize(  # noqa: PLR0913 - who asks for what, on what, under which headers
        self,
        req: Any,
        operation: str,
        bucket: str,
        key: str,
        version_id: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Return when *operation* is allowed to the sender of *req*, an `S3Request`. Raises: AccessDenied ..."""


class Delegate(Protocol):
    """The upstream, for operations that are its own business."""

    def call(self, operation: str, /, **params: Any) -> dict[str, Any]:
        """Carry *operation* out upstream, in boto3's shapes. Raises: S3 errors."""

    def forget(self, bucket: str) -> None:
        """Something about *bucket* has changed."""

    def hides(self, key: str) -> bool:
        """Whether *key* is the gateway's own and not for clients."""


def request_ids(start: bytes) -> Callable[[], str]:
    """Make what gives request ids: sixteen hexadecimal digits, unlike each other until 2**64 were given.

    They tell requests apart and keep no secret. PERF: a random number for each costs as much as the rest of its use.

    Args:
        start: Eight random bytes, so that no two workers give the same.
    """
    numbers = count(int.from_bytes(start))
    return lambda: f"{next(numbers) * _ID_STEP % 2**64:016X}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """All that resources and middleware work with."""

    settings: Settings
    backend: Backend
    objects: Objects
    credentials: CredentialStore
    authorizer: Authorizer
    metrics: Metrics
    upstream: Delegate | None = None
    """Where another S3 service keeps the objects; None: the gateway itself does."""
    regularly: tuple[Callable[[], None], ...] = ()
    """What is to be done ten times a second, in milliseconds."""
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""
    ids: Callable[[], str] = field(default_factory=lambda: request_ids(os.urandom(8)))
    """Gives a fresh request id."""
