"""Whether index and volumes agree, in both directions; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw
import msgspec

from s4gw.store import snapshot
from s4gw.store.agreement import disagreements
from s4gw.store.errors import RecordDamaged
from s4gw.store.layout import NO_LIMIT, VOLUME_HEADER, RecordKind, volume_path
from s4gw.store.lock import FileLock
from s4gw.store.ops import Journal
from s4gw.store.recovery import volume_ids
from s4gw.store.schema import fetch, open_reader
from s4gw.store.upkeep import UPKEEP_LOCK, Pace
from s4gw.store.walk import Found, Walk

FINDINGS_MAX: Final = 1000
"""More are not listed."""


class Findings(msgspec.Struct):
    """What does not agree."""

    volumes: int = 0
    extents: int = 0
    lines: list[str] = []

    def add(self, line: str) -> None:
        """One more, as long as there is room."""
        if len(self.lines) < FINDINGS_MAX:
            self.lines.append(line)


def check(data_dir: Path, *, pace: Pace, read: bool = False) -> Findings:
    """Compare reference counts, counters, extents, the journal and the files.

    Args:
        data_dir: The data directory; it may be served meanwhile, compaction waits.
        pace: How fast.
        read: Read every byte that is alive, too; otherwise heads of records and the journal only.

    Raises: StoreLocked (compaction or a scrub is running), Stopped, OSError.
    """
    found = Findings(lines=[])
    with FileLock(data_dir / UPKEEP_LOCK):
        connection = open_reader(data_dir / "index.db")
        try:
            connection.execute("BEGIN")
            found.lines += disagreements(connection)
            _Check(connection, data_dir, pace, found, read=read).run()
        finally:
            connection.close()
    return found


class _Check:
    """One run, within one read transaction."""

    def __init__(self, connection: apsw.Connection, data_dir: Path, pace: Pace, found: Findings, *, read: bool) -> None:
        self.connection = connection
        self.data_dir = data_dir
        self.pace = pace
        self.found = found
        self.read = read
        self.journal: list[tuple[int, int]] = []
        """First and last sequence of the journal records that are needed."""
        self.parts: dict[int, bool] = {}
        """Numbers of the parts of the snapshot, and whether one is the last."""
        [(last_seq, snapshot_seq, journal_from)] = fetch(
            connection, "SELECT last_seq, snapshot_seq, journal_from FROM state"
        )
        self.last_seq: int = last_seq
        self.snapshot_seq: int = snapshot_seq
        self.journal_from: int = journal_from

    def run(self) -> None:
        known = dict(fetch(self.connection, "SELECT id, state FROM volumes"))
        for volume, state in sorted(known.items()):
            if state not in ("deleting", "gone"):
                self._volume(volume)
        for volume in volume_ids(self.data_dir):
            if volume not in known and volume_path(self.data_dir, volume).stat().st_size > VOLUME_HEADER.size:
                self.found.add(f"volume {volume} is not in the index")
        for volume, offset, reason in fetch(self.connection, "SELECT volume, offset, reason FROM damaged"):
            self.found.add(f"volume {volume} offset {offset}: {reason} (found earlier)")
        self._journal()

    def _volume(self, volume: int) -> None:
        if not volume_path(self.data_dir, volume).exists():
            self.found.add(f"volume {volume} is missing")
            return
        rows: dict[int, tuple[int, int]] = {
            offset: (size, crc)
            for offset, size, crc in fetch(
                self.connection, "SELECT offset, size, crc FROM extents WHERE volume = ?", (volume,)
            )
        }
        self.found.volumes += 1
        self.found.extents += len(rows)
        [(limit,)] = fetch(self.connection, "SELECT min(base_seq) FROM volumes WHERE id > ?", (volume,))
        try:
            with Walk(self.data_dir, volume) as walk:
                for record in self._records(walk):
                    self._record(walk, record, rows, NO_LIMIT if limit is None else limit)
        except RecordDamaged as error:
            self.found.add(str(error))
        for offset in rows:
            self.found.add(f"volume {volume} offset {offset}: no record where the index names one")

    def _records(self, walk: Walk) -> Iterator[Found]:
        for record in walk.records():
            if isinstance(record, Found):
                yield record
                self.pace.spend(record.head.record_bytes if self.read else 64)

    def _record(self, walk: Walk, record: Found, rows: dict[int, tuple[int, int]], limit: int) -> None:
        try:
            if record.head.kind is RecordKind.DATA:
                row = rows.pop(record.offset, None)
                if row is not None and row != (record.head.size, record.head.crc):
                    self.found.add(f"volume {walk.volume} offset {record.offset}: another record lies here")
                elif row is not None and self.read:
                    walk.payload(record)
            elif record.head.kind is RecordKind.JOURNAL:
                journal = msgspec.msgpack.decode(walk.payload(record), type=Journal)
                if self.journal_from < journal.last_seq <= min(limit, self.last_seq):
                    self.journal.append((journal.entries[0].seq, journal.last_seq))
            else:
                part = snapshot.decode(walk.payload(record))
                if part.seq == self.snapshot_seq:
                    self.parts[part.number] = part.last
        except RecordDamaged as error:
            self.found.add(str(error))

    def _journal(self) -> None:
        """A rebuild finds everything it needs."""
        if self.snapshot_seq and (sorted(self.parts) != list(range(len(self.parts))) or not any(self.parts.values())):
            self.found.add(f"the snapshot of sequence {self.snapshot_seq} is not whole: a rebuild would lack it")
        seen = self.journal_from
        for first, last in sorted(self.journal):
            if first > seen + 1:
                self.found.add(f"journal records of sequences {seen + 1} to {first - 1} are missing")
            seen = max(seen, last)
        if seen < self.last_seq:
            self.found.add(f"journal records of sequences {seen + 1} to {self.last_seq} are missing")
