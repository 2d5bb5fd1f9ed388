"""Conditional writes: the upstream's to decide where it can, and never ignored where it cannot."""

from __future__ import annotations

from typing import Any

import pytest

from s4gw.backends.remote import Upstream
from s4gw.backends.remote.conditions import IGNORED
from s4gw.s3 import errors
from tests.backends.remote.kit import ENDPOINT, Script, error_answer, scripted

DONE = (200, {"etag": '"e"'}, b"")
MISSED = error_answer(412, "PreconditionFailed")
ONCE = {"Bucket": "b-1", "Key": "k", "Body": b"x", "IfNoneMatch": "*"}


def said(script: Script) -> list[str]:
    """Method and key of each request."""
    return [f"{one.method} {one.url.removeprefix(ENDPOINT)[:16]}" for one in script.seen]


def test_an_upstream_that_decides_is_asked_once() -> None:
    """Two writes of a probe, which is removed; then conditions go up and cost nothing."""
    upstream, script = scripted([DONE, MISSED, DONE, DONE, MISSED])
    upstream.call("PutObject", **ONCE)
    with pytest.raises(errors.PreconditionFailed):
        upstream.call("PutObject", **ONCE)
    probe = "/b-1/.s4gw/probe"
    assert [f"PUT {probe}", f"PUT {probe}", f"DELETE {probe}", "PUT /b-1/k", "PUT /b-1/k"] == said(script)


@pytest.mark.parametrize(
    ("condition", "head", "refused"),
    [
        ({"IfNoneMatch": "*"}, DONE, errors.PreconditionFailed),
        ({"IfNoneMatch": "*"}, (404, {}, b""), None),
        ({"IfMatch": '"e"'}, DONE, None),
        ({"IfMatch": '"other"'}, DONE, errors.PreconditionFailed),
        ({"IfMatch": '"e"'}, (404, {}, b""), errors.NoSuchKey),
    ],
)
def test_one_that_ignores_them_is_looked_at_first(
    condition: dict[str, str], head: Any, refused: type[errors.S3Error] | None
) -> None:
    """A write that the condition forbids is never sent; the operator is told."""
    notices: list[str] = []
    upstream, script = scripted([DONE, DONE, DONE, head, DONE], notice=notices.append)
    params = {"Bucket": "b-1", "Key": "k", "Body": b"x"} | condition
    if refused is None:
        upstream.call("PutObject", **params)
    else:
        with pytest.raises(refused):
            upstream.call("PutObject", **params)
    written = [one for one in said(script) if one == "PUT /b-1/k"]
    assert ([IGNORED], refused is None) == (notices, bool(written))


@pytest.mark.parametrize("failure", [error_answer(403, "AccessDenied"), error_answer(501, "NotImplemented")])
def test_what_cannot_be_told_is_asked_again(failure: Any) -> None:
    """The condition goes up meanwhile, as the client sent it."""
    upstream, script = scripted([failure, DONE, failure, DONE])
    for _ in range(2):
        upstream.call("PutObject", **ONCE)
    assert ["*", "*"] == [one.headers["If-None-Match"].decode() for one in script.seen if one.url.endswith("/k")]


def test_nothing_is_asked_without_a_condition(upstream: Upstream) -> None:
    """Nor for the gateway's own keys."""
    upstream.call("CreateBucket", Bucket="b-1")
    upstream.call("PutObject", Bucket="b-1", Key="k", Body=b"x")
    upstream.call("PutObject", Bucket="b-1", Key=".s4gw/x", Body=b"x", IfNoneMatch="*")
    listed = upstream.call("ListObjectVersions", Bucket="b-1")
    assert [".s4gw/x", "k"] == [one["Key"] for one in listed["Versions"]]


def test_a_probe_leaves_nothing(upstream: Upstream) -> None:
    """Not even in a bucket that keeps versions."""
    upstream.call("CreateBucket", Bucket="b-1")
    upstream.call("PutBucketVersioning", Bucket="b-1", VersioningConfiguration={"Status": "Enabled"})
    upstream.call("PutObject", **ONCE)
    listed = upstream.call("ListObjectVersions", Bucket="b-1")
    assert (["k"], []) == ([one["Key"] for one in listed["Versions"]], listed.get("DeleteMarkers", []))
