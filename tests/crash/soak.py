"""``python -m tests.crash.soak --seconds N``: power cuts, failing writes and kills with ever new seeds.

Every round prints its seed before it begins; a failure names what repeats it.
"""

from __future__ import annotations

import argparse
import errno
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.crash.rounds import kill_round
from tests.crash.workload import failing_write, power_cuts

IMAGES = 40
STEPS = 60
KILL_S = 8.0


def main() -> int:
    """Run rounds until the time is up. Returns: 0; a failure is raised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9), help="of the first round")
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    totals = {"images": 0, "expired": 0, "failures": 0, "kills": 0, "answered": 0}
    seed = options.seed
    while time.monotonic() < end:
        _say(f"seed {seed}")
        place = Path(tempfile.mkdtemp(prefix="s4gw-soak-"))
        rng = random.Random(seed)
        totals["expired"] += power_cuts(place, seed, steps=STEPS, images=IMAGES)
        totals["images"] += IMAGES
        for failure in (errno.EIO, errno.ENOSPC):
            totals["failures"] += failing_write(place, seed, rng.randrange(150), failure, steps=STEPS)
        counts = kill_round(place / "killed", seed, seconds=KILL_S)
        totals["answered"] += counts.pop("answered")
        totals["kills"] += sum(counts.values())
        shutil.rmtree(place, ignore_errors=True)
        seed += 1
    _say(f"no loss: seeds {options.seed} to {seed - 1}, {totals}")
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
