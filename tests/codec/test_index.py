"""The index finds exactly the frames of a range and packs to the documented bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.codec import (
    CodecError,
    CodecId,
    CorruptFrame,
    CorruptIndex,
    FrameEntry,
    FrameHeader,
    FrameIndex,
    FrameSpan,
    RangeOutsideObject,
    decode_frame,
    parse_frame_header,
)
from tests.codec.support import CHOICES, build

sizes = st.lists(st.tuples(st.integers(0, 2**31), st.integers(28, 2**31)), max_size=40)


def index_of(pairs: list[tuple[int, int]]) -> FrameIndex:
    """Build an index of (original, stored) sizes."""
    index = FrameIndex()
    for original, stored in pairs:
        index.append(original, stored)
    return index


@settings(max_examples=60, deadline=None)
@given(pairs=sizes)
def test_unpack_undoes_pack(pairs: list[tuple[int, int]]) -> None:
    """Any index comes back, in at most 8 bytes a frame."""
    index = index_of(pairs)
    packed = index.pack()
    assert FrameIndex.unpack(packed) == index
    assert len(packed) <= 8 * len(pairs)


def test_packed_bytes() -> None:
    """Few frames are plain pairs of little-endian u32."""
    assert index_of([(5, 33), (7, 35)]).pack() == struct.pack("<4I", 5, 33, 7, 35)


def test_regular_frames_pack_small() -> None:
    """8 GiB in frames of 1 MiB take less than the 64 KiB that a reader fetches first."""
    index = index_of([(2**20, 300_000 + number * 7919 % 65_536) for number in range(8192)])
    assert len(index.pack()) < 60_000


@settings(max_examples=60, deadline=None)
@given(parts=st.lists(st.binary(max_size=50), max_size=8), start=st.integers(0, 500), size=st.integers(1, 500))
def test_a_range_equals_the_slice(parts: list[bytes], start: int, size: int) -> None:
    """Decoding the frames that cover a range and slicing gives the slice of the whole; empty frames do not disturb."""
    stored, index = build([(part, CHOICES[len(part) % 3]) for part in parts], trailer=False)
    whole = b"".join(parts)
    if start >= len(whole):
        with pytest.raises(RangeOutsideObject):
            index.covering(start, start + size)
        return
    span = index.covering(start, start + size)
    at, decoded = span.stored_start, b""
    for number in range(span.first, span.last):
        header = parse_frame_header(stored, at)
        index.check(number, header)
        decoded += decode_frame(header, stored[at + 28 : at + header.stored_size])
        at += header.stored_size
    skip = start - span.original_start
    assert at == span.stored_end
    assert decoded[skip : skip + size] == whole[start : start + size]


def test_covering_takes_no_frame_too_many() -> None:
    """A range that ends on a boundary does not touch the next frame."""
    index = index_of([(10, 30), (10, 31), (10, 32)])
    assert index.covering(10, 20) == FrameSpan(1, 2, 30, 61, 10)
    assert index.covering(9, 21) == FrameSpan(0, 3, 0, 93, 0)
    assert index.covering(29, 10_000) == FrameSpan(2, 3, 61, 93, 20)


@pytest.mark.parametrize(("start", "end"), [(30, 31), (5, 5), (-1, 5)])
def test_ranges_outside(start: int, end: int) -> None:
    """Empty ranges and those past the end are refused."""
    with pytest.raises(RangeOutsideObject):
        index_of([(30, 40)]).covering(start, end)


def test_frames_and_totals_after_growing() -> None:
    """Entries stay right when frames are added after ranges were asked for, alone or by the part."""
    index = index_of([(10, 30)])
    index.covering(0, 10)
    index.append(5, 33)
    index.extend(index_of([(1, 29)]))
    assert index.frame(2) == FrameEntry(15, 1, 63, 29)
    assert (len(index), index.original_size, index.stored_size) == (3, 16, 92)
    with pytest.raises(IndexError):
        index.frame(3)


def test_check_refuses_another_header() -> None:
    """A header that is not the one of the index is damage."""
    with pytest.raises(CorruptFrame):
        index_of([(10, 38)]).check(0, FrameHeader(CodecId.PASSTHROUGH, 11, 10, 0))


def test_sizes_that_do_not_fit() -> None:
    """Frames of 4 GiB are kept in memory but not packed."""
    index = index_of([(2**32, 2**32)])
    with pytest.raises(CorruptIndex):
        index.pack()


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=100))
def test_garbage(data: bytes) -> None:
    """Arbitrary bytes give an index that packs again, or the library's error."""
    try:
        index = FrameIndex.unpack(data)
    except CodecError:
        return
    assert len(index) * 8 == len(data)
