"""Schema of the SQLite index, and how its connections are opened.

Written by storaged alone. Two choices carry the speed: `objects` holds current versions only, in narrow rows, so that
a listing never meets an old version or a body; `bodies` and `extents` are keyed by growing numbers, so that a PUT
touches one random page and otherwise appends.

A commit is written to the write-ahead log and not flushed (`synchronous=NORMAL`): the journal in the volumes has been
flushed before it, and `recovery.recover` applies again what a power cut took from the index. What the journal does not
hold, or must not come back, is committed inside `flushed`.

`volumes` counts what of each file is alive, so that compaction is decided without reading any: `extents` and
`live_bytes` are the records that a row of `extents` names (heads included in the bytes), `data_bytes` their payloads,
`meta_bytes` the journal and snapshot records that a rebuild needs. Its states: open (takes new data), compact (takes
what compaction moves), full, bad (a flush failed), deleting (nothing needs the file any more), gone.

`bodies.extents` is a packed list of runs, see `pack_runs`; `refs` of an extent counts the bodies and parts that name
it, and `zero_since` (ms) tells since when there has been none. `hash` finds equal extents.

`dead` names small bodies whose versions have gone: they and their references are removed later, those that lie
together at once, see `Tables.drop_body`. A row is for 32 sequences: bit n of `mask` is the body ``32 * id + n``,
`at_ms` the time when the last of them died, `stored_size` their bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import apsw

from s4gw.store.errors import DataDirError
from s4gw.store.volume import sync_dir

SCHEMA_VERSION: Final = 3
SQLITE_MIN: Final = (3, 51, 3)  # older ones have a WAL reset race that can corrupt the database

SCHEMA: Final = """
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1), schema INTEGER NOT NULL, last_seq INTEGER NOT NULL,
    next_extent INTEGER NOT NULL, volume INTEGER NOT NULL, volume_end INTEGER NOT NULL,
    snapshot_seq INTEGER NOT NULL, journal_from INTEGER NOT NULL);
CREATE TABLE volumes (
    id INTEGER PRIMARY KEY, state TEXT NOT NULL, base_seq INTEGER NOT NULL, extents INTEGER NOT NULL DEFAULT 0,
    live_bytes INTEGER NOT NULL DEFAULT 0, data_bytes INTEGER NOT NULL DEFAULT 0,
    meta_bytes INTEGER NOT NULL DEFAULT 0, scrubbed_ms INTEGER NOT NULL DEFAULT 0);
CREATE TABLE damaged (
    volume INTEGER NOT NULL, offset INTEGER NOT NULL, found_ms INTEGER NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (volume, offset)) WITHOUT ROWID;
CREATE TABLE totals (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE buckets (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, changed_seq INTEGER NOT NULL,
    owner TEXT NOT NULL, created_ms INTEGER NOT NULL, region TEXT NOT NULL, versioning TEXT NOT NULL,
    objects INTEGER NOT NULL DEFAULT 0, versions INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
    configs BLOB NOT NULL, lock BLOB, mfa_delete TEXT NOT NULL DEFAULT '',
    quota INTEGER);
CREATE TABLE used_codes (device TEXT PRIMARY KEY, step INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE facts (id INTEGER PRIMARY KEY, document BLOB NOT NULL UNIQUE);
CREATE TABLE objects (
    bucket INTEGER NOT NULL, key BLOB NOT NULL, seq INTEGER NOT NULL, flags INTEGER NOT NULL, size INTEGER NOT NULL,
    etag TEXT NOT NULL, stored_size INTEGER NOT NULL, modified_ms INTEGER NOT NULL, facts INTEGER NOT NULL,
    nonce BLOB NOT NULL, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
CREATE TABLE versions (
    bucket INTEGER NOT NULL, key BLOB NOT NULL, seq INTEGER NOT NULL, flags INTEGER NOT NULL, size INTEGER NOT NULL,
    etag TEXT NOT NULL, stored_size INTEGER NOT NULL, modified_ms INTEGER NOT NULL, facts INTEGER NOT NULL,
    nonce BLOB NOT NULL, PRIMARY KEY (bucket, key, seq DESC)) WITHOUT ROWID;
CREATE UNIQUE INDEX versions_null ON versions (bucket, key) WHERE flags & 2;
CREATE TABLE bodies (seq INTEGER PRIMARY KEY, meta BLOB NOT NULL, extents BLOB NOT NULL, inline BLOB);
CREATE TABLE dead (
    id INTEGER PRIMARY KEY, mask INTEGER NOT NULL, at_ms INTEGER NOT NULL, stored_size INTEGER NOT NULL);
CREATE TABLE locks (seq INTEGER PRIMARY KEY, mode TEXT NOT NULL, until_ms INTEGER NOT NULL, hold INTEGER NOT NULL);
CREATE TABLE extents (
    id INTEGER PRIMARY KEY, volume INTEGER NOT NULL, offset INTEGER NOT NULL, size INTEGER NOT NULL,
    crc INTEGER NOT NULL, refs INTEGER NOT NULL, zero_since INTEGER, hash BLOB);
CREATE INDEX extents_waiting ON extents (zero_since, volume, size) WHERE refs = 0;
CREATE UNIQUE INDEX extents_hash ON extents (hash) WHERE hash IS NOT NULL;
CREATE TABLE uploads (
    seq INTEGER PRIMARY KEY, bucket INTEGER NOT NULL, key BLOB NOT NULL, upload_id TEXT NOT NULL UNIQUE,
    started_ms INTEGER NOT NULL, document BLOB NOT NULL);
CREATE INDEX uploads_by_key ON uploads (bucket, key, seq);
CREATE TABLE parts (
    upload INTEGER NOT NULL, number INTEGER NOT NULL, seq INTEGER NOT NULL, stored_size INTEGER NOT NULL,
    modified_ms INTEGER NOT NULL, document BLOB NOT NULL, extents BLOB NOT NULL,
    PRIMARY KEY (upload, number)) WITHOUT ROWID;
CREATE TABLE completed (
    upload_id TEXT PRIMARY KEY, bucket INTEGER NOT NULL, key BLOB NOT NULL, at_ms INTEGER NOT NULL,
    seq INTEGER NOT NULL, flags INTEGER NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
    stored_size INTEGER NOT NULL, nonce BLOB NOT NULL, meta BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX completed_by_time ON completed (at_ms);
INSERT INTO state VALUES (1, 3, 0, 1, 0, 0, 0, 0);
"""

VERSION_COLUMNS: Final = "seq, flags, size, etag, stored_size, modified_ms, facts, nonce"

_MMAP_BYTES: Final = 256 * 1024**2  # of the index, mapped by readers: a page look-up without a system call
_WRITER_CACHE_KIB: Final = 8 * 1024
"""Reads beyond it come from the system's cache. More costs more: SQLite walks all of its own cache at a commit that
has balanced a tree (60 000 objects, a commit of one PUT: 153 us of CPU with 64 MiB, 116 with 16, 114 with 4; 2026-11).
"""
BUSY_TIMEOUT_MS: Final = 5000  # a backstop: nobody but storaged writes
_RUN: Final = struct.Struct("<QII")


def pack_runs(runs: Sequence[tuple[int, int, int]]) -> bytes:
    """Packed list of (first extent id, number of extents, size of each in bytes), in order of the body."""
    if len(runs) == 1:  # PERF: a small body
        return _RUN.pack(*runs[0])
    return b"".join([_RUN.pack(*run) for run in runs])


def unpack_runs(packed: bytes) -> list[tuple[int, int, int]]:
    """Undo `pack_runs`."""
    return list(_RUN.iter_unpack(packed))


def runs_of(numbers: Sequence[int], sizes: Sequence[int]) -> list[tuple[int, int, int]]:
    """Runs of the extents with these ids and sizes."""
    runs: list[tuple[int, int, int]] = []
    for number, size in zip(numbers, sizes, strict=True):
        if runs and runs[-1][2] == size and runs[-1][0] + runs[-1][1] == number:
            first, count, _ = runs[-1]
            runs[-1] = (first, count + 1, size)
        else:
            runs.append((number, 1, size))
    return runs


def fetch(connection: apsw.Connection, statement: str, bindings: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """All rows of a query that is known to be small."""
    return connection.execute(statement, bindings).fetchall()


def check_sqlite(version: str = apsw.sqlite_lib_version()) -> None:
    """Raises: DataDirError, when the SQLite library is older than `SQLITE_MIN`."""
    if tuple(int(number) for number in version.split(".")) < SQLITE_MIN:
        wanted = ".".join(map(str, SQLITE_MIN))
        raise DataDirError(f"SQLite {version} is too old: apsw has to bring {wanted} or newer")


def open_writer(path: Path) -> apsw.Connection:
    """The committer's connection; makes the tables when the file is new.

    Raises: DataDirError (index of another version), apsw.Error.
    """
    path.touch(mode=0o600)  # SQLite gives its other files the mode of this one
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute(f"PRAGMA cache_size=-{_WRITER_CACHE_KIB}")
    connection.execute("PRAGMA temp_store=MEMORY")
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'state'").fetchone() is None:
        with flushed(connection):
            connection.execute(SCHEMA)
        sync_dir(path.parent)
    found = connection.execute("SELECT schema FROM state").fetchone()
    if found != (SCHEMA_VERSION,):
        raise DataDirError(
            f"the index has schema {found and found[0]}, this version knows {SCHEMA_VERSION}:"
            " make it anew with `s4gw store rebuild-index`"
        )
    return connection


@contextmanager
def flushed(connection: apsw.Connection) -> Iterator[None]:
    """A transaction that is on stable storage at the end, and with it all that were committed before."""
    connection.execute("PRAGMA synchronous=FULL")
    try:
        with connection:
            yield
    finally:
        connection.execute("PRAGMA synchronous=NORMAL")


def open_reader(path: Path) -> apsw.Connection:
    """A read-only connection for one thread."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_NOMUTEX)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.execute(f"PRAGMA mmap_size={_MMAP_BYTES}")
    return connection
