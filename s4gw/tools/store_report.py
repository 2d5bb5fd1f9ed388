"""What `s4gw store` prints."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from s4gw.store import Rebuilt
    from s4gw.store.upkeeping import BackedUp, Compacted, Findings, Plan, ScrubReport, StoreStats

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def show(arguments: argparse.Namespace, facts: Any, lines: list[str]) -> None:
    """Print *facts* as JSON where that was asked for, else *lines*."""
    print(msgspec.json.encode(facts).decode() if arguments.json else "\n".join(lines))


def size(number: int) -> str:
    """A size for people."""
    value, unit = float(number), 0
    while value >= 1024 and unit < len(_UNITS) - 1:  # noqa: PLR2004 - what the units are made of
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{number} B"


def plan(planned: Plan) -> list[str]:
    """Of a dry run."""
    return [
        *(
            f"volume {use.volume}: {size(use.dead_bytes)} of {size(use.size)} are dead, "
            f"{size(use.live_bytes + use.meta_bytes)} would be copied"
            for use in planned.volumes
        ),
        *(["a snapshot of the index would be taken"] if planned.snapshot else []),
        f"{len(planned.volumes)} volumes, {size(planned.dead_bytes)} would come back",
    ]


def compacted(done: Compacted) -> list[str]:
    """Of a run."""
    return [
        *(_damage(*place) for place in done.damaged),
        *(f"volume {volume}: passed over, an upload is in it" for volume in done.busy),
        *(f"volume {volume}: kept, something in it is still needed" for volume in done.kept),
        (
            f"{len(done.volumes)} volumes given up, {size(done.copied_bytes)} copied, "
            f"{size(done.reclaimed_bytes - done.copied_bytes)} came back"
        ),
    ]


def scrubbed(found: ScrubReport) -> list[str]:
    """Of a scrub."""
    lines = [_damage(*place) for place in found.damaged]
    if found.snapshot:
        lines.append("journal records could not be read; a snapshot of the index makes up for them")
    return [*lines, f"{found.volumes} volumes, {size(found.read_bytes)} read, {len(found.damaged)} records damaged"]


def checked(found: Findings) -> list[str]:
    """Of a check."""
    return [*found.lines, f"{found.volumes} volumes, {found.extents} extents, {len(found.lines)} findings"]


def rebuilt(done: Rebuilt) -> list[str]:
    """Of a rebuild."""
    return [
        *(f"sequences {first} to {last} are missing" for first, last in done.gaps),
        *(f"volume {volume} cannot be read" for volume in done.unreadable),
        *([f"{done.refused} operations made no sense without what is missing"] if done.refused else []),
        f"snapshot of sequence {done.snapshot_seq}, {done.operations} operations of the journal",
    ]


def backed_up(done: BackedUp) -> list[str]:
    """Of a backup."""
    return [f"{done.volumes} volumes, {done.copied} copied, {size(done.copied_bytes)}"]


def stats(found: StoreStats) -> list[str]:
    """Of the store."""
    return [
        f"buckets {found.buckets}, objects {found.objects}, versions {found.versions}",
        f"stored {size(found.referenced_bytes)}, of it once {size(found.unique_bytes)} (ratio {found.ratio:.3f})",
        (
            f"volumes {found.volumes}, on disk {size(found.disk_bytes)}, dead {size(found.dead_bytes)}, "
            f"within the grace {size(found.waiting_bytes)}, journal and snapshot {size(found.meta_bytes)}"
        ),
        f"damaged records {found.damaged_records}",
        *(f"{name} {value}" for name, value in sorted(found.totals.items())),
    ]


def _damage(volume: int, offset: int, reason: str) -> str:
    return f"volume {volume} offset {offset}: {reason}"
