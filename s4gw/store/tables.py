"""Building blocks of one index transaction: sequences, extents and their reference counts, buckets, counters.

An operation is refused before it writes anything: whoever calls a method that writes has made all its checks. Caches
hold only what the transaction or an earlier committed one has written; `forget` empties them after a failed one.
"""

# ruff: noqa: S608 - the interpolated columns are constants of ours
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import apsw
import msgspec

from s4gw.store.errors import NoBucket, NoSpace
from s4gw.store.layout import EXTENT_BYTES_MAX, head_bytes
from s4gw.store.ops import LockDefault
from s4gw.store.schema import VERSION_COLUMNS, pack_runs, runs_of, unpack_runs
from s4gw.store.volume import Extent

_BUCKET_CACHE_MAX: Final = 10_000
_FACTS_CACHE_MAX: Final = 10_000


class BucketRow(NamedTuple):
    """What operations on objects need to know of a bucket."""

    id: int
    versioning: str
    owner: str
    lock: LockDefault | None
    """None: no version can be locked."""
    mfa_delete: str
    quota: int | None
    """Stored bytes that the bucket may hold."""


class Version(NamedTuple):
    """A row of `objects` or `versions`, in the order of `VERSION_COLUMNS`."""

    seq: int
    flags: int
    size: int
    etag: str
    stored_size: int
    modified_ms: int
    facts: int
    nonce: bytes


class Tables:
    """State of the running transaction over the committer's connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.execute = connection.cursor().execute
        """PERF: one cursor for all, since making one costs as much as a small statement: take the rows of a query
        before the next statement."""
        self.now_ms = 0
        self.last_seq = 0
        self.next_extent = 0
        self.volumes_good: set[int] = set()
        self.touched: set[int] = set()
        self.dropped: set[int] = set()
        self.turn = False
        """Begin a new volume after this commit."""
        self.replaying = False
        """The index is made anew: what the journal says was checked when it was written."""
        self._buckets: dict[str, BucketRow] = {}
        self._facts: dict[bytes, int] = {}
        self._counts: dict[int, list[int]] = {}
        self._volume_counts: dict[int, list[int]] = {}

    # -- the transaction ------------------------------------------------------------------------------------------
    def load(self) -> tuple[int, int]:
        """Read the committed state. Returns: current volume and its committed end."""
        row = self.execute("SELECT last_seq, next_extent, volume, volume_end FROM state").fetchone()
        assert row is not None
        self.last_seq, self.next_extent, volume, volume_end = row
        self.volumes_good = {
            number for (number,) in self.execute("SELECT id FROM volumes WHERE state IN ('open', 'compact', 'full')")
        }
        self.forget()
        return volume, volume_end

    def forget(self) -> None:
        """Drop everything remembered from a transaction that was rolled back."""
        self._buckets.clear()
        self._facts.clear()
        self._counts.clear()
        self._volume_counts.clear()
        self.touched.clear()
        self.dropped.clear()
        self.turn = False

    def begin(self, now_ms: int) -> None:
        """Start the transaction."""
        self.now_ms = now_ms
        self.touched.clear()
        self.dropped.clear()
        self.turn = False
        self.execute("BEGIN IMMEDIATE")

    def write_state(self, volume: int, volume_end: int) -> None:
        """Write counters and state rows; the last thing before the commit."""
        for bucket, (objects, versions, size) in self._counts.items():
            self.execute(
                "UPDATE buckets SET objects = objects + ?, versions = versions + ?, bytes = bytes + ? WHERE id = ?",
                (objects, versions, size, bucket),
            )
        self._counts.clear()
        self.write_volume_counts()
        self.execute(
            "UPDATE state SET last_seq = ?, next_extent = ?, volume = ?, volume_end = ?",
            (self.last_seq, self.next_extent, volume, volume_end),
        )

    def write_volume_counts(self) -> None:
        """Write the counters of volumes."""
        for volume, counts in self._volume_counts.items():
            self.execute(
                "UPDATE volumes SET extents = extents + ?, live_bytes = live_bytes + ?, data_bytes = data_bytes + ?,"
                " meta_bytes = meta_bytes + ? WHERE id = ?",
                (*counts, volume),
            )
        self._volume_counts.clear()

    def count_extent(self, volume: int, size: int, number: int) -> None:
        """*number* (1 or -1) of extents of this payload *size* in the volume."""
        counts = self._volume_counts.setdefault(volume, [0, 0, 0, 0])
        counts[0] += number
        counts[1] += number * (head_bytes(size) + size)
        counts[2] += number * size

    def count_meta(self, volume: int, record_bytes: int) -> None:
        """So many bytes of journal or snapshot records more in the volume."""
        self._volume_counts.setdefault(volume, [0, 0, 0, 0])[3] += record_bytes

    def total(self, name: str, number: int) -> None:
        """Add to a figure that only grows."""
        self.execute(
            "INSERT INTO totals VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = value + ?2", (name, number)
        )

    def take_seq(self) -> int:
        """The next sequence number."""
        self.last_seq += 1
        return self.last_seq

    # -- buckets --------------------------------------------------------------------------------------------------
    def bucket(self, name: str) -> BucketRow:
        """Raises: NoBucket."""
        known = self._buckets.get(name)
        if known is None:
            row = self.execute(
                "SELECT id, versioning, owner, lock, mfa_delete, quota FROM buckets WHERE name = ?", (name,)
            ).fetchone()
            if row is None:
                raise NoBucket(name)
            if len(self._buckets) >= _BUCKET_CACHE_MAX:
                self._buckets.clear()
            number, versioning, owner, lock, mfa_delete, quota = row
            default = None if lock is None else msgspec.msgpack.decode(lock, type=LockDefault)
            known = self._buckets[name] = BucketRow(number, versioning, owner, default, mfa_delete, quota)
        return known

    def bucket_changed(self, name: str) -> None:
        """Forget what is remembered of the bucket."""
        self._buckets.pop(name, None)

    def count(self, bucket: int, *, objects: int = 0, versions: int = 0, size: int = 0) -> None:
        """Change the bucket's counters: visible objects, versions and markers, stored bytes with those of parts."""
        counts = self._counts.setdefault(bucket, [0, 0, 0])
        counts[0] += objects
        counts[1] += versions
        counts[2] += size

    def bucket_bytes(self, bucket: int) -> int:
        """Stored bytes of all versions and parts in the bucket, this transaction's included."""
        row = self.execute("SELECT bytes FROM buckets WHERE id = ?", (bucket,)).fetchone()
        assert row is not None
        return int(row[0]) + self._counts.get(bucket, (0, 0, 0))[2]

    def facts_id(self, document: bytes) -> int:
        """Number of this listing document."""
        known = self._facts.get(document)
        if known is None:
            self.execute("INSERT OR IGNORE INTO facts (document) VALUES (?)", (document,))
            row = self.execute("SELECT id FROM facts WHERE document = ?", (document,)).fetchone()
            assert row is not None
            if len(self._facts) >= _FACTS_CACHE_MAX:
                self._facts.clear()
            known = self._facts[document] = row[0]
        return known

    # -- extents --------------------------------------------------------------------------------------------------
    def check_extents(self, extents: Iterable[Extent]) -> None:
        """Raises: NoSpace, when a volume may have lost what was written to it."""
        if self.replaying:
            return
        for extent in extents:
            if extent.volume not in self.volumes_good or not 0 < extent.size <= EXTENT_BYTES_MAX:
                raise NoSpace(f"volume {extent.volume}")

    def add_extents(self, extents: Sequence[Extent]) -> list[tuple[int, int, int]]:
        """One reference for each of *extents*, new ones or such as are there already. Returns: their runs."""
        if len(extents) == 1:  # PERF: a small body
            return [(self._add_extent(extents[0]), 1, extents[0].size)]
        numbers = [self._add_extent(extent) for extent in extents]
        return runs_of(numbers, [extent.size for extent in extents])

    def _add_extent(self, extent: Extent) -> int:
        """The number of an equal extent, if there is one, or a new one."""
        volume, size, digest = extent.volume, extent.size, extent.digest
        if digest:
            row = self.execute("SELECT id FROM extents WHERE hash = ? AND size = ?", (digest, size)).fetchone()
            if row is not None:
                number: int = row[0]
                self.retain([(number, 1, size)])
                return number
        number = self.next_extent
        self.next_extent += 1
        self.touched.add(volume)
        self.count_extent(volume, size, 1)
        self.execute(
            "INSERT INTO extents (id, volume, offset, size, crc, refs, hash) VALUES (?, ?, ?, ?, ?, 1, ?)",
            (number, volume, extent.offset, size, extent.crc, digest or None),
        )
        return number

    def retain(self, runs: Iterable[tuple[int, int, int]]) -> None:
        """One reference more for each extent of *runs*."""
        for first, count, _ in runs:
            self.execute(
                "UPDATE extents SET refs = refs + 1, zero_since = NULL WHERE id BETWEEN ? AND ?",
                (first, first + count - 1),
            )

    def release(self, runs: Iterable[tuple[int, int, int]]) -> None:
        """One reference less; the last one leaves the time."""
        for first, count, _ in runs:
            self.execute(
                "UPDATE extents SET refs = refs - 1, zero_since = CASE refs WHEN 1 THEN ? END WHERE id BETWEEN ? AND ?",
                (self.now_ms, first, first + count - 1),
            )

    # -- versions and bodies --------------------------------------------------------------------------------------
    def current(self, bucket: int, key: bytes) -> Version | None:
        """The current version of the key, markers included."""
        row = self.execute(_SELECT_CURRENT, (bucket, key)).fetchone()
        return None if row is None else Version(*row)

    def older(self, bucket: int, key: bytes, seq: int) -> Version | None:
        """The version with this sequence, if it is not the current one."""
        row = self.execute(_SELECT_OLDER, (bucket, key, seq)).fetchone()
        return None if row is None else Version(*row)

    def older_null(self, bucket: int, key: bytes) -> Version | None:
        """The null version, if it is not the current one."""
        row = self.execute(_SELECT_NULL, (bucket, key)).fetchone()
        return None if row is None else Version(*row)

    def add_body(self, seq: int, meta: bytes, runs: Sequence[tuple[int, int, int]], inline: bytes | None) -> None:
        """Body of the version *seq*."""
        self.execute("INSERT INTO bodies VALUES (?, ?, ?, ?)", (seq, meta, pack_runs(runs), inline))

    def body_runs(self, seq: int) -> list[tuple[int, int, int]]:
        """Extents of the version *seq*; none for a marker."""
        row = self.execute("SELECT extents FROM bodies WHERE seq = ?", (seq,)).fetchone()
        return unpack_runs(row[0]) if row else []

    def drop_body(self, seq: int) -> None:
        """Remove the body of *seq* and release its extents."""
        self.release(self.body_runs(seq))
        self.execute("DELETE FROM bodies WHERE seq = ?", (seq,))


_SELECT_CURRENT: Final = f"SELECT {VERSION_COLUMNS} FROM objects WHERE bucket = ? AND key = ?"
_SELECT_OLDER: Final = f"SELECT {VERSION_COLUMNS} FROM versions WHERE bucket = ? AND key = ? AND seq = ?"
_SELECT_NULL: Final = f"SELECT {VERSION_COLUMNS} FROM versions WHERE bucket = ? AND key = ? AND flags & 2"
