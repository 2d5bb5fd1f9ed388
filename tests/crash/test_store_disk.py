"""After a power cut at any moment, and after any failing write: what was answered is there, the rest whole or absent.

These are the short forms; `make soak-store` goes on with other seeds for as long as it is told.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.rounds import kill_round
from tests.crash.workload import failing_write, power_cuts
from tests.store.kit import memory_dir


@pytest.fixture
def memory() -> Iterator[Path]:
    """The images are judged by what they hold: a real disk's flushes only cost time."""
    with memory_dir() as place:
        yield place


@pytest.mark.parametrize("seed", [1, 2])
def test_power_cuts(memory: Path, seed: int) -> None:
    """With puts, deletes, multipart, deduplication, checkpoints, compaction, snapshots, scrubbing and lifecycle passes
    under way, in a bucket with versions and in one without.
    """
    assert power_cuts(memory, seed, steps=60, images=14)


@pytest.mark.parametrize("failure", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
def test_failing_writes(memory: Path, failure: int) -> None:
    """Of volumes, of the index and of its log, and every kind of flush; each once, and the store goes on."""
    hits = [failing_write(memory, seed, fail_at, failure, steps=20) for seed, fail_at in enumerate(range(0, 60, 9))]
    assert all(hits)


def test_kills(tmp_path: Path) -> None:
    """Of writers, of storaged, of compaction and of lifecycle passes, under load."""
    counts = kill_round(tmp_path / "data", 1, seconds=4)
    assert min(counts.values()) > 0
