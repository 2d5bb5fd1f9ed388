"""Giving back the space of what is dead: what is alive in a volume is copied elsewhere, then the file goes.

For each chosen volume: walk through it once, check and copy what is alive, flush the copies, switch the extents over by
compare and set (storaged flushes the copies once more before it commits that), then give the volume up, which storaged
refuses as long as a row names it. A damaged record that is alive stays where it is, and its volume stays. Every step
may be the last one: a copy nobody refers to is dead, a volume given up is removed by the next run.
"""

from __future__ import annotations

import os
from typing import Final

import msgspec

from s4gw.store import snapshot
from s4gw.store.errors import RecordDamaged, Refused
from s4gw.store.layout import NO_LIMIT, RecordKind, head_bytes, volume_path
from s4gw.store.ops import Journal
from s4gw.store.pins import Claim
from s4gw.store.schema import fetch
from s4gw.store.snapshotting import take_snapshot
from s4gw.store.upkeep import Filler, Upkeep
from s4gw.store.usage import Plan, Policy, make_plan, read_usage, unused_volumes
from s4gw.store.volume import Extent, VolumeReader, sync_dir
from s4gw.store.volume_ops import Move, Reap, Relocate, Scrubbed, VolumeDrop, VolumeGone, VolumeSeal, VolumeTurn
from s4gw.store.walk import Found, Walk

GRACE_S: Final = 3600
"""How long bytes without a reference stay: for readers that began while there was one, and for deduplication."""

MOVE_GRACE_S: Final = 1.0
"""How long a file stays after everything was moved away: readers that looked it up before are through, and one that is
not looks it up again."""

_MOVES_MAX: Final = 256  # in one transaction: some ms
_MOVE_BYTES_MAX: Final = 16 * 1024**2  # copied between two flushes
_REAP_MAX: Final = 2000  # rows removed in one transaction


class Compacted(msgspec.Struct):
    """What a run did."""

    snapshot: bool = False
    volumes: list[int] = []
    """Given up."""
    busy: list[int] = []
    """Passed over, since bodies on their way lie in them."""
    kept: list[int] = []
    """Not given up: damaged records, or extents committed meanwhile."""
    damaged: list[tuple[int, int, str]] = []
    """Volume, offset and what did not hold."""
    copied_bytes: int = 0
    reclaimed_bytes: int = 0


class Compactor:
    """Compaction of one data directory.

    Args:
        run: The run.
        volume_bytes: Size at which a volume that is being filled is closed.
        grace_s: See `GRACE_S`.
        move_grace_s: See `MOVE_GRACE_S`.
    """

    def __init__(
        self, run: Upkeep, *, volume_bytes: int, grace_s: float = GRACE_S, move_grace_s: float = MOVE_GRACE_S
    ) -> None:
        self._run = run
        self._filler = Filler(run, volume_bytes)
        self._grace_s = grace_s
        self._move_grace_s = move_grace_s
        self._now_s = 0.0  # of the run
        self._dropped: list[tuple[float, int, Claim]] = []
        self.result = Compacted(volumes=[], busy=[], kept=[], damaged=[])

    def plan(self, policy: Policy) -> Plan:
        """What `run` would do now; dead bodies let go of their extents, so that these count."""
        if fetch(self._run.connection, "SELECT 1 FROM dead LIMIT 1"):
            self._run.step("release")
            self._run.store.submit(Reap(0, []))
        return make_plan(read_usage(self._run.connection, self._run.data_dir, self._before_ms()), policy)

    def run(self, policy: Policy) -> Compacted:
        """Do it. Raises: Unavailable, Refused, Stopped; whatever was done stays done."""
        self._tidy()
        self._now_s = self._run.clock()
        plan = self.plan(policy)
        self._reap()
        try:
            if plan.snapshot:
                take_snapshot(self._run, self._filler)
                self.result.snapshot = True
            if any(use.opened for use in plan.volumes):
                self._run.step("turn")
                self._run.store.submit(VolumeTurn())
            for use in plan.volumes:
                self._run.pace.between()
                self._compact(use.volume)
                self._remove_ripe()
            self._filler.seal()
            if self._dropped:
                self._run.pace.wait(self._move_grace_s)
                self._remove_ripe()
        finally:
            for _, _, claim in self._dropped:
                claim.close()
        return self.result

    # -- before ---------------------------------------------------------------------------------------------------
    def _before_ms(self) -> int:
        return int(((self._now_s or self._run.clock()) - self._grace_s) * 1000)

    def _tidy(self) -> None:
        """Finish what an earlier run did not."""
        for (volume,) in fetch(self._run.connection, "SELECT id FROM volumes WHERE state = 'compact'"):
            self._run.store.submit(VolumeSeal(volume))
        leaving = fetch(self._run.connection, "SELECT id FROM volumes WHERE state = 'deleting'")
        if leaving:
            self._run.pace.wait(self._move_grace_s)
        for (volume,) in leaving:
            self._remove(volume)
        for volume in unused_volumes(self._run.connection, self._run.data_dir):
            volume_path(self._run.data_dir, volume).unlink()

    def _reap(self) -> None:
        """Forget extents without a reference whose time has come."""
        before_ms = self._before_ms()
        while True:
            self._run.pace.between()
            rows = fetch(
                self._run.connection,
                "SELECT id FROM extents WHERE refs = 0 AND zero_since <= ? ORDER BY zero_since LIMIT ?",
                (before_ms, _REAP_MAX),
            )
            if not rows:
                return
            self._run.step("reap")
            self._run.store.submit(Reap(before_ms, _runs(sorted(number for (number,) in rows))))

    # -- one volume -----------------------------------------------------------------------------------------------
    def _compact(self, volume: int) -> None:
        try:
            claim = Claim(self._run.data_dir, volume)
        except BlockingIOError:
            self.result.busy.append(volume)
            return
        try:
            kept = not _Evacuation(self._run, self._filler, volume, self.result).run()
        except BaseException:
            claim.close()
            raise
        if kept:
            claim.close()
            self.result.kept.append(volume)
            return
        self._dropped.append((self._run.clock() + self._move_grace_s, volume, claim))
        self.result.volumes.append(volume)

    def _remove_ripe(self) -> None:
        now = self._run.clock()
        for item in list(self._dropped):
            ripe, volume, claim = item
            if ripe <= now:
                self._remove(volume)
                claim.close()
                self._dropped.remove(item)

    def _remove(self, volume: int) -> None:
        """Remove the file of a volume that was given up."""
        path = volume_path(self._run.data_dir, volume)
        self._run.step("truncate")
        if path.exists():
            os.truncate(path, 0)  # processes that have it open would keep the space
            self._run.step("unlink")
            path.unlink()
            sync_dir(path.parent)
        self._run.step("gone")
        self._run.store.submit(VolumeGone(volume))


class _Evacuation:
    """Everything alive in one volume goes elsewhere."""

    def __init__(self, run: Upkeep, filler: Filler, volume: int, result: Compacted) -> None:
        self._run = run
        self._filler = filler
        self._volume = volume
        self._result = result
        self._moves: list[Move] = []
        self._waiting_bytes = 0
        self._carried: dict[int, int] = {}
        self._damaged: list[tuple[int, str]] = []
        self._holes = False
        [(seq, journal_from)] = fetch(run.connection, "SELECT snapshot_seq, journal_from FROM state")
        self._needed_snapshot: int = seq
        self._journal_from: int = journal_from
        self._limit = _limit(run, volume)
        self._rows: dict[int, tuple[int, int, int]] = {
            offset: (number, size, crc)
            for number, offset, size, crc in fetch(
                run.connection, "SELECT id, offset, size, crc FROM extents WHERE volume = ?", (volume,)
            )
        }

    def run(self) -> bool:
        """Returns: whether the volume was given up."""
        with Walk(self._run.data_dir, self._volume) as walk:
            size, base_seq = walk.size, walk.header.base_seq
            for found in walk.records():
                if isinstance(found, Found):
                    self._take(walk, found)
                else:
                    self._holes = True
        self._take_the_rest()
        self._switch()
        if self._damaged:
            self._result.damaged += [(self._volume, *damage) for damage in self._damaged]
            self._run.store.submit(Scrubbed(self._volume, False, 0, self._damaged))
            return False
        if self._holes and self._may_need_journal():
            # A journal record may have been where nothing can be read: the index, which is whole, takes its place.
            take_snapshot(self._run, self._filler)
            self._result.snapshot = True
            self._carried.clear()
        self._filler.flush()
        if fetch(self._run.connection, "SELECT 1 FROM extents WHERE volume = ? LIMIT 1", (self._volume,)):
            return False
        self._run.step("drop")
        try:
            self._run.store.submit(VolumeDrop(self._volume, base_seq, list(self._carried.items()), size))
        except Refused:
            return False  # committed in this moment; the next run takes it along
        self._result.reclaimed_bytes += size
        return True

    def _may_need_journal(self) -> bool:
        """Whether a rebuild needs journal records that were first written here."""
        [(needed,)] = fetch(self._run.connection, "SELECT meta_bytes FROM volumes WHERE id = ?", (self._volume,))
        return bool(needed)

    def _take(self, walk: Walk, found: Found) -> None:
        """Copy one record, if it is alive."""
        data = found.head.kind is RecordKind.DATA
        row = self._rows.pop(found.offset, None) if data else None
        if data and row is None:
            return
        if row is not None and (found.head.size, found.head.crc) != row[1:]:
            self._damaged.append((found.offset, "another record lies here"))
            return
        try:
            payload = walk.payload(found)
            if row is not None:
                self._move(row[0], found.offset, payload)
            elif self._is_needed(found.head.kind, payload):
                copy = self._filler.append(found.head.kind, payload)
                size = head_bytes(copy.size) + copy.size
                self._carried[copy.volume] = self._carried.get(copy.volume, 0) + size
                self._run.pace.spend(2 * size)
        except RecordDamaged as error:
            if row is None:
                self._holes = True
            else:
                self._damaged.append((found.offset, error.reason))

    def _is_needed(self, kind: RecordKind, payload: bytes) -> bool:
        if kind is RecordKind.SNAPSHOT:
            return snapshot.decode(payload).seq == self._needed_snapshot
        last_seq = msgspec.msgpack.decode(payload, type=Journal).last_seq
        return self._journal_from < last_seq <= self._limit

    def _take_the_rest(self) -> None:
        """Extents that the walk did not come by: damage in front of them, most likely."""
        reader = VolumeReader(self._run.data_dir)
        for offset, (number, size, crc) in self._rows.items():
            try:
                self._move(number, offset, reader.read(Extent(self._volume, offset, size, crc), 0, size))
            except RecordDamaged as error:
                self._damaged.append((offset, error.reason))
        self._rows.clear()

    def _move(self, number: int, offset: int, payload: bytes) -> None:
        copy = self._filler.append(RecordKind.DATA, payload)
        self._moves.append(Move(number, self._volume, offset, copy))
        self._waiting_bytes += len(payload)
        self._run.pace.spend(2 * len(payload))
        if len(self._moves) >= _MOVES_MAX or self._waiting_bytes >= _MOVE_BYTES_MAX:
            self._switch()

    def _switch(self) -> None:
        """Let the index name the copies."""
        if not self._moves:
            return
        self._filler.flush()
        self._run.step("switch")
        outcome = self._run.store.submit(Relocate(self._moves))
        self._result.copied_bytes += outcome.stored_size
        self._moves = []
        self._waiting_bytes = 0
        self._run.pace.between()


def _limit(run: Upkeep, volume: int) -> int:
    """Journal records of the volume with a greater last sequence were never committed."""
    [(limit,)] = fetch(run.connection, "SELECT min(base_seq) FROM volumes WHERE id > ?", (volume,))
    return NO_LIMIT if limit is None else int(limit)


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    """First number and count of each consecutive stretch of ascending *numbers*."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and sum(runs[-1]) == number:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((number, 1))
    return runs
