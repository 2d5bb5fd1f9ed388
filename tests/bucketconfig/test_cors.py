"""Cross-origin rules: what is stored is valid, and the first rule that fits answers."""

from __future__ import annotations

from typing import Any

import pytest

from s4gw.bucketconfig import cors_headers, dump_document, parse_cors, preflight_headers, stored_cors
from s4gw.s3.errors import InvalidRequest, MalformedXML, S3Error

DOCUMENT: dict[str, Any] = {
    "CORSRules": [
        {
            "AllowedOrigins": ["https://*.example.com", "https://example.org"],
            "AllowedMethods": ["GET", "PUT"],
            "AllowedHeaders": ["x-amz-*", "Content-Type"],
            "ExposeHeaders": ["ETag"],
            "MaxAgeSeconds": 600,
        },
        {"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]},
    ]
}


@pytest.mark.parametrize(
    ("origin", "method", "allowed"),
    [
        ("https://a.example.com", "PUT", "https://a.example.com"),
        ("https://example.org", "GET", "https://example.org"),
        ("https://example.com", "PUT", None),
        ("https://evil.com", "GET", "*"),
        ("https://evil.com", "PUT", None),
        ("https://a.example.com", "DELETE", None),
        ("http://a.example.com", "PUT", None),
    ],
)
def test_actual_requests(origin: str, method: str, allowed: str | None) -> None:
    """The origin is answered, with credentials only where it was named."""
    headers = dict(cors_headers(parse_cors(DOCUMENT), origin=origin, method=method))
    assert allowed == headers.get("Access-Control-Allow-Origin")
    assert (allowed not in (None, "*")) == ("Access-Control-Allow-Credentials" in headers)


@pytest.mark.parametrize(
    ("requested", "fits"),
    [
        ([], True),
        (["X-Amz-Date", "content-type"], True),
        ([" x-amz-acl ", ""], True),
        (["authorization"], False),
        (["x-amz-date", "authorization"], False),
    ],
)
def test_preflights_name_their_headers(requested: list[str], fits: bool) -> None:
    """All of them have to be allowed, whatever their case."""
    answer = preflight_headers(parse_cors(DOCUMENT), origin="https://a.example.com", method="PUT", requested=requested)
    assert fits == (answer is not None)


def test_a_preflight_is_answered_in_full() -> None:
    """Origin, methods, headers and how long to remember."""
    answer = preflight_headers(
        parse_cors(DOCUMENT), origin="https://a.example.com", method="PUT", requested=["X-Amz-Date"]
    )
    assert {
        "Access-Control-Allow-Origin": "https://a.example.com",
        "Access-Control-Allow-Methods": "GET, PUT",
        "Access-Control-Allow-Headers": "x-amz-date",
        "Access-Control-Expose-Headers": "ETag",
        "Access-Control-Max-Age": "600",
        "Access-Control-Allow-Credentials": "true",
        "Vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
    } == dict(answer or ())


def test_stored_rules_are_read_back() -> None:
    """And a bucket without has none."""
    assert (parse_cors(DOCUMENT), ()) == (stored_cors({"cors": dump_document(DOCUMENT)}), stored_cors({}))


@pytest.mark.parametrize(
    ("rules", "error"),
    [
        ([], MalformedXML),
        ([{"AllowedMethods": ["GET"]}], MalformedXML),
        ([{"AllowedOrigins": ["*"]}], MalformedXML),
        ([{"AllowedOrigins": ["*"], "AllowedMethods": ["PATCH"]}], InvalidRequest),
        ([{"AllowedOrigins": ["http://*.*"], "AllowedMethods": ["GET"]}], InvalidRequest),
        ([{"AllowedOrigins": ["*"], "AllowedMethods": ["GET"], "AllowedHeaders": ["*-*"]}], InvalidRequest),
        ([{"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]}] * 101, MalformedXML),
    ],
)
def test_bad_rules_are_refused(rules: list[dict[str, Any]], error: type[S3Error]) -> None:
    """By S3's code."""
    with pytest.raises(error):
        parse_cors({"CORSRules": rules})
