"""Upkeep as commands and the schedule ask for it: compaction, scrubbing, checks, backups, figures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import apsw

from s4gw.store.backup import BackedUp, backup, free_bytes, restore
from s4gw.store.check import Findings, check
from s4gw.store.compaction import GRACE_S, Compacted, Compactor
from s4gw.store.engine import Store
from s4gw.store.errors import DataDirError
from s4gw.store.recovery import prepare
from s4gw.store.schema import open_reader
from s4gw.store.scrub import ScrubReport, due, every_volume, scrub
from s4gw.store.upkeep import PAUSE_FILE, Filler, Pace, Stopped, upkeep
from s4gw.store.usage import DAILY, FULL, PRESSURE, ROUTINE, Plan, Policy, StoreStats, read_stats

__all__ = [
    "FULL", "ROUTINE", "TEND_EVERY_S", "BackedUp", "Compacted", "Findings", "Pace", "Plan", "ScrubReport", "Stopped",
    "StoreStats", "backup", "check", "compact", "pause", "plan", "prepare", "restore", "resume", "scrub_all", "stats",
    "tend",
]  # fmt: skip

TEND_EVERY_S: Final = 300.0
"""How often a gateway has `tend` run."""

_DAY_S: Final = 86_400
_DAILY_FILE: Final = "upkeep.daily"  # its time is that of the last daily run
_FREE_SHARE_MIN: Final = 0.1
_PRESSURE_GRACE_S: Final = 600.0


def plan(store: Store, policy: Policy, *, grace_s: float = GRACE_S) -> Plan:
    """What `compact` would do now. Raises: StoreLocked, Unavailable."""
    with upkeep(store, Pace(store.data_dir, 0)) as run:
        return Compactor(run, volume_bytes=1, grace_s=grace_s).plan(policy)


def compact(store: Store, policy: Policy, pace: Pace, *, volume_bytes: int, grace_s: float = GRACE_S) -> Compacted:
    """Run compaction. Raises: StoreLocked, Unavailable, Refused, Stopped."""
    with upkeep(store, pace) as run:
        return Compactor(run, volume_bytes=volume_bytes, grace_s=grace_s).run(policy)


def scrub_all(store: Store, pace: Pace) -> ScrubReport:
    """Read everything. Raises: StoreLocked, Unavailable, Refused, Stopped."""
    with upkeep(store, pace) as run:
        return scrub(run, Filler(run, 2**40), every_volume(run))


def tend(store: Store, pace: Pace, *, volume_bytes: int, grace_s: float = GRACE_S) -> list[str]:
    """Do what is due: compaction, once a day more thoroughly, and a share of the scrub.

    Returns: a line for whatever an operator should know.
    Raises: StoreLocked, Unavailable, Refused, Stopped.
    """
    lines: list[str] = []
    daily = store.data_dir / _DAILY_FILE
    policy = ROUTINE
    free, total = free_bytes(store.data_dir)
    if free < max(_FREE_SHARE_MIN * total, 2 * volume_bytes):
        policy, grace_s = PRESSURE, min(grace_s, _PRESSURE_GRACE_S)
    elif not daily.exists() or time.time() - daily.stat().st_mtime > _DAY_S:
        policy = DAILY
    with upkeep(store, pace) as run:
        pace.between()
        done = Compactor(run, volume_bytes=volume_bytes, grace_s=grace_s).run(policy)
        if policy is DAILY:
            daily.touch(mode=0o600)
        if done.volumes:
            lines.append(
                f"{policy.name} compaction: {len(done.volumes)} volumes, {done.copied_bytes} bytes copied, "
                f"{done.reclaimed_bytes - done.copied_bytes} came back"
            )
        found = scrub(run, Filler(run, volume_bytes), due(run, TEND_EVERY_S))
    lines += [
        f"DAMAGED: volume {volume} offset {offset}: {reason}"
        for volume, offset, reason in (*done.damaged, *found.damaged)
    ]
    return lines


def stats(data_dir: Path) -> StoreStats:
    """Figures of the store. Raises: DataDirError."""
    prepare(data_dir, read_only=True)
    try:
        connection = open_reader(data_dir / "index.db")
    except apsw.Error as error:
        raise DataDirError(f"{data_dir}: the index cannot be opened") from error
    try:
        return read_stats(connection, data_dir)
    finally:
        connection.close()


def pause(data_dir: Path) -> None:
    """Let compaction, scrubbing and lifecycle passes rest, the running ones too."""
    (data_dir / PAUSE_FILE).touch(mode=0o600)


def is_paused(data_dir: Path) -> bool:
    """Whether they are to rest."""
    return (data_dir / PAUSE_FILE).exists()


def resume(data_dir: Path) -> None:
    """Let them go on."""
    (data_dir / PAUSE_FILE).unlink(missing_ok=True)
