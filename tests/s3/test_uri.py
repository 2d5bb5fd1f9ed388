"""Targets, hosts and copy sources are decoded strictly."""

from __future__ import annotations

from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4gw.s3 import errors
from s4gw.s3.uri import CopySource, bucket_from_host, parse_copy_source, split_path, split_target

TARGETS = [
    ("/", ("/", {})),
    ("/b/k", ("/b/k", {})),
    ("/b/a+b%2Bc%20d", ("/b/a+b+c d", {})),
    ("/b/a%2Fb//c/", ("/b/a/b//c/", {})),
    ("/b/../x", ("/b/../x", {})),
    ("/b/%C3%A9", ("/b/é", {})),
    ("/b/\xc3\xa9", ("/b/é", {})),
    ("/b?acl", ("/b", {"acl": ""})),
    ("/b?prefix=a+b%2Bc&&x=1=2&prefix=z", ("/b", {"prefix": "a b+c", "x": "1=2"})),
    ("/b?q=a?b", ("/b", {"q": "a?b"})),
    ("http://h:80/b/k?x=%26", ("/b/k", {"x": "&"})),
    ("HTTPS://h", ("/", {})),
]


@pytest.mark.parametrize(("raw", "expected"), TARGETS)
def test_target(raw: str, expected: tuple[str, dict[str, str]]) -> None:
    """Plus is itself in a path and a space in a query; dots and double slashes stay; the first of equal names wins."""
    assert expected == split_target(raw)


@pytest.mark.parametrize(
    "raw",
    [
        "/b/%zz",
        "/b/%4",
        "/b/%ff",
        "/b/\xff",
        "/b?x=%ff",
        "/b?%c3=1",
        "*",
        "b/k",
        "ftp://h/b",
        "/b?" + "&".join(map(str, range(300))),
    ],
)
def test_target_that_cannot_be_read(raw: str) -> None:
    """Bad escapes, bytes that are no UTF-8 and other forms are InvalidURI."""
    with pytest.raises(errors.InvalidURI) as caught:
        split_target(raw)

    assert 400 == caught.value.status


@given(st.text(max_size=30), st.dictionaries(st.text(min_size=1, max_size=9), st.text(max_size=9), max_size=4))
def test_target_comes_back(path: str, query: dict[str, str]) -> None:
    """Whatever a client encodes is decoded to what it meant."""
    raw = "/" + quote(path) + "?" + "&".join(f"{quote_plus(n)}={quote_plus(v)}" for n, v in query.items())

    assert ("/" + path, query) == split_target(raw)


@pytest.mark.parametrize(
    ("path", "parts"),
    [("/", ("", "")), ("/b", ("b", "")), ("/b/", ("b", "")), ("/b//k/", ("b", "/k/")), ("//k", ("", "k"))],
)
def test_path(path: str, parts: tuple[str, str]) -> None:
    """The first component is the bucket, all else the key."""
    assert parts == split_path(path)


HOSTS = [
    ("s3.example.com", None),
    ("b.s3.example.com", "b"),
    ("B.S3.example.com:8014", "b"),
    ("my.dotted.bucket.s3.example.com.", "my.dotted.bucket"),
    ("b.example.com", "b"),
    ("other.org", None),
    ("xs3.example.org", None),
    ("127.0.0.1:9000", None),
    ("[::1]:9000", None),
    ("", None),
    (".example.com", None),
]


@pytest.mark.parametrize(("host", "bucket"), HOSTS)
def test_host(host: str, bucket: str | None) -> None:
    """The longest of our domains that fits decides; other hosts name no bucket."""
    assert bucket == bucket_from_host(host, ["example.com", "s3.example.com"])


@pytest.mark.parametrize(
    ("header", "source"),
    [
        ("b/k", CopySource("b", "k")),
        ("/b/k%2Fl%20m+n", CopySource("b", "k/l m+n")),
        ("b/k?versionId=v%20", CopySource("b", "k", "v ")),
        ("b/k%3FversionId=v", CopySource("b", "k?versionId=v")),
        ("/b//k", CopySource("b", "/k")),
    ],
)
def test_copy_source(header: str, source: CopySource) -> None:
    """Bucket, key and version, with or without a leading slash."""
    assert source == parse_copy_source(header)


@pytest.mark.parametrize("header", ["", "/", "b", "b/", "/b/", "b/%zz", "b/k?versionId="])
def test_copy_source_that_names_nothing(header: str) -> None:
    """Without bucket and key there is nothing to copy."""
    with pytest.raises(errors.InvalidArgument) as caught:
        parse_copy_source(header)

    assert "x-amz-copy-source" == caught.value.facts["ArgumentName"]
