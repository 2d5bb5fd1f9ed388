"""The upstream as operations see it that are none of this gateway's business.

Some servers do not know S3's sub-resources and do not look for them: rclone takes ``PUT /bucket/key?tagging`` for a new
body of the object, ``DELETE /bucket?policy`` for the end of the bucket. So before the first change of a sub-resource
the upstream is asked for a bucket's policy; whoever answers with a listing is never asked for a change.
"""

from __future__ import annotations

from typing import Any, Final

from s4gw.backends.remote.buckets import Buckets
from s4gw.backends.remote.client import Upstream
from s4gw.backends.remote.reserved import is_reserved
from s4gw.s3.errors import InternalError, S3Error
from s4gw.s3.errors import NotImplemented as S3NotImplemented
from s4gw.s3.shapes import OPERATIONS

_PLAIN: Final = frozenset({"CreateBucket", "HeadBucket"})
"""Delegated operations that are told by their method alone."""


class Delegate:
    """Calls that go past the backend, which is told what they change.

    Args:
        upstream: Carries calls out.
        buckets: What the backend remembers about buckets.
    """

    def __init__(self, upstream: Upstream, buckets: Buckets) -> None:
        self._upstream = upstream
        self._buckets = buckets
        self._heeds: bool | None = None

    def call(self, operation: str, /, **params: Any) -> dict[str, Any]:
        """Carry *operation* out upstream, see `Upstream.call`. Raises: NotImplemented, when it would do another."""
        if operation not in _PLAIN and OPERATIONS[operation]["http"]["method"] != "GET":
            self._check(params["Bucket"])
        return self._upstream.call(operation, **params)

    def _check(self, bucket: str) -> None:
        """SECURITY: never change an object or a bucket where its tags or its policy are meant."""
        if self._heeds is None:
            try:
                said = self._upstream.call("GetBucketPolicy", Bucket=bucket).get("Policy", "")
            except S3Error as error:
                if error.status >= InternalError.status and error.status != S3NotImplemented.status:
                    raise
                said = ""  # there is none, or nobody may see it: in either case it was asked for
            self._heeds = not said.lstrip().startswith("<")
        if not self._heeds:
            raise S3NotImplemented("The store behind this gateway does not know this operation.")

    def forget(self, bucket: str) -> None:
        """Something about *bucket* has changed."""
        self._buckets.forget(bucket)

    def hides(self, key: str) -> bool:
        """Whether *key* is the gateway's own and not for clients."""
        return is_reserved(key)
