"""Byte layout of the data directory and of its volumes. Little-endian, unsigned, sizes in bytes.

A data directory (0700, every file 0600):

    FORMAT              one line, "s4gw store 1"
    index.db            SQLite index; can be made anew from the volumes
    volumes/            0000000001.s4v, 0000000002.s4v ...; ids only grow and are never used again
    storaged.lock       flock of the one committer
    spawn.lock          flock held while a committer is being started
    storaged.sock       its socket

A volume is a header and records, end to end, appended by several processes (one ``writev`` with O_APPEND each):

    volume header                                  record
     0  8  magic, b"S4GWVOL1"                       0  8  salt of the volume
     8  8  volume id                                8  1  version, 1
    16  8  base sequence, see below                 9  1  kind, see RecordKind
    24  8  salt: 8 random bytes                    10  2  0
    32  4  block size, 65536                       12  4  payload size
    36  4  CRC-32C of bytes 0-35                   16  4  CRC-32C of bytes 0-15 and of the block table
                                                   20  .. block table: CRC-32C of each block of the payload, 4 each
                                                   ..  .. payload

A record begins wherever the one before it ended; after bytes that are not a record (a writer died in the middle) the
next one is found by looking for the salt, which no client can know. The CRC in the record head is also in the index
row of the extent, so a record in the wrong place does not pass for another. The block table lets a range be checked
without reading the whole payload.

A DATA payload is one extent of an object or part. A JOURNAL payload is msgpack: [time in ms, [[sequence, operation]
...]] with the operations (`s4gw.store.ops`) that one transaction applied, in order. The journal is the truth: applying
all of them in order of sequence gives the index; the first sequence of each is one more than the last of the one
before. A journal record whose last sequence is greater than the base sequence of a volume with a greater id was never
answered (it or what it names did not reach the disk, or the index refused the commit) and is void.

Compaction moves what is alive into volumes of its own, whose base sequence is NO_LIMIT: it says nothing about other
volumes. Journal records are moved as they are, so one may be there twice. A SNAPSHOT payload is one part of all rows
of the index at some sequence (`s4gw.store.snapshot`); where a whole snapshot is there, only journal records behind it
are needed. Operations of compaction stand in the journal as others do: they tell where the extents went, and the base
sequences of volumes that are no more.
"""

from __future__ import annotations

import enum
import os
import struct
from pathlib import Path
from typing import Final

FORMAT_LINE: Final = "s4gw store 1"
VOLUME_MAGIC: Final = b"S4GWVOL1"
RECORD_VERSION: Final = 1

BLOCK_BYTES: Final = 64 * 1024
"""Unit of verification: small enough that a range reads little more than it wants, 64 CRCs for the largest extent."""

EXTENT_BYTES_MAX: Final = 4 * 1024**2
"""Largest DATA payload: the codec's largest frame, and what one append may copy while others wait for the inode."""

JOURNAL_BYTES_MAX: Final = 64 * 1024**2
"""Largest JOURNAL payload; a batch is cut long before (`committer.BATCH_BYTES_MAX`)."""

SNAPSHOT_BYTES_MAX: Final = 8 * 1024**2
"""Largest SNAPSHOT payload."""

NO_LIMIT: Final = 2**63 - 1
"""Base sequence of volumes that compaction fills; the greatest integer that SQLite holds."""

VOLUME_HEADER: Final = struct.Struct("<8sQQ8sII")
RECORD_HEADER: Final = struct.Struct("<8sBBHII")
SALT_BYTES: Final = 8
assert (VOLUME_HEADER.size, RECORD_HEADER.size) == (40, 20)


class RecordKind(enum.IntEnum):
    """What a record holds."""

    DATA = 1
    JOURNAL = 2
    SNAPSHOT = 3


def head_bytes(payload_bytes: int) -> int:
    """Size of header and block table of a record with *payload_bytes* of payload."""
    return RECORD_HEADER.size + 4 * -(-payload_bytes // BLOCK_BYTES)


def volume_path(data_dir: str | os.PathLike[str], volume: int) -> Path:
    """Path of the volume with this id."""
    return Path(data_dir) / "volumes" / f"{volume:010d}.s4v"
