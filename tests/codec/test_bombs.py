"""Hostile payloads end in an error before memory is taken for what they claim."""

from __future__ import annotations

import gzip
import io
import resource
import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from s4gw.checksum import crc32c
from s4gw.codec import (
    Choice,
    CodecError,
    CodecId,
    CorruptFrame,
    FrameHeader,
    FrameTooLarge,
    TruncatedFrame,
    UnsupportedCodec,
    decode_frame,
    encode_frame,
    parse_frame_header,
    stream_raw,
)
from tests.codec.support import ORIGINAL, vector

GIB = 1024**3
MIB = 1024**2


@pytest.fixture
def small_memory() -> Iterator[None]:
    """Refuse allocations of more than 1 GiB beyond what the process has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + GIB, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def peak(payload: bytes, header: FrameHeader) -> int:
    """Python memory that refusing *payload* takes at its peak, in bytes."""
    tracemalloc.start()
    try:
        with pytest.raises(CodecError):
            decode_frame(header, payload)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def lying_zstd(size: int) -> bytes:
    """A zstd header that claims *size* bytes, before one block of a few."""
    return b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", size) + b"\x29\x00\x00hello"


@pytest.mark.usefixtures("small_memory")
@pytest.mark.parametrize(
    "payload", [lying_zstd(5 * GIB), b"", b"\x28\xb5\x2f\xfd\x00\x58", lying_zstd(5 * GIB) * 50_000]
)
@pytest.mark.parametrize(
    "codec",
    [
        CodecId.CPU_ZSTD,
        CodecId.CPU_GZIP,
        CodecId.PASSTHROUGH,
        CodecId.NVCOMP_ZSTD,
        CodecId.ZSTD_CASCADE,
        CodecId.TYPED,
        CodecId.PCO,
        CodecId.SEGMENTS,
    ],
)
def test_claims_of_5_gib(payload: bytes, codec: CodecId) -> None:
    """A small payload that claims 5 GiB is refused, where 5 GiB could not even be allocated."""
    with pytest.raises(CorruptFrame):
        decode_frame(FrameHeader(codec, 5 * GIB, len(payload), 0), payload)


def test_the_limit_of_the_caller_comes_first() -> None:
    """What the caller will not hold is refused by its header alone."""
    with pytest.raises(FrameTooLarge) as caught:
        decode_frame(FrameHeader(CodecId.PASSTHROUGH, 100, 100, 0), bytes(100), original_size_max=99)
    assert (caught.value.size, caught.value.limit) == (100, 99)


@pytest.mark.parametrize(
    ("codec", "payload"),
    [
        (CodecId.CPU_ZSTD, zstandard.ZstdCompressor(level=3).compress(bytes(64 * MIB))),
        (CodecId.CPU_ZSTD, zstandard.ZstdCompressor(level=3, write_content_size=False).compress(bytes(64 * MIB))),
        (CodecId.CPU_ZSTD, zstandard.ZstdCompressor(level=3).compress(bytes(1000)) * 1000),
        (CodecId.CPU_GZIP, gzip.compress(bytes(64 * MIB))),
        (CodecId.CPU_GZIP, gzip.compress(bytes(1000)) * 1000),
    ],
)
def test_payloads_that_hold_more_than_declared(codec: CodecId, payload: bytes) -> None:
    """A bomb behind a modest header is refused without being inflated."""
    assert peak(payload, FrameHeader(codec, 1000, len(payload), crc32c(bytes(1000)))) < MIB


def test_windows_are_bounded() -> None:
    """A zstd header that asks for a window of 2 GiB is refused."""
    payload = b"\x28\xb5\x2f\xfd\x00\xa8" + b"\x29\x00\x00hello"
    with pytest.raises(CorruptFrame, match="zstd"):
        decode_frame(FrameHeader(CodecId.CPU_ZSTD, 5, len(payload), crc32c(b"hello")), payload)


def test_frames_in_frames_are_data() -> None:
    """A payload that looks like a frame is not decoded a second time."""
    inner = encode_frame(ORIGINAL, Choice(CodecId.CPU_ZSTD, 3))
    stored = inner.header + bytes(inner.payload)
    outer = encode_frame(stored, Choice(CodecId.PASSTHROUGH))
    assert decode_frame(parse_frame_header(outer.header), outer.payload) == stored


@pytest.mark.parametrize("name", ["frame-zstd.bin", "frame-zstd-streamed.bin", "frame-gzip.bin", "frame-fcg1-zstd.bin"])
def test_every_cut_payload(name: str) -> None:
    """A payload cut anywhere, under a header that agrees with the cut, is refused or still whole."""
    stored = vector(name)
    header = parse_frame_header(stored)
    for size in range(header.payload_size):
        try:
            decoded = decode_frame(
                FrameHeader(header.codec, header.original_size, size, header.crc32c), stored[28:][:size]
            )
        except CodecError:
            continue
        assert decoded == ORIGINAL


def fcg1(**changes: int) -> bytes:
    """The FCG1 vector with other numbers in its header."""
    payload = vector("frame-fcg1-zstd.bin")[28:]
    fields = {"algorithm": 3, "size": len(ORIGINAL), "chunk": 1024, "count": 4} | changes
    header = struct.pack(
        "<4sB3sQII", b"FCG1", fields["algorithm"], b"\0\0\0", fields["size"], fields["chunk"], fields["count"]
    )
    return header + payload[24:]


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (fcg1(algorithm=4), UnsupportedCodec),
        (fcg1(algorithm=9), CorruptFrame),
        (fcg1(size=5), CorruptFrame),
        (fcg1(chunk=0), CorruptFrame),
        (fcg1(chunk=2**25), CorruptFrame),
        (fcg1(count=5), CorruptFrame),
        (fcg1(chunk=1, count=len(ORIGINAL)), TruncatedFrame),
        (fcg1()[:-1], CorruptFrame),
        (fcg1() + b"x", CorruptFrame),
        (b"FCG2" + fcg1()[4:], CorruptFrame),
        (fcg1()[:20], TruncatedFrame),
    ],
)
def test_fcg1_headers(payload: bytes, error: type[CodecError]) -> None:
    """Containers whose numbers do not add up are refused; those a GPU is needed for are told apart."""
    with pytest.raises(error):
        decode_frame(FrameHeader(CodecId.NVCOMP_ZSTD, len(ORIGINAL), len(payload), crc32c(ORIGINAL)), payload)


@pytest.mark.parametrize("codec", [CodecId.CPU_ZSTD, CodecId.CPU_GZIP])
@pytest.mark.parametrize("cut", [1, 4, 100])
def test_raw_streams_notice_a_missing_end(codec: CodecId, cut: int) -> None:
    """A raw body that was cut ends in an error, after the blocks that were whole."""
    name = {CodecId.CPU_ZSTD: "raw-zstd.bin", CodecId.CPU_GZIP: "raw-gzip.bin"}[codec]
    with pytest.raises(TruncatedFrame):
        list(stream_raw(codec, io.BytesIO(vector(name)[:-cut])))


@pytest.mark.parametrize("codec", [CodecId.CPU_ZSTD, CodecId.CPU_GZIP])
@pytest.mark.parametrize(
    "data", [b"neither of both", gzip.compress(b"a", mtime=0) * 2, vector("raw-zstd.bin") + b"garbage"]
)
def test_raw_streams_refuse_garbage(codec: CodecId, data: bytes) -> None:
    """What is not the codec's output, or goes on behind it, is refused."""
    with pytest.raises(CorruptFrame):
        list(stream_raw(codec, io.BytesIO(data)))


def test_raw_streams_are_cut_into_blocks() -> None:
    """A raw bomb streams in bounded blocks."""
    for codec, data in (
        (CodecId.CPU_ZSTD, zstandard.ZstdCompressor(level=3).compress(bytes(64 * MIB))),
        (CodecId.CPU_GZIP, gzip.compress(bytes(64 * MIB))),
    ):
        sizes = [len(block) for block in stream_raw(codec, io.BytesIO(data))]
        assert sum(sizes) == 64 * MIB
        assert max(sizes) <= 16 * MIB


def test_raw_streams_need_a_codec_that_streams() -> None:
    """Codecs that are never stored raw are refused."""
    with pytest.raises(UnsupportedCodec):
        stream_raw(CodecId.NVCOMP_ZSTD, io.BytesIO())
