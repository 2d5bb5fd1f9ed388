"""The store's errors in S3's words, as a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from s4gw.backends.wording import LOCKED_MESSAGE, MFA_MESSAGE, NO_LOCK_MESSAGE
from s4gw.s3.errors import (
    AccessDenied,
    BucketAlreadyExists,
    BucketNotEmpty,
    InternalError,
    InvalidBucketState,
    InvalidPart,
    InvalidRequest,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    NoSuchVersion,
    PreconditionFailed,
    QuotaExceeded,
    S3Error,
    ServiceUnavailable,
)
from s4gw.store import errors

_RETRY_S: Final = "1"  # a committer that was killed is back within a second

_REFUSALS: Final[dict[type[errors.Refused], Callable[[str], S3Error]]] = {
    errors.NoBucket: lambda fact: NoSuchBucket(BucketName=fact),
    errors.BucketExists: lambda _: BucketAlreadyExists(),
    errors.BucketNotEmpty: lambda fact: BucketNotEmpty(BucketName=fact),
    errors.NoKey: lambda fact: NoSuchKey(Key=fact),
    errors.NoVersion: lambda fact: NoSuchVersion(VersionId=fact),
    errors.NoUpload: lambda fact: NoSuchUpload(UploadId=fact),
    errors.NoPart: lambda fact: InvalidPart(PartNumber=fact),
    errors.PreconditionMissed: lambda fact: PreconditionFailed(Condition=fact),
    errors.Locked: lambda _: AccessDenied(LOCKED_MESSAGE),
    errors.NoLock: lambda _: InvalidRequest(NO_LOCK_MESSAGE),
    errors.MfaNeeded: lambda _: AccessDenied(MFA_MESSAGE),
    errors.CodeUsed: lambda _: AccessDenied(MFA_MESSAGE),
    errors.QuotaFull: lambda fact: QuotaExceeded(QuotaBytes=fact),
    errors.BadState: InvalidBucketState,
    errors.NoSpace: lambda _: _unavailable(),
    errors.BadOperation: lambda _: InternalError(),
}


def translate(error: errors.StoreError) -> S3Error:
    """S3's error for one of the store's; anything about damage is an InternalError without details."""
    if isinstance(error, errors.Refused):
        return _REFUSALS[type(error)](error.fact)
    if isinstance(error, errors.Unavailable):
        return _unavailable()
    return InternalError()


def _unavailable() -> S3Error:
    return ServiceUnavailable(headers={"Retry-After": _RETRY_S})
