"""Requests to the upstream: what goes out, what comes back, and what never does."""

from __future__ import annotations

import io
import os
from typing import Any

import pytest
from botocore import exceptions as boto_errors

from s4gw.backends.remote import Answered, Upstream, UpstreamSettings, UpstreamUnavailable
from s4gw.backends.remote.config import signs_payload
from s4gw.s3 import errors
from tests.backends.remote.kit import ENDPOINT, error_answer, scripted
from tests.gateway.in_process import Raw


def test_objects_go_and_come(upstream: Upstream) -> None:
    """Whatever kind of buffer a body is, it arrives; reading gives it back."""
    upstream.call("CreateBucket", Bucket="b-1")
    bodies: dict[str, Any] = {"bytes": b"x" * 9, "array": bytearray(b"y" * 9), "view": memoryview(b"z" * 9)}
    bodies |= {"file": io.BytesIO(b"f" * 9), "pieces": [b"p" * 4, bytearray(b"p" * 5)]}
    for key, body in bodies.items():
        upstream.call("PutObject", Bucket="b-1", Key=key, Body=body, Metadata={"a": key}, ContentType=None)
    got = {key: upstream.call("GetObject", Bucket="b-1", Key=key) for key in bodies}
    expected = {"bytes": b"x", "array": b"y", "view": b"z", "file": b"f", "pieces": b"p"}
    assert {key: one * 9 for key, one in expected.items()} == {
        key: result["Body"].read() for key, result in got.items()
    }
    assert {key: {"a": key} for key in bodies} == {key: result["Metadata"] for key, result in got.items()}


def test_a_body_tells_its_length_and_its_end(upstream: Upstream) -> None:
    """Nothing follows the last byte."""
    upstream.call("CreateBucket", Bucket="b-1")
    upstream.call("PutObject", Bucket="b-1", Key="k", Body=b"0123456789")
    body = upstream.call("GetObject", Bucket="b-1", Key="k", Range="bytes=2-6")["Body"]
    assert (5, b"23456", b"") == (body.length, body.read(5), body.read(1))


@pytest.mark.parametrize(
    ("answer", "params", "expected", "facts"),
    [
        (error_answer(404, "NoSuchKey"), {"Key": "k"}, errors.NoSuchKey, {"Key": "k"}),
        (error_answer(404, "NoSuchBucket"), {"Key": "k"}, errors.NoSuchBucket, {"BucketName": "b-1"}),
        (error_answer(412, "PreconditionFailed"), {"Key": "k"}, errors.PreconditionFailed, {}),
        (error_answer(403, "AccessDenied"), {"Key": "k"}, errors.AccessDenied, {}),
        (error_answer(503, "SlowDown"), {"Key": "k"}, errors.SlowDown, {}),
        (error_answer(400, "SomethingOfTheirs"), {"Key": "k"}, errors.InvalidRequest, {}),
        (error_answer(500, "SomethingOfTheirs"), {"Key": "k"}, errors.InternalError, {}),
        (error_answer(502, "SomethingOfTheirs"), {"Key": "k"}, errors.ServiceUnavailable, {}),
        # about the gateway's own credentials: nothing that its client could mend
        (error_answer(403, "InvalidAccessKeyId"), {"Key": "k"}, UpstreamUnavailable, {}),
        (error_answer(403, "SignatureDoesNotMatch"), {"Key": "k"}, UpstreamUnavailable, {}),
        (
            error_answer(301, "PermanentRedirect", headers={"x-amz-bucket-region": "eu-1"}),
            {"Key": "k"},
            UpstreamUnavailable,
            {},
        ),
    ],
)
def test_errors_are_told_in_our_words(
    answer: Any, params: dict[str, str], expected: type[errors.S3Error], facts: dict[str, str]
) -> None:
    """The code's class, with facts of the request; the upstream's text, host and id stay behind."""
    upstream, _ = scripted([answer] * 5)
    with pytest.raises(expected) as caught:
        upstream.call("GetObject", Bucket="b-1", **params)
    said = f"{caught.value.text} {caught.value.facts} {caught.value.headers}"
    assert (expected, facts, False) == (
        type(caught.value),
        caught.value.facts,
        any(word in said for word in ("secret", "upstream.test", "UP1")),
    )


@pytest.mark.parametrize(
    ("operation", "params", "expected"),
    [
        ("HeadBucket", {}, errors.NoSuchBucket),
        ("HeadObject", {"Key": "k"}, errors.NoSuchKey),
    ],
)
def test_a_bare_404_is_about_what_was_named(operation: str, params: Any, expected: type[errors.S3Error]) -> None:
    """HEAD has no body that could hold a code."""
    upstream, _ = scripted([(404, {"x-amz-request-id": "UP1"}, b"")])
    with pytest.raises(expected):
        upstream.call(operation, Bucket="b-1", **params)


def test_a_delete_marker_shows_itself() -> None:
    """Its headers pass, as S3's clients look at them."""
    headers = {"x-amz-delete-marker": "true", "x-amz-version-id": "v1", "server": "secret"}
    upstream, _ = scripted([(404, headers, b"")])
    with pytest.raises(errors.NoSuchKey) as caught:
        upstream.call("HeadObject", Bucket="b-1", Key="k")
    assert {"x-amz-delete-marker": "true", "x-amz-version-id": "v1"} == caught.value.headers


@pytest.mark.parametrize(
    ("failure", "sent"),
    [
        (boto_errors.EndpointConnectionError(endpoint_url=ENDPOINT), False),
        (boto_errors.ConnectTimeoutError(endpoint_url=ENDPOINT), False),
        (boto_errors.ReadTimeoutError(endpoint_url=ENDPOINT), True),
        (boto_errors.ConnectionClosedError(endpoint_url=ENDPOINT), True),
    ],
)
def test_no_answer_is_unavailable(failure: Exception, sent: bool) -> None:
    """It is 503 with Retry-After, and says whether the request may have been carried out."""
    told: list[Answered] = []
    upstream, _ = scripted([failure], told=told)
    with pytest.raises(UpstreamUnavailable) as caught:
        upstream.call("PutObject", Bucket="b-1", Key="k", Body=b"x")
    assert (sent, 503, {"Retry-After": "1"}, ENDPOINT in caught.value.text) == (
        caught.value.sent,
        caught.value.status,
        caught.value.headers,
        False,
    )
    assert [("PutObject", "b-1", 0, type(failure).__name__)] == [
        (one.operation, one.bucket, one.status, one.code) for one in told
    ]


def test_attempts_are_repeated_as_set_and_told() -> None:
    """A 500 that goes away is not seen; the observer gets the upstream's id and the number of tries."""
    told: list[Answered] = []
    failure = error_answer(500, "InternalError")
    upstream, script = scripted(
        [failure, (200, {"x-amz-request-id": "UP2", "etag": '"e"'}, b"")], told=told, attempts=2
    )
    result = upstream.call("PutObject", Bucket="b-1", Key="k", Body=b"x")
    assert ({"ETag": '"e"'}, 2) == (result, len(script.seen))
    assert [("UP2", 2, 200, "")] == [(one.request_id, one.attempts, one.status, one.code) for one in told]


def test_a_cut_body_is_an_error() -> None:
    """Fewer bytes than announced never pass for the whole."""
    upstream, _ = scripted([(200, {"content-length": "10"}, Raw(b"short"))])
    body = upstream.call("GetObject", Bucket="b-1", Key="k")["Body"]
    with pytest.raises(UpstreamUnavailable):
        body.read()


def test_hosts_do_not_stand_in_results() -> None:
    """Location names the upstream; ResponseMetadata holds its ids."""
    document = b"<CompleteMultipartUploadResult><Location>http://upstream.test/b/k</Location><ETag>e</ETag>"
    upstream, _ = scripted([(200, {}, document + b"</CompleteMultipartUploadResult>")])
    assert {"ETag": "e"} == upstream.call("CompleteMultipartUpload", Bucket="b-1", Key="k", UploadId="u")


def test_what_cannot_be_said_to_s3_is_refused() -> None:
    """Parameters that the model does not allow are the client's error."""
    upstream, script = scripted([])
    with pytest.raises(errors.InvalidRequest):
        upstream.call("PutBucketVersioning", Bucket="b-1", VersioningConfiguration={"Status": 7})
    assert [] == script.seen


def test_each_process_has_its_own_client(upstream: Upstream) -> None:
    """After a fork the child makes one; the parent's goes on."""
    upstream.call("ListBuckets")
    mine = upstream._clients()
    child = os.fork()
    if child == 0:
        try:
            upstream.call("ListBuckets")
            os._exit(0 if upstream._made is not mine else 1)
        except BaseException:  # noqa: BLE001 - the child must never return into pytest
            os._exit(2)
    _, status = os.waitpid(child, 0)
    assert (0, True) == (os.waitstatus_to_exitcode(status), upstream._clients() is mine)


@pytest.mark.parametrize(
    ("url", "signed"),
    [
        ("https://s3.example.com", False),
        ("http://s3.example.com", True),
        ("http://10.0.0.1:9000", True),
        ("http://127.0.0.1:8333", False),
        ("http://localhost:8333", False),
        ("http://[::1]:8333", False),
    ],
)
def test_bodies_are_signed_where_nothing_else_protects_them(url: str, signed: bool) -> None:
    """TLS does; so does not leaving the machine."""
    assert signed is signs_payload(UpstreamSettings(endpoint_url=url))
