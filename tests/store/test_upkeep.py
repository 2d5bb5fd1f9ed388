"""Compaction beside everything else that goes on: uploads, readers, writers, a second run."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest

from s4gw.store import Store, StoreLocked, ops
from s4gw.store.rebuild import rebuild_index
from s4gw.store.upkeep import PAUSE_FILE, Pace, Stopped, upkeep
from tests.store.kit import BUCKET, all_rows, check_references, delete, get, make_bucket, put, put_op
from tests.store.upkeep_kit import (
    ALL,
    SNAPSHOT,
    agree,
    check_all,
    compact,
    fill,
    open_store,
)


def test_bodies_on_their_way_are_left_alone(tmp_path: Path) -> None:
    """Trap: an upload whose first bytes lie in a volume that is closed, and looks dead, by the time it is committed."""
    store = open_store(tmp_path / "data")
    make_bucket(store)
    body = store.stage()
    body.write(b"slow" * 300_000)
    stored = fill(store)
    for key in list(stored)[::2]:
        delete(store, key)
        del stored[key]
    result = compact(store)
    body.write(b"slow" * 300_000)
    extents, _ = store.finish(body)
    store.submit(put_op("slow", extents, 2_400_000))
    del body
    stored["slow"] = b"slow" * 600_000
    check_all(store, stored)
    delete(store, "slow")
    del stored["slow"]
    later = compact(store)
    check_all(store, stored)
    store.close()
    assert ([1], []) == (result.busy, later.busy)
    assert 1 in later.volumes


def test_a_worker_that_slept_does_not_write_into_a_volume_that_leaves(tmp_path: Path) -> None:
    """What it knew to be the current volume is closed, compacted and gone."""
    store = open_store(tmp_path / "data")
    make_bucket(store)
    put(store, "first", b"f" * 50_000)
    committer = store._committer
    assert committer is not None
    asleep = Store(tmp_path / "data", committer=committer)
    put(asleep, "second", b"s" * 50_000)
    stored = fill(store)
    delete(store, "first")
    assert 1 in compact(store).volumes
    put(asleep, "third", b"t" * 50_000)
    check_all(store, {**stored, "second": b"s" * 50_000, "third": b"t" * 50_000})
    asleep.close()
    store.close()


def test_readers_follow_and_open_files_hold_no_space(tmp_path: Path) -> None:
    """Runs looked up long ago lead to where the bytes are now; a descriptor of the removed file costs nothing."""
    data_dir = tmp_path / "data"
    store = open_store(data_dir)
    make_bucket(store)
    stored = fill(store)
    reader = Store(data_dir, read_only=True)
    check_all(reader, stored)
    descriptors = {number: os.dup(file.fd) for number, file in reader._reader._files.items()}
    for key in list(stored)[::5]:
        delete(store, key)
        del stored[key]
    removed = compact(store).volumes
    check_all(reader, stored)
    held = [os.fstat(descriptors[number]).st_size for number in removed if number in descriptors]
    kept = set(reader._reader._files) & set(removed)
    for descriptor in descriptors.values():
        os.close(descriptor)
    reader.close()
    store.close()
    assert (len(held) > 1, {0}, set()) == (True, set(held), kept)


def test_racing_with_everything_else(tmp_path: Path) -> None:
    """Puts, overwrites, deletes, copies and reads go on while compaction runs again and again."""
    data_dir = tmp_path / "data"
    store = open_store(data_dir)
    make_bucket(store, versioning="Enabled")
    stop = threading.Event()
    stored: list[dict[str, bytes]] = [{}, {}, {}]
    failures: list[BaseException] = []

    def work(mine: int) -> None:
        rng = random.Random(mine)
        have = stored[mine]
        try:
            for count in range(100):
                key = f"{mine}/{rng.randrange(20)}"
                if key in have and rng.random() < 0.3:
                    row = store.index.current(BUCKET, key.encode())
                    version = ops.version_id(row.seq, row.flags, row.nonce)
                    delete(store, key, version)
                    older = store.index.list_versions(
                        BUCKET, prefix=key.encode(), delimiter=b"", after=b"", after_version="", limit=1
                    )[0]
                    assert all(found.key != key.encode() for found in older)
                    del have[key]
                    continue
                if key in have:
                    row = store.index.current(BUCKET, key.encode())
                    delete(store, key, ops.version_id(row.seq, row.flags, row.nonce))
                have[key] = rng.randbytes(rng.choice([500, 3000, 40_000]))
                put(store, key, have[key])
                assert have[key] == get(store, key), count
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in range(3)]
    for thread in threads:
        thread.start()
    runs = 0
    while any(thread.is_alive() for thread in threads) and not stop.is_set():
        compact(store, SNAPSHOT if runs % 5 == 4 else ALL)
        runs += 1
    for thread in threads:
        thread.join()
    assert [] == failures
    compact(store)
    check_all(store, {key: data for have in stored for key, data in have.items()})
    store.close()
    check_references(data_dir)
    assert [] == agree(data_dir)
    rows = all_rows(data_dir)
    rebuild_index(data_dir)
    assert rows == all_rows(data_dir)
    assert runs > 3


def test_a_pause_and_a_rate(tmp_path: Path) -> None:
    """Time is counted, not waited for."""
    now = 0.0
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        slept.append(seconds)
        (tmp_path / PAUSE_FILE).unlink(missing_ok=True)

    pace = Pace(tmp_path, 1000, clock=lambda: now, sleep=sleep)
    for _ in range(100):
        pace.spend(100)
    assert 9 < now < 11
    slept.clear()
    (tmp_path / PAUSE_FILE).touch()
    pace.between()
    assert [1.0] == slept
    with pytest.raises(Stopped):
        Pace(tmp_path, stop=lambda: True).spend(1)


def test_one_run_at_a_time(tmp_path: Path) -> None:
    store = open_store(tmp_path / "data")
    make_bucket(store)
    with upkeep(store, Pace(store.data_dir)), pytest.raises(StoreLocked), upkeep(store, Pace(store.data_dir)):
        pass
    store.close()
