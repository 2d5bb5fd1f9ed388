"""Tests of s4gw.gateway.body: bytes come out as they went in, whatever the framing, and lies about them are found."""

from __future__ import annotations

import io
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.auth.model import UNSIGNED_PAYLOAD, PayloadMode, PayloadPlan
from s4gw.gateway.body import open_body
from s4gw.gateway.wire import ClientDisconnectedError
from s4gw.s3.errors import (
    IncompleteBody,
    InvalidArgument,
    MalformedTrailerError,
    MaxMessageLengthExceeded,
    MissingContentLength,
    SignatureDoesNotMatch,
    XAmzContentSHA256Mismatch,
)
from tests.gateway.kit import http_chunks, put, read_to_end, received

UNSIGNED_TRAILER = PayloadPlan(PayloadMode.STREAMING_UNSIGNED_TRAILER)
NEXT = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"


class Signer:
    """Accepts chunks signed "a" * 64 only, and remembers what it was shown."""

    def __init__(self) -> None:
        self.digests: list[str] = []

    def check_chunk(self, signature: str, sha256_hex: str) -> None:
        self.digests.append(sha256_hex)
        if signature != "a" * 64:
            raise SignatureDoesNotMatch

    def check_trailer(self, signature: str, trailer: bytes) -> None:
        raise AssertionError((signature, trailer))


def aws_chunks(data: bytes, size: int, trailer: bytes = b"x-amz-checksum-crc32:AAAAAA==\r\n") -> bytes:
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailer + b"\r\n"


def aws_headers(length: int) -> dict[str, str]:
    return {"x-amz-decoded-content-length": str(length), "x-amz-trailer": "x-amz-checksum-crc32"}


def test_a_body_of_known_length_comes_out_and_the_next_request_follows() -> None:
    """A kept-alive connection goes on exactly behind the body, also when both arrived in one packet."""
    with received(put({"Content-Length": "5"}, b"hello" + NEXT)) as got:
        body = got.body()
        content = read_to_end(body)
        following = next(got.parser)
    assert (b"hello", 5, "/next") == (content, body.received, following.uri)


@pytest.mark.parametrize("step", [1, 4096, 70_000])
@pytest.mark.parametrize("size", [0, 1, 4096, 8000, 8192, 20_000])
def test_a_body_is_the_same_whether_it_came_with_the_headers_or_not(size: int, step: int) -> None:
    """Small ones do; either way all of it is given once, counted, and the next request follows."""
    data = bytes(range(251)) * (size // 251) + bytes(size % 251)
    outcomes = []
    for room in (0, 60_000):  # of the parser's read-ahead
        with received(put({"Content-Length": str(size)}, data + NEXT)) as got:
            got.parser.unreader.unread(got.parser.unreader.take_buffered() + got.request.unreader.sock.recv(room or 1))
            body = got.body()
            content = read_to_end(body, step)
            outcomes.append((content, body.received, body.length, next(got.parser).uri))
    assert [(data, size, size, "/next")] * 2 == outcomes


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(0, 300_000),
    http=st.sampled_from([0, 7, 1000, 65536, 131072]),
    step=st.sampled_from([1000, 16384, 70_000, 1 << 20]),
)
def test_http_chunks_give_the_payload(size: int, http: int, step: int) -> None:
    """Any chunk size and any reading step give the same bytes, and the next request follows."""
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    raw = put({"Transfer-Encoding": "chunked"}, http_chunks(data, http) if http else http_chunks(data, max(size, 1)))
    with received(raw + NEXT) as got:
        content = read_to_end(got.body(), step)
        following = next(got.parser)
    assert (data, "/next") == (content, following.uri)


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(0, 200_000),
    http=st.sampled_from([0, 7, 1000, 65536, 131072]),
    aws=st.sampled_from([8192, 65536, 1 << 20]),
    step=st.sampled_from([1000, 16384, 70_000, 1 << 20]),
)
def test_aws_chunks_give_the_payload_in_either_framing(size: int, http: int, aws: int, step: int) -> None:
    """aws-chunked inside Content-Length and inside HTTP chunks that cut it anywhere."""
    data = bytes(range(251)) * (size // 251) + bytes(size % 251)
    framed = aws_chunks(data, aws)
    headers = aws_headers(size)
    if http:
        raw = put(headers | {"Transfer-Encoding": "chunked"}, http_chunks(framed, http))
    else:
        raw = put(headers | {"Content-Length": str(len(framed))}, framed)
    with received(raw + NEXT) as got:
        body = got.body(UNSIGNED_TRAILER)
        content = read_to_end(body, step)
        following = next(got.parser)
    assert (data, size, {"x-amz-checksum-crc32": "AAAAAA=="}, "/next") == (
        content,
        body.length,
        dict(body.trailers),
        following.uri,
    )


def test_the_trailer_is_there_with_the_last_byte() -> None:
    """A reader that stops at the declared length has the trailer, without asking for a byte more."""
    framed = aws_chunks(b"12345", 8192)
    with received(put(aws_headers(5) | {"Content-Length": str(len(framed))}, framed)) as got:
        body = got.body(UNSIGNED_TRAILER)
        size = body.readinto(memoryview(bytearray(5)))
    assert (5, {"x-amz-checksum-crc32": "AAAAAA=="}) == (size, dict(body.trailers))


@pytest.mark.parametrize(
    ("headers", "sent", "plan", "error"),
    [
        ({"Content-Length": "6"}, b"hello", UNSIGNED_PAYLOAD, IncompleteBody),
        ({"Transfer-Encoding": "chunked"}, b"5\r\nhel", UNSIGNED_PAYLOAD, IncompleteBody),
        ({"Transfer-Encoding": "chunked"}, b"5\r\nhello\r\n", UNSIGNED_PAYLOAD, IncompleteBody),
        (aws_headers(6) | {"Content-Length": "46"}, aws_chunks(b"hello", 8192), UNSIGNED_TRAILER, IncompleteBody),
        (aws_headers(4) | {"Content-Length": "46"}, aws_chunks(b"hello", 8192), UNSIGNED_TRAILER, IncompleteBody),
        (
            aws_headers(5) | {"Content-Length": "49"},
            aws_chunks(b"hello", 8192) + b"abc",
            UNSIGNED_TRAILER,
            IncompleteBody,
        ),
        (aws_headers(5) | {"Content-Length": "47"}, aws_chunks(b"hello", 8192), UNSIGNED_TRAILER, IncompleteBody),
        (
            aws_headers(5) | {"Content-Length": "15"},
            aws_chunks(b"hello", 8192, b""),
            UNSIGNED_TRAILER,
            MalformedTrailerError,
        ),
    ],
)
def test_lengths_that_do_not_hold_are_found(
    headers: dict[str, str], sent: bytes, plan: PayloadPlan, error: type[Exception]
) -> None:
    """Cut and overlong bodies, in each layer, are refused at the latest at their end."""
    with received(put(headers, sent)) as got:
        body = got.body(plan)
        with pytest.raises(error):
            read_to_end(body)
        assert got.request.body.failed


def test_each_signed_chunk_is_shown_to_the_signer_with_its_digest() -> None:
    """Every chunk of a signed body is checked, in order, the empty last one included."""
    sign = b";chunk-signature=" + b"a" * 64
    first, second = b"x" * 8192, b"yz"
    framed = b"2000%b\r\n%b\r\n2%b\r\n%b\r\n0%b\r\n\r\n" % (sign, first, sign, second, sign)
    signer = Signer()
    plan = PayloadPlan(PayloadMode.STREAMING_SIGNED, signer=signer)
    headers = {"x-amz-decoded-content-length": "8194", "Content-Length": str(len(framed))}
    with received(put(headers, framed)) as got:
        content = read_to_end(got.body(plan), 1000)
    assert (first + second, 3) == (content, len(signer.digests))


def test_a_chunk_with_a_wrong_signature_is_refused() -> None:
    """Not one byte behind the bad chunk is given away."""
    sign, bad = b";chunk-signature=" + b"a" * 64, b";chunk-signature=" + b"b" * 64
    framed = b"2000%b\r\n%b\r\n2%b\r\nyz\r\n0%b\r\n\r\n" % (bad, b"x" * 8192, sign, sign)
    plan = PayloadPlan(PayloadMode.STREAMING_SIGNED, signer=Signer())
    headers = {"x-amz-decoded-content-length": "8194", "Content-Length": str(len(framed))}
    with received(put(headers, framed)) as got:
        body = got.body(plan)
        with pytest.raises(SignatureDoesNotMatch):
            read_to_end(body, 1 << 20)
        assert body.received <= 8192


def test_read_all_compares_the_signed_digest() -> None:
    """A payload that is signed as a whole has to have the digest that was signed."""
    plan = PayloadPlan(PayloadMode.SIGNED, sha256="0" * 64)
    with received(put({"Content-Length": "5"}, b"hello")) as got, pytest.raises(XAmzContentSHA256Mismatch):
        got.body(plan).read_all(100)


@pytest.mark.parametrize("headers", [{"Content-Length": "5"}, {"Transfer-Encoding": "chunked"}])
def test_read_all_has_a_limit(headers: dict[str, str]) -> None:
    """A document larger than its operation takes is refused, whether or not it says how large it is."""
    sent = http_chunks(b"hello", 2) if "Transfer-Encoding" in headers else b"hello"
    with received(put(headers, sent)) as got, pytest.raises(MaxMessageLengthExceeded):
        got.body().read_all(4)
    with received(put(headers, sent)) as got:
        content = got.body().read_all(5)
    assert content == b"hello"


def test_an_upload_has_to_say_how_long_it_is() -> None:
    """PUT of an object without Content-Length and without chunks is 411; elsewhere that is an empty body."""
    with received(put({}, b"")) as got:
        with pytest.raises(MissingContentLength):
            got.body(required=True)
        assert read_to_end(got.body()) == b""


@pytest.mark.parametrize("length", ["", "-1", "+5", "5 5", "1e3", "٣", "9" * 30])
def test_a_decoded_length_is_a_number(length: str) -> None:
    """What is no plain number is not taken for one."""
    headers = {"content-length": "0", "x-amz-decoded-content-length": length}
    with pytest.raises(InvalidArgument):
        open_body({"wsgi.input": io.BytesIO()}, headers, UNSIGNED_TRAILER)


def test_aws_chunks_need_a_decoded_length() -> None:
    """S3 answers 411 to a streaming upload that does not say how long its payload is."""
    with pytest.raises(MissingContentLength):
        open_body({"wsgi.input": io.BytesIO()}, {"content-length": "0"}, UNSIGNED_TRAILER)


@pytest.mark.parametrize("framing", ["length", "aws"])
def test_another_servers_input_gives_the_same_bytes(framing: str) -> None:
    """Without the parser's internals the body is read through wsgi.input."""
    data = bytes(range(256)) * 1000
    wire = data if framing == "length" else aws_chunks(data, 65536)
    headers = {"content-length": str(len(wire))} | (aws_headers(len(data)) if framing == "aws" else {})
    plan = UNSIGNED_PAYLOAD if framing == "length" else UNSIGNED_TRAILER
    body = open_body({"wsgi.input": io.BytesIO(wire + b"not ours")}, headers, plan)
    assert data == read_to_end(body, 70_000)


def test_a_reset_connection_is_a_client_that_left() -> None:
    """Nobody is left to answer, which is an outcome and not a fault."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        with server:
            body = open_body(
                {"s4gw.request": _Parsed(), "gunicorn.socket": server}, {"content-length": "9"}, UNSIGNED_PAYLOAD
            )
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            with pytest.raises(ClientDisconnectedError):
                read_to_end(body)


class _Parsed:
    """As much of a parsed request as a body touches."""

    class _Body:
        failed = False
        reader = None

    class _Unreader:
        @staticmethod
        def take(_size: int) -> None:
            """Nothing has come."""

        @staticmethod
        def take_buffered() -> bytes:
            return b""

    def __init__(self) -> None:
        self.body = self._Body()
        self.unreader = self._Unreader()


class _Expectation:
    met = 0

    def meet(self) -> None:
        self.met += 1


def test_the_client_is_told_to_continue_when_the_body_is_wanted_and_not_before() -> None:
    """Expect: 100-continue is met by the first read; a refused request never meets it."""
    expectation = _Expectation()
    with received(put({"Content-Length": "5"}, b""), end=False) as got:
        got.env["s4gw.expectation"] = expectation
        got.env["gunicorn.socket"] = _Channel(b"hello")
        body = got.body()
        before = expectation.met
        content = read_to_end(body)
    assert (0, b"hello", 1) == (before, content, expectation.met)


class _Channel:
    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def recv_into(self, view: memoryview) -> int:
        return self._stream.readinto(view)
