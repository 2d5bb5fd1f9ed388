"""Walking through a volume record by record, in one sequential read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, Self

from s4gw.store.errors import RecordDamaged
from s4gw.store.layout import RECORD_HEADER, VOLUME_HEADER, head_bytes, volume_path
from s4gw.store.record import RecordHead, check_blocks, unpack_head, unpack_volume_header

_WINDOW_BYTES: Final = 1024**2  # one read for hundreds of small records
_SEARCH_BYTES: Final = 8 * 1024**2  # how much a search for the next record looks at
_HEAD_BYTES_MAX: Final = 4 * 1024**2  # a length that is not true must not lead to a large read


class Found(NamedTuple):
    """One record; `Walk.payload` has its bytes."""

    offset: int
    head: RecordHead


class Hole(NamedTuple):
    """Bytes ``[start, end)`` that are no record: a writer died in the middle, or something was damaged."""

    start: int
    end: int


class Whole(NamedTuple):
    """One whole, correct record."""

    offset: int
    head: RecordHead
    payload: bytes


def scan_volume(data_dir: Path, volume: int) -> Iterator[Whole]:
    """Every whole record of the volume; damaged stretches are passed over.

    Raises: RecordDamaged, when the volume's own header is.
    """
    with Walk(data_dir, volume) as walk:
        for found in walk.records():
            if isinstance(found, Found):
                try:
                    yield Whole(found.offset, found.head, walk.payload(found))
                except RecordDamaged:
                    continue


class Walk:
    """One volume from its start to the end that it has now; a context manager.

    Args:
        data_dir: The data directory.
        volume: Id of the volume.

    Raises: RecordDamaged, when the volume's own header is; OSError.
    """

    def __init__(self, data_dir: Path, volume: int) -> None:
        self.volume = volume
        self.read_bytes = 0
        self._fd = os.open(volume_path(data_dir, volume), os.O_RDONLY | os.O_CLOEXEC)
        self._window, self._at = b"", 0
        try:
            self.header = unpack_volume_header(os.pread(self._fd, VOLUME_HEADER.size, 0), volume)
            self.size = os.fstat(self._fd).st_size
        except (OSError, RecordDamaged):
            os.close(self._fd)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def records(self, start: int = VOLUME_HEADER.size) -> Iterator[Found | Hole]:
        """Everything from *start* on, in order, each record whole and correct. Raises: OSError.

        A head alone does not say where the next record begins: a writer that died in the middle has left one whose
        payload is what others appended after it.
        """
        at = start
        while at < self.size:
            head = self._head(at)
            if head is None or not self._is_whole(Found(at, head)):
                end = self._next_salt(at + 1)
                yield Hole(at, end)
                at = end
                continue
            yield Found(at, head)
            at += head.record_bytes

    def at(self, offset: int) -> Found:
        """The record at *offset*. Raises: RecordDamaged, OSError."""
        head = self._head(offset)
        if head is None:
            raise RecordDamaged(self.volume, offset, "no record here")
        return Found(offset, head)

    def payload(self, found: Found) -> bytes:
        """The payload. Raises: RecordDamaged, OSError."""
        head = found.head
        data = self._bytes(found.offset + head_bytes(head.size), head.size)
        if len(data) != head.size:
            raise RecordDamaged(self.volume, found.offset, "payload is cut")
        check_blocks(head, 0, data, volume=self.volume, offset=found.offset)
        return data

    def _is_whole(self, found: Found) -> bool:
        try:
            self.payload(found)
        except RecordDamaged:
            return False
        return True

    def _head(self, at: int) -> RecordHead | None:
        start = self._bytes(at, RECORD_HEADER.size)
        if len(start) < RECORD_HEADER.size:
            return None
        size = min(head_bytes(RECORD_HEADER.unpack(start)[4]), _HEAD_BYTES_MAX)
        try:
            return unpack_head(self._bytes(at, size), self.header.salt, volume=self.volume, offset=at)
        except RecordDamaged:
            return None

    def _bytes(self, at: int, size: int) -> bytes:
        """Bytes from the window, which moves on when it does not hold them."""
        first = at - self._at
        if first < 0 or first + size > len(self._window):
            self._window, self._at, first = os.pread(self._fd, max(size, _WINDOW_BYTES), at), at, 0
            self.read_bytes += len(self._window)
        return self._window[first : first + size]

    def _next_salt(self, at: int) -> int:
        """Offset of the next salt at or after *at*, or the end."""
        salt = self.header.salt
        while at < self.size:
            window = os.pread(self._fd, _SEARCH_BYTES, at)
            found = window.find(salt)
            if found >= 0:
                return at + found
            if len(window) < _SEARCH_BYTES:
                return self.size
            at += len(window) - len(salt) + 1
        return self.size
