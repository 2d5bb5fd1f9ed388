"""A disk without room takes no new data; deletes and compaction go on, so room comes back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from s4gw.store import NoSpace, Store, Unavailable
from s4gw.store.committer import Committer
from s4gw.store.recovery import prepare, recover
from s4gw.store.room import RESERVE_BYTES, Room, disk_room, takes
from tests.store.kit import delete, get, keys, make_bucket, put, put_op
from tests.store.upkeep_kit import ALL, VOLUME_BYTES, compact


def put_whole(store: Store, key: str, data: bytes) -> None:
    """Small bodies go along with their operation."""
    body = store.stage()
    body.write(data)
    store.put(put_op(key, [], len(data)), body)


def test_deletes_and_compaction_make_room(tmp_path: Path) -> None:
    free, now = 10 * RESERVE_BYTES, 0.0
    prepare(tmp_path)
    recover(tmp_path)
    room = Room(tmp_path, look=lambda _: (free, 10**12), clock=lambda: now)
    committer = Committer(tmp_path, volume_bytes=VOLUME_BYTES, room=room)
    store = Store(tmp_path, committer=committer)
    make_bucket(store)
    for number in range(20):
        put(store, f"k{number}", bytes([number]) * 50_000)
    free, now = RESERVE_BYTES, 10.0
    delete(store, "k19")  # whoever asks for anything is told
    for size in (100, 5000, 50_000, 2_000_000):
        with pytest.raises((NoSpace, Unavailable)):
            put_whole(store, "more", b"m" * size)
    with pytest.raises(Unavailable):
        store.check()
    for number in range(0, 20, 2):
        delete(store, f"k{number}")
    assert compact(store, ALL).reclaimed_bytes > 500_000
    assert bytes([7]) * 50_000 == get(store, "k7")
    free, now = RESERVE_BYTES + 1, 20.0
    store.check()
    put(store, "more", b"m" * 50_000)
    assert 10 == len(keys(store))
    store.close()
    committer.close()


def test_a_body_stops_before_the_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its writer hears nothing from the committer meanwhile: it looks for itself, and leaves room for deletes."""
    written = 0
    store = Store(tmp_path, in_process=True, writev=lambda fd, buffers: counted(os.writev(fd, buffers)))
    make_bucket(store)
    free = 3 * RESERVE_BYTES

    def counted(size: int) -> int:
        nonlocal written
        written += size
        return size

    def statvfs(_place: object) -> os.statvfs_result:
        return os.statvfs_result((1, 1, 10**12, free - written, free - written, 0, 0, 0, 0, 255))

    monkeypatch.setattr(os, "statvfs", statvfs)
    body = store.stage()
    with pytest.raises(Unavailable, match="no room"):
        body.write(*[b"x" * 2**20] * 100)
    body.abort()
    left = free - written
    store.check()
    written += 2**22
    with pytest.raises(Unavailable, match="no volume"):
        store.check()

    assert 2 * RESERVE_BYTES < left < 2 * RESERVE_BYTES + 2**22
    assert not takes(0, free)
    store.close()


def test_the_disk_is_looked_at_now_and_then(tmp_path: Path) -> None:
    looks, now = 0, 0.0

    def look(_: Path) -> tuple[int, int]:
        nonlocal looks
        looks += 1
        return 500, 4000

    room = Room(tmp_path, look=look, clock=lambda: now)
    assert (True, True) == (room.left(), room.left())  # a small disk keeps a tenth
    now = 1.0
    room.left()
    assert 2 == looks
    assert 0 < disk_room(tmp_path)[0] <= disk_room(tmp_path)[1]
