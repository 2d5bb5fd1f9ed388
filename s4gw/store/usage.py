"""How much of each volume is alive, and which are worth compacting: counters and file sizes, no data is read."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import apsw
import msgspec

from s4gw.store.layout import BLOCK_BYTES, RECORD_HEADER, VOLUME_HEADER, volume_path
from s4gw.store.recovery import volume_ids
from s4gw.store.schema import fetch


class Policy(msgspec.Struct, frozen=True):
    """When a volume is worth copying what is alive in it."""

    name: str
    dead_share_min: float
    """Of the file."""
    dead_bytes_min: int
    journal_bytes_max: int
    """A snapshot is due when journal records take this and `snapshots_max` times the last snapshot."""
    snapshots_max: float


ROUTINE: Final = Policy("routine", 0.3, 10 * 1024**2, 16 * 1024**2, 2.0)
"""Copies at most 7 bytes for 3 that come back."""

DAILY: Final = Policy("daily", 0.15, 1024**2, 16 * 1024**2, 2.0)

PRESSURE: Final = Policy("pressure", 0.05, 1024**2, 16 * 1024**2, 1.0)
"""The disk is nearly full: work costs less than space."""

FULL: Final = Policy("full", 0.04, 4096, 1024**2, 1.0)
"""On demand: afterwards less than 5 % of what is alive is dead."""


class VolumeUse(msgspec.Struct, frozen=True):
    """One volume."""

    volume: int
    size: int
    live_bytes: int
    """Records that a row of the index names, without those whose time has come."""
    meta_bytes: int
    opened: bool = False
    """It takes new data, and has to be closed first."""

    @property
    def dead_bytes(self) -> int:
        """What compaction gives back."""
        return max(0, self.size - VOLUME_HEADER.size - self.live_bytes - self.meta_bytes)


class Usage(msgspec.Struct, frozen=True):
    """What a plan is made of."""

    volumes: tuple[VolumeUse, ...]
    journal_bytes: int
    """Of journal records that a rebuild needs, in closed volumes."""
    snapshot_bytes: int
    quarantined: frozenset[int]
    """Volumes with damaged records."""


class Plan(msgspec.Struct, frozen=True):
    """What a run is going to do."""

    snapshot: bool
    volumes: tuple[VolumeUse, ...]
    """In this order."""

    @property
    def dead_bytes(self) -> int:
        """What comes back."""
        return sum(use.dead_bytes for use in self.volumes)


def read_usage(connection: apsw.Connection, data_dir: Path, before_ms: int) -> Usage:
    """Count.

    Args:
        connection: Of the index.
        data_dir: The data directory.
        before_ms: Extents without a reference since then count as dead.
    """
    rows = fetch(
        connection,
        "SELECT volume, sum(size + ? + 4 * ((size + ?) / ?)) FROM extents WHERE refs = 0 AND zero_since <= ?"
        " GROUP BY volume",
        (RECORD_HEADER.size, BLOCK_BYTES - 1, BLOCK_BYTES, before_ms),
    )
    ripe: dict[int, int] = {volume: size for volume, size in rows}  # noqa: C416 - says the types
    rows = fetch(
        connection,
        "SELECT id, live_bytes, meta_bytes, state = 'open' FROM volumes WHERE state IN ('open', 'full', 'bad')",
    )
    uses = tuple(
        VolumeUse(volume, _size(data_dir, volume), live - ripe.get(volume, 0), meta, bool(opened))
        for volume, live, meta, opened in rows
        if volume_path(data_dir, volume).exists()
    )
    known = fetch(connection, "SELECT value FROM totals WHERE name = 'snapshot_bytes'")
    snapshot = known[0][0] if known else 0
    meta = sum(use.meta_bytes for use in uses if not use.opened)  # a snapshot leaves those of the open one needed
    return Usage(uses, max(0, meta - snapshot), snapshot, _quarantined(connection, before_ms))


def _quarantined(connection: apsw.Connection, before_ms: int) -> frozenset[int]:
    """Volumes with damaged records that are alive, or with a damaged head."""
    places = fetch(connection, "SELECT volume, offset FROM damaged")
    whole = {volume for volume, offset in places if not offset}
    if len(whole) < len(places):
        rows = fetch(
            connection,
            "SELECT DISTINCT e.volume FROM extents e JOIN damaged d ON d.volume = e.volume AND d.offset = e.offset"
            " WHERE e.refs > 0 OR e.zero_since > ?",
            (before_ms,),
        )
        whole.update(volume for (volume,) in rows)
    return frozenset(whole)


def make_plan(usage: Usage, policy: Policy) -> Plan:
    """Choose volumes: the cheapest first, so that a full disk gets room before anything has to be copied."""
    snapshot = usage.journal_bytes > policy.journal_bytes_max + policy.snapshots_max * usage.snapshot_bytes
    uses = usage.volumes
    if snapshot:  # what is in the volume that is open now is needed beside it
        uses = tuple(use if use.opened else msgspec.structs.replace(use, meta_bytes=0) for use in uses)
    chosen = [use for use in uses if _worth(use, policy) and not (use.volume in usage.quarantined and use.live_bytes)]
    return Plan(snapshot, tuple(sorted(chosen, key=_cost)))


def _worth(use: VolumeUse, policy: Policy) -> bool:
    if not use.opened and not use.live_bytes and not use.meta_bytes:
        return True
    return use.dead_bytes >= policy.dead_bytes_min and use.dead_bytes >= policy.dead_share_min * use.size


def _cost(use: VolumeUse) -> tuple[float, int]:
    return (use.live_bytes + use.meta_bytes) / max(use.size, 1), use.volume


def unused_volumes(connection: apsw.Connection, data_dir: Path) -> list[int]:
    """Volumes that were made and never came into use, since their maker died."""
    known = {volume for (volume,) in fetch(connection, "SELECT id FROM volumes")}
    return [
        volume
        for volume in volume_ids(data_dir)
        if volume not in known and volume < max(known, default=0) and _size(data_dir, volume) <= VOLUME_HEADER.size
    ]


class StoreStats(msgspec.Struct, frozen=True):
    """Figures of a store, from counters."""

    buckets: int
    objects: int
    versions: int
    referenced_bytes: int
    """Stored bodies and parts, each counted as often as it is referred to."""
    unique_bytes: int
    """The same, equal extents counted once."""
    waiting_bytes: int
    """Without a reference, within the grace."""
    volumes: int
    disk_bytes: int
    """Size of all volumes."""
    dead_bytes: int
    """What compaction could give back now, once it is through the grace."""
    meta_bytes: int
    damaged_records: int
    oldest_scrub_ms: int
    """When the closed volume that was scrubbed longest ago was; 0 for never, or when there is none."""
    totals: dict[str, int]
    """Since the store was made: compacted_bytes, reclaimed_bytes, scrubbed_bytes ..."""

    @property
    def ratio(self) -> float:
        """Referenced over unique."""
        return self.referenced_bytes / self.unique_bytes if self.unique_bytes else 1.0


def read_stats(connection: apsw.Connection, data_dir: Path) -> StoreStats:
    """Read the figures: a few milliseconds, whatever the number of objects."""
    rows = fetch(
        connection,
        "SELECT id, live_bytes, meta_bytes, data_bytes, state = 'open' FROM volumes"
        " WHERE state NOT IN ('deleting', 'gone')",
    )
    sizes = {volume: _size(data_dir, volume) for volume, *_ in rows}
    [(buckets, objects, versions, stored)] = fetch(
        connection,
        "SELECT count(*), coalesce(sum(objects), 0), coalesce(sum(versions), 0), coalesce(sum(bytes), 0) FROM buckets",
    )
    [(waiting,)] = fetch(connection, _WAITING)
    [(damaged,)] = fetch(connection, "SELECT count(*) FROM damaged")
    [(oldest,)] = fetch(connection, "SELECT min(scrubbed_ms) FROM volumes WHERE state IN ('full', 'bad')")
    return StoreStats(
        buckets=buckets,
        objects=objects,
        versions=versions,
        referenced_bytes=stored,
        unique_bytes=sum(data for _, _, _, data, _ in rows) - waiting,
        waiting_bytes=waiting,
        volumes=len(rows),
        disk_bytes=sum(sizes.values()),
        dead_bytes=sum(
            max(0, sizes[volume] - VOLUME_HEADER.size - live - meta)
            for volume, live, meta, _, opened in rows
            if not opened
        ),
        meta_bytes=sum(meta for _, _, meta, _, _ in rows),
        damaged_records=damaged,
        oldest_scrub_ms=oldest or 0,
        totals=dict(fetch(connection, "SELECT name, value FROM totals")),
    )


_WAITING: Final = """
    SELECT (SELECT coalesce(sum(size), 0) FROM extents WHERE refs = 0)
        + (SELECT coalesce(sum(stored_size), 0) FROM dead)"""


def _size(data_dir: Path, volume: int) -> int:
    path = volume_path(data_dir, volume)
    return path.stat().st_size if path.exists() else 0
