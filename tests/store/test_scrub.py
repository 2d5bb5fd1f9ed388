"""Damage is found before anybody needs the bytes, named, and kept from spreading; `check` sees disagreement."""

from __future__ import annotations

from pathlib import Path

import pytest

from s4gw.store import RecordDamaged, Store, upkeeping
from s4gw.store.layout import RecordKind, volume_path
from s4gw.store.rebuild import rebuild_index
from s4gw.store.schema import open_writer
from s4gw.store.scrub import SCRUB_DAYS, due, scrub
from s4gw.store.upkeep import Filler, Pace, upkeep
from s4gw.store.usage import Policy
from s4gw.store.walk import Found, Walk
from tests.store.kit import BUCKET, all_rows, delete, get, make_bucket
from tests.store.upkeep_kit import ALL, VOLUME_BYTES, check_all, compact, fill, open_store

NO_LIMIT = 0


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(tmp_path / "data")
    make_bucket(store)
    return store


def pace(store: Store) -> Pace:
    return Pace(store.data_dir, NO_LIMIT)


def spoil(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))


def place_of(store: Store, key: str) -> tuple[int, int]:
    row = store.index.current(BUCKET, key.encode())
    assert row.extents
    [extent] = store.index.extents(int.from_bytes(row.extents[:8], "little"), 1)
    return extent.volume, extent.offset


def check(store: Store, *, read: bool = True) -> list[str]:
    return upkeeping.check(store.data_dir, pace=pace(store), read=read).lines


def test_a_sound_store(store: Store) -> None:
    """Everything is read, nothing is found, also after compaction and beside writes."""
    stored = fill(store)
    for key in list(stored)[::3]:
        delete(store, key)
        del stored[key]
    assert [] == check(store)
    compact(store)
    disk_bytes = upkeeping.stats(store.data_dir).disk_bytes
    found = upkeeping.scrub_all(store, pace(store))
    stats = upkeeping.stats(store.data_dir)
    check_all(store, stored)
    assert ([], [], False) == (check(store), found.damaged, found.snapshot)
    assert disk_bytes <= found.read_bytes <= stats.disk_bytes
    assert (stats.objects, stats.unique_bytes, stats.damaged_records) == (len(stored), stats.referenced_bytes, 0)
    assert stats.totals["scrubbed_bytes"] == found.read_bytes
    store.close()


@pytest.mark.parametrize("place", ["head", "table", "payload"])
def test_a_damaged_record_is_named_and_refused(store: Store, place: str) -> None:
    stored = fill(store)
    victim = next(key for key, data in stored.items() if len(data) == 90_000)
    volume, offset = place_of(store, victim)
    spoil(volume_path(store.data_dir, volume), offset + {"head": 5, "table": 22, "payload": 60_000}[place])
    before = check(store)
    found = upkeeping.scrub_all(store, pace(store))
    again = upkeeping.scrub_all(store, pace(store))
    with pytest.raises(RecordDamaged):
        get(store, victim)
    del stored[victim]
    for key, data in stored.items():
        assert data == get(store, key)
    assert [(volume, offset)] == [where[:2] for where in found.damaged] == [where[:2] for where in again.damaged]
    assert any(f"volume {volume} offset {offset}" in line for line in before)
    assert any("found earlier" in line for line in check(store))
    assert (1, 1) == (
        upkeeping.stats(store.data_dir).damaged_records,
        upkeeping.stats(store.data_dir).totals["damaged_records"],
    )
    delete(store, victim)
    compact(store)
    assert ([], 0) == (check(store), upkeeping.stats(store.data_dir).damaged_records)
    store.close()


def test_a_damaged_journal_record_is_made_up_for(store: Store) -> None:
    fill(store)
    with Walk(store.data_dir, 1) as walk:
        journal = next(f for f in walk.records() if isinstance(f, Found) and f.head.kind is RecordKind.JOURNAL)
    spoil(volume_path(store.data_dir, 1), journal.offset + journal.head.record_bytes - 1)
    lacking = check(store, read=False)
    found = upkeeping.scrub_all(store, pace(store))
    after = check(store, read=False)
    store.close()
    rows = all_rows(store.data_dir)
    rebuilt = rebuild_index(store.data_dir)
    assert any("journal records" in line and "missing" in line for line in lacking)
    assert (True, True, rows) == (found.snapshot, rebuilt.whole, all_rows(store.data_dir))
    assert [line for line in after if "missing" in line] == []


def test_check_sees_what_does_not_agree(store: Store) -> None:
    fill(store)
    store.close()
    connection = open_writer(store.data_dir / "index.db")
    connection.execute("UPDATE extents SET refs = refs + 1 WHERE id = 3")
    connection.execute("UPDATE buckets SET objects = 5")
    connection.execute("UPDATE volumes SET live_bytes = live_bytes - 1 WHERE id = 1")
    connection.execute("DELETE FROM extents WHERE id = 5")
    connection.close()
    last = max(int(path.stem) for path in (store.data_dir / "volumes").iterdir())
    volume_path(store.data_dir, last).unlink()
    lines = "\n".join(check(store))
    for expected in (
        "extent 3 has 2 references",
        "bucket b counts 5 objects",
        "volume 1 counts",
        "extent 5",
        "is missing",
    ):
        assert expected in lines


def test_a_volume_is_due_after_its_days_and_a_run_goes_on_where_it_was(store: Store) -> None:
    fill(store)
    with upkeep(store, pace(store)) as run:
        first = due(run, 86_400 * SCRUB_DAYS)
        some = due(run, 60)
        scrub(run, Filler(run, VOLUME_BYTES), some)
        rest = due(run, 86_400 * SCRUB_DAYS)
    store.close()
    assert (1, some[0], True) == (len(some), first[0], set(first[1:]) == set(rest))
    assert len(first) > 2


def test_tending_does_what_is_due(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first time is the daily one; later ones are cheap."""
    monkeypatch.setattr(upkeeping, "DAILY", Policy("daily", ALL.dead_share_min, 1, 10**9, 1.0))
    monkeypatch.setattr(upkeeping, "free_bytes", lambda _: (10**12, 10**12))
    stored = fill(store)
    for key in list(stored)[::2]:
        delete(store, key)
    first = upkeeping.tend(store, pace(store), volume_bytes=VOLUME_BYTES, grace_s=0)
    again = upkeeping.tend(store, pace(store), volume_bytes=VOLUME_BYTES, grace_s=0)
    store.close()
    assert (["daily"], []) == ([line.split()[0] for line in first if "compaction" in line], again)


def test_a_full_disk_is_pressed_for_space(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Volumes that are not worth it on an ordinary day go, and what waits for its hour waits ten minutes."""
    stored = fill(store)
    for key in list(stored)[::3]:
        delete(store, key)
    free = 10**12
    monkeypatch.setattr(upkeeping, "free_bytes", lambda _: (free, 10**12))
    monkeypatch.setattr(upkeeping, "PRESSURE", Policy("pressure", ALL.dead_share_min, 1, 10**9, 1.0))
    monkeypatch.setattr(upkeeping, "_PRESSURE_GRACE_S", 0)
    ordinary = upkeeping.tend(store, pace(store), volume_bytes=VOLUME_BYTES)
    free = 10**10
    pressed = upkeeping.tend(store, pace(store), volume_bytes=VOLUME_BYTES)
    store.close()
    assert ([], "pressure") == (ordinary, pressed[0].split()[0])
