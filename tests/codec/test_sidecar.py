"""S4's sidecars of all versions are read, ours are what S4 reads, and broken ones are refused."""

from __future__ import annotations

import struct
from array import array
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.codec import (
    CodecError,
    CorruptSidecar,
    FrameEntry,
    FrameSpan,
    RangeOutsideObject,
    Sidecar,
    SidecarEncryption,
    UnsupportedSidecar,
    encode_sidecar,
    read_sidecar,
)
from tests.codec.support import vector

HELLO_V2 = bytes.fromhex(
    "533449580200000002000000000000000a0000000000000042000000000000004200000000000000200000003564343134303261626334"
    "62326137366239373139643931313031376335393200000000000000000500000000000000000000000000000021000000000000000500"
    "000000000000050000000000000021000000000000002100000000000000"
)
HELLO = Sidecar(
    original_size=10,
    framed_size=66,
    source_size=66,
    source_etag="5d41402abc4b2a76b9719d911017c592",
    entries=array("Q", [0, 5, 0, 33, 5, 5, 33, 33]),
)


@st.composite
def sidecars(draw: st.DrawFn) -> Sidecar:
    """Frames with gaps between them in the stored body, as S4's padded parts have."""
    entries, original, stored = array("Q"), 0, 0
    for size, gap in draw(st.lists(st.tuples(st.integers(1, 2**40), st.integers(0, 2**23)), max_size=10)):
        entries.extend([original, size, stored, size // 3 + 28])
        original += size
        stored += size // 3 + 28 + gap
    return Sidecar(
        original_size=original,
        framed_size=stored,
        source_size=draw(st.none() | st.integers(1, 2**50)),
        source_etag=draw(st.none() | st.text(min_size=1, max_size=40)),
        entries=entries,
    )


def test_known_vector() -> None:
    """Two "hello" frames give exactly S4's bytes, and come back."""
    assert encode_sidecar(HELLO) == HELLO_V2
    assert read_sidecar(HELLO_V2) == HELLO


@settings(max_examples=60, deadline=None)
@given(sidecar=sidecars())
def test_decode_undoes_encode(sidecar: Sidecar) -> None:
    """Any sidecar comes back."""
    assert read_sidecar(memoryview(encode_sidecar(sidecar))) == sidecar


@settings(max_examples=60, deadline=None)
@given(sidecar=sidecars(), place=st.integers(0, 10_000))
def test_cuts_are_refused(sidecar: Sidecar, place: int) -> None:
    """No prefix of a sidecar, and none with a byte too many, is a sidecar."""
    stored = encode_sidecar(sidecar)
    for damaged in (stored[: place % len(stored)], stored + b"\0"):
        with pytest.raises(CorruptSidecar):
            read_sidecar(damaged)


@settings(max_examples=60, deadline=None)
@given(sidecar=sidecars(), place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_flips_give_errors_or_sane_entries(sidecar: Sidecar, place: int, flip: int) -> None:
    """The format has no checksum; a changed byte is still an error, or entries that ascend without overlap."""
    changed = bytearray(encode_sidecar(sidecar))
    changed[place % len(changed)] ^= flip
    try:
        actual = read_sidecar(bytes(changed))
    except CodecError:
        return
    found = [actual.entry(number) for number in range(len(actual))]
    for before, after in pairwise(found):
        assert before.original_start + before.original_size <= after.original_start
        assert before.stored_start + before.stored_size <= after.stored_start


@settings(max_examples=60, deadline=None)
@given(sidecar=sidecars().filter(len), data=st.data())
def test_ranges_cover(sidecar: Sidecar, data: st.DataObject) -> None:
    """The frames of a range hold its first and its last byte, and none of them could be left out."""
    start = data.draw(st.integers(0, sidecar.original_size - 1))
    end = data.draw(st.integers(start + 1, sidecar.original_size))
    span = sidecar.covering(start, end)
    first, last = sidecar.entry(span.first), sidecar.entry(span.last - 1)
    assert first.original_start <= start < first.original_start + first.original_size
    assert last.original_start < end <= last.original_start + last.original_size
    assert (span.stored_start, span.stored_end) == (first.stored_start, last.stored_start + last.stored_size)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_released_versions(version: int) -> None:
    """The stored vectors of all three versions say the same of the same object."""
    sidecar = read_sidecar(vector(f"sidecar-v{version}.bin"))
    assert sidecar.version == version
    assert sidecar.bound is (version > 1)
    assert sidecar.entry(1) == FrameEntry(2000, 1642, 2048, 1670)
    assert sidecar.covering(1999, 2001) == FrameSpan(0, 2, 0, 3718, 0)
    expected = SidecarEncryption(1048576, 1, 1, b"saltsalt", 3718, 24) if version == 3 else None
    assert sidecar.encryption == expected


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", CorruptSidecar),
        (b"S4IY" + HELLO_V2[4:], CorruptSidecar),
        (HELLO_V2[:4] + bytes([4]) + HELLO_V2[5:], UnsupportedSidecar),
        (struct.pack("<4sIQQQ", b"S4IX", 1, 2**24 + 1, 0, 0), CorruptSidecar),
        (struct.pack("<4sIQQQQI", b"S4IX", 2, 0, 0, 0, 0, 5000) + bytes(5000), CorruptSidecar),
        (struct.pack("<4sIQQQQI", b"S4IX", 2, 0, 0, 0, 0, 1) + b"\xff", CorruptSidecar),
        (struct.pack("<4sIQQQ4Q", b"S4IX", 1, 1, 10, 10, 2**64 - 1, 2, 0, 1), CorruptSidecar),
        (struct.pack("<4sIQQQ8Q", b"S4IX", 1, 2, 10, 60, 0, 6, 0, 30, 5, 5, 30, 30), CorruptSidecar),
        (struct.pack("<4sIQQQ8Q", b"S4IX", 1, 2, 10, 60, 0, 5, 0, 31, 5, 5, 30, 30), CorruptSidecar),
    ],
)
def test_hostile(data: bytes, error: type[CodecError]) -> None:
    """Other magics, versions, counts, overflows and overlaps are refused."""
    with pytest.raises(error):
        read_sidecar(data)


def test_what_breaks_the_format_is_not_written() -> None:
    """Overlapping entries and endless ETags are refused on writing, too."""
    for broken in (
        Sidecar(original_size=1, framed_size=1, entries=array("Q", [0, 5, 0, 33])),
        Sidecar(original_size=0, framed_size=0, source_etag="x" * 5000, entries=array("Q")),
    ):
        with pytest.raises(CorruptSidecar):
            encode_sidecar(broken)


def test_ranges_outside() -> None:
    """A range past the end, and a frame that is not there, are refused."""
    with pytest.raises(RangeOutsideObject):
        HELLO.covering(10, 11)
    with pytest.raises(IndexError):
        HELLO.entry(2)
