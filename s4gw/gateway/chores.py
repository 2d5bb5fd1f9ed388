"""What storaged has done beside itself for a gateway: lifecycle rules, compaction, scrubbing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from s4gw.store import Chore, upkeeping

if TYPE_CHECKING:
    from s4gw.settings import Settings

PASSES_PER_DAY: Final = 24
"""Rules count days; an hour late is more than S3 itself promises."""


def chores(settings: Settings) -> tuple[Chore, ...]:
    """The commands, and how often they are started."""
    day_s = settings.lifecycle_day_s
    watch = (sys.executable, "-m", "s4gw.tools.cli", "lifecycle", "watch")
    where = ("--data-dir", str(settings.data_dir), "--day-s", str(day_s), "--log-format", settings.log_format)
    upkeep = (sys.executable, "-m", "s4gw.tools.cli", "store", "upkeep", "--data-dir", str(settings.data_dir))
    limits = ("--rate", str(settings.upkeep_rate), "--grace-s", str(settings.reclaim_grace_s))
    volumes = ("--volume-bytes", str(settings.volume_bytes))
    return (
        Chore((*watch, *where), day_s / PASSES_PER_DAY),
        Chore((*upkeep, *limits, *volumes), upkeeping.TEND_EVERY_S),
    )
