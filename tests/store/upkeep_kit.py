"""A small store and what keeps it in shape, for tests."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from s4gw.store import Store
from s4gw.store.agreement import disagreements
from s4gw.store.compaction import Compacted, Compactor
from s4gw.store.schema import open_reader
from s4gw.store.upkeep import Pace, upkeep
from s4gw.store.usage import Policy
from tests.store.kit import get, keys, put

VOLUME_BYTES = 300_000
ALL = Policy("all", 0.0001, 1, 10**9, 1.0)
"""Anything dead is worth it, and journals are carried."""
SNAPSHOT = Policy("snapshot", 0.0001, 1, 0, 0.0)
"""The same with a snapshot each time."""


def open_store(data_dir: Path) -> Store:
    return Store(data_dir, in_process=True, volume_bytes=VOLUME_BYTES)


@contextmanager
def compactor(store: Store, **options: float) -> Iterator[Compactor]:
    with upkeep(store, Pace(store.data_dir, 0)) as run:
        yield Compactor(run, volume_bytes=VOLUME_BYTES, grace_s=options.get("grace_s", 0), move_grace_s=0)


def compact(store: Store, policy: Policy = ALL) -> Compacted:
    with compactor(store) as work:
        return work.run(policy)


def disk_bytes(data_dir: Path) -> int:
    return sum(path.stat().st_size for path in (data_dir / "volumes").iterdir())


def agree(data_dir: Path) -> list[str]:
    connection = open_reader(data_dir / "index.db")
    found = disagreements(connection)
    connection.close()
    return found


def fill(store: Store, count: int = 100) -> dict[str, bytes]:
    rng = random.Random(1)
    stored = {f"k{number:03}": rng.randbytes(rng.choice([10, 700, 5_000, 20_000, 90_000])) for number in range(count)}
    for key, data in stored.items():
        put(store, key, data)
    return stored


def check_all(store: Store, stored: dict[str, bytes]) -> None:
    assert sorted(stored) == keys(store)
    for key, data in stored.items():
        assert data == get(store, key)
