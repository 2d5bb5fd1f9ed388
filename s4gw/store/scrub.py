"""Reading everything again before anybody needs it: are the records that the index names still what was written?

Volume by volume, those that were read longest ago first; each is noted when it is through, so a run that ends goes on
where it was. What is damaged is noted by place and stays where it is: reads refuse it, compaction leaves its volume
alone, and nothing new is stored as equal to it. A journal record that cannot be read any more is made up for by a
snapshot of the index, which is whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from s4gw.store.errors import RecordDamaged
from s4gw.store.layout import RecordKind
from s4gw.store.schema import fetch
from s4gw.store.snapshotting import take_snapshot
from s4gw.store.upkeep import Filler, Upkeep
from s4gw.store.volume_ops import Scrubbed
from s4gw.store.walk import Found, Walk

SCRUB_DAYS: Final = 30
"""Within so many days everything has been read once."""


class ScrubReport(msgspec.Struct):
    """What a run found."""

    volumes: int = 0
    read_bytes: int = 0
    damaged: list[tuple[int, int, str]] = []
    """Volume, offset and what did not hold."""
    snapshot: bool = False
    """Whether journal records had to be made up for."""


def due(run: Upkeep, share_s: float) -> list[int]:
    """Volumes to be read now, when this is called every *share_s* seconds."""
    rows = fetch(
        run.connection,
        "SELECT id FROM volumes WHERE state IN ('full', 'bad') AND scrubbed_ms <= ? ORDER BY scrubbed_ms, id",
        (int((run.clock() - SCRUB_DAYS * 86_400) * 1000),),
    )
    [(count,)] = fetch(run.connection, "SELECT count(*) FROM volumes WHERE state IN ('full', 'bad')")
    share = 1 + int(2 * count * share_s / (SCRUB_DAYS * 86_400))
    return [volume for (volume,) in rows[:share]]


def every_volume(run: Upkeep) -> list[int]:
    """All volumes that are there, the one longest unread first."""
    rows = fetch(
        run.connection, "SELECT id FROM volumes WHERE state NOT IN ('deleting', 'gone') ORDER BY scrubbed_ms, id"
    )
    return [volume for (volume,) in rows]


def scrub(
    run: Upkeep, filler: Filler, volumes: list[int], tell: Callable[[int, int], None] = lambda _volume, _bytes: None
) -> ScrubReport:
    """Read *volumes*.

    Args:
        run: The run.
        filler: Takes a snapshot, should one be needed.
        volumes: Their ids.
        tell: Told of each volume that is through, and its size in bytes.

    Raises: Unavailable, Refused, Stopped.
    """
    report = ScrubReport(damaged=[])
    for volume in volumes:
        run.pace.between()
        meta_lost = _scrub_one(run, volume, report)
        if meta_lost and not report.snapshot:
            take_snapshot(run, filler)
            filler.seal()
            report.snapshot = True
        tell(volume, report.read_bytes)
    return report


def _scrub_one(run: Upkeep, volume: int, report: ScrubReport) -> bool:
    """Returns: whether journal or snapshot records that a rebuild needs may be lost."""
    rows: dict[int, tuple[int, int]] = {
        offset: (size, crc)
        for offset, size, crc in fetch(
            run.connection, "SELECT offset, size, crc FROM extents WHERE volume = ?", (volume,)
        )
    }
    [(state, needed)] = fetch(run.connection, "SELECT state, meta_bytes FROM volumes WHERE id = ?", (volume,))
    damaged: list[tuple[int, str]] = []
    lost = False
    try:
        walk = Walk(run.data_dir, volume)
    except (OSError, RecordDamaged) as error:
        damaged = [(0, str(error))]
    else:
        with walk:
            for found in walk.records():
                if not isinstance(found, Found):
                    lost = lost or state != "open"  # the open one ends with what is being written
                    continue
                lost = _check(walk, found, rows, damaged) or lost
                run.pace.spend(found.head.record_bytes)
            report.read_bytes += walk.size
        damaged += [(offset, "no record here") for offset in rows]
    kept = {offset for (offset,) in fetch(run.connection, "SELECT offset FROM extents WHERE volume = ?", (volume,))}
    damaged = [(offset, reason) for offset, reason in damaged if offset in kept or not offset]  # others went meanwhile
    run.store.submit(Scrubbed(volume, True, walk.size if not damaged or damaged[0][0] else 0, damaged))
    report.damaged += [(volume, *damage) for damage in damaged]
    report.volumes += 1
    return lost and needed > 0


def _check(walk: Walk, found: Found, rows: dict[int, tuple[int, int]], damaged: list[tuple[int, str]]) -> bool:
    """Check one record. Returns: whether it was of the journal or a snapshot, and is lost."""
    data = found.head.kind is RecordKind.DATA
    row = rows.pop(found.offset, None)
    if data and row is None:
        return False
    try:
        if data and (found.head.size, found.head.crc) != row:
            damaged.append((found.offset, "another record lies here"))
        else:
            walk.payload(found)
    except RecordDamaged as error:
        if not data:
            return True
        damaged.append((found.offset, error.reason))
    return False
