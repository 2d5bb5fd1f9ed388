"""Signature Version 4 in the query string: presigned URLs.

The body of a presigned request is unsigned unless the URL says otherwise. A URL lives from the moment it was signed
for ``X-Amz-Expires`` seconds, at most a week.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from s4gw.auth.canonical import once_each
from s4gw.auth.chunks import ChunkSigner
from s4gw.auth.credentials import CredentialStore
from s4gw.auth.model import AuthRequest, Claim, Identity, PayloadMode
from s4gw.auth.sigv4 import (
    ALGORITHM,
    ALGORITHM_V4A,
    PAYLOAD_HEADER,
    SKEW_MAX_S,
    check_scope_date,
    check_signature,
    find_signer,
    iso_time,
    parse_iso_time,
    payload_plan,
)
from s4gw.s3.errors import AccessDenied, AuthorizationQueryParametersError, InvalidToken, UnsupportedSignature

EXPIRES_MAX_S: Final = 604_800
"""A week, S3's limit."""

_REQUIRED: Final = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Signature",
    "X-Amz-Date",
    "X-Amz-SignedHeaders",
    "X-Amz-Expires",
)
_KNOWN: Final = frozenset({*_REQUIRED, "X-Amz-Security-Token", "X-Amz-Content-Sha256"})


_NOT_HEADERS: Final = frozenset({name.lower() for name in _KNOWN} | {"x-amz-tagging"})


class ExpiresOutOfRangeError(AuthorizationQueryParametersError):
    """``X-Amz-Expires`` is no time that a URL may live: S3's code, and 403 as for a URL that has expired."""

    status = 403


def presign_parameters(query: str) -> dict[str, str]:
    """The parameters of Signature Version 4 in *query*, decoded; empty for other requests.

    Raises: AuthorizationQueryParametersError, when one is given twice.
    """
    found = once_each(query, _KNOWN, AuthorizationQueryParametersError)
    return found if "X-Amz-Algorithm" in found or "X-Amz-Signature" in found else {}


def headers_in_query(query: Mapping[str, str]) -> dict[str, str]:
    """Headers that a presigned URL brings along: lower-case name -> value; empty for other requests.

    SDKs for JavaScript, PHP and Ruby move ``x-amz-*`` headers, metadata among them, into the URL that they sign, and S3
    takes them from there. It ignores tags in that place (https://github.com/aws/aws-sdk-go-v2/pull/1017).
    """
    if "X-Amz-Signature" not in query:
        return {}
    found = ((name.lower(), value) for name, value in query.items())
    return {name: value for name, value in found if name.startswith("x-amz-") and name not in _NOT_HEADERS}


def authenticate_query(
    request: AuthRequest,
    values: Mapping[str, str],
    parameters: Mapping[str, str],
    credentials: CredentialStore,
    *,
    now: float,
) -> Identity:
    """Verify a presigned request.

    Args:
        request: The request as sent.
        values: Its headers, from `canonical.header_values`.
        parameters: From `presign_parameters`.
        credentials: Who may sign.
        now: Seconds since the epoch.

    Raises: AuthorizationQueryParametersError, AccessDenied (expired, not yet valid, unsigned headers),
        InvalidAccessKeyId, SignatureDoesNotMatch, InvalidToken, UnsupportedSignature.
    """
    missing = [name for name in _REQUIRED if not parameters.get(name)]
    if missing:
        raise AuthorizationQueryParametersError(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
            "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        )
    algorithm = parameters["X-Amz-Algorithm"]
    if algorithm == ALGORITHM_V4A:
        raise UnsupportedSignature("Signature Version 4A is not supported here. Please use AWS4-HMAC-SHA256.")
    if algorithm != ALGORITHM:
        raise AuthorizationQueryParametersError('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"')
    if "X-Amz-Security-Token" in parameters:
        raise InvalidToken
    timestamp = parameters["X-Amz-Date"]
    signed_at = parse_iso_time(timestamp)
    if signed_at is None:
        raise AuthorizationQueryParametersError(
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
        )
    credential, signature = parameters["X-Amz-Credential"], parameters["X-Amz-Signature"]
    signer = find_signer(credential, credentials, AuthorizationQueryParametersError)
    check_scope_date(signer, timestamp, AuthorizationQueryParametersError)
    _check_lifetime(parameters["X-Amz-Expires"], signed_at, now)
    # S3 takes the digest from the URL or from a signed header; without either the body is not covered.
    declared = parameters.get("X-Amz-Content-Sha256") or values.get(PAYLOAD_HEADER)
    claim = Claim(
        credential=credential,
        timestamp=timestamp,
        signed_headers=parameters["X-Amz-SignedHeaders"],
        signature=signature,
        payload_hash=declared or PayloadMode.UNSIGNED.value,
        skip="X-Amz-Signature",
    )
    check_signature(request, values, claim, signer, credentials)
    return Identity(
        principal=signer.principal,
        auth_type="presigned",
        payload=payload_plan(declared, lambda: ChunkSigner(signer.key, timestamp, signer.scope, signature)),
        signature_version=ALGORITHM,
        signature_age_ms=max(0, int((now - signed_at) * 1000)),
    )


def _check_lifetime(expires: str, signed_at: float, now: float) -> None:
    """Refuse a URL before its time, after it, or with an unacceptable life."""
    if not (expires.lstrip("-").isascii() and expires.lstrip("-").isdigit()):
        raise AuthorizationQueryParametersError("X-Amz-Expires should be a number")
    if expires.startswith("-"):
        raise ExpiresOutOfRangeError("X-Amz-Expires must be non-negative")
    if len(expires) > len(str(EXPIRES_MAX_S)) or int(expires) > EXPIRES_MAX_S:
        raise ExpiresOutOfRangeError(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than "
            "604800 seconds"
        )
    if signed_at - now > SKEW_MAX_S:
        raise AccessDenied("Request is not yet valid")
    ends = signed_at + int(expires)
    # A life of zero seconds is over as soon as it begins, also in the very second of signing.
    if now >= ends:
        facts = {"X-Amz-Expires": expires, "Expires": iso_time(ends), "ServerTime": iso_time(now)}
        raise AccessDenied("Request has expired", headers=None, **facts)
