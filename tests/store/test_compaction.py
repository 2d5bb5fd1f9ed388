"""Space of what is dead comes back, nothing alive is touched, and the volumes stay the truth."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from s4gw.store import NoSpace, RecordDamaged, Store, unpack_runs
from s4gw.store.compaction import Compactor
from s4gw.store.layout import RecordKind, volume_path
from s4gw.store.rebuild import rebuild_index
from s4gw.store.upkeep import Pace, upkeep
from s4gw.store.usage import FULL, ROUTINE, Policy
from s4gw.store.walk import Found, Walk
from tests.store.kit import BUCKET, all_rows, check_references, delete, get, make_bucket, memory_dir, put
from tests.store.upkeep_kit import (
    ALL,
    SNAPSHOT,
    VOLUME_BYTES,
    agree,
    check_all,
    compact,
    compactor,
    disk_bytes,
    fill,
    open_store,
)


@pytest.mark.parametrize("policy", [ALL, SNAPSHOT, FULL], ids=lambda policy: policy.name)
def test_space_of_deleted_objects_returns_and_the_index_can_be_made_anew(tmp_path: Path, policy: Policy) -> None:
    data_dir = tmp_path / "data"
    store = open_store(data_dir)
    make_bucket(store)
    stored = fill(store)
    for key in list(stored)[::2]:
        delete(store, key)
        del stored[key]
    before = disk_bytes(data_dir)
    result = compact(store, policy)
    check_all(store, stored)
    again = compact(store, policy)
    put(store, "later", b"l" * 50_000)
    stored["later"] = b"l" * 50_000
    store.close()
    assert [] == agree(data_dir)
    check_references(data_dir)
    rows = all_rows(data_dir)
    rebuilt = rebuild_index(data_dir)
    assert rows == all_rows(data_dir)
    assert rebuilt.whole
    store = open_store(data_dir)
    check_all(store, stored)
    store.close()
    assert (result.damaged, result.kept, result.busy) == ([], [], [])
    assert (len(result.volumes) > 1, disk_bytes(data_dir) < 0.75 * before) == (True, True)
    assert policy is SNAPSHOT or not again.copied_bytes  # each new snapshot makes the one before it dead


def test_what_is_planned_is_what_is_done(tmp_path: Path) -> None:
    """A dry run and the run choose the same volumes, with what is ripe only now counted in."""
    store = open_store(tmp_path / "data")
    make_bucket(store)
    stored = fill(store)
    for key in list(stored)[:60]:
        delete(store, key)
    with compactor(store) as work:
        plan = work.plan(ROUTINE)
        full = work.plan(FULL)
        result = work.run(FULL)
    store.close()
    assert () == plan.volumes  # less than 10 MiB each
    assert [use.volume for use in full.volumes] == result.volumes
    assert (full.snapshot, len(result.volumes) > 1) == (result.snapshot, True)


def test_nothing_goes_within_the_grace(tmp_path: Path) -> None:
    """A reader that looked up a body before it was deleted reads on."""
    store = open_store(tmp_path / "data")
    make_bucket(store)
    stored = fill(store)
    row = store.index.current(BUCKET, b"k001")
    for key in stored:
        delete(store, key)
    with compactor(store, grace_s=3600) as work:
        result = work.run(ALL)
    assert stored["k001"] == (row.inline or store.read(unpack_runs(row.extents or b""), 0, row.stored_size))
    assert [] == result.volumes
    result = compact(store)
    store.close()
    assert len(result.volumes) > 1


def test_stopped_at_any_step_a_run_can_be_repeated() -> None:
    """Like a killed process: what it did is kept or undone, the next run ends the work, nothing alive is lost."""
    with memory_dir() as place:
        stop_at_each_step(place / "data")


def stop_at_each_step(data_dir: Path) -> None:
    """One step later each time."""
    store = open_store(data_dir)
    make_bucket(store)
    stored = fill(store, 60)
    names: list[str] = []
    for round_number in range(60):
        for key in list(stored)[round_number % 3 :: 7]:
            put(store, key, stored[key])  # old versions are dead now
        left = round_number

        def step(name: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                names.append(name)
                raise InterruptedError

        with upkeep(store, Pace(data_dir, 0), step=step) as run, suppress(InterruptedError):
            work = Compactor(run, volume_bytes=VOLUME_BYTES, grace_s=0, move_grace_s=0)
            work.run(SNAPSHOT if round_number % 2 else ALL)
            break
        check_all(store, stored)
        if round_number % 5 == 0:
            store.close()
            assert [] == agree(data_dir)
            rebuild_index(data_dir)
            assert [] == agree(data_dir)
            store = open_store(data_dir)
            check_all(store, stored)
    compact(store)
    check_all(store, stored)
    assert [] == [path for path in (data_dir / "volumes").iterdir() if not path.stat().st_size]
    store.close()
    check_references(data_dir)
    assert {"begin volume", "flush copies", "switch", "drop", "truncate", "unlink", "gone", "reap"} <= set(names)


def test_a_damaged_record_stays_and_its_volume_with_it(tmp_path: Path) -> None:
    """Trap: S4 Core stopped at an unreadable record and deleted the volume with all that was alive behind it."""
    data_dir = tmp_path / "data"
    store = open_store(data_dir)
    make_bucket(store)
    stored = fill(store)
    victim = next(key for key, data in stored.items() if len(data) == 20_000)
    row = store.index.current(BUCKET, victim.encode())
    [extent] = store.index.extents(unpack_runs(row.extents or b"")[0][0], 1)
    with volume_path(data_dir, extent.volume).open("r+b") as file:
        file.seek(extent.offset + 5000)
        file.write(b"\xff" * 100)
    for key in list(stored)[::2]:
        if key != victim:
            delete(store, key)
            del stored[key]
    result = compact(store)
    again = compact(store)
    with pytest.raises(RecordDamaged):
        get(store, victim)
    whole = stored.pop(victim)
    for key, data in stored.items():
        assert data == get(store, key)
    assert [(extent.volume, extent.offset, "payload CRC")] == result.damaged
    assert ([extent.volume], [], []) == (result.kept, again.kept, again.damaged)
    assert volume_path(data_dir, extent.volume).exists()
    put(store, victim, whole)
    compact(store)
    check_all(store, {**stored, victim: whole})
    store.close()
    assert not volume_path(data_dir, extent.volume).exists()


def test_a_damaged_journal_record_is_made_up_for(tmp_path: Path) -> None:
    """What a rebuild would miss is still in the index: compaction writes it down before the volume goes."""
    data_dir = tmp_path / "data"
    store = open_store(data_dir)
    make_bucket(store)
    stored = fill(store)
    with Walk(data_dir, 1) as walk:
        heads = [found for found in walk.records() if isinstance(found, Found)]
    journal = next(found for found in heads if found.head.kind is RecordKind.JOURNAL)
    with volume_path(data_dir, 1).open("r+b") as file:
        file.seek(journal.offset + 30)
        file.write(b"\xff" * 4)
    delete(store, "k000")
    del stored["k000"]
    result = compact(store)
    store.close()
    rows = all_rows(data_dir)
    rebuilt = rebuild_index(data_dir)
    assert (True, True) == (result.snapshot, rebuilt.whole)
    assert rows == all_rows(data_dir)


def test_a_commit_that_never_happened_stays_void_when_its_neighbour_goes(tmp_path: Path) -> None:
    """Trap: the base sequence that makes a journal record void is in the head of a file that compaction removes."""
    data_dir = tmp_path / "data"
    store = open_store(data_dir)
    make_bucket(store)
    stored = fill(store, 10)
    committer = store._committer
    assert committer is not None
    answers = iter([True])  # turns the commit into a rollback; the store goes on in a new volume
    committer._connection.set_commit_hook(lambda: next(answers, False))
    with pytest.raises(NoSpace):
        put(store, "void", b"v" * 100)
    put(store, "gone", b"g" * 250_000)
    put(store, "next", b"n" * 250_000)
    delete(store, "gone")
    volumes = sorted(int(path.stem) for path in (data_dir / "volumes").iterdir())
    stored["next"] = b"n" * 250_000
    with upkeep(store, Pace(data_dir, 0)) as run:
        work = Compactor(run, volume_bytes=VOLUME_BYTES, grace_s=0, move_grace_s=0)
        work._reap()
        work._compact(volumes[1])
        work._filler.seal()
        work._remove_ripe()
    store.close()
    rows = all_rows(data_dir)
    rebuilt = rebuild_index(data_dir)
    after = all_rows(data_dir)
    assert {} == {name: (rows[name], after[name]) for name in rows if rows[name] != after[name]}
    assert rebuilt.whole
    store = open_store(data_dir)
    check_all(store, stored)
    store.close()
    assert not volume_path(data_dir, volumes[1]).exists()


def test_a_small_store_gives_space_back_too(tmp_path: Path) -> None:
    """All of it lies in the volume that takes new data: that one is closed first."""
    store = Store(tmp_path / "data", in_process=True)
    make_bucket(store)
    stored = fill(store)
    for key in list(stored)[::2]:
        delete(store, key)
        del stored[key]
    before = disk_bytes(store.data_dir)
    with upkeep(store, Pace(store.data_dir, 0)) as run:
        work = Compactor(run, volume_bytes=VOLUME_BYTES, grace_s=0, move_grace_s=0)
        plan, done = work.plan(FULL), work.run(FULL)
    check_all(store, stored)
    after = disk_bytes(store.data_dir)
    store.close()
    assert ([1], [1]) == ([use.volume for use in plan.volumes], done.volumes)
    assert after < 0.75 * before


def test_the_journal_of_the_open_volume_makes_no_snapshots(tmp_path: Path) -> None:
    """A snapshot leaves it needed: with it counted, every run would take another one."""
    store = Store(tmp_path / "data", in_process=True)
    make_bucket(store)
    fill(store, 30)
    often = Policy("often", 0.9, 10**9, 500, 1.0)
    first, second = compact(store, often), compact(store, often)
    store.close()
    assert (False, False) == (first.snapshot, second.snapshot)
