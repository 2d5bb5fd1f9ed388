"""`open_reader`: a stored object as a file that reads what it needs and nothing else, and checks all that it gives."""

from __future__ import annotations

import io
import shutil
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.codec import (
    TRAILER_TAIL_BYTES,
    AlwaysDispatcher,
    Choice,
    CodecError,
    CodecId,
    CorruptFrame,
    FrameTooLarge,
    Reader,
    Sidecar,
    TruncatedFrame,
    compress,
    encode_sidecar,
    open_reader,
)
from tests.codec.support import ORIGINAL, build
from tests.objects.bodies import mixed

FRAME = 64 * 1024
DATA = mixed(20 * FRAME + 5, seed=3)
STORED = compress(DATA, dispatcher=AlwaysDispatcher(Choice(CodecId.PASSTHROUGH)), frame_bytes=FRAME)
TAIL = (len(STORED) - TRAILER_TAIL_BYTES, len(STORED))


class Ranges:
    """Stored bytes that remember which of them were asked for."""

    def __init__(self, stored: bytes) -> None:
        self.stored = stored
        self.asked: list[tuple[int, int]] = []

    def __call__(self, start: int, end: int) -> bytes:
        self.asked.append((start, end))
        return self.stored[start:end]


def reader(ranges: Ranges, ahead_bytes: int = 0) -> Reader:
    return open_reader(ranges, size=len(ranges.stored), ahead_bytes=ahead_bytes)


def place(number: int, count: int = 1) -> tuple[int, int]:
    """Stored bytes of frames that were passed through."""
    return number * (FRAME + 28), (number + count) * (FRAME + 28)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(DATA) + 10), st.sampled_from(["read", "readinto"]), st.integers(0, 3 * FRAME)),
        max_size=8,
    ),
    st.sampled_from([0, 300_000]),
)
def test_it_reads_like_the_original(steps: list[tuple[int, str, int]], ahead: int) -> None:
    """Any order of seeks and reads gives what a file with the original gives."""
    ours, plain = open_reader(io.BytesIO(STORED), ahead_bytes=ahead), io.BytesIO(DATA)
    for position, how, size in steps:
        assert plain.seek(position) == ours.seek(position)
        if how == "read":
            assert plain.read(size) == ours.read(size)
        else:
            mine, theirs = bytearray(size), bytearray(size)
            assert (plain.readinto(theirs), theirs) == (ours.readinto(mine), mine)
        assert plain.tell() == ours.tell()


def test_a_range_costs_the_trailer_and_one_frame() -> None:
    """4 KiB somewhere: one read of the end for the index, one of the frame."""
    ranges = Ranges(STORED)
    file = reader(ranges)
    file.seek(7 * FRAME + 100)
    piece = file.read(4096)
    assert (DATA[7 * FRAME + 100 :][:4096], [TAIL, place(7)]) == (piece, ranges.asked)


def test_neighbouring_frames_are_one_read() -> None:
    """What a single read needs is fetched together."""
    ranges = Ranges(STORED)
    file = reader(ranges)
    file.seek(3 * FRAME - 1)
    assert (DATA[3 * FRAME - 1 :][: FRAME + 2], [TAIL, place(2, 3)]) == (file.read(FRAME + 2), ranges.asked)


def test_frames_are_kept_for_small_reads() -> None:
    """Reading line by line fetches and decodes each frame once; the last lies in what was read for the trailer."""
    ranges = Ranges(STORED)
    shutil.copyfileobj(reader(ranges), out := io.BytesIO(), 1000)
    assert (DATA, [TAIL, *(place(number) for number in range(20))]) == (out.getvalue(), ranges.asked)


def test_reading_on_reads_ahead_when_told() -> None:
    """In order, requests hold several frames; a jump elsewhere costs one frame again."""
    ranges = Ranges(STORED)
    file = reader(ranges, ahead_bytes=4 * (FRAME + 28))
    assert DATA[: 9 * FRAME] == b"".join(file.read(1000) for _ in range(9 * FRAME // 1000)) + file.read(
        9 * FRAME % 1000
    )
    file.seek(15 * FRAME)
    file.read(1)
    assert [TAIL, place(0, 4), place(4, 4), place(8, 4), place(15)] == ranges.asked


def test_without_a_trailer_headers_are_walked() -> None:
    """Objects of S4: other frames, paddings between them; then each range costs one read."""
    pieces = [ORIGINAL[:1000], ORIGINAL[1000:1500], b"end"]
    body = b"".join(
        build([(piece, Choice(CodecId.CPU_ZSTD, 3))], trailer=False)[0] + b"S4P1" + (9).to_bytes(8, "little") + bytes(9)
        for piece in pieces
    )
    file = open_reader(io.BytesIO(body))
    file.seek(900)
    assert (ORIGINAL[900:1500] + b"end", 1503) == (file.read(), file.size)


def sidecar_of(body: bytes, sizes: list[tuple[int, int]], **facts: object) -> bytes:
    """S4's index object for frames of (original, stored) sizes."""
    entries, original, stored = array("Q"), 0, 0
    for before, after in sizes:
        entries.extend((original, before, stored, after))
        original, stored = original + before, stored + after
    sidecar = Sidecar(original_size=original, framed_size=len(body), entries=entries, **facts)  # type: ignore[arg-type]
    return encode_sidecar(sidecar)


def test_a_sidecar_of_s4_replaces_the_walk() -> None:
    """With it, a range costs one read beyond those of the end, where no trailer is, and of the first header."""
    body, index = build([(bytes([n]) * 100_000, Choice(CodecId.PASSTHROUGH)) for n in range(9)], trailer=False)
    sizes = list(zip(index.original_sizes, index.stored_sizes, strict=True))
    ranges = Ranges(body)
    file = open_reader(ranges, size=len(body), sidecar=sidecar_of(body, sizes, source_size=len(body)))
    file.seek(500_000)
    assert (b"\5" * 10, 3) == (file.read(10), len(ranges.asked))


def test_a_sidecar_that_does_not_fit_is_not_used() -> None:
    """Of another object, damaged or stale: the headers are walked instead."""
    body, index = build(
        [(b"a" * 5000, Choice(CodecId.PASSTHROUGH)), (b"b", Choice(CodecId.PASSTHROUGH))], trailer=False
    )
    sizes = list(zip(index.original_sizes, index.stored_sizes, strict=True))
    for sidecar in (b"S4IX", sidecar_of(body + b"x", sizes), sidecar_of(body, sizes, source_size=1)):
        assert b"a" * 5000 + b"b" == open_reader(io.BytesIO(body), sidecar=sidecar).read()


def test_a_sidecar_that_lies_gives_no_wrong_byte() -> None:
    """Entries that are not where frames are refuse the read."""
    body, _ = build(
        [(b"a" * 5000, Choice(CodecId.PASSTHROUGH)), (b"b" * 99, Choice(CodecId.PASSTHROUGH))], trailer=False
    )
    for sizes in ([(5000, 5028), (98, 127)], [(4000, 5028), (1099, 127)], [(5000, 5027), (99, 128)]):
        file = open_reader(io.BytesIO(body), sidecar=sidecar_of(body, sizes))
        with pytest.raises(CodecError):
            file.read()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(STORED) - 1), st.integers(0, 7), st.integers(0, len(DATA) - 1))
def test_damage_never_gives_wrong_bytes(at: int, bit: int, start: int) -> None:
    """A flipped bit anywhere: the library's error, or what the original holds."""
    damaged = bytearray(STORED)
    damaged[at] ^= 1 << bit
    try:
        file = open_reader(io.BytesIO(damaged))
        file.seek(start)
        piece = file.read(FRAME)
    except CodecError:
        return
    assert DATA[start : start + FRAME] == piece


def test_damage_in_one_frame_leaves_the_others() -> None:
    """Frames before and after it are read; the position stays where it was."""
    damaged = bytearray(STORED)
    damaged[place(4)[0] + 1000] ^= 1
    file = open_reader(io.BytesIO(damaged))
    assert DATA[: 4 * FRAME] == file.read(4 * FRAME)
    with pytest.raises(CorruptFrame):
        file.read(10)
    assert (4 * FRAME, 5 * FRAME) == (file.tell(), file.seek(5 * FRAME))
    assert DATA[5 * FRAME :] == file.read()


def test_large_frames_are_bounded() -> None:
    """A frame that declares more than the caller holds is refused before it is decoded."""
    file = open_reader(io.BytesIO(compress(bytes(FRAME), frame_bytes=FRAME)), frame_bytes_max=FRAME - 1)
    with pytest.raises(FrameTooLarge):
        file.read(1)


def test_a_source_that_shrinks_is_damage() -> None:
    """Fewer bytes than the index promises are not the end of the original."""
    ranges = Ranges(STORED)
    file = reader(ranges)
    ranges.stored = STORED[:1000]
    with pytest.raises(TruncatedFrame):
        file.read(10)


@pytest.mark.parametrize("body", [b"", b"plain", b"S4P1" + bytes(8), b"S4F2" + bytes(70_000)])
def test_what_is_not_framed_is_refused(body: bytes) -> None:
    """At once, not at the first read."""
    with pytest.raises(CorruptFrame):
        open_reader(io.BytesIO(body))


def test_it_is_a_file() -> None:
    """Text on top of it, lines, closing; a function of ranges needs the size."""
    text = "".join(f"line {n}\n" for n in range(5000))
    stored = compress(text.encode(), frame_bytes=4096)
    with open_reader(io.BytesIO(stored), name="k") as file:
        lines = list(io.TextIOWrapper(io.BufferedReader(file), "utf-8"))
    assert (text, "k", True) == ("".join(lines), file.name, file.closed)
    with pytest.raises(ValueError, match="closed"):
        file.read(1)
    with pytest.raises(ValueError, match="stored size"):
        open_reader(Ranges(stored))
    with pytest.raises(ValueError, match="before the first"):
        open_reader(io.BytesIO(stored)).seek(-1)
