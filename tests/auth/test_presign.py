"""Presigned URLs: what botocore makes is accepted while it lives, and only as it was made."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.auth import AuthRequest, PayloadMode, authenticate
from s4gw.s3.errors import (
    AccessDenied,
    AuthorizationQueryParametersError,
    InvalidAccessKeyId,
    InvalidToken,
    S3Error,
    SignatureDoesNotMatch,
    UnsupportedSignature,
)
from tests.auth.signing import ALICE, NOW, signed_query, store

KEYS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=40)


@settings(max_examples=100, deadline=None)
@given(
    method=st.sampled_from(["GET", "PUT", "HEAD", "DELETE"]),
    key=KEYS,
    disposition=KEYS | st.none(),
    expires=st.integers(1, 604_800),
    data=st.data(),
)
def test_a_url_of_botocore_lives_as_long_as_it_says(
    method: str, key: str, disposition: str | None, expires: int, data: st.DataObject
) -> None:
    """Accepted at any moment of its life, refused after it; the body is not covered."""
    target = f"/bucket/{quote(key, safe='/~')}"
    if disposition is not None:
        target += f"?response-content-disposition={quote(disposition, safe='-_.~')}"
    request = signed_query(method, target, expires=expires)
    age = data.draw(st.integers(0, expires - 1))
    identity = authenticate(request, store(), now=NOW + age)
    assert (ALICE.principal, "presigned", PayloadMode.UNSIGNED) == (
        identity.principal,
        identity.auth_type,
        identity.payload.mode,
    )
    with pytest.raises(AccessDenied, match="Request has expired"):
        authenticate(request, store(), now=NOW + expires)


def test_the_example_of_aws_is_accepted() -> None:
    """The presigned URL that AWS publishes verifies."""
    query = (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2F"
        "aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&"
        "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )
    request = AuthRequest("GET", "/test.txt", query, [("host", "examplebucket.s3.amazonaws.com")], secure=True)
    assert ALICE.principal == authenticate(request, store(), now=1_369_353_600.0).principal


@settings(max_examples=100, deadline=None)
@given(part=st.sampled_from(["method", "path", "query", "host"]), at=st.integers(0, 10_000), by=st.integers(1, 255))
def test_any_changed_byte_is_refused(part: str, at: int, by: int) -> None:
    """One other byte anywhere in the URL, the method or the host ends the request or makes it anonymous."""
    request = signed_query("GET", "/bucket/some/key?partNumber=1")

    def other(text: str) -> str:
        spot = at % len(text)
        return text[:spot] + chr((ord(text[spot]) + by) % 256) + text[spot + 1 :]

    if part == "host":
        forged = msgspec.structs.replace(
            request, headers=[(n, other(v) if n == "host" else v) for n, v in request.headers]
        )
        changed = "".join(dict(forged.headers)["host"].split()) != "".join(dict(request.headers)["host"].split())
    else:
        changes: dict[str, Any] = {part: other(getattr(request, part))}
        forged = msgspec.structs.replace(request, **changes)
        changed = meaning(forged) != meaning(request)
    if not changed:
        return
    try:
        identity = authenticate(forged, store(), now=NOW)
    except S3Error as error:
        assert error.status in (400, 403)  # noqa: PT017 - which error depends on the byte
    else:
        assert identity.principal.anonymous


def meaning(request: AuthRequest) -> object:
    """What a request asks for, whatever the case of its escapes."""
    query = sorted(part for part in request.query.split("&") if part)
    return request.method, request.path, [re.sub("%[0-9a-fA-F]{2}", lambda m: m[0].upper(), part) for part in query]


@pytest.mark.parametrize(
    ("expires", "error", "status"),
    [
        ("0", AccessDenied, 403),
        ("-7", AuthorizationQueryParametersError, 403),
        ("604801", AuthorizationQueryParametersError, 403),
        ("9" * 400, AuthorizationQueryParametersError, 403),
        ("soon", AuthorizationQueryParametersError, 400),
    ],
)
def test_a_life_out_of_range_is_refused(expires: str, error: type[S3Error], status: int) -> None:
    """Between one second and a week."""
    request = signed_query("GET", "/bucket/key")
    changed = msgspec.structs.replace(
        request, query=request.query.replace("X-Amz-Expires=3600", f"X-Amz-Expires={expires}")
    )
    with pytest.raises(error) as caught:
        authenticate(changed, store(), now=NOW)
    assert status == caught.value.status


def test_a_url_of_the_future_is_not_yet_valid() -> None:
    """Nobody can make URLs in advance that outlive a week."""
    request = signed_query("GET", "/bucket/key", moment=NOW + 1000)
    with pytest.raises(AccessDenied, match="not yet valid"):
        authenticate(request, store(), now=NOW)


@pytest.mark.parametrize(
    "name", ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders"]
)
def test_every_parameter_is_required(name: str) -> None:
    """A URL without one of them is refused, not taken as anonymous."""
    request = signed_query("GET", "/bucket/key")
    query = "&".join(part for part in request.query.split("&") if not part.startswith(name))
    with pytest.raises(AuthorizationQueryParametersError):
        authenticate(msgspec.structs.replace(request, query=query), store(), now=NOW)


def test_a_parameter_given_twice_is_refused() -> None:
    """Readers differ on which of two values counts."""
    request = signed_query("GET", "/bucket/key")
    doubled = msgspec.structs.replace(request, query=f"{request.query}&X-Amz-Expires=604800")
    with pytest.raises(AuthorizationQueryParametersError):
        authenticate(doubled, store(), now=NOW)


def test_headers_in_the_signature_are_required() -> None:
    """A URL signed for a private upload does not upload a public one."""
    request = signed_query("PUT", "/bucket/key", headers={"x-amz-acl": "private"})
    assert ALICE.principal == authenticate(request, store(), now=NOW).principal
    headers = [(name, "public-read" if name == "x-amz-acl" else value) for name, value in request.headers]
    with pytest.raises(SignatureDoesNotMatch):
        authenticate(msgspec.structs.replace(request, headers=headers), store(), now=NOW)


def test_unsigned_amz_headers_are_refused() -> None:
    """The holder of a URL cannot turn an upload into a copy."""
    request = signed_query("PUT", "/bucket/key")
    added = msgspec.structs.replace(request, headers=[*request.headers, ("x-amz-copy-source", "secret/key")])
    with pytest.raises(AccessDenied) as caught:
        authenticate(added, store(), now=NOW)
    assert "x-amz-copy-source" == caught.value.facts["HeadersNotSigned"]


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", UnsupportedSignature),
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-MD5", AuthorizationQueryParametersError),
        ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7UNKNOWN", InvalidAccessKeyId),
        ("X-Amz-Date=20231114T221320Z", "X-Amz-Date=yesterday", AuthorizationQueryParametersError),
        ("X-Amz-Date=20231114T", "X-Amz-Date=20231113T", AuthorizationQueryParametersError),
        ("X-Amz-Expires", "X-Amz-Security-Token=t&X-Amz-Expires", InvalidToken),
    ],
)
def test_other_urls_get_their_own_error(old: str, new: str, error: type[S3Error]) -> None:
    """Each malformed URL is refused by S3's code."""
    request = signed_query("GET", "/bucket/key")
    assert old in request.query
    with pytest.raises(error):
        authenticate(msgspec.structs.replace(request, query=request.query.replace(old, new)), store(), now=NOW)
