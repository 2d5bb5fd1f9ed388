"""All rows of the index, written into volumes: what makes journal records unnecessary.

A snapshot is a stream, cut into SNAPSHOT records: zlib over frames, each a size (u32, little-endian) and msgpack
[table, rows]. It is taken in one read transaction, so it is the index at exactly one sequence.
"""

# ruff: noqa: S608 - the interpolated names are constants of ours
from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import apsw
import msgspec

from s4gw.store.errors import RecordDamaged
from s4gw.store.schema import SCHEMA_VERSION, fetch

PART_BYTES: Final = 1024**2
_FRAME_BYTES: Final = 1024**2  # rows are gathered up to this much
_LEVEL: Final = 1  # keys and metadata shrink to a third at once; more effort gains little
_LENGTH: Final = struct.Struct("<I")
_ROWS: Final = msgspec.msgpack.Decoder(tuple[str, list[list[Any]]])
_ENCODER: Final = msgspec.msgpack.Encoder()


class SnapshotPart(msgspec.Struct, array_like=True, frozen=True):
    """Payload of a SNAPSHOT record."""

    seq: int
    """Of the index when the snapshot was taken; it names the snapshot."""
    number: int
    """From 0 on."""
    last: bool
    journal_from: int
    """Base sequence of the volume that was current then."""
    data: bytes


def encode(part: SnapshotPart) -> bytes:
    """The payload."""
    return _ENCODER.encode(part)


def decode(payload: bytes) -> SnapshotPart:
    """Raises: msgspec.DecodeError."""
    return msgspec.msgpack.decode(payload, type=SnapshotPart)


def tables(connection: apsw.Connection) -> list[str]:
    """Every table that is there: none can be forgotten. SQLite's own one keeps bucket ids from being used again."""
    return [name for (name,) in fetch(connection, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]


def dump(connection: apsw.Connection, emit: Callable[[bytes, bool], None]) -> None:
    """Give all rows to *emit*, piece by piece, the last piece with True; the caller holds a read transaction."""
    packer = zlib.compressobj(_LEVEL)
    ready = bytearray()
    for table in tables(connection):
        for frame in _frames(connection, table):
            ready += packer.compress(frame)
            while len(ready) >= PART_BYTES:
                emit(bytes(ready[:PART_BYTES]), False)
                del ready[:PART_BYTES]
    ready += packer.flush()
    for at in range(0, len(ready), PART_BYTES):
        emit(bytes(ready[at : at + PART_BYTES]), at + PART_BYTES >= len(ready))


def load(connection: apsw.Connection, pieces: Iterable[bytes]) -> None:
    """Insert the rows of a snapshot into empty tables. Raises: RecordDamaged, when it is not whole."""
    unpacker = zlib.decompressobj()
    waiting = bytearray()
    connection.execute("DELETE FROM state")
    known = tables(connection)
    for piece in pieces:
        waiting += unpacker.decompress(piece)
        while len(waiting) >= _LENGTH.size:
            size = _LENGTH.unpack_from(waiting)[0]
            if len(waiting) < _LENGTH.size + size:
                break
            table, rows = _ROWS.decode(bytes(waiting[_LENGTH.size : _LENGTH.size + size]))
            del waiting[: _LENGTH.size + size]
            if table not in known:
                raise RecordDamaged(0, 0, f"snapshot of an unknown table {table!r}")
            places = ", ".join("?" * len(rows[0]))
            connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
            if table == "buckets":
                connection.execute("DELETE FROM sqlite_sequence")  # its own row comes after those of the buckets
    if waiting or not unpacker.eof:
        raise RecordDamaged(0, 0, "snapshot is cut")
    connection.execute("UPDATE state SET schema = ?", (SCHEMA_VERSION,))  # it may be of an earlier one


def _frames(connection: apsw.Connection, table: str) -> Iterator[bytes]:
    rows: list[tuple[Any, ...]] = []
    size = 0
    for row in connection.execute(f"SELECT * FROM {table}"):
        rows.append(row)
        size += 8 * len(row) + sum(len(value) for value in row if isinstance(value, bytes | str))
        if size >= _FRAME_BYTES:
            yield _frame(table, rows)
            rows, size = [], 0
    if rows:
        yield _frame(table, rows)


def _frame(table: str, rows: list[tuple[Any, ...]]) -> bytes:
    body = _ENCODER.encode((table, rows))
    return _LENGTH.pack(len(body)) + body
