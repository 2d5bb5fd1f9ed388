"""Errors of the squishing layer that are not S3's own."""

from __future__ import annotations


class ObjectsError(Exception):
    """Base of this package's errors."""


class DamagedObject(ObjectsError):
    """Stored bytes do not decode to what was acknowledged; the read is refused.

    Attributes:
        key: Key of the object.
        reason: What did not hold, for the log; never for the client.
    """

    def __init__(self, key: str, reason: str) -> None:
        self.key = key
        self.reason = reason
        super().__init__(f"{reason}: {key!r}")
