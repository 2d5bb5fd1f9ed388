"""Signature Version 2 in the query string, for those who still need it; off unless the operator asks for it.

It is weaker than version 4: HMAC-SHA1, no limit to a URL's life, and neither host nor most parameters are covered.
SDKs still make such URLs by default in some regions. Only URLs and forms (`post_policy`) are supported, not headers.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from s4gw.auth.canonical import once_each, query_pairs
from s4gw.auth.credentials import CredentialStore
from s4gw.auth.model import AuthRequest, Identity
from s4gw.auth.sigv4 import PAYLOAD_HEADER, find_pair, iso_time, payload_plan
from s4gw.s3.errors import AccessDenied, InvalidRequest, InvalidToken, SignatureDoesNotMatch

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
    text = _string_to_sign(request, values, expires)
    digest = hmac.digest(pair.secret_key.encode(), text.encode("utf-8", "surrogateescape"), "sha1")
    theirs = parameters["Signature"].encode("utf-8", "surrogateescape")
    # SECURITY: constant time, or a signature could be guessed digit by digit.
    if not hmac.compare_digest(base64.b64encode(digest), theirs):
        raise SignatureDoesNotMatch(AWSAccessKeyId=pair.access_key)
    return Identity(pair.principal, "presigned", payload_plan(values.get(PAYLOAD_HEADER), None), "AWS")


def _string_to_sign(request: AuthRequest, values: Mapping[str, str], expires: str) -> str:
    """What version 2 signs of a request."""
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
    resource = f"/{request.virtual_bucket}{request.path}" if request.virtual_bucket else request.path
    lines = [request.method, content["content-md5"], content["content-type"], expires]
    lines += [f"{name}:{value}" for name, value in amz]
    parameters = "&".join(text for _, text in sorted(kept))
    lines.append(f"{resource}?{parameters}" if kept else resource)
    return "\n".join(lines)
