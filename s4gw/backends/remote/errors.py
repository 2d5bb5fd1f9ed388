"""From what an upstream answers to what our client is told: one table of codes, one of statuses.

An upstream's code becomes the class of the same name, in our words: its texts, hosts and request ids stay in the log.
Codes that speak of credentials are the exception. They speak of the gateway's own, which the client can neither see nor
mend, so that it is told ServiceUnavailable and the operator's log says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from s4gw.s3 import errors
from s4gw.s3.errors import S3Error, ServiceUnavailable

RETRY_AFTER_S: Final = "1"


class UpstreamUnavailable(ServiceUnavailable):
    """The upstream could not be reached, broke off, or does not know the gateway.

    Attributes:
        sent: The request may have been received, so that what it asked for may have happened.
        ours: The upstream answers, but not the gateway's credentials, region or clock.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        sent: bool = False,
        ours: bool = False,
        retry_after_s: str = RETRY_AFTER_S,
    ) -> None:
        super().__init__(message, headers={"Retry-After": retry_after_s})
        self.sent = sent
        self.ours = ours


OURS: Final = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "AuthorizationQueryParametersError",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "InvalidToken",
        "MissingAuthenticationToken",
        "MissingSecurityHeader",
        "PermanentRedirect",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
        "UnsupportedSignature",
        "XAmzContentSHA256Mismatch",
    }
)
"""Codes about how the gateway asked rather than what its client asked for."""

CODES: Final[Mapping[str, type[S3Error]]] = MappingProxyType(
    {
        made.code: made
        for made in vars(errors).values()
        if isinstance(made, type) and issubclass(made, S3Error) and made.code not in OURS
    }
    | {
        # codes of other servers and of older S3
        "BadRequest": errors.BadRequest,
        "InvalidDelimiter": errors.InvalidArgument,
        "MalformedPolicyDocument": errors.MalformedPolicy,
        "NoSuchBucketPolicyException": errors.NoSuchBucketPolicy,
        "NoSuchObjectLockConfig": errors.NoSuchObjectLockConfiguration,
        "NoSuchTagSetError": errors.NoSuchTagSet,
        "RequestLimitExceeded": errors.SlowDown,
        "Throttling": errors.SlowDown,
        "ThrottlingException": errors.SlowDown,
        "TooManyRequests": errors.SlowDown,
    }
)
"""Upstream code -> our class."""

STATUSES: Final[Mapping[int, type[S3Error]]] = MappingProxyType(
    {
        304: errors.NotModified,
        400: errors.InvalidRequest,
        403: errors.AccessDenied,
        404: errors.NoSuchKey,
        405: errors.MethodNotAllowed,
        409: errors.OperationAborted,
        411: errors.MissingContentLength,
        412: errors.PreconditionFailed,
        413: errors.EntityTooLarge,
        416: errors.InvalidRange,
        429: errors.SlowDown,
        500: errors.InternalError,
        501: errors.NotImplemented,
    }
)
"""Status -> our class, for answers without a code that we know; HEAD has no body to hold one."""

OTHER: Final = "Other"


def label_of(code: str) -> str:
    """What an upstream's *code* is counted as: its own name, when that is one of a bounded set."""
    return code if code in CODES or code in OURS or code.isdigit() else OTHER


_FACTS: Final[Mapping[type[S3Error], tuple[tuple[str, str], ...]]] = MappingProxyType(
    {
        errors.NoSuchBucket: (("BucketName", "Bucket"),),
        errors.BucketNotEmpty: (("BucketName", "Bucket"),),
        errors.BucketAlreadyExists: (("BucketName", "Bucket"),),
        errors.BucketAlreadyOwnedByYou: (("BucketName", "Bucket"),),
        errors.NoSuchKey: (("Key", "Key"),),
        errors.NoSuchVersion: (("Key", "Key"), ("VersionId", "VersionId")),
        errors.NoSuchUpload: (("UploadId", "UploadId"),),
    }
)
"""Class -> (element of the error document, parameter of the call that fills it)."""

_TOLD: Final = ("x-amz-delete-marker", "x-amz-version-id", "last-modified", "allow", "retry-after")
"""Headers of an upstream's error that S3's clients are meant to see."""


def translate(
    code: str, status: int, params: Mapping[str, Any], headers: Mapping[str, str] = MappingProxyType({})
) -> S3Error:
    """Make the error for an upstream's answer.

    Args:
        code: As the upstream spelled it; for HEAD, which has no body, the status in digits.
        status: Of the answer.
        params: What the gateway had asked, in boto3's shape: facts of the error come from here.
        headers: Of the answer, lower-case names.
    """
    if code in OURS or 300 <= status < 304 or status in (307, 308, 401, 407):  # noqa: PLR2004 - redirects
        return UpstreamUnavailable(ours=True)
    kind = CODES.get(code)
    if kind is None:
        kind = STATUSES.get(status) or (ServiceUnavailable if status > 500 else errors.InternalError)  # noqa: PLR2004
        if kind is errors.NoSuchKey:
            kind = _what_is_missing(params)
    facts = {element: str(params[name]) for element, name in _FACTS.get(kind, ()) if name in params}
    told = {name: headers[name] for name in _TOLD if name in headers}
    if issubclass(kind, ServiceUnavailable | errors.SlowDown):
        told.setdefault("retry-after", RETRY_AFTER_S)
    return kind(headers=told, **facts)


def _what_is_missing(params: Mapping[str, Any]) -> type[S3Error]:
    """What a bare 404 speaks of."""
    if "Key" not in params:
        return errors.NoSuchBucket
    if "UploadId" in params:
        return errors.NoSuchUpload
    return errors.NoSuchKey
