"""How much of each volume is alive, and which are worth compacting: counters and file sizes, no data is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import apsw
import msgspec

from s4gw.store.layout import BLOCK_BYTES, RECORD_HEADER, VOLUME_HEADER, volume_path
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
    """One closed volume."""

    volume: int
    size: int
    live_bytes: int
    """Records that a row of the index names, without those whose time has come."""
    meta_bytes: int

    @property
    def dead_bytes(self) -> int:
        """What compaction gives back."""
        return max(0, self.size - VOLUME_HEADER.size - self.live_bytes - self.meta_bytes)


class Usage(msgspec.Struct, frozen=True):
    """What a plan is made of."""

    closed: tuple[VolumeUse, ...]
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
    rows = fetch(connection, "SELECT id, live_bytes, meta_bytes FROM volumes WHERE state IN ('full', 'bad')")
    uses = tuple(
        VolumeUse(volume, volume_path(data_dir, volume).stat().st_size, live - ripe.get(volume, 0), meta)
        for volume, live, meta in rows
        if volume_path(data_dir, volume).exists()
    )
    known = fetch(connection, "SELECT value FROM totals WHERE name = 'snapshot_bytes'")
    snapshot = known[0][0] if known else 0
    meta = sum(use.meta_bytes for use in uses)
    damaged = frozenset(volume for (volume,) in fetch(connection, "SELECT DISTINCT volume FROM damaged"))
    return Usage(uses, max(0, meta - snapshot), snapshot, damaged)


def make_plan(usage: Usage, policy: Policy) -> Plan:
    """Choose volumes: the cheapest first, so that a full disk gets room before anything has to be copied."""
    snapshot = usage.journal_bytes > policy.journal_bytes_max + policy.snapshots_max * usage.snapshot_bytes
    uses = usage.closed
    if snapshot:
        uses = tuple(msgspec.structs.replace(use, meta_bytes=0) for use in uses)
    chosen = [use for use in uses if _worth(use, policy) and not (use.volume in usage.quarantined and use.live_bytes)]
    return Plan(snapshot, tuple(sorted(chosen, key=_cost)))


def _worth(use: VolumeUse, policy: Policy) -> bool:
    if not use.live_bytes and not use.meta_bytes:
        return True
    return use.dead_bytes >= policy.dead_bytes_min and use.dead_bytes >= policy.dead_share_min * use.size


def _cost(use: VolumeUse) -> tuple[float, int]:
    return (use.live_bytes + use.meta_bytes) / max(use.size, 1), use.volume


def total_dead(uses: Sequence[VolumeUse]) -> int:
    """Dead bytes in closed volumes."""
    return sum(use.dead_bytes for use in uses)
