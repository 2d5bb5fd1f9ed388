"""Signature Version 4 in the Authorization header, and what header and query authentication share.

Order of checks: form of the credentials, age of the request, access key, headers that must be signed, signature.
Nothing of the body is read here; the `PayloadPlan` says what its reader must compare. Any region is accepted as long
as the client signs for the one it names: clients are configured with all sorts of regions, and the signature binds
it. S3 itself tells unknown access keys from wrong signatures, so looking a key up needs no constant time; comparing
signatures does.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from s4gw.auth.canonical import canonical_forms, header_values
from s4gw.auth.chunks import ChunkSigner
from s4gw.auth.credentials import CredentialStore
from s4gw.auth.model import AuthRequest, Credentials, Identity, PayloadMode, PayloadPlan
from s4gw.s3.errors import (
    AccessDenied,
    AuthorizationHeaderMalformed,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidRequest,
    InvalidToken,
    RequestTimeTooSkewed,
    S3Error,
    SignatureDoesNotMatch,
    UnsupportedSignature,
)

ALGORITHM: Final = "AWS4-HMAC-SHA256"
ALGORITHM_V4A: Final = "AWS4-ECDSA-P256-SHA256"
SKEW_MAX_S: Final = 900
"""What S3 allows between the client's clock and ours."""

_MALFORMED: Final = "The authorization header is malformed; "
_SCOPE_FORM: Final = 'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
_STREAMING: Final = {
    mode.value: mode
    for mode in (
        PayloadMode.STREAMING_SIGNED,
        PayloadMode.STREAMING_SIGNED_TRAILER,
        PayloadMode.STREAMING_UNSIGNED_TRAILER,
    )
}
_CHAINED: Final = frozenset({PayloadMode.STREAMING_SIGNED, PayloadMode.STREAMING_SIGNED_TRAILER})
_PAYLOAD_HEADER: Final = "x-amz-content-sha256"
_HEX: Final = frozenset("0123456789abcdefABCDEF")
_REFLECTED_MAX: Final = 4096
"""Characters of a client's own canonical request that an error shows back to it."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The Credential element: whose key, for which day and region."""

    access_key: str
    date: str
    region: str

    @property
    def text(self) -> str:
        """Credential scope as it stands in the string to sign."""
        return f"{self.date}/{self.region}/s3/aws4_request"


@dataclass(frozen=True, slots=True)
class Claim:
    """What the client says it signed, from the header or from the query."""

    scope: Scope
    timestamp: str
    """Time of signing, ``YYYYMMDDTHHMMSSZ``."""
    signed_headers: str
    signature: str
    payload_hash: str
    """Last line of the canonical request."""
    skip: str = ""
    """Query parameter outside the signature."""


def authenticate_header(
    request: AuthRequest, authorization: str, credentials: CredentialStore, *, now: float
) -> Identity:
    """Verify a request that is signed in its Authorization header.

    Args:
        request: The request as sent.
        authorization: Value of the header.
        credentials: Who may sign.
        now: Seconds since the epoch.

    Raises: AuthorizationHeaderMalformed, AccessDenied, RequestTimeTooSkewed, InvalidAccessKeyId,
        SignatureDoesNotMatch, InvalidRequest, InvalidArgument, InvalidToken, UnsupportedSignature.
    """
    scheme, _, rest = authorization.partition(" ")
    if scheme != ALGORITHM:
        raise _unsupported(scheme)
    elements = _elements(rest)
    scope = parse_scope(elements["Credential"], AuthorizationHeaderMalformed, _MALFORMED)
    values = header_values(request.headers)
    timestamp, signed_at = _request_time(values)
    if abs(now - signed_at) > SKEW_MAX_S:
        raise RequestTimeTooSkewed(
            RequestTime=timestamp,
            ServerTime=iso_time(now),
            MaxAllowedSkewMilliseconds=str(SKEW_MAX_S * 1000),
        )
    check_scope_date(scope, timestamp, AuthorizationHeaderMalformed, _MALFORMED)
    payload_hash = values.get(_PAYLOAD_HEADER)
    if payload_hash is None:
        raise InvalidRequest("Missing required header for this request: x-amz-content-sha256")
    claim = Claim(scope, timestamp, elements["SignedHeaders"], elements["Signature"], payload_hash)
    pair = find_pair(scope.access_key, credentials)
    key = check_signature(request, values, claim, pair, credentials)
    return Identity(
        principal=pair.principal,
        auth_type="header",
        payload=payload_plan(payload_hash, ChunkSigner(key, timestamp, scope.text, claim.signature)),
        signature_version=ALGORITHM,
        signature_age_ms=max(0, int((now - signed_at) * 1000)),
    )


def check_signature(
    request: AuthRequest, values: Mapping[str, str], claim: Claim, pair: Credentials, credentials: CredentialStore
) -> bytes:
    """Compare the signature with ours.

    Returns: The signing key, for the chunks that may follow.
    Raises: AccessDenied (a header that must be signed is not), InvalidToken, SignatureDoesNotMatch.
    """
    listed = claim.signed_headers
    signed = credentials.signed_headers(listed)
    _check_all_signed(values, signed)
    scope = claim.scope
    key = credentials.signing_key(pair, scope.date, scope.region)
    prefix = f"{ALGORITHM}\n{claim.timestamp}\n{scope.text}\n".encode("utf-8", "surrogateescape")
    theirs = claim.signature.encode("utf-8", "surrogateescape")
    first = b""
    for form in canonical_forms(request, values, signed, claim.payload_hash, skip=claim.skip):
        text = prefix + hashlib.sha256(form).hexdigest().encode()
        # SECURITY: constant time, or a signature could be guessed digit by digit.
        if hmac.compare_digest(hmac.digest(key, text, "sha256").hex().encode(), theirs):
            credentials.remember(pair, scope.date, scope.region, key, listed)
            return key
        first = first or form
    # The client's own words only, so that it can find where its canonical request differs from ours.
    raise SignatureDoesNotMatch(
        AWSAccessKeyId=pair.access_key,
        SignatureProvided=claim.signature[:_REFLECTED_MAX],
        StringToSign=prefix.decode("utf-8", "replace") + hashlib.sha256(first).hexdigest(),
        CanonicalRequest=first[:_REFLECTED_MAX].decode("utf-8", "replace"),
    )


def payload_plan(declared: str | None, signer: ChunkSigner | None) -> PayloadPlan:
    """What ``x-amz-content-sha256`` asks the reader of the body to check.

    Args:
        declared: Value of the header; None counts as UNSIGNED-PAYLOAD.
        signer: Start of the chunk chain; None for anonymous requests, which have no key to sign chunks with.

    Raises: InvalidArgument (not a digest and none of the known words), InvalidRequest (chunks that nobody signed).
    """
    if declared is None or declared == PayloadMode.UNSIGNED.value:
        return PayloadPlan(PayloadMode.UNSIGNED)
    mode = _STREAMING.get(declared)
    if mode is not None:
        if mode not in _CHAINED:
            return PayloadPlan(mode)
        if signer is None:
            raise InvalidRequest("A streaming payload with signed chunks needs a signed request.")
        return PayloadPlan(mode, signer=signer)
    if declared.startswith("STREAMING-" + ALGORITHM_V4A):
        raise UnsupportedSignature
    if len(declared) == hashlib.sha256().digest_size * 2 and _HEX.issuperset(declared):
        return PayloadPlan(PayloadMode.SIGNED, sha256=declared.lower())
    raise InvalidArgument(
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, "
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, STREAMING-UNSIGNED-PAYLOAD-TRAILER or a valid sha256 value.",
        ArgumentName=_PAYLOAD_HEADER,
        ArgumentValue=declared[:_REFLECTED_MAX],
    )


def parse_scope(credential: str, malformed: type[S3Error], prefix: str = "") -> Scope:
    """Take a Credential element apart. Raises *malformed*, its message begun with *prefix*."""
    parts = credential.split("/")
    if len(parts) != 5 or not parts[0]:  # noqa: PLR2004 - key, date, region, service, terminator
        raise malformed(prefix + _SCOPE_FORM)
    access_key, date, region, service, terminal = parts
    if service != "s3":
        raise malformed(f'{prefix}incorrect service "{service}". This endpoint belongs to "s3".')
    if terminal != "aws4_request":
        raise malformed(f'{prefix}incorrect terminal "{terminal}". This endpoint uses "aws4_request".')
    if not (len(date) == 8 and date.isascii() and date.isdigit()):  # noqa: PLR2004 - YYYYMMDD
        raise malformed(
            f'{prefix}incorrect date format "{date}". This date in the credential must be in the format "yyyyMMdd".'
        )
    return Scope(access_key, date, region)


def check_scope_date(scope: Scope, timestamp: str, malformed: type[S3Error], prefix: str = "") -> None:
    """Refuse a credential of another day than the request. Raises *malformed*."""
    if not timestamp.startswith(scope.date):
        raise malformed(
            f'{prefix}Invalid credential date "{scope.date}". This date is not the same as X-Amz-Date: '
            f'"{timestamp[:8]}".'
        )


def find_pair(access_key: str, credentials: CredentialStore) -> Credentials:
    """The key pair, or InvalidAccessKeyId."""
    pair = credentials.find(access_key)
    if pair is None:
        raise InvalidAccessKeyId(AWSAccessKeyId=access_key)
    return pair


def parse_iso_time(text: str) -> float | None:
    """Seconds since the epoch of ``YYYYMMDDTHHMMSSZ``, or None when *text* is something else."""
    if len(text) != 16 or text[8] != "T" or text[15] != "Z" or not text.isascii():  # noqa: PLR2004 - its length
        return None
    digits = text[:8] + text[9:15]
    if not digits.isdigit():
        return None
    try:
        moment = datetime(
            int(text[:4]),
            int(text[4:6]),
            int(text[6:8]),
            int(text[9:11]),
            int(text[11:13]),
            int(text[13:15]),
            tzinfo=UTC,
        )
    except ValueError:
        return None
    return moment.timestamp()


def iso_time(moment: float) -> str:
    """``YYYY-MM-DDTHH:MM:SSZ`` of *moment*, in seconds since the epoch."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _elements(text: str) -> dict[str, str]:
    """Credential, SignedHeaders and Signature, each given once. Raises: AuthorizationHeaderMalformed."""
    elements: dict[str, str] = {}
    for part in text.split(","):
        name, sign, value = part.strip().partition("=")
        if not sign or name in elements:
            raise AuthorizationHeaderMalformed(_MALFORMED + "each element is to be given once, as Name=Value.")
        elements[name] = value
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not elements.get(name):
            raise AuthorizationHeaderMalformed(f"{_MALFORMED}missing {name}.")
    return elements


def _request_time(values: Mapping[str, str]) -> tuple[str, float]:
    """When the client says it signed: (as it stands in the string to sign, seconds since the epoch)."""
    stated = values.get("x-amz-date") or values.get("date", "")
    moment = parse_iso_time(stated)
    if moment is not None:
        return stated, moment
    try:
        parsed = parsedate_to_datetime(stated)
    except (ValueError, TypeError, IndexError, OverflowError):
        raise AccessDenied("AWS authentication requires a valid Date or x-amz-date header") from None
    parsed = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    return parsed.strftime("%Y%m%dT%H%M%SZ"), parsed.timestamp()


def _check_all_signed(values: Mapping[str, str], signed: tuple[str, ...]) -> None:
    """Refuse headers that change what a request does and are outside its signature."""
    # SECURITY: an x-amz header added to somebody else's presigned URL could make the object public or copy another.
    loose = [name for name in values if (name.startswith("x-amz-") or name == "host") and name not in signed]
    if loose or "host" not in signed:
        names = sorted({*loose, "host"} - set(signed))
        raise AccessDenied(
            "There were headers present in the request which were not signed", HeadersNotSigned=", ".join(names)
        )
    if "x-amz-security-token" in values:
        # Temporary credentials do not exist here, so a token can belong to nobody.
        raise InvalidToken


def _unsupported(scheme: str) -> S3Error:
    """The error for an Authorization header of another kind."""
    if scheme == ALGORITHM_V4A:
        return UnsupportedSignature("Signature Version 4A is not supported here. Please use AWS4-HMAC-SHA256.")
    if scheme == "AWS":
        return InvalidRequest(
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
        )
    return InvalidArgument("Unsupported Authorization Type", ArgumentName="Authorization")
