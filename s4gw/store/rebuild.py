"""Making the index anew from the volumes alone, as `layout` defines it.

First every volume is walked through once: where its journal and snapshot records lie, what they say of moves and of
volumes that are gone. Then the newest whole snapshot is loaded and the journal behind it applied in order of sequence.
Damaged records are passed over and reported; the old index stays until the new one is whole.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from s4gw.store import snapshot
from s4gw.store.committer import decode_operation
from s4gw.store.errors import RecordDamaged
from s4gw.store.layout import NO_LIMIT, VOLUME_HEADER, RecordKind
from s4gw.store.lock import COMMITTER_LOCK, FileLock
from s4gw.store.ops import Journal
from s4gw.store.recovery import INLINE_BYTES, volume_ids
from s4gw.store.replay import apply_journal
from s4gw.store.schema import fetch, open_writer
from s4gw.store.tables import Tables
from s4gw.store.volume import Extent, VolumeReader, sync_dir
from s4gw.store.volume_ops import Relocate, VolumeDrop
from s4gw.store.walk import Found, Walk

_WORK_TABLES: Final = """
CREATE TABLE work_journal (last_seq INTEGER, first_seq INTEGER, volume INTEGER, offset INTEGER, bytes INTEGER);
CREATE TABLE work_snapshot (seq INTEGER, number INTEGER, last INTEGER, journal_from INTEGER, volume INTEGER,
    offset INTEGER, bytes INTEGER);
CREATE TABLE work_moved (volume INTEGER, offset INTEGER, to_volume INTEGER, to_offset INTEGER, crc INTEGER);
"""
_BATCH: Final = 2000  # journal records applied in one transaction


class Rebuilt(msgspec.Struct):
    """What making the index anew came to."""

    operations: int = 0
    snapshot_seq: int = 0
    gaps: list[tuple[int, int]] = []
    """Sequences that no journal record tells of, first and last: something acknowledged may be missing."""
    refused: int = 0
    """Operations that no longer made sense, for want of what stood in a gap."""
    unreadable: list[int] = []
    """Volumes without a header."""

    @property
    def whole(self) -> bool:
        """Whether nothing is known to be missing."""
        return not (self.gaps or self.refused or self.unreadable)


def rebuild_index(data_dir: Path, *, inline_bytes: int = INLINE_BYTES) -> Rebuilt:
    """Make ``index.db`` anew and put it in the place of the old one.

    Raises: StoreLocked (somebody serves the directory), OSError.
    """
    with FileLock(data_dir / COMMITTER_LOCK):
        fresh = data_dir / "index.db.new"
        _remove_database(fresh)
        connection = open_writer(fresh)
        connection.execute("PRAGMA synchronous=OFF")  # it counts for nothing before it is whole
        reader = VolumeReader(data_dir)
        try:
            rebuilt = _Rebuild(connection, data_dir, reader, inline_bytes).run()
        finally:
            reader.close()
            connection.close()
        descriptor = os.open(fresh, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _remove_database(data_dir / "index.db")
        fresh.rename(data_dir / "index.db")
        sync_dir(data_dir)
    return rebuilt


class _Rebuild:
    """One run, over the new index."""

    def __init__(self, connection: apsw.Connection, data_dir: Path, reader: VolumeReader, inline_bytes: int) -> None:
        self.connection = connection
        self.execute = connection.execute
        self.data_dir = data_dir
        self.reader = reader
        self.inline_bytes = inline_bytes
        self.result = Rebuilt(gaps=[], unreadable=[])
        self.bases: dict[int, int] = {}
        """Base sequence of every volume that is or was there."""
        self.journal_from = 0
        self.on_disk: list[int] = []
        self._walk: Walk | None = None

    def run(self) -> Rebuilt:
        """Do it all; the new index is complete afterwards."""
        with self.connection:
            self.execute(_WORK_TABLES)
            for volume in volume_ids(self.data_dir):
                self._survey(volume)
            self.execute("CREATE INDEX work_by_seq ON work_journal (first_seq, volume)")
            self.execute("CREATE INDEX work_by_place ON work_moved (volume, offset)")
        with self.connection:
            self._load_snapshot()
            self._drop_void()
            self._add_volumes()
        try:
            self._replay()
        finally:
            self._leave()
        with self.connection:
            self._finish()
            self.execute("DROP TABLE work_journal; DROP TABLE work_snapshot; DROP TABLE work_moved")
        return self.result

    # -- what is there --------------------------------------------------------------------------------------------
    def _survey(self, volume: int) -> None:
        """Note where the volume's journal and snapshot records lie."""
        try:
            walk = Walk(self.data_dir, volume)
        except RecordDamaged:
            if (self.data_dir / "volumes" / f"{volume:010d}.s4v").stat().st_size >= VOLUME_HEADER.size:
                self.result.unreadable.append(volume)  # one that is shorter was never used, or is being removed
            return
        with walk:
            self.on_disk.append(volume)
            self.bases[volume] = walk.header.base_seq
            for found in walk.records():
                if not isinstance(found, Found) or found.head.kind is RecordKind.DATA:
                    continue
                try:
                    payload = walk.payload(found)
                except RecordDamaged:
                    continue
                if found.head.kind is RecordKind.JOURNAL:
                    self._note_journal(volume, found, payload)
                else:
                    part = snapshot.decode(payload)
                    self.execute(
                        "INSERT INTO work_snapshot VALUES (?, ?, ?, ?, ?, ?, ?)",
                        (part.seq, part.number, part.last, part.journal_from, volume, found.offset,
                         found.head.record_bytes),
                    )  # fmt: skip

    def _note_journal(self, volume: int, found: Found, payload: bytes) -> None:
        journal = msgspec.msgpack.decode(payload, type=Journal)
        first = journal.entries[0].seq if journal.entries else journal.last_seq
        self.execute(
            "INSERT INTO work_journal VALUES (?, ?, ?, ?, ?)",
            (journal.last_seq, first, volume, found.offset, found.head.record_bytes),
        )
        for entry in journal.entries:
            if bytes(memoryview(entry.operation)[1:4]) not in _TAGS:
                continue
            operation = decode_operation(entry.operation)
            if isinstance(operation, VolumeDrop):
                self.bases.setdefault(operation.volume, operation.base_seq)
            elif isinstance(operation, Relocate):
                # A move that was never committed does no harm: the copy holds the same bytes.
                self.connection.executemany(
                    "INSERT INTO work_moved VALUES (?, ?, ?, ?, ?)",
                    [(m.volume, m.offset, m.copy.volume, m.copy.offset, m.copy.crc) for m in operation.moves],
                )

    # -- snapshot -------------------------------------------------------------------------------------------------
    def _load_snapshot(self) -> None:
        """Load the newest snapshot that is whole."""
        for (seq,) in self._fetch("SELECT DISTINCT seq FROM work_snapshot ORDER BY seq DESC"):
            places = self._fetch(
                "SELECT number, last, journal_from, min(volume), offset FROM work_snapshot WHERE seq = ?"
                " GROUP BY number ORDER BY number",
                (seq,),
            )
            if [place[0] for place in places] != list(range(len(places))) or not places[-1][1]:
                continue
            parts = (self._payload(volume, offset) for *_, volume, offset in places)
            snapshot.load(self.connection, (snapshot.decode(part).data for part in parts))
            self.result.snapshot_seq, self.journal_from = seq, places[0][2]
            return

    def _payload(self, volume: int, offset: int) -> bytes:
        """Payload of a record that the survey found; records are asked for nearly in the order in which they lie."""
        if self._walk is None or self._walk.volume != volume:
            self._leave()
            self._walk = Walk(self.data_dir, volume)
        return self._walk.payload(self._walk.at(offset))

    def _leave(self) -> None:
        if self._walk is not None:
            self._walk.close()
            self._walk = None

    def _fetch(self, statement: str, bindings: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return fetch(self.connection, statement, bindings)

    # -- journal --------------------------------------------------------------------------------------------------
    def _drop_void(self) -> None:
        """Forget journal records that were never committed."""
        for volume, base_seq in self._fetch("SELECT id, base_seq FROM volumes"):
            self.bases.setdefault(volume, base_seq)
        limit = NO_LIMIT
        for volume in sorted(self.bases, reverse=True):
            if volume in self.on_disk:
                self.execute("DELETE FROM work_journal WHERE volume = ? AND last_seq > ?", (volume, limit))
            limit = min(limit, self.bases[volume])

    def _add_volumes(self) -> None:
        """Rows of the files that are there, where the snapshot does not know them."""
        self.connection.executemany(
            "INSERT OR IGNORE INTO volumes (id, state, base_seq) VALUES (?, 'full', ?)",
            [(volume, self.bases[volume]) for volume in self.on_disk],
        )

    def _replay(self) -> None:
        """Apply the journal behind the snapshot in order of sequence, each record once."""
        tables = Tables(self.connection)
        tables.load()
        seen = tables.last_seq
        while records := self._fetch(
            "SELECT first_seq, last_seq, volume, offset FROM work_journal WHERE first_seq > ?"
            " ORDER BY first_seq, volume LIMIT ?",
            (seen, _BATCH),
        ):
            tables.begin(0)
            for first, last, volume, offset in records:
                seen = first
                if last <= tables.last_seq:
                    continue
                if first > tables.last_seq + 1:
                    self.result.gaps.append((tables.last_seq + 1, first - 1))
                journal = msgspec.msgpack.decode(self._payload(volume, offset), type=Journal)
                self.result.refused += apply_journal(tables, journal, self._read, self.inline_bytes)
                self.result.operations += len(journal.entries)
            tables.write_state(0, 0)
            self.execute("COMMIT")

    def _read(self, extent: Extent) -> bytes:
        """Payload of an extent, wherever it went. Raises: RecordDamaged."""
        try:
            return self.reader.read(extent, 0, extent.size)
        except RecordDamaged:
            for volume, offset, crc in self._fetch(
                "SELECT to_volume, to_offset, crc FROM work_moved WHERE volume = ? AND offset = ?",
                (extent.volume, extent.offset),
            ):
                with suppress(RecordDamaged):
                    return self._read(Extent(volume, offset, extent.size, crc))
            raise

    # -- the end --------------------------------------------------------------------------------------------------
    def _finish(self) -> None:
        """States and counters that follow from the files."""
        row = self.result.snapshot_seq, self.journal_from  # whatever the journal says of one that cannot be read
        self.execute("UPDATE state SET snapshot_seq = ?, journal_from = ?", row)
        self.execute("UPDATE volumes SET meta_bytes = 0")
        self.execute(
            "UPDATE volumes SET meta_bytes ="
            " (SELECT coalesce(sum(bytes), 0) FROM work_journal WHERE volume = id AND last_seq > ?2)"
            " + (SELECT coalesce(sum(bytes), 0) FROM work_snapshot WHERE volume = id AND seq = ?1)"
            " WHERE state NOT IN ('deleting', 'gone')",
            row,
        )
        missing = [
            (volume,)
            for (volume,) in self._fetch("SELECT id FROM volumes WHERE state NOT IN ('deleting', 'gone')")
            if volume not in self.on_disk
        ]
        self.connection.executemany("DELETE FROM volumes WHERE id = ? AND extents = 0", missing)
        self.execute("UPDATE volumes SET state = 'full' WHERE state = 'open'")
        current = max((v for v in self.on_disk if self.bases[v] != NO_LIMIT), default=0)
        [(end,)] = self._fetch("SELECT max(offset + bytes) FROM work_journal WHERE volume = ?", (current,))
        self.execute("UPDATE volumes SET state = 'open' WHERE id = ?", (current,))
        self.execute("UPDATE state SET volume = ?, volume_end = ?", (current, end or 0))


_TAGS: Final = (b"\xa2rl", b"\xa2vd")
"""How the encoded operations that a survey has to look at go on after their first byte."""


def _remove_database(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
