"""S4's index objects, S4IX: versions 1 to 3 are read, version 2 is written.

They hold no checksum, may be stale, and are bound to their object by its ETag and size only: compare both before
trusting one, and hold every frame header found against its entry.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from itertools import pairwise
from struct import error as struct_error
from typing import Final

import msgspec

from s4gw.checksum import Buffer
from s4gw.codec.errors import CorruptSidecar, RangeOutsideObject, UnsupportedSidecar
from s4gw.codec.index import FrameEntry, FrameSpan
from s4gw.codec.layout import (
    FRAMES_MAX,
    SIDECAR_BINDING,
    SIDECAR_BINDING_SIZE,
    SIDECAR_ENCRYPTION,
    SIDECAR_ENCRYPTION_SIZE,
    SIDECAR_ENTRY_SIZE,
    SIDECAR_ETAG_BYTES_MAX,
    SIDECAR_HEADER,
    SIDECAR_HEADER_SIZE,
    SIDECAR_MAGIC,
    SIDECAR_VERSION,
    SIDECAR_VERSION_ENCRYPTED,
    SIDECAR_VERSIONS,
)

_FIELDS: Final = SIDECAR_ENTRY_SIZE // 8


class SidecarEncryption(msgspec.Struct, frozen=True, gc=False):
    """How an encrypted body is cut, from a version 3 sidecar. Sizes in bytes."""

    chunk_size: int
    chunk_count: int
    key_id: int
    salt: bytes
    plaintext_size: int
    header_size: int


class Sidecar(msgspec.Struct, frozen=True, kw_only=True):
    """One index object. Offsets and sizes in bytes; stored ones count the frame header and no padding."""

    version: int = SIDECAR_VERSION
    original_size: int
    framed_size: int
    """All frames and paddings together, before encryption."""
    source_size: int | None = None
    """Size of the stored object that this describes; None: unknown."""
    source_etag: str | None = None
    """ETag of that object as the backend gives it, without quotes; None: unknown."""
    encryption: SidecarEncryption | None = None
    entries: array[int]
    """Four numbers a frame: original offset and size, stored offset and size."""

    def __len__(self) -> int:
        return len(self.entries) // _FIELDS

    @property
    def bound(self) -> bool:
        """Whether it says which object it belongs to."""
        return self.source_size is not None or self.source_etag is not None

    def entry(self, number: int) -> FrameEntry:
        """Give frame *number*, counted from 0. Raises: IndexError."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        return FrameEntry(*self.entries[number * _FIELDS : (number + 1) * _FIELDS])

    def covering(self, start: int, end: int) -> FrameSpan:
        """Find the frames of the original bytes *start* to *end*, half-open; paddings between them are included.

        Raises: RangeOutsideObject, if the range is empty or starts past the last byte.
        """
        if not 0 <= start < min(end, self.original_size):
            raise RangeOutsideObject(start, self.original_size)
        starts = self.entries[0::_FIELDS]
        first = bisect_right(starts, start) - 1
        last = bisect_left(starts, min(end, self.original_size))
        begin, final = self.entry(first), self.entry(last - 1)
        return FrameSpan(first, last, begin.stored_start, final.stored_start + final.stored_size, begin.original_start)


def encode_sidecar(sidecar: Sidecar) -> bytes:
    """Give the version 2 form, which every released reader accepts. Raises: CorruptSidecar, if it breaks the format."""
    _check(sidecar)
    etag = (sidecar.source_etag or "").encode()
    if len(etag) > SIDECAR_ETAG_BYTES_MAX:
        raise CorruptSidecar(f"an ETag of {len(etag)} bytes")
    header = SIDECAR_HEADER.pack(
        SIDECAR_MAGIC, SIDECAR_VERSION, len(sidecar), sidecar.original_size, sidecar.framed_size
    )
    binding = SIDECAR_BINDING.pack(sidecar.source_size or 0, len(etag))
    return header + binding + etag + _swapped(sidecar.entries).tobytes()


def read_sidecar(data: Buffer) -> Sidecar:
    """Read a whole index object of version 1, 2 or 3.

    Args:
        data: All of it; the caller bounds what it fetches (S4 itself: 64 MiB).

    Raises: CorruptSidecar; UnsupportedSidecar.
    """
    view = memoryview(data).cast("B")
    try:
        magic, version, count, original_size, framed_size = SIDECAR_HEADER.unpack_from(view)
        if magic != SIDECAR_MAGIC:
            raise CorruptSidecar("no S4IX magic")
        if version not in SIDECAR_VERSIONS:
            raise UnsupportedSidecar(version)
        if count > FRAMES_MAX:
            raise CorruptSidecar(f"{count} entries")
        at = SIDECAR_HEADER_SIZE
        source_size, etag, encryption = 0, "", None
        if version >= SIDECAR_VERSION:
            source_size, etag_size = SIDECAR_BINDING.unpack_from(view, at)
            if etag_size > SIDECAR_ETAG_BYTES_MAX:
                raise CorruptSidecar(f"an ETag of {etag_size} bytes")
            at += SIDECAR_BINDING_SIZE + etag_size
            etag = str(view[at - etag_size : at], "utf-8")
        if version == SIDECAR_VERSION_ENCRYPTED:
            encryption = SidecarEncryption(*SIDECAR_ENCRYPTION.unpack_from(view, at))
            at += SIDECAR_ENCRYPTION_SIZE
    except (struct_error, UnicodeDecodeError) as error:
        raise CorruptSidecar(f"header: {error}") from error
    if len(view) - at != count * SIDECAR_ENTRY_SIZE:
        raise CorruptSidecar(f"{len(view) - at} bytes for {count} entries")
    entries = array("Q")
    entries.frombytes(view[at:])
    sidecar = Sidecar(
        version=version,
        original_size=original_size,
        framed_size=framed_size,
        source_size=source_size or None,
        source_etag=etag or None,
        encryption=encryption,
        entries=_swapped(entries),
    )
    _check(sidecar)
    return sidecar


def _check(sidecar: Sidecar) -> None:
    """Entries ascend without overlap in both domains, fill the original, and stay inside the framed body."""
    columns = [sidecar.entries[field::_FIELDS] for field in range(_FIELDS)]
    for offsets, sizes, end in (
        (columns[0], columns[1], sidecar.original_size),
        (columns[2], columns[3], sidecar.framed_size),
    ):
        ends = [offset + size for offset, size in zip(offsets, sizes, strict=True)]
        if any(after < before for before, (_, after) in zip(ends, pairwise(offsets), strict=False)):
            raise CorruptSidecar("entries overlap")
        if ends and ends[-1] > end:
            raise CorruptSidecar("entries reach past the end")


def _swapped(numbers: array[int]) -> array[int]:
    """Little-endian for machine order, or the reverse."""
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers
