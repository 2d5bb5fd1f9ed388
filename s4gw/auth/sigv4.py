"""Signature Version 4 in the Authorization header, and what header and query authentication share.

Order of checks: form of the credentials, access key, age of the request, headers that must be signed, signature.
Nothing of the body is read here; the `PayloadPlan` says what its reader must compare. Any region is accepted as long
as the client signs for the one it names: clients are configured with all sorts of regions, and the signature binds
it. S3 itself tells unknown access keys from wrong signatures, so looking a key up needs no constant time; comparing
signatures does.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from s4gw.auth.canonical import canonical_request, other_spellings
from s4gw.auth.chunks import ChunkSigner
from s4gw.auth.credentials import CredentialStore, derive_signing_key
from s4gw.auth.mac import Mac
from s4gw.auth.model import (
    UNSIGNED_PAYLOAD,
    AuthRequest,
    Claim,
    Credentials,
    Identity,
    PayloadMode,
    PayloadPlan,
    SignedHeaders,
    Signer,
)
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
PAYLOAD_HEADER: Final = "x-amz-content-sha256"
SIGNATURE: Final = "Signature="
"""Name of the last element of the Authorization header, as clients write it."""
_DIGEST_CHARS: Final = 64
_HEX: Final = frozenset("0123456789abcdefABCDEF")
_REFLECTED_MAX: Final = 4096
"""Characters of a client's own canonical request that an error shows back to it."""


def authenticate_header(
    request: AuthRequest, values: Mapping[str, str], credentials: CredentialStore, *, now: float
) -> Identity:
    """Verify a request that is signed in its Authorization header.

    Args:
        request: The request as sent.
        values: Its headers, from `canonical.header_values`; one of them is ``authorization``.
        credentials: Who may sign.
        now: Seconds since the epoch.

    Raises: AuthorizationHeaderMalformed, AccessDenied, RequestTimeTooSkewed, InvalidAccessKeyId,
        SignatureDoesNotMatch, InvalidRequest, InvalidArgument, InvalidToken, UnsupportedSignature.
    """
    text = values["authorization"]
    scheme, _, rest = text.partition(" ")
    if scheme != ALGORITHM:
        raise _unsupported(scheme)
    elements = _elements(rest)
    credential, listed, signature = elements["Credential"], elements["SignedHeaders"], elements["Signature"]
    signer = find_signer(credential, credentials, AuthorizationHeaderMalformed, _MALFORMED)
    timestamp, signed_at = _request_time(values)
    if abs(now - signed_at) > SKEW_MAX_S:
        raise RequestTimeTooSkewed(
            RequestTime=timestamp,
            ServerTime=iso_time(now),
            MaxAllowedSkewMilliseconds=str(SKEW_MAX_S * 1000),
        )
    check_scope_date(signer, timestamp, AuthorizationHeaderMalformed, _MALFORMED)
    payload_hash = values.get(PAYLOAD_HEADER)
    if payload_hash is None:
        raise InvalidRequest("Missing required header for this request: x-amz-content-sha256")
    claim = Claim(credential, timestamp, listed, signature, payload_hash)
    signed = check_signature(request, values, claim, signer, credentials)
    start = text.removesuffix(signature)
    if start.endswith(SIGNATURE) and _is_plain(signature):
        credentials.remember_start(start.removesuffix(SIGNATURE), (signer, signed))
    return header_identity(signer, timestamp, signed_at, payload_hash, signature, now=now)


def check_signature(
    request: AuthRequest, values: Mapping[str, str], claim: Claim, signer: Signer, credentials: CredentialStore
) -> SignedHeaders:
    """Compare the signature with ours, and remember what was needed when it is right; give what was signed.

    Raises: AccessDenied (a header that must be signed is not), InvalidToken, SignatureDoesNotMatch.
    """
    signed = credentials.recall_headers(claim.signed_headers) or SignedHeaders.parse(claim.signed_headers)
    _check_all_signed(values, signed.all)
    prefix = signing_prefix(claim.timestamp, signer)
    first = canonical_request(request, values, signed, claim.payload_hash, skip=claim.skip)
    if is_signature(claim.signature, prefix, first, signer.mac) or any(
        is_signature(claim.signature, prefix, form, signer.mac)
        for form in other_spellings(request, values, signed, claim.payload_hash, skip=claim.skip)
    ):
        credentials.remember(claim.credential, signer, signed)
        return signed
    # The client's own words only, so that it can find where its canonical request differs from ours.
    raise SignatureDoesNotMatch(
        AWSAccessKeyId=signer.pair.access_key,
        SignatureProvided=claim.signature[:_REFLECTED_MAX],
        StringToSign=prefix + hashlib.sha256(first).hexdigest(),
        CanonicalRequest=first[:_REFLECTED_MAX].decode("utf-8", "replace"),
    )


def header_identity(  # noqa: PLR0913 - what a verified header said
    signer: Signer, timestamp: str, signed_at: float, payload_hash: str, signature: str, *, now: float
) -> Identity:
    """Who has sent a request whose Authorization header is verified; times in seconds since the epoch.

    Raises: InvalidArgument, InvalidRequest, UnsupportedSignature: about ``x-amz-content-sha256``.
    """
    return Identity(
        signer.principal,
        "header",
        payload_plan(payload_hash, lambda: ChunkSigner(signer.key, timestamp, signer.scope, signature)),
        ALGORITHM,
        max(0, int((now - signed_at) * 1000)),
    )


def signing_prefix(timestamp: str, signer: Signer) -> str:
    """What stands before the digest of the canonical request in the string to sign."""
    return f"{ALGORITHM}\n{timestamp}\n{signer.scope}\n"


def is_signature(theirs: str, prefix: str, canonical: bytes, mac: Mac) -> bool:
    """Whether *theirs* signs the canonical request."""
    text = prefix + hashlib.sha256(canonical).hexdigest()
    ours = mac.hexdigest(text.encode("utf-8", "surrogateescape"))
    # SECURITY: constant time, or a signature could be guessed digit by digit.
    return theirs.isascii() and hmac.compare_digest(ours, theirs)


def _is_plain(signature: str) -> bool:
    """Whether *signature* can be nothing but an element's value, and one as signatures are."""
    return len(signature) == _DIGEST_CHARS and signature.isascii() and signature.isalnum()


def payload_plan(declared: str | None, chain: Callable[[], ChunkSigner] | None) -> PayloadPlan:
    """What ``x-amz-content-sha256`` asks the reader of the body to check.

    Args:
        declared: Value of the header; None counts as UNSIGNED-PAYLOAD.
        chain: Makes the start of the chunk chain; None for anonymous requests, which have no key to sign with.

    Raises: InvalidArgument (not a digest and none of the known words), InvalidRequest (chunks that nobody signed).
    """
    if declared is None or declared == PayloadMode.UNSIGNED:
        return UNSIGNED_PAYLOAD
    if len(declared) == _DIGEST_CHARS and _HEX.issuperset(declared):
        return PayloadPlan(PayloadMode.SIGNED, declared.lower())
    mode = _STREAMING.get(declared)
    if mode is None:
        if declared.startswith("STREAMING-" + ALGORITHM_V4A):
            raise UnsupportedSignature
        raise InvalidArgument(
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, "
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, STREAMING-UNSIGNED-PAYLOAD-TRAILER or a valid sha256 value.",
            ArgumentName=PAYLOAD_HEADER,
            ArgumentValue=declared[:_REFLECTED_MAX],
        )
    if mode not in _CHAINED:
        return PayloadPlan(mode)
    if chain is None:
        raise InvalidRequest("A streaming payload with signed chunks needs a signed request.")
    return PayloadPlan(mode, None, chain())


def find_signer(credential: str, credentials: CredentialStore, malformed: type[S3Error], prefix: str = "") -> Signer:
    """Take a Credential element apart and look its key up.

    Raises: *malformed*, its message begun with *prefix*; InvalidAccessKeyId.
    """
    known = credentials.recall_signer(credential)
    if known is not None:
        return known
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
    pair = find_pair(access_key, credentials)
    key = derive_signing_key(pair.secret_key, date, region)
    return Signer(pair, pair.principal, date, f"{date}/{region}/s3/aws4_request", key, Mac(key))


def check_scope_date(signer: Signer, timestamp: str, malformed: type[S3Error], prefix: str = "") -> None:
    """Refuse a credential of another day than the request. Raises *malformed*."""
    if not timestamp.startswith(signer.date):
        raise malformed(
            f'{prefix}Invalid credential date "{signer.date}". This date is not the same as X-Amz-Date: '
            f'"{timestamp[:8]}".'
        )


def find_pair(access_key: str, credentials: CredentialStore) -> Credentials:
    """The key pair, or InvalidAccessKeyId."""
    pair = credentials.find(access_key)
    if pair is None:
        raise InvalidAccessKeyId(AWSAccessKeyId=access_key)
    return pair


@functools.lru_cache(maxsize=64)  # PERF: clients of one second send one text
def parse_iso_time(text: str) -> float | None:
    """Seconds since the epoch of ``YYYYMMDDTHHMMSSZ``, or None when *text* is something else."""
    if len(text) != 16 or text[8] != "T" or text[15] != "Z" or not text.isascii():  # noqa: PLR2004 - its length
        return None
    if not (text[:8].isdigit() and text[9:15].isdigit()):
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


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


def _check_all_signed(values: Mapping[str, str], signed: frozenset[str]) -> None:
    """Refuse headers that change what a request does and are outside its signature."""
    # SECURITY: an x-amz header added to somebody else's presigned URL could make the object public or copy another.
    loose = [name for name in values if name not in signed and name.startswith("x-amz-")]
    if "host" not in signed:
        loose.append("host")
    if loose:
        raise AccessDenied(
            "There were headers present in the request which were not signed", HeadersNotSigned=", ".join(loose)
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
