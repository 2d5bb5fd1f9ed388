"""Tests of s4gw.gateway.request: bucket, key, query and headers are the client's, not a web framework's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from s4gw.gateway.request import S3Request
from s4gw.s3.errors import InvalidURI, KeyTooLongError, MethodNotAllowed
from s4gw.settings import Settings
from tests.gateway.kit import make_services, parsed

SERVICES = make_services(Settings(data_dir=Path("unused"), domains=("s3.example.com",)))


def request(target: str, method: str = "GET", headers: list[tuple[str, str]] | None = None) -> S3Request:
    """A request as our worker hands it over."""
    env: dict[str, Any] = {
        "wsgi.errors": None,
        "wsgi.input": None,
        "wsgi.url_scheme": "http",
        "REQUEST_METHOD": method,
        "PATH_INFO": "/",
        "RAW_URI": target,
        "s4gw.request": parsed([(name.lower(), v) for name, v in headers or [("host", "localhost")]]),
    }
    req = S3Request(env)
    req.address(SERVICES)
    return req


@pytest.mark.parametrize(
    ("target", "bucket", "key"),
    [
        ("/", "", ""),
        ("/bucket", "bucket", ""),
        ("/bucket/", "bucket", ""),
        ("/bucket/key", "bucket", "key"),
        ("/bucket/a//b/", "bucket", "a//b/"),
        ("/bucket//a", "bucket", "/a"),
        ("/bucket/../etc/passwd", "bucket", "../etc/passwd"),
        ("/bucket/%2e%2e/x", "bucket", "../x"),
        ("/bucket/a%2Fb%20c+d", "bucket", "a/b c+d"),
        ("/bucket/%C3%A9%F0%9F%8E%89", "bucket", "é🎉"),
        ("http://localhost/bucket/key", "bucket", "key"),
    ],
)
def test_path_style_names_bucket_and_key_as_sent(target: str, bucket: str, key: str) -> None:
    """Nothing is collapsed, stripped or resolved."""
    req = request(target)
    assert (bucket, key) == (req.bucket, req.key)


@pytest.mark.parametrize(
    ("host", "bucket", "key"),
    [
        ("pail.s3.example.com", "pail", "bucket/key"),
        ("pail.s3.example.com:8014", "pail", "bucket/key"),
        ("a.b.S3.EXAMPLE.com", "a.b", "bucket/key"),
        ("s3.example.com", "bucket", "key"),
        ("evil-s3.example.com", "bucket", "key"),
        ("127.0.0.1:8014", "bucket", "key"),
    ],
)
def test_virtual_hosts_name_the_bucket(host: str, bucket: str, key: str) -> None:
    """With --domain, what stands before it is the bucket, and the whole path the key."""
    req = request("/bucket/key", headers=[("HOST", host)])
    assert (bucket, key) == (req.bucket, req.key)


def test_query_is_decoded_and_the_first_value_counts() -> None:
    """Plus is a space in a query, and only there."""
    req = request("/bucket?list-type=2&prefix=a%2Bb+c&prefix=d&delimiter")
    assert {"list-type": "2", "prefix": "a+b c", "delimiter": ""} == dict(req.query)
    assert req.operation.name == "ListObjectsV2"


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("/bucket/%zz", InvalidURI),
        ("/bucket/%ff", InvalidURI),
        ("/bucket/" + "k" * 1025, KeyTooLongError),
        ("/bucket/" + "%C3%A9" * 513, KeyTooLongError),
    ],
)
def test_targets_that_name_no_key_are_refused(target: str, error: type[Exception]) -> None:
    """Two different targets never become one key."""
    with pytest.raises(error):
        request(target)


def test_unknown_methods_are_not_allowed() -> None:
    """S3 knows no PATCH."""
    with pytest.raises(MethodNotAllowed):
        request("/bucket/key", "PATCH")


def test_headers_keep_their_names() -> None:
    """`a_b` and `a-b` stay two; repeated ones are joined for those who want one value."""
    sent = [("HOST", "x"), ("X-AMZ-META-A_B", "1"), ("X-AMZ-META-A-B", "2"), ("X-R", "3"), ("X-R", "4")]
    req = request("/bucket/key", headers=sent)
    assert ("1", "2", "3,4", 5) == (
        req.header_map["x-amz-meta-a_b"],
        req.header_map["x-amz-meta-a-b"],
        req.header_map["x-r"],
        len(req.raw_headers),
    )


def test_a_plain_wsgi_environment_will_do() -> None:
    """Another server hands over decoded paths and CGI names; the request is put together as well as it goes."""
    env = {
        "wsgi.errors": None,
        "wsgi.input": None,
        "wsgi.url_scheme": "https",
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/bucket/caf\xc3\xa9 1",
        "QUERY_STRING": "versionId=x",
        "HTTP_HOST": "localhost",
        "HTTP_X_AMZ_META_A": "1",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "",
    }
    req = S3Request(env)
    req.address(SERVICES)
    assert ("bucket", "café 1", "x", "1", "text/plain", True) == (
        req.bucket,
        req.key,
        req.query["versionId"],
        req.header_map["x-amz-meta-a"],
        req.header_map["content-type"],
        req.secure,
    )
    assert "content-length" not in req.header_map


def test_the_log_knows_requests_that_never_got_far() -> None:
    """Before the address and the identity are known, there are still words for them."""
    req = S3Request({"wsgi.errors": None, "wsgi.input": None, "REQUEST_METHOD": "GET", "PATH_INFO": "/"})
    assert ("Unknown", "") == (req.operation_name, req.access_key)
