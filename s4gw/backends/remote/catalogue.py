"""What listings tell about objects that the upstream lists by their stored size and ETag: one SQLite file.

A row says what one stored body is to clients. It is found by bucket, key and the upstream's ETag, and counts only while
the listing shows the stored size and the time that the row was made from; so an overwritten object is never told by an
old row, and rows need no invalidation. Objects that are what they seem have a row too, so that nobody asks twice.

It is a cache: bounded, the oldest rows go first; a damaged or missing file is made anew, and a busy one is passed over.
Worker processes share the file, each thread of each has a connection of its own. What single requests learn may wait
for the next `tick`: a transaction costs as much as signing a request, and only one process writes at a time.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import apsw
import msgspec

ROWS_MAX: Final = 5_000_000
"""About 120 bytes each: 600 MB at most."""
_SCHEMA_VERSION: Final = 1
_ID_BYTES: Final = 16
_BUSY_MS: Final = 500
"""Longest wait for another process; it writes for milliseconds."""
_EVICT_EVERY: Final = 512
"""Rows written by a thread between looks at the bound."""
_LOOKED_UP_MAX: Final = 1000
"""Ids in one query: a page of S3."""
_WAITING_MAX: Final = 1000
"""Facts that wait to be written together."""

_CREATE: Final = """
    CREATE TABLE IF NOT EXISTS object (
        number INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        stored_size INTEGER NOT NULL,
        modified_s INTEGER NOT NULL,
        told BLOB NOT NULL
    )
"""
_DAMAGED: Final = (apsw.CorruptError, apsw.NotADBError, apsw.FormatError, apsw.MismatchError, apsw.SQLError)


class Seen(msgspec.Struct, frozen=True, gc=False):
    """An object as the upstream lists it."""

    key: str
    etag: str
    """The upstream's, without quotes."""
    stored_size: int
    modified_s: int
    """Whole seconds since the epoch; 0 when not known, which is so right after a write."""


class Told(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What clients are told about it. `size` -1: what the upstream lists is true."""

    size: int = -1
    etag: str = ""
    checksums: tuple[str, ...] = ()
    """Algorithms."""
    checksum_type: str = ""


AS_LISTED: Final = Told()

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Told)


class Catalogue:
    """Rows of all buckets of one upstream. Safe for threads; opened on first use in each, so after any fork.

    Args:
        path: The file; its folder must exist.
        rows_max: Bound on rows, kept within `_EVICT_EVERY` per thread.
    """

    def __init__(self, path: str | os.PathLike[str], *, rows_max: int = ROWS_MAX) -> None:
        self._path = Path(path)
        self._rows_max = rows_max
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str, str], tuple[Seen, Told]] = {}
        self._ticks = False

    def look_up(self, bucket: str, seen: Sequence[Seen]) -> list[Told | None]:
        """Give what is known of each object; None where nothing is, or where it has changed since."""
        self._write_waiting()
        found: dict[bytes, tuple[int, int, bytes]] = {}
        ids = [_id_of(bucket, one) for one in seen]
        for start in range(0, len(ids), _LOOKED_UP_MAX):
            found |= self._rows(ids[start : start + _LOOKED_UP_MAX])
        self._settle(seen, ids, found)
        return [_matching(one, found.get(id_)) for one, id_ in zip(seen, ids, strict=True)]

    def remember(self, bucket: str, known: Iterable[tuple[Seen, Told]]) -> None:
        """Write down what was learnt; rows that say the same already are left alone."""
        wanted = {_id_of(bucket, seen): (seen, told) for seen, told in known}
        have = self._rows(list(wanted))
        rows = [
            (id_, seen.stored_size, seen.modified_s, _ENCODER.encode(told))
            for id_, (seen, told) in wanted.items()
            if not _says(have.get(id_), seen, told)
        ]
        if rows:
            self._write(rows)

    def note(self, bucket: str, seen: Seen, told: Told) -> None:
        """Write down what a request has learnt: at once, or soon where somebody calls `tick`."""
        if not self._ticks:
            self.remember(bucket, [(seen, told)])
            return
        with self._lock:
            self._waiting[bucket, seen.key, seen.etag] = (seen, told)
            full = len(self._waiting) >= _WAITING_MAX
        if full:
            self._write_waiting()

    def tick(self) -> None:
        """Write what waits. Once this was called, it is called several times a second."""
        self._ticks = True
        self._write_waiting()

    def _write_waiting(self) -> None:
        if not self._waiting:
            return
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        of_bucket: dict[str, list[tuple[Seen, Told]]] = {}
        for (bucket, _, _), known in waiting.items():
            of_bucket.setdefault(bucket, []).append(known)
        for bucket, known_of in of_bucket.items():
            self.remember(bucket, known_of)

    def close(self) -> None:
        """Write what waits, and close this thread's connection."""
        self._write_waiting()
        self._close()

    def _close(self) -> None:
        connection = self._mine.__dict__.pop("connection", None)
        if connection is not None:
            connection.close()

    def _settle(
        self, seen: Sequence[Seen], ids: Sequence[bytes], found: Mapping[bytes, tuple[int, int, bytes]]
    ) -> None:
        """Bind rows that were made by a write, which does not tell the time, to the first time that is listed."""
        rows = [
            (id_, row[0], one.modified_s, row[2])
            for one, id_ in zip(seen, ids, strict=True)
            if (row := found.get(id_)) is not None and not row[1] and row[0] == one.stored_size
        ]
        if rows:
            self._write(rows)

    # -- the file -------------------------------------------------------------------------------------------------
    def _rows(self, ids: Sequence[bytes]) -> Mapping[bytes, tuple[int, int, bytes]]:
        marks = ",".join("?" * len(ids))
        query = f"SELECT id, stored_size, modified_s, told FROM object WHERE id IN ({marks})"  # noqa: S608 - marks only
        try:
            return {row[0]: row[1:] for row in self._connection().execute(query, ids)}
        except apsw.Error as error:
            self._give_up(error)
            return {}

    def _write(self, rows: Sequence[tuple[bytes, int, int, bytes]]) -> None:
        try:
            connection = self._connection()
            with connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO object (id, stored_size, modified_s, told) VALUES (?, ?, ?, ?)", rows
                )
                self._mine.written += len(rows)
                if self._mine.written >= min(_EVICT_EVERY, self._rows_max):
                    self._mine.written = 0
                    connection.execute(
                        "DELETE FROM object WHERE number <= (SELECT max(number) FROM object) - ?", (self._rows_max,)
                    )
        except apsw.Error as error:
            self._give_up(error)

    def _connection(self) -> apsw.Connection:
        have: apsw.Connection | None = getattr(self._mine, "connection", None)
        if have is None:
            have = apsw.Connection(str(self._path))
            self._mine.connection, self._mine.written = have, 0
            have.set_busy_timeout(_BUSY_MS)
            have.execute("PRAGMA journal_mode = WAL")
            # never damaged by a power cut, and rows may be lost
            have.execute("PRAGMA synchronous = NORMAL")
            if have.pragma("user_version") != _SCHEMA_VERSION:
                with have:
                    have.execute("DROP TABLE IF EXISTS object")
                    have.execute(_CREATE)
                    have.pragma("user_version", _SCHEMA_VERSION)
        return have

    def _give_up(self, error: apsw.Error) -> None:
        """Whatever is wrong with a cache, requests go on; a damaged file is removed and made anew by the next."""
        self._close()
        if isinstance(error, _DAMAGED):
            for end in ("", "-wal", "-shm"):
                Path(f"{self._path}{end}").unlink(missing_ok=True)


def _id_of(bucket: str, seen: Seen) -> bytes:
    text = f"{bucket}\0{seen.key}\0{seen.etag}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_ID_BYTES).digest()


def _matching(seen: Seen, row: tuple[int, int, bytes] | None) -> Told | None:
    if row is None or row[0] != seen.stored_size or (row[1] != seen.modified_s and row[1] and seen.modified_s):
        return None
    try:
        return _DECODER.decode(row[2])
    except msgspec.MsgspecError:
        return None


def _says(row: tuple[int, int, bytes] | None, seen: Seen, told: Told) -> bool:
    """Whether the row needs no writing; that of a write has no time, since the next listing shows another one."""
    return row == (seen.stored_size, seen.modified_s, _ENCODER.encode(told))
