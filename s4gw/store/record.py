"""Records of a volume as bytes: building, checking and finding them. Pure; files are `volume`'s.

Every length is bounded before anything is allocated, and nothing is believed before its CRC held.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

import msgspec

from s4gw.checksum import crc32c
from s4gw.store.errors import RecordDamaged
from s4gw.store.layout import (
    BLOCK_BYTES,
    EXTENT_BYTES_MAX,
    JOURNAL_BYTES_MAX,
    RECORD_HEADER,
    RECORD_VERSION,
    SNAPSHOT_BYTES_MAX,
    VOLUME_HEADER,
    VOLUME_MAGIC,
    RecordKind,
    head_bytes,
)

Buffer = bytes | bytearray | memoryview

_CRC: Final = struct.Struct("<I")
_PAYLOAD_MAX: Final = {
    RecordKind.DATA: EXTENT_BYTES_MAX,
    RecordKind.JOURNAL: JOURNAL_BYTES_MAX,
    RecordKind.SNAPSHOT: SNAPSHOT_BYTES_MAX,
}


class VolumeHeader(msgspec.Struct, frozen=True):
    """What stands at the start of a volume."""

    volume: int
    base_seq: int
    """Last committed sequence when the volume was created."""
    salt: bytes


class RecordHead(msgspec.Struct, frozen=True):
    """Header and block table of one record, checked."""

    kind: RecordKind
    size: int
    """Of the payload, in bytes."""
    crc: int
    blocks: tuple[int, ...]

    @property
    def record_bytes(self) -> int:
        """Head and payload together."""
        return head_bytes(self.size) + self.size


def pack_volume_header(header: VolumeHeader) -> bytes:
    """Bytes of a volume's header."""
    packed = VOLUME_HEADER.pack(VOLUME_MAGIC, header.volume, header.base_seq, header.salt, BLOCK_BYTES, 0)
    return packed[:-4] + _CRC.pack(crc32c(packed[:-4]))


def unpack_volume_header(data: bytes, volume: int) -> VolumeHeader:
    """Read a volume's header.

    Raises: RecordDamaged, also when the header is that of another volume.
    """
    if len(data) < VOLUME_HEADER.size:
        raise RecordDamaged(volume, 0, "volume header is cut")
    magic, found, base_seq, salt, block_bytes, crc = VOLUME_HEADER.unpack_from(data)
    if crc != crc32c(data[: VOLUME_HEADER.size - 4]):
        raise RecordDamaged(volume, 0, "volume header CRC")
    if (magic, found, block_bytes) != (VOLUME_MAGIC, volume, BLOCK_BYTES):
        raise RecordDamaged(volume, 0, "not the header of this volume")
    return VolumeHeader(found, base_seq, salt)


def pack_head(salt: bytes, kind: RecordKind, buffers: Sequence[Buffer]) -> tuple[bytes, int]:
    """Head of a record whose payload is *buffers* joined.

    Returns: header and block table, and their CRC, which the index keeps.
    """
    size = sum(map(len, buffers))
    if not 0 < size <= _PAYLOAD_MAX[kind]:
        raise ValueError(size)
    if len(buffers) == 1 and size <= BLOCK_BYTES:  # PERF: every small body, nearly every journal record
        table = _CRC.pack(crc32c(buffers[0]))
    else:
        table = b"".join(map(_CRC.pack, _block_crcs(buffers)))
    crc = crc32c(RECORD_HEADER.pack(salt, RECORD_VERSION, kind, 0, size, 0)[:-4] + table)
    return RECORD_HEADER.pack(salt, RECORD_VERSION, kind, 0, size, crc) + table, crc


def unpack_head(data: Buffer, salt: bytes, *, volume: int, offset: int, start: int = 0) -> RecordHead:
    """Read and check the head of the record at *start* of *data*.

    Args:
        data: At least the head; may hold more.
        salt: Of the volume.
        volume: Id of the volume, for the error only.
        offset: Place of the record in the volume, for the error only.
        start: Where in *data* the record begins.

    Raises: RecordDamaged.
    """
    if len(data) < start + RECORD_HEADER.size:
        raise RecordDamaged(volume, offset, "record header is cut")
    found, version, kind_number, zero, size, crc = RECORD_HEADER.unpack_from(data, start)
    if found != salt or version != RECORD_VERSION or zero or kind_number not in _KINDS:
        raise RecordDamaged(volume, offset, "no record here")
    kind = RecordKind(kind_number)
    if not 0 < size <= _PAYLOAD_MAX[kind]:
        raise RecordDamaged(volume, offset, "record size")
    end = start + head_bytes(size)
    if len(data) < end:
        raise RecordDamaged(volume, offset, "record head is cut")
    view = memoryview(data)
    table = view[start + RECORD_HEADER.size : end]
    if crc != crc32c(table, crc32c(view[start : start + RECORD_HEADER.size - 4])):
        raise RecordDamaged(volume, offset, "record head CRC")
    return RecordHead(kind, size, crc, struct.unpack(f"<{len(table) // 4}I", table))


def check_blocks(head: RecordHead, first: int, data: Buffer, *, volume: int, offset: int) -> None:
    """Check *data*, which are whole blocks of the payload from block number *first* on.

    Raises: RecordDamaged.
    """
    if len(data) <= BLOCK_BYTES:
        if crc32c(data) != head.blocks[first]:
            raise RecordDamaged(volume, offset, "payload CRC")
        return
    view = memoryview(data)
    for number, at in enumerate(range(0, len(data), BLOCK_BYTES), first):
        if crc32c(view[at : at + BLOCK_BYTES]) != head.blocks[number]:
            raise RecordDamaged(volume, offset, "payload CRC")


_KINDS: Final = frozenset(RecordKind)


def _block_crcs(buffers: Sequence[Buffer]) -> list[int]:
    """CRC of each block of the joined buffers, without joining them."""
    crcs: list[int] = []
    crc, room = 0, BLOCK_BYTES
    for buffer in buffers:
        view, at = memoryview(buffer), 0
        while at < len(view):
            piece = view[at : at + room]
            crc = crc32c(piece, crc)
            at += len(piece)
            room -= len(piece)
            if not room:
                crcs.append(crc)
                crc, room = 0, BLOCK_BYTES
    if room < BLOCK_BYTES:
        crcs.append(crc)
    return crcs
