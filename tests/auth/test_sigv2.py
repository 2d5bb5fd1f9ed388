"""Signature Version 2 URLs: refused by default; where allowed, what botocore makes and nothing else."""

from __future__ import annotations

from unittest import mock
from urllib.parse import quote

import msgspec
import pytest
from botocore.auth import HmacV1QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.auth import AuthRequest, authenticate
from s4gw.s3.errors import (
    AccessDenied,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidRequest,
    InvalidToken,
    S3Error,
    SignatureDoesNotMatch,
)
from tests.auth.signing import ACCESS_KEY, ALICE, HOST, NOW, SECRET_KEY, as_received, store

KEYS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=30)


def url(
    method: str, target: str, headers: dict[str, str] | None = None, *, sent: dict[str, str] | None = None
) -> AuthRequest:
    """A request that botocore presigned with version 2; *sent* are headers of the one who uses the URL."""
    request = AWSRequest(method=method, url=f"http://{HOST}{target}", headers=headers or {})
    with mock.patch("time.time", return_value=NOW):
        HmacV1QueryAuth(BotoCredentials(ACCESS_KEY, SECRET_KEY), expires=3600).add_auth(request)
    received = as_received(request)
    return msgspec.structs.replace(received, headers=[("host", HOST), *(sent or {}).items()])


@settings(max_examples=60, deadline=None)
@given(
    method=st.sampled_from(["GET", "PUT", "HEAD", "DELETE"]),
    key=KEYS,
    disposition=KEYS | st.none(),
    more=st.sampled_from(["", "acl", "versionId=3", "uploads", "partNumber=2&uploadId=abc"]),
)
def test_a_url_of_botocore_is_accepted(method: str, key: str, disposition: str | None, more: str) -> None:
    """With sub-resources and response overrides, until it expires."""
    parts = [more] if more else []
    if disposition is not None:
        parts.append(f"response-content-disposition={quote(disposition, safe='-_.~')}")
    target = f"/bucket/{quote(key, safe='/~')}" + (f"?{'&'.join(parts)}" if parts else "")
    request = url(method, target)
    identity = authenticate(request, store(), now=NOW + 3599, sigv2=True)
    assert (ALICE.principal, "presigned", "AWS") == (identity.principal, identity.auth_type, identity.signature_version)
    with pytest.raises(AccessDenied, match="expired"):
        authenticate(request, store(), now=NOW + 3600, sigv2=True)


def test_it_has_to_be_asked_for() -> None:
    """By default the URL is refused as S3 does for new buckets, and not taken as anonymous."""
    with pytest.raises(InvalidRequest, match="AWS4-HMAC-SHA256"):
        authenticate(url("GET", "/bucket/key"), store(), now=NOW)


def test_the_bucket_in_the_host_is_signed() -> None:
    """A URL for a virtual host names its bucket in the signature."""
    request = url("GET", "/bucket/key")
    virtual = msgspec.structs.replace(request, path="/key", virtual_bucket="bucket")
    other = msgspec.structs.replace(request, path="/key", virtual_bucket="other")
    assert ALICE.principal == authenticate(virtual, store(), now=NOW, sigv2=True).principal
    with pytest.raises(SignatureDoesNotMatch):
        authenticate(other, store(), now=NOW, sigv2=True)


def test_the_content_type_is_the_signed_one() -> None:
    """In the URL; a header has to say the same."""
    request = url("PUT", "/bucket/key", {"content-type": "text/plain"}, sent={"content-type": "text/plain"})
    assert ALICE.principal == authenticate(request, store(), now=NOW, sigv2=True).principal
    other = msgspec.structs.replace(request, headers=[("host", HOST), ("content-type", "text/html")])
    with pytest.raises(SignatureDoesNotMatch):
        authenticate(other, store(), now=NOW, sigv2=True)


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("/bucket/key", "/bucket/kez", SignatureDoesNotMatch),
        ("Expires=17", "Expires=18", SignatureDoesNotMatch),
        ("Expires=17", "Expires=x", AccessDenied),
        ("Expires=17", "Expires=17&Expires=18", InvalidRequest),
        ("Signature=", "Signature=x", SignatureDoesNotMatch),
        (ACCESS_KEY, "NOBODY", InvalidAccessKeyId),
        ("AWSAccessKeyId", "acl&AWSAccessKeyId", SignatureDoesNotMatch),
        ("AWSAccessKeyId", "x-amz-acl=public-read&AWSAccessKeyId", InvalidRequest),
        ("AWSAccessKeyId", "x-amz-security-token=t&AWSAccessKeyId", InvalidToken),
        ("AWSAccessKeyId", "X-Amz-Signature=0&AWSAccessKeyId", S3Error),
    ],
)
def test_a_changed_url_is_refused(old: str, new: str, error: type[S3Error]) -> None:
    """Each by its own code."""
    request = url("GET", "/bucket/key")
    changed = msgspec.structs.replace(
        request, path=request.path.replace(old, new), query=request.query.replace(old, new)
    )
    assert changed != request
    with pytest.raises(error):
        authenticate(changed, store(), now=NOW, sigv2=True)


def test_added_amz_headers_are_refused() -> None:
    """They are part of what is signed."""
    request = url("PUT", "/bucket/key", sent={"x-amz-acl": "public-read"})
    with pytest.raises(SignatureDoesNotMatch):
        authenticate(request, store(), now=NOW, sigv2=True)


def test_a_header_beside_it_is_one_too_many() -> None:
    """One signature per request."""
    request = url("GET", "/bucket/key", sent={"authorization": "AWS4-HMAC-SHA256 x"})
    with pytest.raises(InvalidArgument):
        authenticate(request, store(), now=NOW, sigv2=True)
