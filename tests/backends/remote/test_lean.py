"""The short way to the upstream: what it sends, what it makes of answers, and when it leaves the work to boto3."""

from __future__ import annotations

import io
import re
import socket
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from s4gw.auth import AuthRequest, CredentialStore, authenticate
from s4gw.backends.remote import Answered, Upstream, UpstreamSettings, UpstreamUnavailable
from s4gw.backends.remote.lean import Lean, LeanKeys
from s4gw.backends.remote.wire import HEADERS_MAX
from s4gw.s3 import errors
from tests.backends.remote.kit import ENDPOINT
from tests.backends.remote.raw_server import CA, CLOSE, RawServer, Request, answer, raw_server
from tests.gateway.kit import ALICE

THERE = answer(x_amz_request_id="UP1", etag='"e"')


def upstream_of(server: RawServer, *, attempts: int = 2, **settings: Any) -> tuple[Upstream, list[Answered]]:
    """An upstream that sends to *server*, and what it told."""
    told: list[Answered] = []
    chosen = UpstreamSettings(endpoint_url=server.url, attempts=attempts, **settings)
    return Upstream(chosen, observer=told.append), told


def by_boto3(request: Request) -> bool:
    return "Boto3" in dict(request.headers).get("user-agent", "")


def test_requests_are_signed() -> None:
    """As S3 checks signatures, whatever is in key, metadata and query."""
    with raw_server([THERE] * 2) as server:
        upstream, _ = upstream_of(server)
        key = "a b/é+&?=%2F//../x"
        upstream.call("PutObject", Bucket="b-1", Key=key, Body=b"x", Metadata={"m": "two  blanks"}, CacheControl="a, b")
        upstream.call("UploadPart", Bucket="b-1", Key=key, UploadId="u/+ =", PartNumber=7, Body=bytearray(b"part"))
        upstream.close()
    callers = []
    for request in server.seen:
        path, _, query = request.target.partition("?")
        asked = AuthRequest(request.method, path, query, request.headers, secure=False)
        callers.append(authenticate(asked, CredentialStore([ALICE]), now=time.time()).principal.name)
    put, part = server.seen
    assert (["alice"] * 2, b"x", b"part") == (callers, put.body, part.body)
    assert "/b-1/a%20b/%C3%A9%2B%26%3F%3D%252F//../x?partNumber=7&uploadId=u%2F%2B%20%3D" == _ordered(part.target)
    assert ("two  blanks", "a, b", "1") == tuple(
        dict(put.headers)[name] for name in ("x-amz-meta-m", "cache-control", "content-length")
    )


def _ordered(target: str) -> str:
    path, _, query = target.partition("?")
    return f"{path}?{'&'.join(sorted(query.split('&')))}"


def test_a_payload_is_signed_where_nothing_protects_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """On plain HTTP beyond this machine the body's hash is in the signature."""
    monkeypatch.setattr("s4gw.backends.remote.clients.signs_payload", lambda _settings: True)
    with raw_server([THERE]) as server:
        upstream, _ = upstream_of(server)
        upstream.call("PutObject", Bucket="b-1", Key="k", Body=b"abc")
        upstream.close()
    sent = dict(server.seen[0].headers)["x-amz-content-sha256"]
    assert "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" == sent


def test_answers_have_boto3s_shape() -> None:
    """Numbers, times, metadata and the body; the upstream's id goes to the observer."""
    modified = "Mon, 12 Oct 2009 17:50:30 GMT"
    got = answer(
        206, b"xyz", last_modified=modified, content_range="bytes 0-2/9", x_amz_meta_A="1", x_amz_request_id="UP1"
    )
    with raw_server([got]) as server:
        upstream, told = upstream_of(server)
        result = upstream.call("GetObject", Bucket="b-1", Key="k", Range="bytes=0-2")
        body = result.pop("Body").read()
        upstream.close()
    assert (b"xyz", 3, "bytes 0-2/9", {"a": "1"}, 1255369830) == (
        body,
        result["ContentLength"],
        result["ContentRange"],
        result["Metadata"],
        result["LastModified"].timestamp(),
    )
    assert [("GetObject", 206, "UP1", 1)] == [(one.operation, one.status, one.request_id, one.attempts) for one in told]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nabcde\r\n0\r\nx-t: 1\r\n\r\n", b"abcde"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + answer(body=b"abcde"), b"abcde"),
        (answer(body=b"abcde", x_long="y" * 40_000), b"abcde"),
        (answer(body=b"abcde" * 100_000), b"abcde" * 100_000),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabcde", b"abcde"),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nabcde", b"abcde"),
        (b"HTTP/1.1 200 OK\ncontent-length: 5\n\nabcde", b"abcde"),
        ("HTTP/1.1 200 OK\r\ncontent-length: \xb2\r\nconnection: close\r\n\r\nabcde".encode("latin-1"), b"abcde"),
    ],
)
def test_every_framing_of_a_body_is_read(raw: bytes, expected: bytes) -> None:
    """With a length, in chunks, to the end of the connection; after an answer in between."""
    with raw_server([raw]) as server:
        upstream, _ = upstream_of(server)
        body = upstream.call("GetObject", Bucket="b-1", Key="k")["Body"].read()
        upstream.close()
    assert (expected, [False]) == (body, [by_boto3(request) for request in server.seen])


def test_connections_are_used_again() -> None:
    """Not those that the other side closes or whose body was not read."""
    unread, closing = answer(body=b"x" * 100_000), answer(connection="close")
    with raw_server([THERE, THERE, unread, closing, THERE]) as server:
        upstream, _ = upstream_of(server)
        for operation in ("HeadObject", "DeleteObject", "GetObject", "HeadObject", "HeadObject"):
            result = upstream.call(operation, Bucket="b-1", Key="k")
            if "Body" in result:
                result["Body"].read(10)
                result["Body"].close()
        upstream.close()
    assert [0, 0, 0, 1, 2] == [request.connection for request in server.seen]


@pytest.mark.parametrize("tls", [False, True])
def test_what_follows_an_answer_is_not_the_next_one(tls: bool) -> None:
    """A server that says more than it announced is asked over another connection."""
    more = answer(body=b"abc") + answer(404)
    with raw_server([more, THERE], tls=tls) as server:
        upstream, _ = upstream_of(server, verify=str(CA))
        body = upstream.call("GetObject", Bucket="b-1", Key="k")["Body"].read()
        etag = upstream.call("HeadObject", Bucket="b-1", Key="k")["ETag"]
        upstream.close()
    assert (b"abc", '"e"', [0, 1]) == (body, etag, [request.connection for request in server.seen])


@pytest.mark.parametrize(
    "cut",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\nx: connection: close\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx: connection: close\r\n\r\n9\r\nshort",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx: connection: close\r\n\r\n5\r\nshort\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx: connection: close\r\n\r\n5\r\nshort\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx: connection: close\r\n\r\n5\r\nshorter\r\n0\r\n\r\n",
    ],
)
def test_a_cut_body_is_an_error(cut: bytes) -> None:
    """And its connection is not used again."""
    with raw_server([cut, THERE]) as server:
        upstream, _ = upstream_of(server)
        body = upstream.call("GetObject", Bucket="b-1", Key="k")["Body"]
        with pytest.raises(UpstreamUnavailable):
            body.read()
        upstream.call("HeadObject", Bucket="b-1", Key="k")
        upstream.close()
    assert [0, 1] == [request.connection for request in server.seen]


@pytest.mark.parametrize(
    ("operation", "raw", "expected"),
    [
        ("GetObject", answer(404, b"<Error><Code>NoSuchKey</Code></Error>"), errors.NoSuchKey),
        ("GetObject", answer(404, b"<Error><Code>NoSuchBucket</Code></Error>"), errors.NoSuchBucket),
        ("HeadObject", answer(404), errors.NoSuchKey),
        ("HeadObject", answer(403), errors.AccessDenied),
        ("GetObject", answer(304), errors.NotModified),
        ("PutObject", answer(412, b"<Error><Code>PreconditionFailed</Code></Error>"), errors.PreconditionFailed),
        ("GetObject", answer(416, b"<Error><Code>InvalidRange</Code></Error>"), errors.InvalidRange),
        ("GetObject", answer(403, b"not XML"), errors.AccessDenied),
    ],
)
def test_refusals_are_told_as_boto3_would(operation: str, raw: bytes, expected: type[errors.S3Error]) -> None:
    """Without asking it."""
    with raw_server([raw]) as server:
        upstream, _ = upstream_of(server)
        with pytest.raises(expected):
            upstream.call(operation, Bucket="b-1", Key="k")
        upstream.close()
    assert [False] == [by_boto3(request) for request in server.seen]


@pytest.mark.parametrize(
    "first",
    [
        answer(500, b"<Error><Code>InternalError</Code></Error>"),
        answer(503, b"<Error><Code>SlowDown</Code></Error>"),
        answer(403, b"<Error><Code>RequestTimeTooSkewed</Code></Error>"),
        answer(400, b"<Error><Code>ExpiredToken</Code></Error>"),
        CLOSE,
        b"HTTP/1.1 nonsense\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * (HEADERS_MAX + 1) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
    ],
)
def test_what_another_attempt_may_mend_is_left_to_boto3(first: bytes) -> None:
    """It knows about retries, clocks and credentials."""
    with raw_server([first, THERE]) as server:
        upstream, told = upstream_of(server)
        result = upstream.call("PutObject", Bucket="b-1", Key="k", Body=b"x")
        upstream.close()
    assert ('"e"', [False, True], [200]) == (
        result["ETag"],
        [by_boto3(request) for request in server.seen],
        [one.status for one in told],
    )


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("PutObject", {"Body": io.BytesIO(b"x")}),
        ("PutObject", {"Body": b"x", "ChecksumAlgorithm": "CRC32"}),
        ("GetObject", {"SSECustomerKey": "k" * 32, "SSECustomerAlgorithm": "AES256"}),
        ("GetObjectAttributes", {"ObjectAttributes": ["ETag"]}),
    ],
)
def test_what_is_not_plain_is_left_to_boto3(operation: str, params: dict[str, Any]) -> None:
    """At once."""
    with raw_server([answer(body=b"<GetObjectAttributesResponse/>")]) as server:
        upstream, _ = upstream_of(server)
        upstream.call(operation, Bucket="b-1", Key="k", **params)
        upstream.close()
    assert [True] == [by_boto3(request) for request in server.seen]


@pytest.mark.parametrize(
    "params",
    [{"Bucket": "b/../x"}, {"Bucket": "b HTTP/1.1\r\nx: y"}, {"Metadata": {"m": "a\r\nx: y"}}, {"ContentType": "a\nb"}],
)
def test_nothing_breaks_out_of_its_place(params: dict[str, Any]) -> None:
    """A line break in a value never starts a header of its own."""
    with raw_server([THERE] * 3) as server:
        upstream, _ = upstream_of(server, attempts=1)
        with pytest.raises(errors.S3Error):
            upstream.call("PutObject", **({"Bucket": "b-1", "Key": "k", "Body": b"x"} | params))
        upstream.close()
    assert [] == [name for request in server.seen for name, _ in request.headers if name == "x"]


def test_no_answer_is_unavailable() -> None:
    """With one attempt there is no second way; an upstream that is not there was never asked."""
    with raw_server([CLOSE]) as server:
        upstream, _ = upstream_of(server, attempts=1)
        with pytest.raises(UpstreamUnavailable) as cut:
            upstream.call("PutObject", Bucket="b-1", Key="k", Body=b"x")
    with socket.create_server(("127.0.0.1", 0)) as unused:
        server.url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    upstream, _ = upstream_of(server, attempts=1)
    with pytest.raises(UpstreamUnavailable) as missing:
        upstream.call("PutObject", Bucket="b-1", Key="k", Body=b"x")
    assert (True, False, 1) == (cut.value.sent, missing.value.sent, len(server.seen))


def test_a_connection_that_was_closed_meanwhile_costs_no_attempt() -> None:
    """It is looked at before it is used."""
    with raw_server([answer(x_note="connection: close"), THERE]) as server:
        upstream, _ = upstream_of(server, attempts=1)
        upstream.call("HeadObject", Bucket="b-1", Key="k")
        until = time.monotonic() + 5
        lean = upstream._clients().lean
        assert lean is not None
        (idle,) = lean.pool._idle["127.0.0.1"]
        while idle.usable(time.monotonic()) and time.monotonic() < until:
            pass  # the other side's close is on its way
        upstream.call("HeadObject", Bucket="b-1", Key="k")
        upstream.close()
    assert [0, 1] == [request.connection for request in server.seen]


def test_a_setting_turns_it_off() -> None:
    """Then everything goes by boto3."""
    with raw_server([THERE]) as server:
        upstream, _ = upstream_of(server, lean=False)
        upstream.call("PutObject", Bucket="b-1", Key="k", Body=b"x")
        upstream.close()
    assert [True] == [by_boto3(request) for request in server.seen]


def test_a_proxy_is_boto3s_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The short way knows none, unless the upstream needs none."""
    with raw_server([THERE] * 2) as server:
        monkeypatch.setenv("http_proxy", server.url)
        monkeypatch.setenv("no_proxy", "")
        proxied, _ = upstream_of(server)
        proxied.call("HeadObject", Bucket="b-1", Key="k")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        direct, _ = upstream_of(server)
        direct.call("HeadObject", Bucket="b-1", Key="k")
        proxied.close()
        direct.close()
    assert [True, False] == [by_boto3(request) for request in server.seen]


@pytest.mark.parametrize("lean", [True, False])
def test_over_tls_the_certificate_is_checked(lean: bool) -> None:
    """By the bundle that is named; without it, nothing is sent. Bodies are not hashed for the signature."""
    with raw_server([THERE] * 2, tls=True) as server:
        trusting, _ = upstream_of(server, lean=lean, verify=str(CA), attempts=1)
        trusting.call("PutObject", Bucket="b-1", Key="k", Body=b"x")
        trusting.close()
        (request,) = server.seen
        doubting, _ = upstream_of(server, lean=lean, attempts=1)
        with pytest.raises(UpstreamUnavailable) as caught:
            doubting.call("PutObject", Bucket="b-1", Key="k", Body=b"x")
        doubting.close()
    assert ("UNSIGNED-PAYLOAD", not lean, 1) == (
        dict(request.headers)["x-amz-content-sha256"],
        by_boto3(request),
        len(server.seen),
    )
    assert 503 == caught.value.status


@dataclass
class Captured:
    """A pool that keeps requests instead of sending them."""

    asked: list[tuple[str, str]] = field(default_factory=list)

    def request(self, host: str, _method: str, head: bytes, _body: bytes) -> Any:
        lines = head.decode().splitlines()
        sent = next(line for line in lines if line.startswith("host: "))
        self.asked.append((host, f"{lines[0]} {sent}"))
        raise OSError


@pytest.mark.parametrize(
    ("virtual", "expected"),
    [
        (False, ("s3.example.com", "GET /base/b-1/a%20b HTTP/1.1 host: s3.example.com:8443")),
        (True, ("b-1.s3.example.com", "GET /base/a%20b HTTP/1.1 host: b-1.s3.example.com:8443")),
    ],
)
def test_the_bucket_stands_where_it_is_to(virtual: bool, expected: tuple[str, str]) -> None:
    """In the path, or in the host name that is connected to, checked and signed for."""
    pool: Any = Captured()
    lean = Lean(
        "https://s3.example.com:8443/base/",
        pool,
        region="eu-1",
        virtual=virtual,
        sign_payload=False,
        keys=lambda: LeanKeys("AK", "SK", None),
    )
    with pytest.raises(OSError):
        lean.call("GetObject", {"Bucket": "b-1", "Key": "a b"})
    assert [expected] == pool.asked


def test_a_session_token_goes_along() -> None:
    """Credentials of a role have one; it is signed."""
    heads: list[str] = []

    class Heads(Captured):
        def request(self, _host: str, _method: str, head: bytes, _body: bytes) -> Any:
            heads.append(head.decode())
            raise OSError

    pool: Any = Heads()
    keys = iter([LeanKeys("AK1", "SK", "token-1"), LeanKeys("AK2", "SK", "token-2")])
    lean = Lean(ENDPOINT, pool, region="eu-1", virtual=False, sign_payload=False, keys=lambda: next(keys))
    for _ in range(2):
        with pytest.raises(OSError):
            lean.call("HeadObject", {"Bucket": "b-1", "Key": "k"})
    signed = [re.search(r"Credential=(\w+)/\d+/eu-1/s3/aws4_request, SignedHeaders=([\w;-]+)", head) for head in heads]
    assert [("AK1", True), ("AK2", True)] == [
        (found.group(1), "x-amz-security-token" in found.group(2)) for found in signed if found is not None
    ]
    assert ["token-1" in heads[0], "token-2" in heads[1]] == [True, True]
