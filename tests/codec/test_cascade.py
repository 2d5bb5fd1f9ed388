"""Codec 64 is written where a second pass pays, read back exactly, and never believed about sizes."""

from __future__ import annotations

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.codec import CodecError, CodecId, CorruptFrame, FrameHeader, cascade, decode_frame, encode_frame
from s4gw.codec.choice import Choice
from tests.codec.numbers import LINES
from tests.codec.support import ORIGINAL

MIB = 1024**2


@settings(max_examples=60, deadline=None)
@given(unit=st.binary(max_size=300), times=st.integers(0, 400), level=st.sampled_from([1, 3, 9]))
def test_decode_undoes_encode(unit: bytes, times: int, level: int) -> None:
    """Any bytes come back, once or twice compressed."""
    original = unit * times
    frame = encode_frame(original, Choice(CodecId.ZSTD_CASCADE, level))
    header = FrameHeader(frame.codec, len(original), len(frame.payload), frame.crc32c)
    assert decode_frame(header, frame.payload) == original


def test_a_second_pass_where_it_pays() -> None:
    """Lines in which only a counter changes are compressed twice, ordinary text once."""
    once, twice = (encode_frame(LINES, Choice(codec, 1)) for codec in (CodecId.CPU_ZSTD, CodecId.ZSTD_CASCADE))
    assert twice.codec is CodecId.ZSTD_CASCADE
    assert once.stored_size > 1.5 * twice.stored_size
    assert encode_frame(ORIGINAL, Choice(CodecId.ZSTD_CASCADE, 1)).codec is CodecId.CPU_ZSTD


@settings(max_examples=100, deadline=None)
@given(place=st.integers(0, 10_000), flip=st.integers(1, 255), cut=st.booleans())
def test_damage_is_an_error_or_harmless(place: int, flip: int, cut: bool) -> None:
    """A cut or changed byte gives the library's own error or the same content."""
    frame = encode_frame(LINES, Choice(CodecId.ZSTD_CASCADE, 1))
    payload = bytearray(frame.payload)
    place %= len(payload)
    if cut:
        del payload[place:]
    else:
        payload[place] ^= flip
    try:
        decoded = decode_frame(FrameHeader(frame.codec, len(LINES), len(payload), frame.crc32c), bytes(payload))
        assert decoded == LINES
    except CodecError:
        pass


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x02" + zstandard.compress(zstandard.compress(bytes(1000))),
        b"\x01",
        b"\x01hello",
        b"\x01" + zstandard.compress(bytes(1000)),
        b"\x01" + zstandard.compress(b""),
        b"\x01" + zstandard.compress(bytes(8 * MIB)),  # more than the data that it stands for
        b"\x01" + zstandard.compress(zstandard.compress(bytes(64 * MIB))),
        b"\x01" + zstandard.ZstdCompressor(write_content_size=False).compress(zstandard.compress(bytes(1000))),
    ],
)
def test_payloads_that_make_no_sense(payload: bytes) -> None:
    """Version and sizes are checked before anything is decoded."""
    with pytest.raises(CorruptFrame):
        cascade.decode(payload, 1000)
