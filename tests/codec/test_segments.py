"""Codec 67 stores each piece of a frame as it is smallest, gives all back, and never nests."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.codec import (
    Choice,
    CodecError,
    CodecId,
    CorruptFrame,
    FrameHeader,
    decode_frame,
    encode_frame,
    registry,
    segments,
)
from s4gw.codec.choice import rotated
from s4gw.codec.layout import NUMBERS_BYTES_MAX, SEGMENT_BYTES, TypedFilter
from tests.codec.numbers import LINES, MIXED, MIXED_CHOICE, RECORDS, TIMES, typed

CHOICES = (
    Choice(CodecId.PASSTHROUGH),
    Choice(CodecId.CPU_ZSTD, 1),
    Choice(CodecId.ZSTD_CASCADE, 1),
    typed(TypedFilter.PACK, 8),
    typed(TypedFilter.PLANES, 7, mask=5),
)


def encoded(pieces: list[tuple[bytes, Choice]]) -> tuple[bytes, bytes]:
    """An original and its payload of the given pieces."""
    runs, at = [], 0
    for data, choice in pieces:
        runs.append((at, at + len(data), choice))
        at += len(data)
    original = b"".join(data for data, _ in pieces)
    return original, segments.encode(original, runs, registry.encode_shrunk)


def decode(payload: bytes, size: int) -> bytes:
    return segments.decode(payload, size, registry.decode)


@settings(max_examples=80, deadline=None)
@given(
    pieces=st.lists(st.tuples(st.binary(max_size=60).map(lambda data: data * 5), st.sampled_from(CHOICES)), max_size=6)
)
def test_decode_undoes_encode(pieces: list[tuple[bytes, Choice]]) -> None:
    """Pieces of any size and codec come back in order."""
    original, payload = encoded(pieces)
    assert decode(payload, len(original)) == original


def test_each_piece_gets_what_suits_it() -> None:
    """Numbers, lines and noise in one frame: smaller than any single codec makes it."""
    frame = encode_frame(MIXED, MIXED_CHOICE)
    assert frame.codec is CodecId.SEGMENTS
    header = FrameHeader(frame.codec, len(MIXED), len(frame.payload), frame.crc32c)
    assert decode_frame(header, frame.payload) == MIXED
    codecs = [codec for codec, _, _ in segments.read_table(memoryview(frame.payload))]
    assert codecs == [CodecId.TYPED, CodecId.ZSTD_CASCADE, CodecId.PASSTHROUGH, CodecId.TYPED]
    singles = [encode_frame(MIXED, choice).stored_size for choice in CHOICES]
    assert frame.stored_size < min(singles)


def test_pieces_of_one_kind_need_no_segments() -> None:
    """When every piece wants the same, the frame is stored with that codec."""
    assert encode_frame(LINES * 5, MIXED_CHOICE).codec is CodecId.ZSTD_CASCADE


def test_records_are_cut_anywhere() -> None:
    """The planes of records move with the place where a piece begins."""
    choice = typed(TypedFilter.PLANES, 7, mask=0b0001111)
    assert rotated(choice, 2) == typed(TypedFilter.PLANES, 7, mask=0b1100011)
    assert rotated(choice, 14) is choice
    assert rotated(Choice(CodecId.SEGMENTS, 1, (choice,)), 2).parameters == (rotated(choice, 2),)
    sizes = [encode_frame(RECORDS[start:2700], rotated(choice, start)).stored_size for start in range(7)]
    assert max(sizes) - min(sizes) < 30


def test_equal_neighbours_are_joined() -> None:
    """Runs are as long as the choice stays."""
    plain, packed = CHOICES[1], CHOICES[3]
    order = [plain, plain, packed, plain]
    runs = segments.cut(bytes(3 * SEGMENT_BYTES + 5), lambda _, start: order[start // SEGMENT_BYTES])
    assert runs == [
        (0, 2 * SEGMENT_BYTES, plain),
        (2 * SEGMENT_BYTES, 3 * SEGMENT_BYTES, packed),
        (3 * SEGMENT_BYTES, 3 * SEGMENT_BYTES + 5, plain),
    ]


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 100_000), flip=st.integers(1, 255), cut=st.booleans())
def test_damage_is_an_error_or_harmless(place: int, flip: int, cut: bool) -> None:
    """A cut or changed byte of a frame gives the library's own error or the same content."""
    original, whole = encoded([(TIMES, CHOICES[3]), (LINES, CHOICES[2]), (RECORDS, CHOICES[4]), (b"xyz", CHOICES[0])])
    checksum = encode_frame(original, CHOICES[0]).crc32c
    payload = bytearray(whole)
    place %= len(payload)
    if cut:
        del payload[place:]
    else:
        payload[place] ^= flip
    with suppress(CodecError):
        header = FrameHeader(CodecId.SEGMENTS, len(original), len(payload), checksum)
        assert decode_frame(header, bytes(payload)) == original


def entry(codec: int, size: int, stored: int) -> bytes:
    """An entry of the table."""
    return struct.pack("<BII", codec, size, stored)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x01\x01",
        b"\x02\x01\x00" + entry(0, 5, 5) + b"hello",
        b"\x01\x02\x00" + entry(0, 5, 5) + b"hello",
        b"\x01\x01\x00" + entry(0, 5, 4) + b"hello",
        b"\x01\x01\x00" + entry(0, 4, 5) + b"hello",
        b"\x01\x01\x00" + entry(0, 5, 5) + b"hello!",
        b"\x01\x01\x00" + entry(67, 5, 15) + b"\x01\x01\x00" + entry(0, 5, 5)[:7] + b"hello",
        b"\x01\x01\x00" + entry(8, 5, 5) + b"hello",
        b"\x01\x01\x00" + entry(99, 5, 5) + b"hello",
        b"\x01\x01\x00" + entry(65, 2**32 - 1, 22) + b"\x01\x04\x08\x00" + bytes(18),
    ],
)
def test_payloads_that_make_no_sense(payload: bytes) -> None:
    """Sizes have to add up, and no piece has pieces: depth and memory are bounded by the header."""
    with pytest.raises(CorruptFrame):
        decode(payload, 5)
    with pytest.raises(CorruptFrame):
        decode(payload, NUMBERS_BYTES_MAX + 1)
