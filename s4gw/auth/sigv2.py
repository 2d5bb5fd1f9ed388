"""Signature Version 2 in the query string or the header, for those who still need it; headers only if asked for.

It is weaker than version 4: HMAC-SHA1, no limit to a URL's life; host, body and most parameters are not covered. SDKs
still make such URLs by default in some regions; headers come from very old clients only. Forms are `post_policy`'s.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import unquote

from s4gw.auth.canonical import once_each, query_pairs
from s4gw.auth.credentials import CredentialStore
from s4gw.auth.model import AuthRequest, Credentials, Identity
from s4gw.auth.sigv4 import PAYLOAD_HEADER, SKEW_MAX_S, find_pair, iso_time, payload_plan
from s4gw.s3 import parse_http_date
from s4gw.s3.errors import (
    AccessDenied,
    InvalidArgument,
    InvalidRequest,
    InvalidToken,
    RequestTimeTooSkewed,
    SignatureDoesNotMatch,
)

_SCHEME: Final = "AWS "
_PARAMETERS: Final = frozenset({"AWSAccessKeyId", "Signature", "Expires"})
_EXPIRES_DIGITS_MAX: Final = 12
"""Seconds since the epoch for the next 30,000 years."""

_SIGNED_PARAMETERS: Final = frozenset(
    {
        "accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle", "location",
        "logging", "metrics", "notification", "object-lock", "partNumber", "policy", "replication", "requestPayment",
        "response-cache-control", "response-content-disposition", "response-content-encoding",
        "response-content-language", "response-content-type", "response-expires", "restore", "select", "select-type",
        "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
    }
)  # fmt: skip


def sigv2_parameters(query: str) -> dict[str, str]:
    """The parameters of Signature Version 2 in *query*, decoded; empty for other requests.

    Raises: InvalidRequest, when one is given twice.
    """
    found = once_each(query, _PARAMETERS, InvalidRequest)
    return found if "AWSAccessKeyId" in found and "Signature" in found else {}


def authenticate_sigv2_query(
    request: AuthRequest,
    values: Mapping[str, str],
    parameters: Mapping[str, str],
    credentials: CredentialStore,
    *,
    now: float,
) -> Identity:
    """Verify a URL that is presigned with version 2.

    Args:
        request: The request as sent.
        values: Its headers, from `canonical.header_values`.
        parameters: From `sigv2_parameters`.
        credentials: Who may sign.
        now: Seconds since the epoch.

    Raises: AccessDenied (expired, or without end), InvalidAccessKeyId, SignatureDoesNotMatch, InvalidToken,
        InvalidRequest (headers moved into the URL).
    """
    expires = parameters.get("Expires", "")
    if not (expires.isascii() and expires.isdigit() and len(expires) <= _EXPIRES_DIGITS_MAX):
        raise AccessDenied("Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
    if now >= int(expires):
        raise AccessDenied("Request has expired", Expires=iso_time(int(expires)), ServerTime=iso_time(now))
    pair = find_pair(parameters["AWSAccessKeyId"], credentials)
    _check(pair, _strings_to_sign(request, values, expires), parameters["Signature"])
    return Identity(pair.principal, "presigned", payload_plan(values.get(PAYLOAD_HEADER), None), "AWS")


def authenticate_sigv2_header(
    request: AuthRequest, values: Mapping[str, str], credentials: CredentialStore, *, now: float
) -> Identity:
    """Verify a request that is signed with version 2 in its Authorization header.

    Args:
        request: The request as sent.
        values: Its headers; ``authorization`` begins with ``AWS `` (see `is_sigv2_header`).
        credentials: Who may sign.
        now: Seconds since the epoch.

    Raises: InvalidArgument (no such header), AccessDenied (no date), RequestTimeTooSkewed, InvalidAccessKeyId,
        SignatureDoesNotMatch, InvalidToken, InvalidRequest (headers in the URL).
    """
    access_key, colon, signature = values["authorization"].removeprefix(_SCHEME).strip().partition(":")
    if not (access_key and colon and signature) or " " in access_key + signature:
        raise InvalidArgument(
            "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature",
            ArgumentName="Authorization",
        )
    # A client that cannot set Date signs another header instead, and leaves its line empty.
    date = values.get("x-amz-date", values.get("date", ""))
    signed_at = parse_http_date(date)
    if signed_at is None or signed_at.timestamp() < 0:
        raise AccessDenied("AWS authentication requires a valid Date or x-amz-date header")
    if abs(now - signed_at.timestamp()) > SKEW_MAX_S:
        raise RequestTimeTooSkewed(
            RequestTime=date, ServerTime=iso_time(now), MaxAllowedSkewMilliseconds=str(SKEW_MAX_S * 1000)
        )
    pair = find_pair(access_key, credentials)
    # With x-amz-date S3 leaves the line of Date empty; botocore signs both headers.
    lines = {"", values.get("date", "")} if "x-amz-date" in values else {date}
    texts = [text for line in lines for text in _strings_to_sign(request, values, line)]
    _check(pair, texts, signature)
    age_ms = max(0, int((now - signed_at.timestamp()) * 1000))
    return Identity(pair.principal, "header", payload_plan(values.get(PAYLOAD_HEADER), None), "AWS", age_ms)


def is_sigv2_header(authorization: str) -> bool:
    """Whether an Authorization header is of version 2."""
    return authorization.startswith(_SCHEME)


def _check(pair: Credentials, texts: Sequence[str], signature: str) -> None:
    """Raises: SignatureDoesNotMatch, unless it is that of one of *texts*."""
    theirs = signature.encode("utf-8", "surrogateescape")
    for text in texts:
        digest = hmac.digest(pair.secret_key.encode(), text.encode("utf-8", "surrogateescape"), "sha1")
        # SECURITY: constant time, or a signature could be guessed digit by digit.
        if hmac.compare_digest(base64.b64encode(digest), theirs):
            return
    raise SignatureDoesNotMatch(AWSAccessKeyId=pair.access_key)


def _strings_to_sign(request: AuthRequest, values: Mapping[str, str], expires: str) -> list[str]:
    """What version 2 signs of a request; *expires* is the date of one that is signed in its header."""
    resource = f"/{request.virtual_bucket}{request.path}" if request.virtual_bucket else request.path
    # A bucket's resource ends with a slash where the host names it; SDKs sign that for the path as well.
    resources = [resource] if "/" in resource[1:] or resource == "/" else [resource, f"{resource}/"]
    return [_string_to_sign(request, values, expires, resource) for resource in resources]


def _string_to_sign(request: AuthRequest, values: Mapping[str, str], expires: str, resource: str) -> str:
    amz = sorted((name, value) for name, value in values.items() if name.startswith("x-amz-"))
    kept: list[tuple[str, str]] = []
    content = {name: values.get(name, "") for name in ("content-md5", "content-type")}
    for name, value in query_pairs(request.query):
        decoded = unquote(value, errors="surrogateescape")
        lowered = name.lower()
        if lowered.startswith("x-amz-"):
            if lowered == "x-amz-security-token":
                raise InvalidToken
            # They stand for headers, which the rest of the gateway would not see.
            raise InvalidRequest("Headers in the URL need AWS4-HMAC-SHA256.")
        if name in content:
            if content[name] not in ("", decoded):
                raise SignatureDoesNotMatch
            content[name] = decoded
        elif name in _SIGNED_PARAMETERS:
            kept.append((name, f"{name}={decoded}" if value else name))
    lines = [request.method, content["content-md5"], content["content-type"], expires]
    lines += [f"{name}:{value}" for name, value in amz]
    parameters = "&".join(text for _, text in sorted(kept))
    lines.append(f"{resource}?{parameters}" if kept else resource)
    return "\n".join(lines)
