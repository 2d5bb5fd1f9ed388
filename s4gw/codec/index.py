"""The frame index: where every frame of an object starts, before and after compression.

Frames are numbered from 0, stand back to back from the first byte of the stored object, and hold the original in
order. In memory an entry takes 16 bytes (32 once ranges were asked for), packed 8 or fewer. An index is not shared
between threads while it grows.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from itertools import accumulate

import msgspec

from s4gw.checksum import Buffer
from s4gw.codec import zstd
from s4gw.codec.errors import CodecError, CorruptFrame, CorruptIndex, RangeOutsideObject
from s4gw.codec.frame import FrameHeader
from s4gw.codec.layout import FRAMES_MAX, INDEX_ENTRY_SIZE, INDEX_SIZE_MAX

assert array("I").itemsize * 2 == INDEX_ENTRY_SIZE


class FrameSpan(msgspec.Struct, frozen=True, gc=False):
    """A run of frames: numbers half-open, stored bytes half-open, and where its first frame starts in the original."""

    first: int
    last: int
    """One past the last frame."""
    stored_start: int
    stored_end: int
    original_start: int


class FrameEntry(msgspec.Struct, frozen=True, gc=False):
    """One frame: offsets and sizes in bytes; the stored ones count the header."""

    original_start: int
    original_size: int
    stored_start: int
    stored_size: int


class FrameIndex:
    """Sizes of all frames of an object or part, in stored order."""

    __slots__ = ("_original_ends", "_stored_ends", "original_sizes", "stored_sizes")

    def __init__(self) -> None:
        self.original_sizes = array("Q")
        """Bytes of the original in each frame."""
        self.stored_sizes = array("Q")
        """Bytes of each frame as stored, its header included."""
        self._original_ends: array[int] | None = None
        self._stored_ends: array[int] | None = None

    def __len__(self) -> int:
        return len(self.original_sizes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FrameIndex):
            return NotImplemented
        return self.original_sizes == other.original_sizes and self.stored_sizes == other.stored_sizes

    __hash__ = None  # type: ignore[assignment]  # it grows, so it is no key

    @property
    def original_size(self) -> int:
        """Bytes of the original in all frames."""
        return sum(self.original_sizes)

    @property
    def stored_size(self) -> int:
        """Bytes of all frames as stored."""
        return sum(self.stored_sizes)

    def append(self, original: int, stored: int) -> None:
        """Add a frame of *original* bytes that takes *stored* bytes, header included.

        Raises: CorruptIndex, past 16,777,216 frames.
        """
        if len(self) >= FRAMES_MAX:
            raise CorruptIndex(f"more than {FRAMES_MAX} frames")
        self.original_sizes.append(original)
        self.stored_sizes.append(stored)
        self._original_ends = self._stored_ends = None

    def extend(self, other: FrameIndex) -> None:
        """Add all frames of *other*, as when parts are joined.

        Raises: CorruptIndex, past 16,777,216 frames.
        """
        if len(self) + len(other) > FRAMES_MAX:
            raise CorruptIndex(f"more than {FRAMES_MAX} frames")
        self.original_sizes.extend(other.original_sizes)
        self.stored_sizes.extend(other.stored_sizes)
        self._original_ends = self._stored_ends = None

    def frame(self, number: int) -> FrameEntry:
        """Give frame *number*, counted from 0. Raises: IndexError."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        original_ends, stored_ends = self._ends()
        original, stored = self.original_sizes[number], self.stored_sizes[number]
        return FrameEntry(original_ends[number] - original, original, stored_ends[number] - stored, stored)

    def covering(self, start: int, end: int) -> FrameSpan:
        """Find the frames that hold the original bytes *start* to *end*, half-open.

        An *end* past the last byte is cut, not refused (RFC 9110, section 14.1.2).

        Raises: RangeOutsideObject, if the range is empty or starts past the last byte.
        """
        original_ends, stored_ends = self._ends()
        size = original_ends[-1] if original_ends else 0
        if not 0 <= start < min(end, size):
            raise RangeOutsideObject(start, size)
        first = bisect_right(original_ends, start)
        last = bisect_left(original_ends, min(end, size)) + 1
        return FrameSpan(
            first=first,
            last=last,
            stored_start=stored_ends[first] - self.stored_sizes[first],
            stored_end=stored_ends[last - 1],
            original_start=original_ends[first] - self.original_sizes[first],
        )

    def check(self, number: int, header: FrameHeader) -> None:
        """Hold the header found in the object against the index. Raises: CorruptFrame, if they differ."""
        if (header.original_size, header.stored_size) != (self.original_sizes[number], self.stored_sizes[number]):
            raise CorruptFrame(f"the header of frame {number} and the index disagree")

    def pack(self) -> bytes:
        """Give n x (u32 original size, u32 stored size), little-endian, or its zstd frame if that is smaller.

        Raises: CorruptIndex, if a frame is too large for a packed index (about 4 GiB).
        """
        if any(max(sizes, default=0) > INDEX_SIZE_MAX for sizes in (self.original_sizes, self.stored_sizes)):
            raise CorruptIndex(f"a frame has more than {INDEX_SIZE_MAX} bytes")
        pairs = array("I", bytes(INDEX_ENTRY_SIZE * len(self)))
        pairs[0::2] = array("I", self.original_sizes)
        pairs[1::2] = array("I", self.stored_sizes)
        if sys.byteorder == "big":
            pairs.byteswap()
        return zstd.pack(pairs.tobytes())

    @classmethod
    def unpack(cls, data: Buffer) -> FrameIndex:
        """Read what `pack` gave. Raises: CorruptIndex."""
        try:
            raw = zstd.unpack(data, INDEX_ENTRY_SIZE * FRAMES_MAX)
        except CodecError as error:
            raise CorruptIndex(f"packed index: {error}") from error
        if len(raw) % INDEX_ENTRY_SIZE:
            raise CorruptIndex(f"an index of {len(raw)} bytes")
        pairs = array("I")
        pairs.frombytes(raw)
        if sys.byteorder == "big":
            pairs.byteswap()
        index = cls()
        index.original_sizes = array("Q", pairs[0::2])
        index.stored_sizes = array("Q", pairs[1::2])
        return index

    def _ends(self) -> tuple[array[int], array[int]]:
        """Running sums of both sizes, kept until the next frame is added."""
        if self._original_ends is None or self._stored_ends is None:
            self._original_ends = array("Q", accumulate(self.original_sizes))
            self._stored_ends = array("Q", accumulate(self.stored_sizes))
        return self._original_ends, self._stored_ends
