"""Chunked bodies decode to what was encoded, whatever the split, and every lie in the framing is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4gw.s3 import errors
from s4gw.s3.chunked import (
    EMPTY_SHA256,
    LINE_BYTES_MAX,
    AwsChunkedDecoder,
    Event,
    HttpChunkedDecoder,
)


class Source:
    """A socket with a scratch buffer: gives at most *step* bytes at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        self.data = data
        self.step = step
        self.at = 0

    def peek(self) -> bytes:
        return self.data[self.at : self.at + self.step]

    def skip(self, size: int) -> None:
        self.at += size

    def readinto(self, view: memoryview) -> int:
        piece = self.peek()[: len(view)]
        view[: len(piece)] = piece
        self.at += len(piece)
        return len(piece)


class HttpSource(Source):
    """A source whose bytes come in HTTP chunks: payload of the outer framing is the inner one's input."""

    def __init__(self, data: bytes, step: int) -> None:
        super().__init__(data, step)
        self.decoder = HttpChunkedDecoder()

    def _settle(self) -> int:
        while self.decoder.next_event() is Event.NEED_DATA:
            data = super().peek()
            if not data:
                self.decoder.end_of_input()
            super().skip(self.decoder.feed(data))
        return self.decoder.payload_left

    def peek(self) -> bytes:
        left = self._settle()
        return super().peek()[:left]

    def skip(self, size: int) -> None:
        super().skip(size)
        if size:
            self.decoder.advance(size)

    def readinto(self, view: memoryview) -> int:
        piece = self.peek()[: len(view)]
        view[: len(piece)] = piece
        self.skip(len(piece))
        return len(piece)


def read(decoder: AwsChunkedDecoder | HttpChunkedDecoder, source: Source) -> bytes:
    """Drive *decoder* as the docstring of the module says."""
    out = bytearray()
    scratch = memoryview(bytearray(64))
    sha256 = hashlib.sha256()
    while True:
        event = decoder.next_event()
        if event is Event.PAYLOAD:
            n = source.readinto(scratch[: decoder.payload_left])
            if n == 0:
                decoder.end_of_input()
            sha256.update(scratch[:n])
            decoder.advance(n)
            out += scratch[:n]
        elif event is Event.NEED_DATA:
            data = source.peek()
            if data:
                source.skip(decoder.feed(data))
            else:
                decoder.end_of_input()
        elif event is Event.CHUNK_END:
            assert isinstance(decoder, AwsChunkedDecoder)
            decoder.end_chunk(sha256.hexdigest())
            sha256 = hashlib.sha256()
        else:
            return bytes(out)


def sign(number: int, sha256_hex: str) -> str:
    """Stand in for SigV4: a signature that depends on the chunk's place and payload."""
    return hashlib.sha256(f"{number}:{sha256_hex}".encode()).hexdigest()


class Signer:
    """Checks what `sign` made, in order."""

    def __init__(self) -> None:
        self.count = 0

    def check_chunk(self, signature: str, sha256_hex: str) -> None:
        if signature != sign(self.count, sha256_hex):
            raise errors.SignatureDoesNotMatch
        self.count += 1

    def check_trailer(self, signature: str, trailer: bytes) -> None:
        self.check_chunk(signature, hashlib.sha256(trailer).hexdigest())


def encode(chunks: Sequence[bytes], *, signed: bool = False, trailer: str | None = None) -> bytes:
    """Write aws-chunked as SDKs do."""
    out = b""
    for number, chunk in enumerate([*chunks, b""]):
        signature = f";chunk-signature={sign(number, hashlib.sha256(chunk).hexdigest())}" if signed else ""
        out += f"{len(chunk):x}{signature}\r\n".encode() + chunk + (b"\r\n" if chunk else b"")
    if trailer is not None:
        out += trailer.encode() + b"\r\n"
        if signed:
            digest = hashlib.sha256(trailer.encode() + b"\n").hexdigest()
            out += f"x-amz-trailer-signature:{sign(len(chunks) + 1, digest)}\r\n".encode()
    return out + b"\r\n"


def decoder_for(size: int, *, signed: bool = False, trailer: bool = False) -> AwsChunkedDecoder:
    signer = Signer()
    return AwsChunkedDecoder(
        decoded_length=size,
        check_chunk=signer.check_chunk if signed else None,
        trailer=trailer,
        trailer_names={"x-amz-checksum-crc32"} if trailer else (),
        check_trailer=signer.check_trailer if signed and trailer else None,
        chunk_bytes_min=0,
    )


TRAILER = "x-amz-checksum-crc32:AAAAAA=="
chunk_lists = st.lists(st.binary(min_size=1, max_size=90), max_size=5)


@given(chunk_lists, st.integers(1, 300), st.booleans(), st.booleans())
def test_decoding_undoes_encoding(chunks: list[bytes], step: int, signed: bool, trailer: bool) -> None:
    """In all four modes, and in any split, the payload comes out, and nothing behind the body is touched."""
    body = encode(chunks, signed=signed, trailer=TRAILER if trailer else None)
    source = Source(body + b"GET / HTTP/1.1", step)
    decoder = decoder_for(len(b"".join(chunks)), signed=signed, trailer=trailer)

    got = read(decoder, source)

    assert b"".join(chunks) == got
    assert (len(body), len(got)) == (source.at, decoder.decoded)
    assert ({"x-amz-checksum-crc32": "AAAAAA=="} if trailer else {}) == decoder.trailers


@given(chunk_lists, st.integers(1, 200), st.integers(1, 70))
def test_aws_chunks_inside_http_chunks(chunks: list[bytes], step: int, outer: int) -> None:
    """Both framings nest in one pass, however their borders fall."""
    body = encode(chunks, trailer=TRAILER)
    pieces = [body[i : i + outer] for i in range(0, len(body), outer)]
    framed = b"".join(b"%x;x=y\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\nFoo: bar\r\n\r\n"
    source = HttpSource(framed, step)

    got = read(decoder_for(len(b"".join(chunks)), trailer=True), source)

    assert b"".join(chunks) == got
    assert b"" == source.peek()
    assert Event.END is source.decoder.next_event()


@given(st.lists(st.binary(min_size=1, max_size=90), max_size=5), st.integers(1, 300))
def test_http_chunks(chunks: list[bytes], step: int) -> None:
    """Transfer-Encoding: chunked decodes in any split."""
    body = b"".join(b"%X\r\n%b\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"

    assert b"".join(chunks) == read(HttpChunkedDecoder(), Source(body, step))


@given(chunk_lists, st.data(), st.booleans(), st.booleans())
def test_cut_body_is_refused(chunks: list[bytes], data: st.DataObject, signed: bool, trailer: bool) -> None:
    """A body that ends early is IncompleteBody; only the CRLF behind everything else may be missing."""
    body = encode(chunks, signed=signed, trailer=TRAILER if trailer else None)
    cut = data.draw(st.integers(0, len(body) - 3))
    try:
        read(decoder_for(len(b"".join(chunks)), signed=signed, trailer=trailer), Source(body[:cut], 64))
        code = ""
    except errors.S3Error as refused:
        code = refused.code

    assert "IncompleteBody" == code


def test_body_cut_before_the_signature_of_its_trailer_is_incomplete() -> None:
    """The trailer's own lines are all there; a body that stops here was cut, it is not malformed."""
    body = encode([b"data"], signed=True, trailer=TRAILER)
    cut = body.index(b"x-amz-trailer-signature")
    with pytest.raises(errors.IncompleteBody):
        read(decoder_for(4, signed=True, trailer=True), Source(body[:cut], 64))


@given(chunk_lists, st.data())
def test_flipped_byte_is_refused(chunks: list[bytes], data: st.DataObject) -> None:
    """In a signed body with a trailer, a changed byte gives an S3 error or the same content."""
    body = bytearray(encode(chunks, signed=True, trailer=TRAILER))
    body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    decoder = decoder_for(len(b"".join(chunks)), signed=True, trailer=True)
    try:
        got = read(decoder, Source(bytes(body), 64))
    except errors.S3Error:
        got = b"".join(chunks)

    assert b"".join(chunks) == got


LIES = [
    (b"5\r\nhello\r\n0\r\n\r\n", 6, "IncompleteBody"),
    (b"5\r\nhello\r\n0\r\n\r\n", 4, "IncompleteBody"),
    (b"ffffffffffffffff\r\nhello", 5, "IncompleteBody"),
    (b"5\r\nhello!\r\n0\r\n\r\n", 5, "InvalidRequest"),
    (b"5\r\nhel", 5, "IncompleteBody"),
    (b"-5\r\nhello\r\n0\r\n\r\n", 5, "InvalidRequest"),
    (b"0x5\r\nhello\r\n0\r\n\r\n", 5, "InvalidRequest"),
    (b"\r\nhello\r\n0\r\n\r\n", 5, "InvalidRequest"),
    (b"5\nhello\r\n0\r\n\r\n", 5, "InvalidRequest"),
    (b"5\r\r\nhello\r\n0\r\n\r\n", 5, "InvalidRequest"),
    (b"5\r\nhello\n0\r\n\r\n", 5, "InvalidRequest"),
    (b"00000000000000005\r\nhello\r\n0\r\n\r\n", 5, "InvalidRequest"),
    (b"5;" + b"x" * LINE_BYTES_MAX + b"\r\nhello\r\n0\r\n\r\n", 5, "InvalidRequest"),
    (b"5\r\nhello\r\n0\r\nx: y\r\n\r\n", 5, "InvalidRequest"),
]


@pytest.mark.parametrize("step", [1, 1000])
@pytest.mark.parametrize(("body", "length", "code"), LIES)
def test_lie_is_refused(body: bytes, length: int, code: str, step: int) -> None:
    """Wrong sizes, wrong totals, wrong line ends and endless lines get S3's error."""
    with pytest.raises(errors.S3Error) as caught:
        read(decoder_for(length), Source(body, step))

    assert code == caught.value.code


TRAILERS = [
    ("x-amz-checksum-crc32", "MalformedTrailerError"),
    ("x-amz-checksum-crc32c:AAAAAA==", "MalformedTrailerError"),
    (f"{TRAILER}\r\nx-more:1", "MalformedTrailerError"),
    (f"{TRAILER}\r\n{TRAILER}", "MalformedTrailerError"),
    ("bad name:1", "MalformedTrailerError"),
    ("x-é:1", "MalformedTrailerError"),
    ("x-amz-checksum-crc32:" + "A" * LINE_BYTES_MAX, "InvalidRequest"),
    ("\r\n".join(f"x-{n}:1" for n in range(40)), "MalformedTrailerError"),
    ("\r\n".join(f"x-{n}:{'1' * 2000}" for n in range(6)), "MalformedTrailerError"),
    ("", "MalformedTrailerError"),
]


@pytest.mark.parametrize(("trailer", "code"), TRAILERS)
def test_trailer_that_is_refused(trailer: str, code: str) -> None:
    """A trailer must hold just what was announced, once, in bounds."""
    with pytest.raises(errors.S3Error) as caught:
        read(decoder_for(5, trailer=True), Source(encode([b"hello"], trailer=trailer), 100))

    assert code == caught.value.code


def test_trailer_in_the_form_of_the_documentation() -> None:
    """A bare LF ends the trailer's line and an empty line stands before its signature, as S3's example has it."""
    digest = hashlib.sha256(TRAILER.encode() + b"\n").hexdigest()
    start = encode([b"hello"], signed=True)[:-2]
    body = start + f"{TRAILER}\n\r\nx-amz-trailer-signature:{sign(2, digest)}\r\n\r\n".encode()
    decoder = decoder_for(5, signed=True, trailer=True)

    assert b"hello" == read(decoder, Source(body, 7))


def test_signatures_are_demanded() -> None:
    """A signed body without signatures, with wrong ones, or without the trailer's is refused."""
    wrong = encode([b"hello"], signed=True).replace(b"hello", b"HELLO")
    with pytest.raises(errors.SignatureDoesNotMatch):
        read(decoder_for(5, signed=True), Source(encode([b"hello"]), 100))
    with pytest.raises(errors.SignatureDoesNotMatch):
        read(decoder_for(5, signed=True), Source(wrong, 100))
    unsigned_trailer = encode([b"hello"], signed=True)[:-2] + TRAILER.encode() + b"\r\n\r\n"
    with pytest.raises(errors.MalformedTrailerError) as caught:
        read(decoder_for(5, signed=True, trailer=True), Source(unsigned_trailer, 100))

    assert 400 == caught.value.status


def test_last_chunk_is_signed_too() -> None:
    """The empty chunk's signature is checked against the digest of nothing."""
    seen: list[tuple[str, str]] = []
    decoder = AwsChunkedDecoder(decoded_length=0, check_chunk=lambda s, d: seen.append((s, d)))

    read(decoder, Source(b"0;chunk-signature=" + b"a" * 64 + b"\r\n\r\n", 5))

    assert [("a" * 64, EMPTY_SHA256)] == seen


def test_only_the_last_chunk_may_be_small() -> None:
    """S3 refuses small chunks in the middle of a body."""
    body = encode([b"a" * 8192, b"b" * 8191, b"c"])
    decoder = AwsChunkedDecoder(decoded_length=16384)
    with pytest.raises(errors.InvalidChunkSizeError) as caught:
        read(decoder, Source(body, 1000))

    assert 403 == caught.value.status


def test_body_may_end_without_the_last_line_end() -> None:
    """Some clients leave out the CRLF behind the last chunk or trailer."""
    plain = read(decoder_for(5), Source(encode([b"hello"])[:-2], 100))
    with_trailer = read(decoder_for(5, trailer=True), Source(encode([b"hello"], trailer=TRAILER)[:-2], 100))

    assert [b"hello", b"hello"] == [plain, with_trailer]


def test_http_trailer_is_bounded() -> None:
    """Fields behind an HTTP body are dropped, but not without end."""
    with pytest.raises(errors.InvalidRequest) as caught:
        read(HttpChunkedDecoder(), Source(b"0\r\n" + b"x: y\r\n" * 2000, 100))

    assert "trailer" in caught.value.text
