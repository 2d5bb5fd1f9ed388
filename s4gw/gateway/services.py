"""What a worker holds: one frozen `Services`, built after the fork and handed to every resource.

Nothing here is made before the fork: a database handle, a socket or a thread must never be inherited.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from s4gw.backends.embedded import EmbeddedBackend
from s4gw.codec import LEVEL_DEFAULT, AlwaysDispatcher, Choice, CodecId, Dispatcher, SamplingDispatcher
from s4gw.gateway.middleware.authorization import PolicyAuthorizer
from s4gw.objects import Objects
from s4gw.observability import Metrics

if TYPE_CHECKING:
    from s4gw.auth import CredentialStore
    from s4gw.backends.base import Backend
    from s4gw.gateway.access import Access
    from s4gw.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """All that resources and middleware work with."""

    settings: Settings
    backend: Backend
    objects: Objects
    credentials: CredentialStore
    authorizer: PolicyAuthorizer
    metrics: Metrics
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""
    ids: Callable[[], str] = lambda: os.urandom(8).hex().upper()
    """A fresh request id."""


def build(settings: Settings, access: Access) -> Services:
    """Make the services of this worker; call it after the fork, once."""
    metrics = Metrics()
    backend = EmbeddedBackend(settings.data_dir, parent_pid=os.getppid(), volume_bytes=settings.volume_bytes)
    return Services(
        settings=settings,
        backend=backend,
        objects=Objects(backend, dispatcher(settings)),
        credentials=access.credentials,
        authorizer=PolicyAuthorizer(
            backend,
            metrics=metrics,
            clock=time.time,
            policy=access.policy,
            trusted_proxies=settings.trusted_proxies,
        ),
        metrics=metrics,
    )


def dispatcher(settings: Settings) -> Dispatcher:
    """The chooser of codecs that the settings ask for."""
    codec = CodecId.from_label(settings.codec)
    if settings.dispatcher == "always":
        level = LEVEL_DEFAULT[codec] if settings.zstd_level is None else settings.zstd_level
        return AlwaysDispatcher(Choice(codec, level))
    return SamplingDispatcher(default=codec, level=settings.zstd_level)
