"""Volume files: making them, appending to them from any thread, and reading them (`walk` goes through all of one).

Appends go through a descriptor of the calling thread's own: with O_APPEND one ``writev`` is contiguous on a local
file system, and the position of the descriptor afterwards says where it ended. A short or failed write leaves dead
bytes, never a moved offset.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from s4gw.store.errors import RecordDamaged, Unavailable
from s4gw.store.layout import (
    BLOCK_BYTES,
    SALT_BYTES,
    VOLUME_HEADER,
    RecordKind,
    head_bytes,
    volume_path,
)
from s4gw.store.record import (
    Buffer,
    RecordHead,
    VolumeHeader,
    check_blocks,
    pack_head,
    pack_volume_header,
    unpack_head,
    unpack_volume_header,
)

_READER_FILES_MAX: Final = 512  # descriptors kept open for reading; a volume beyond is opened for each read
_IOV_MAX: Final = 1024  # Linux UIO_MAXIOV

Gather = Callable[[int, Sequence[Buffer]], int]


class Extent(msgspec.Struct, array_like=True, frozen=True):
    """Where one DATA record lies."""

    volume: int
    offset: int
    """Of the record, in bytes."""
    size: int
    """Of its payload, in bytes."""
    crc: int
    """CRC of the record's head."""
    digest: bytes = b""
    """BLAKE3 of scope and payload, where equal extents are looked for."""


def create_volume(data_dir: Path, volume: int, base_seq: int) -> VolumeHeader:
    """Make an empty volume, durably, before anybody may know of it."""
    header = VolumeHeader(volume, base_seq, os.urandom(SALT_BYTES))
    path = volume_path(data_dir, volume)
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, pack_volume_header(header))
        os.fsync(fd)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(fd)
    sync_dir(path.parent)
    return header


def sync_dir(path: Path) -> None:
    """Make the directory's entries durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class AppendFile:
    """One descriptor for appending to one volume; belongs to one thread."""

    def __init__(self, data_dir: Path, volume: int, *, writev: Gather = os.writev) -> None:
        self.volume = volume
        self._writev = writev
        try:
            self.fd = os.open(volume_path(data_dir, volume), os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable(f"volume {volume} does not open: {error.strerror}") from error
        self.header = unpack_volume_header(os.pread(self.fd, VOLUME_HEADER.size, 0), volume)

    def append(self, kind: RecordKind, buffers: Sequence[Buffer]) -> Extent:
        """Append one record of *buffers* joined.

        Raises: Unavailable (disk full or failing); whatever reached the file is dead and nobody refers to it.
        """
        if len(buffers) >= _IOV_MAX:
            buffers = (b"".join(buffers),)
        head, crc = pack_head(self.header.salt, kind, buffers)
        size = sum(map(len, buffers))
        try:
            written = self._writev(self.fd, (head, *buffers))
            end = os.lseek(self.fd, 0, os.SEEK_CUR)
        except OSError as error:
            raise Unavailable(f"append to volume {self.volume}: {error.strerror}") from error
        if written != len(head) + size:
            raise Unavailable(f"append to volume {self.volume}: short write")
        return Extent(self.volume, end - written, size, crc)

    def append_each(self, kind: RecordKind, payloads: Sequence[Buffer]) -> list[Extent]:
        """Append a record for each of the (small) *payloads*, with one system call. Raises: Unavailable."""
        heads = [pack_head(self.header.salt, kind, (payload,)) for payload in payloads]
        joined = b"".join(
            [piece for (head, _), payload in zip(heads, payloads, strict=True) for piece in (head, payload)]
        )
        try:
            written = self._writev(self.fd, (joined,))
            at = os.lseek(self.fd, 0, os.SEEK_CUR) - written
        except OSError as error:
            raise Unavailable(f"append to volume {self.volume}: {error.strerror}") from error
        if written != len(joined):
            raise Unavailable(f"append to volume {self.volume}: short write")
        extents: list[Extent] = []
        for (head, crc), payload in zip(heads, payloads, strict=True):
            extents.append(Extent(self.volume, at, len(payload), crc))
            at += len(head) + len(payload)
        return extents

    def size(self) -> int:
        """Of the file, in bytes, now."""
        return os.fstat(self.fd).st_size

    def close(self) -> None:
        """Release the descriptor."""
        os.close(self.fd)


class VolumeReader:
    """Checked reads of extents, from any thread of one process."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._files: dict[int, _OpenVolume] = {}
        self._lock = threading.Lock()

    def read(self, extent: Extent, start: int, end: int) -> bytes:
        """As `view`, in bytes of their own."""
        return bytes(self.view(extent, start, end))

    def view(self, extent: Extent, start: int, end: int) -> memoryview:
        """Bytes ``[start, end)`` of the extent's payload, which lie among others that were read with them.

        Raises: RecordDamaged, also when the file is gone.
        """
        volume, offset = extent.volume, extent.offset
        if not 0 <= start < end <= extent.size:
            raise RecordDamaged(volume, offset, "range outside of the extent")
        try:
            file = self._files.get(volume) or self._open(volume, offset)
            return _read_checked(file.fd, file.salt, extent, start, end)
        except OSError as error:
            raise RecordDamaged(volume, offset, f"read failed: {error.strerror}") from error

    def holds(self, extent: Extent, buffers: Sequence[Buffer]) -> bool:
        """Whether the extent is exactly *buffers* joined, byte for byte, and sound. Raises: RecordDamaged."""
        volume, offset = extent.volume, extent.offset
        try:
            file = self._files.get(volume) or self._open(volume, offset)
            head, crc = pack_head(file.salt, RecordKind.DATA, buffers)
            # PERF: what lies there must be the very record that these bytes would make: one comparison, no second CRC
            return crc == extent.crc and b"".join((head, *buffers)) == os.pread(
                file.fd, len(head) + extent.size, offset
            )
        except OSError as error:
            raise RecordDamaged(volume, offset, f"read failed: {error.strerror}") from error

    def close(self) -> None:
        """Close the kept descriptors."""
        with self._lock:
            self._files.clear()

    def _open(self, volume: int, offset: int) -> _OpenVolume:
        with self._lock:
            known = self._files.get(volume)
            if known is not None:
                return known
            for number in [number for number, file in self._files.items() if not os.fstat(file.fd).st_nlink]:
                del self._files[number]  # compaction has removed it
            try:
                fd = os.open(volume_path(self._data_dir, volume), os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise RecordDamaged(volume, offset, f"volume does not open: {error.strerror}") from error
            file = _OpenVolume(fd, volume)
            if len(self._files) < _READER_FILES_MAX:
                self._files[volume] = file
            return file


class _OpenVolume:
    """A descriptor, closed when no read uses it any more, and the salt. Raises: RecordDamaged, OSError."""

    __slots__ = ("fd", "salt")

    def __init__(self, fd: int, volume: int) -> None:
        self.fd = fd
        self.salt = unpack_volume_header(os.pread(fd, VOLUME_HEADER.size, 0), volume).salt

    def __del__(self) -> None:
        os.close(self.fd)


def _read_checked(fd: int, salt: bytes, extent: Extent, start: int, end: int) -> memoryview:
    volume, offset, size = extent.volume, extent.offset, extent.size
    head_size = head_bytes(size)
    first = start // BLOCK_BYTES
    at, stop = first * BLOCK_BYTES, min(-(-end // BLOCK_BYTES) * BLOCK_BYTES, size)
    if not first:  # PERF: head and payload in one read, and the payload stays where it was read
        data = memoryview(os.pread(fd, head_size + stop, offset))
        head = _checked_head(data, salt, extent)
        blocks = data[head_size:]
    else:
        head = _checked_head(os.pread(fd, head_size, offset), salt, extent)
        blocks = memoryview(os.pread(fd, stop - at, offset + head_size + at))
    if len(blocks) != stop - at:
        raise RecordDamaged(volume, offset, "payload is cut")
    check_blocks(head, first, blocks, volume=volume, offset=offset)
    return blocks[start - at : end - at]


def _checked_head(data: Buffer, salt: bytes, extent: Extent) -> RecordHead:
    head = unpack_head(data, salt, volume=extent.volume, offset=extent.offset)
    if (head.kind, head.size, head.crc) != (RecordKind.DATA, extent.size, extent.crc):
        raise RecordDamaged(extent.volume, extent.offset, "another record lies here")
    return head


def read_volume_header(data_dir: Path, volume: int) -> VolumeHeader:
    """Header of the volume. Raises: RecordDamaged."""
    with volume_path(data_dir, volume).open("rb") as file:
        return unpack_volume_header(file.read(VOLUME_HEADER.size), volume)
