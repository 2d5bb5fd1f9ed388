"""Errors of the embedded store: free of S3, facts as attributes."""

from __future__ import annotations

from typing import ClassVar


class StoreError(Exception):
    """Base of every error of the store."""


class DataDirError(StoreError):
    """The data directory cannot be used: foreign, of a version not known here, or not ours to write."""


class StoreLocked(StoreError):
    """Another storaged serves this data directory."""


class RecordDamaged(StoreError):
    """Bytes read from a volume are not the bytes that were written.

    Args:
        volume: Id of the volume.
        offset: Where the record starts, in bytes.
        reason: What did not hold.
    """

    def __init__(self, volume: int, offset: int, reason: str) -> None:
        self.volume = volume
        self.offset = offset
        self.reason = reason
        super().__init__(f"volume {volume} offset {offset}: {reason}")


class Unavailable(StoreError):
    """The store cannot answer at the moment; nothing was changed, or it is not known whether it was.

    Args:
        outcome_known: False when a commit was sent and no answer came.
    """

    def __init__(self, reason: str, *, outcome_known: bool = True) -> None:
        self.outcome_known = outcome_known
        super().__init__(reason)


class Refused(StoreError):
    """Base of what an operation may be refused for; the transaction goes on without it.

    Args:
        fact: What was looked for, for example the bucket's name.
    """

    code: ClassVar[str] = "refused"

    def __init__(self, fact: str = "") -> None:
        self.fact = fact
        super().__init__(f"{self.code}: {fact}" if fact else self.code)


class NoBucket(Refused):
    """No bucket of this name."""

    code = "no_bucket"


class BucketExists(Refused):
    """The name is taken; the fact is the owner."""

    code = "bucket_exists"


class BucketNotEmpty(Refused):
    """Objects, versions or delete markers are left."""

    code = "bucket_not_empty"


class NoKey(Refused):
    """No object under this key (a delete marker is none)."""

    code = "no_key"


class NoVersion(Refused):
    """No such version of the key."""

    code = "no_version"


class NoUpload(Refused):
    """No such upload in progress; the fact is its id."""

    code = "no_upload"


class NoPart(Refused):
    """A part is missing or was replaced; the fact is its number."""

    code = "no_part"


class PreconditionMissed(Refused):
    """A precondition does not hold; the fact is its header."""

    code = "precondition"


class Locked(Refused):
    """A lock keeps the version from being removed, or itself from being weakened."""

    code = "locked"


class NoLock(Refused):
    """Locks are not possible in this bucket; the fact is its name."""

    code = "no_lock"


class MfaNeeded(Refused):
    """The bucket wants a second factor for this."""

    code = "mfa_needed"


class CodeUsed(Refused):
    """The one-time code, or a later one of the device, was used before."""

    code = "code_used"


class QuotaFull(Refused):
    """The bucket would hold more than its quota; the fact is the quota in bytes."""

    code = "quota_full"


class BadState(Refused):
    """The bucket's state does not allow it; the fact says why, as a sentence."""

    code = "bad_state"


class NoSpace(Refused):
    """The record cannot be stored now: disk full or failing."""

    code = "no_space"


class BadOperation(Refused):
    """The operation does not make sense (a bug of the sender); the fact says what."""

    code = "bad_operation"


REFUSALS: dict[str, type[Refused]] = {error.code: error for error in Refused.__subclasses__()}
