"""The upstream as operations see it that are none of this gateway's business."""

from __future__ import annotations

from typing import Any

from s4gw.backends.remote.buckets import Buckets
from s4gw.backends.remote.client import Upstream
from s4gw.backends.remote.reserved import is_reserved


class Delegate:
    """Calls that go past the backend, which is told what they change.

    Args:
        upstream: Carries calls out.
        buckets: What the backend remembers about buckets.
    """

    def __init__(self, upstream: Upstream, buckets: Buckets) -> None:
        self._upstream = upstream
        self._buckets = buckets

    def call(self, operation: str, /, **params: Any) -> dict[str, Any]:
        """Carry *operation* out upstream, see `Upstream.call`."""
        return self._upstream.call(operation, **params)

    def forget(self, bucket: str) -> None:
        """Something about *bucket* has changed."""
        self._buckets.forget(bucket)

    def hides(self, key: str) -> bool:
        """Whether *key* is the gateway's own and not for clients."""
        return is_reserved(key)
