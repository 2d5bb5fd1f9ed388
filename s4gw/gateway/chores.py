"""What storaged has done beside itself for a gateway: lifecycle rules, pass after pass."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from s4gw.store import Chore

if TYPE_CHECKING:
    from s4gw.settings import Settings

PASSES_PER_DAY: Final = 24
"""Rules count days; an hour late is more than S3 itself promises."""


def chores(settings: Settings) -> tuple[Chore, ...]:
    """The commands, and how often they are started."""
    day_s = settings.lifecycle_day_s
    watch = (sys.executable, "-m", "s4gw.tools.cli", "lifecycle", "watch")
    where = ("--data-dir", str(settings.data_dir), "--day-s", str(day_s))
    return (Chore((*watch, *where), day_s / PASSES_PER_DAY),)
