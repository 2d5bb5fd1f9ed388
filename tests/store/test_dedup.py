"""Equal bytes are stored once within their scope, and every object keeps its own reference to them."""

from __future__ import annotations

import random
import threading
from pathlib import Path

from s4gw.store import Store, ops, upkeeping
from s4gw.store.layout import volume_path
from s4gw.store.rebuild import rebuild_index
from tests.store.kit import BUCKET, all_rows, check_references, delete, get, make_bucket, nonce
from tests.store.upkeep_kit import agree, check_all, compact, open_store

FRAME = 200_000


def frames(seed: int, count: int) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(FRAME) for _ in range(count)]


def put(store: Store, key: str, parts: list[bytes], scope: bytes | None = b"b") -> None:
    body = store.stage(scope)
    for part in parts:
        body.write(part)
    store.put(ops.Put(BUCKET, key.encode(), [], body.size, "e", b"m", b"f", nonce()), body)


def unique(store: Store) -> int:
    return upkeeping.stats(store.data_dir).unique_bytes


def test_the_same_tree_twice(tmp_path: Path) -> None:
    """Large files, small ones and tails; the second copy costs nothing."""
    store = open_store(tmp_path / "data")
    make_bucket(store)
    tree = {f"f{number}": [*frames(number, number % 4), random.Random(-number).randbytes(9000)] for number in range(20)}
    for key, parts in tree.items():
        put(store, f"a/{key}", parts)
    once, on_disk = unique(store), upkeeping.stats(store.data_dir).disk_bytes
    for key, parts in tree.items():
        put(store, f"b/{key}", parts)
    stats = upkeeping.stats(store.data_dir)
    check_all(store, {f"{side}/{key}": b"".join(parts) for side in "ab" for key, parts in tree.items()})
    store.close()
    assert (once, 2.0, 2 * once) == (stats.unique_bytes, stats.ratio, stats.referenced_bytes)
    assert stats.disk_bytes < 1.01 * on_disk
    check_references(tmp_path / "data")


def test_bodies_that_differ_in_one_frame_share_the_others(tmp_path: Path) -> None:
    store = open_store(tmp_path / "data")
    make_bucket(store)
    parts = frames(1, 8)
    put(store, "one", parts)
    once = unique(store)
    changed = [*parts[:3], *frames(2, 1), *parts[4:]]
    put(store, "two", changed)
    assert (once + FRAME, b"".join(changed)) == (unique(store), get(store, "two"))
    put(store, "zeros", [bytes(FRAME)] * 20)
    assert (once + 2 * FRAME, bytes(FRAME) * 20) == (unique(store), get(store, "zeros"))
    store.close()
    check_references(tmp_path / "data")


def test_scopes_are_apart(tmp_path: Path) -> None:
    """Another bucket's bytes are not found, unless the whole store is one scope; without a scope nothing is."""
    store = open_store(tmp_path / "data")
    make_bucket(store)
    parts = frames(1, 2)
    for scope, expected in ((b"b", 2), (b"b", 2), (b"c", 4), (b"", 6), (b"", 6), (None, 8), (None, 10)):
        put(store, f"k{expected}", parts, scope)
        put(store, f"k{expected}{scope!r}", [])
        assert expected * FRAME == unique(store), scope
        keep = store.index.current(BUCKET, f"k{expected}".encode())
        assert keep.stored_size == 2 * FRAME
    store.close()


def test_references_keep_what_others_delete(tmp_path: Path) -> None:
    """Trap: refcounts that are read outside of the transaction; two equal parts counted once."""
    data_dir = tmp_path / "data"
    store = open_store(data_dir)
    make_bucket(store)
    parts = [*frames(1, 3), *frames(1, 3)]
    for number in range(6):
        put(store, f"k{number}", parts)
    for number in range(5):
        delete(store, f"k{number}")
        compact(store)
        assert b"".join(parts) == get(store, "k5")
    store.close()
    check_references(data_dir)
    rows = all_rows(data_dir)
    assert rebuild_index(data_dir).whole
    assert rows == all_rows(data_dir)
    store = open_store(data_dir)
    delete(store, "k5")
    compact(store)
    assert 0 == unique(store)
    store.close()


def test_what_is_gone_within_the_grace_is_found_again(tmp_path: Path) -> None:
    """Deleted, then stored again before anybody removed it."""
    store = open_store(tmp_path / "data")
    make_bucket(store)
    parts = frames(1, 3)
    put(store, "k", parts)
    before = upkeeping.stats(store.data_dir).disk_bytes
    delete(store, "k")
    put(store, "again", parts)
    compact(store)
    assert b"".join(parts) == get(store, "again")
    assert upkeeping.stats(store.data_dir).disk_bytes < before + FRAME
    store.close()


def test_a_damaged_extent_is_nobodys_twin(tmp_path: Path) -> None:
    """Equal means that the bytes were read and compared, not that a digest says so."""
    data_dir = tmp_path / "data"
    store = open_store(data_dir)
    make_bucket(store)
    parts = frames(1, 1)
    put(store, "old", parts)
    path = volume_path(data_dir, 1)
    place = path.read_bytes().index(parts[0][:100])
    with path.open("r+b") as file:
        file.seek(place + 1000)
        file.write(b"\xff\x00\xff")
    put(store, "new", parts)
    assert parts[0] == get(store, "new")
    upkeeping.scrub_all(store, upkeeping.Pace(data_dir, 0))
    put(store, "newer", parts)
    put(store, "newest", parts)
    assert (parts[0], parts[0]) == (get(store, "newer"), get(store, "newest"))
    assert 3 * FRAME == unique(store)
    store.close()


def test_racing_with_deletes_and_compaction(tmp_path: Path) -> None:
    """Trap: the check for equal bytes and the reference to them are not one step; garbage collection comes between."""
    data_dir = tmp_path / "data"
    store = open_store(data_dir)
    make_bucket(store)
    shared = [frames(seed, 1)[0] for seed in range(4)]
    failures: list[BaseException] = []

    def work(mine: int) -> None:
        rng = random.Random(mine)
        try:
            for count in range(60):
                parts = rng.choices(shared, k=3)
                put(store, f"{mine}", parts)
                assert b"".join(parts) == get(store, f"{mine}"), count
                delete(store, f"{mine}")
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        compact(store)
    for thread in threads:
        thread.join()
    store.close()
    assert [] == failures
    check_references(data_dir)
    assert [] == agree(data_dir)
    rows = all_rows(data_dir)
    rebuild_index(data_dir)
    assert rows == all_rows(data_dir)
