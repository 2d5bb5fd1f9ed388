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
from s4gw.store.schema import VERSION_COLUMNS, fetch, pack_runs, runs_of, unpack_runs
from s4gw.store.volume import Extent

_BUCKET_CACHE_MAX: Final = 10_000
_FACTS_CACHE_MAX: Final = 10_000
_DEAD_BODY_BYTES: Final = 16 * 1024  # what waits in `dead` keeps 16 MiB of the volumes at most
DEAD_MAX: Final = 1024
DEAD_GROUP: Final = 32  # see the table's description
_DEAD_SLICE: Final = 4
"""Of so many groups, the oldest, the dead are removed when there are more than `DEAD_MAX`.

Removed one by one as their objects are overwritten, they cost a page of `bodies`, one of `extents` and one of its index
each: as much as everything else in the commit of a small PUT. What is oldest lies together, and most of it is dead.
"""


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
        cursor = connection.cursor()
        self._many = cursor.executemany
        self.execute = cursor.execute
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
        self._dying: dict[int, list[int]] = {}
        """Bodies that died in this transaction: mask and bytes by group."""
        self._dead = 0

    # -- the transaction ------------------------------------------------------------------------------------------
    def load(self) -> tuple[int, int]:
        """Read the committed state. Returns: current volume and its committed end."""
        row = self.execute("SELECT last_seq, next_extent, volume, volume_end FROM state").fetchone()
        assert row is not None
        self.last_seq, self.next_extent, volume, volume_end = row
        self.volumes_good = {
            number for (number,) in self.execute("SELECT id FROM volumes WHERE state IN ('open', 'compact', 'full')")
        }
        self._dead = sum([mask.bit_count() for (mask,) in fetch(self.connection, "SELECT mask FROM dead")])
        self.forget()
        return volume, volume_end

    def forget(self) -> None:
        """Drop everything remembered from a transaction that was rolled back."""
        self._buckets.clear()
        self._facts.clear()
        self._counts.clear()
        self._volume_counts.clear()
        self._dying.clear()
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
            self.execute(_RELEASE, (self.now_ms, first, first + count - 1))

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

    def drop_body(self, seq: int, stored_size: int) -> None:
        """Remove the body of *seq* and release its extents; a small one waits until there are many."""
        if stored_size <= _DEAD_BODY_BYTES:
            dying = self._dying.setdefault(seq // DEAD_GROUP, [0, 0])
            dying[0] |= 1 << seq % DEAD_GROUP
            dying[1] += stored_size
            return
        self.release(self.body_runs(seq))
        self.execute("DELETE FROM bodies WHERE seq = ?", (seq,))

    def remove_dead(self, *, every_one: bool = False) -> None:
        """Remove dead bodies, the oldest first, until there are no more than `DEAD_MAX`, or none.

        At the end of each batch and before extents are reaped, so that a replay of the journal does it there too.
        """
        if self._dying:
            self._dead += sum([mask.bit_count() for mask, _ in self._dying.values()])
            rows = [(group, mask, self.now_ms, size) for group, (mask, size) in self._dying.items()]
            self._many(_ADD_DEAD, rows)
            self._dying.clear()
        while self._dead > (0 if every_one else DEAD_MAX):
            self._remove_slice()

    def _remove_slice(self) -> None:
        """Remove the oldest dead bodies."""
        releases: list[tuple[int, int, int]] = []
        last = 0
        for last, mask, at_ms in fetch(self.connection, _SELECT_DEAD, (_DEAD_SLICE,)):
            base = last * DEAD_GROUP
            first, end = base + (mask & -mask).bit_length() - 1, base + mask.bit_length() - 1
            for (packed,) in fetch(self.connection, _DELETE_BODIES, (first, end, mask, base)):
                for number, count, _ in unpack_runs(packed):
                    if releases and releases[-1][2] + 1 == number and releases[-1][0] == at_ms:
                        releases[-1] = (at_ms, releases[-1][1], number + count - 1)
                    else:
                        releases.append((at_ms, number, number + count - 1))
            self._dead -= mask.bit_count()
        self._many(_RELEASE, releases)
        self.execute("DELETE FROM dead WHERE id <= ?", (last,))


_ADD_DEAD: Final = """
    INSERT INTO dead VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
    mask = mask | excluded.mask, at_ms = excluded.at_ms, stored_size = stored_size + excluded.stored_size"""
_DELETE_BODIES: Final = "DELETE FROM bodies WHERE seq BETWEEN ? AND ? AND ? >> (seq - ?) & 1 RETURNING extents"
_RELEASE: Final = """
    UPDATE extents SET refs = refs - 1, zero_since = CASE refs WHEN 1 THEN ? END WHERE id BETWEEN ? AND ?"""
_SELECT_DEAD: Final = "SELECT id, mask, at_ms FROM dead ORDER BY id LIMIT ?"
_SELECT_CURRENT: Final = f"SELECT {VERSION_COLUMNS} FROM objects WHERE bucket = ? AND key = ?"
_SELECT_OLDER: Final = f"SELECT {VERSION_COLUMNS} FROM versions WHERE bucket = ? AND key = ? AND seq = ?"
_SELECT_NULL: Final = f"SELECT {VERSION_COLUMNS} FROM versions WHERE bucket = ? AND key = ? AND flags & 2"
