"""A backup taken while everything goes on is a store; the second one copies only what is new."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from s4gw.store import DataDirError, Store, StoreLocked, upkeeping
from s4gw.store.layout import volume_path
from s4gw.store.rebuild import rebuild_index
from tests.store.kit import all_rows, delete, get, keys, make_bucket, put
from tests.store.upkeep_kit import agree, check_all, compact, fill, open_store


def take(store: Store, target: Path) -> upkeeping.BackedUp:
    return upkeeping.backup(store.data_dir, target, upkeeping.Pace(store.data_dir, 0))


def test_a_backup_and_the_next(tmp_path: Path) -> None:
    store = open_store(tmp_path / "data")
    make_bucket(store)
    stored = fill(store)
    (tmp_path / "data" / "credentials").write_text("secret")
    first = take(store, tmp_path / "backup")
    for key in list(stored)[::2]:
        delete(store, key)
        del stored[key]
    put(store, "new", b"n" * 100_000)
    stored["new"] = b"n" * 100_000
    second = take(store, tmp_path / "backup")
    compact(store)
    third = take(store, tmp_path / "backup")
    before = all_rows(store.data_dir)
    store.close()
    taken = sorted((tmp_path / "backup").rglob("*"))
    upkeeping.restore(tmp_path / "backup", tmp_path / "restored", upkeeping.Pace(tmp_path, 0))
    assert taken == sorted((tmp_path / "backup").rglob("*"))  # it may lie where nothing can be written
    assert before == all_rows(tmp_path / "restored")
    found = upkeeping.check(tmp_path / "restored", pace=upkeeping.Pace(tmp_path, 0), read=True)
    restored = open_store(tmp_path / "restored")
    check_all(restored, stored)
    restored.close()
    assert not list((tmp_path / "backup").glob("*.lock"))  # nor may there be locks
    assert "secret" == (tmp_path / "restored" / "credentials").read_text()
    assert [] == found.lines
    assert (first.volumes == first.copied, second.copied < 3) == (True, True)
    assert third.volumes == len(list((tmp_path / "backup" / "volumes").iterdir()))


def test_a_backup_beside_writes_opens_and_rebuilds(tmp_path: Path) -> None:
    """It holds a moment: nothing behind it, everything up to it."""
    store = open_store(tmp_path / "data")
    make_bucket(store)
    fill(store)
    stop = threading.Event()
    written: list[str] = []

    def write() -> None:
        while not stop.is_set():
            key = f"w{len(written):05}"
            put(store, key, key.encode() * 3000)
            written.append(key)

    thread = threading.Thread(target=write)
    thread.start()
    for number in range(3):
        while len(written) < 20 * (number + 1):
            pass
        known = list(written)
        take(store, tmp_path / "backup")
        copy = tmp_path / f"copy{number}"
        upkeeping.restore(tmp_path / "backup", copy, upkeeping.Pace(tmp_path, 0))
        assert [] == agree(copy)
        restored = open_store(copy)
        have = [key for key in keys(restored) if key.startswith("w")]
        assert have[: len(known)] == known
        for key in have:
            assert key.encode() * 3000 == get(restored, key)
        restored.close()
        rows = all_rows(copy)
        assert rebuild_index(copy).whole
        assert rows == all_rows(copy)
    stop.set()
    thread.join()
    store.close()


def test_places_that_hold_something_else_are_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path / "data")
    make_bucket(store)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(DataDirError):
        take(store, tmp_path / "other")
    take(store, tmp_path / "backup")
    with pytest.raises(DataDirError):
        upkeeping.restore(tmp_path / "backup", tmp_path / "other", upkeeping.Pace(tmp_path, 0))
    with pytest.raises(DataDirError):
        upkeeping.restore(tmp_path / "nothing", tmp_path / "fresh", upkeeping.Pace(tmp_path, 0))
    store.close()
    assert volume_path(tmp_path / "backup", 1).exists()


@pytest.mark.parametrize("place", ["data", "data/backup", "data/volumes", ".", "link", "link/backup"])
def test_a_backup_into_itself_is_refused(place: str, tmp_path: Path) -> None:
    """Nor into a directory around the store; links do not hide it, and nothing is made or changed there."""
    store = open_store(tmp_path / "data")
    make_bucket(store)
    stored = fill(store)
    (tmp_path / "link").symlink_to("data")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataDirError, match="a place of its own"):
        take(store, tmp_path / place)
    assert before == sorted(tmp_path.rglob("*"))
    check_all(store, stored)
    store.close()


def test_another_store_is_no_place_for_a_backup(tmp_path: Path) -> None:
    """Neither while it is served, nor when nobody serves it: nothing of it is lost."""
    store, other = open_store(tmp_path / "data"), open_store(tmp_path / "other")
    make_bucket(store)
    make_bucket(other)
    put(store, "k", b"ours")
    stored = fill(other)
    with pytest.raises(StoreLocked):
        take(store, tmp_path / "other")
    check_all(other, stored)
    other.close()
    with pytest.raises(DataDirError, match="another store"):
        take(store, tmp_path / "other")
    again = open_store(tmp_path / "other")
    check_all(again, stored)
    again.close()
    store.close()
