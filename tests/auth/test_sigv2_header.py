"""Signature Version 2 headers: refused unless asked for; then what botocore signs, within 15 minutes, only."""

from __future__ import annotations

from email.utils import formatdate
from unittest import mock
from urllib.parse import quote

import pytest
from botocore.auth import HmacV1Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.auth import AuthRequest, authenticate
from s4gw.s3.errors import (
    AccessDenied,
    InvalidAccessKeyId,
    InvalidArgument,
    RequestTimeTooSkewed,
    S3Error,
    SignatureDoesNotMatch,
    UnsupportedSignature,
)
from tests.auth.signing import ACCESS_KEY, ALICE, HOST, NOW, SECRET_KEY, as_received, store

KEYS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=30)


def signed(method: str = "GET", target: str = "/b/k", headers: dict[str, str] | None = None) -> AuthRequest:
    """A request that botocore signed with version 2."""
    request = AWSRequest(method=method, url=f"http://{HOST}{target}", headers=headers or {})
    with mock.patch("botocore.auth.formatdate", return_value=formatdate(NOW, usegmt=True)):
        HmacV1Auth(BotoCredentials(ACCESS_KEY, SECRET_KEY)).add_auth(request)
    return as_received(request)


def changed(request: AuthRequest, name: str, value: str) -> AuthRequest:
    headers = [(header, value if header == name else old) for header, old in request.headers]
    return AuthRequest(request.method, request.path, request.query, headers, secure=False)


@settings(max_examples=60, deadline=None)
@given(
    method=st.sampled_from(["GET", "PUT", "DELETE", "POST"]),
    key=KEYS,
    more=st.sampled_from(["", "?acl", "?versionId=3", "?uploads", "?partNumber=2&uploadId=abc", "?prefix=x"]),
    headers=st.sampled_from([{}, {"Content-Type": "text/plain"}, {"x-amz-acl": "private", "x-amz-meta-b": "c d"}]),
)
def test_what_botocore_signs_is_accepted(method: str, key: str, more: str, headers: dict[str, str]) -> None:
    request = signed(method, f"/bucket/{quote(key, safe='/~')}{more}", headers)
    identity = authenticate(request, store(), now=NOW + 60, sigv2_headers=True)
    assert (ALICE.principal, "header", "AWS", 60_000) == (
        identity.principal,
        identity.auth_type,
        identity.signature_version,
        identity.signature_age_ms,
    )


def test_it_is_refused_unless_asked_for() -> None:
    with pytest.raises((UnsupportedSignature, S3Error)) as caught:
        authenticate(signed(), store(), now=NOW, sigv2=True)
    assert 400 == caught.value.status


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (("authorization", f"AWS {ACCESS_KEY}:AAAAAAAAAAAAAAAAAAAAAAAAAAA="), SignatureDoesNotMatch),
        (("authorization", "AWS NOBODY00000000000000:AAAA"), InvalidAccessKeyId),
        (("authorization", "AWS HAHAHA"), InvalidArgument),
        (("date", "Bad Date"), AccessDenied),
        (("date", ""), AccessDenied),
        (("date", "Tue, 07 Jul 1950 21:53:04 GMT"), AccessDenied),
        (("date", "Tue, 07 Jul 2010 21:53:04 GMT"), RequestTimeTooSkewed),
        (("date", formatdate(NOW + 1, usegmt=True)), SignatureDoesNotMatch),
    ],
)
def test_wrong_headers_are_refused(change: tuple[str, str], error: type[S3Error]) -> None:
    with pytest.raises(error):
        authenticate(changed(signed(), *change), store(), now=NOW, sigv2_headers=True)


@pytest.mark.parametrize(("late", "accepted"), [(900, True), (901, False), (-900, True), (-901, False)])
def test_fifteen_minutes(late: int, accepted: bool) -> None:
    request = signed()
    if accepted:
        authenticate(request, store(), now=NOW + late, sigv2_headers=True)
    else:
        with pytest.raises(RequestTimeTooSkewed):
            authenticate(request, store(), now=NOW + late, sigv2_headers=True)


def test_another_date_header_takes_the_place_of_date() -> None:
    """Clients that cannot set Date sign x-amz-date, as a header like others."""
    request = signed(headers={"x-amz-date": formatdate(NOW, usegmt=True)})
    assert ALICE.principal == authenticate(request, store(), now=NOW, sigv2_headers=True).principal
    later = changed(request, "x-amz-date", formatdate(NOW + 1, usegmt=True))
    with pytest.raises(SignatureDoesNotMatch):
        authenticate(later, store(), now=NOW, sigv2_headers=True)


def test_a_bucket_may_be_signed_with_a_slash() -> None:
    """As SDKs do, also where the path has none."""
    slashed = signed("PUT", "/bucket/")
    request = AuthRequest(slashed.method, "/bucket", slashed.query, slashed.headers, secure=False)
    assert ALICE.principal == authenticate(request, store(), now=NOW, sigv2_headers=True).principal


@pytest.mark.parametrize("name", ["x-amz-copy-source", "x-amz-acl"])
def test_an_added_header_is_refused(name: str) -> None:
    request = signed("PUT")
    more = AuthRequest(request.method, request.path, request.query, [*request.headers, (name, "b/k")], secure=False)
    with pytest.raises(SignatureDoesNotMatch):
        authenticate(more, store(), now=NOW, sigv2_headers=True)
