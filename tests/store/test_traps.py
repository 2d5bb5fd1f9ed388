"""What went wrong in another store of this kind, trap by trap: each lost, resurrected or leaked something there.

`test_trap_list` says which trap is which test, here and elsewhere.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from s4gw.store import BucketNotEmpty, Refused, Store, Unavailable, ops, unpack_runs, upkeeping
from s4gw.store.committer import Committer
from s4gw.store.compaction import Compactor
from s4gw.store.layout import RecordKind, volume_path
from s4gw.store.ops import LockDefault
from s4gw.store.rebuild import rebuild_index
from s4gw.store.record import Buffer, pack_head
from s4gw.store.recovery import prepare, recover
from s4gw.store.upkeep import Pace, upkeep
from s4gw.store.volume import AppendFile
from tests.store.kit import BUCKET, all_rows, check_references, delete, get, keys, make_bucket, nonce, put, put_op
from tests.store.upkeep_kit import ALL, SNAPSHOT, VOLUME_BYTES, agree, check_all, compact, disk_bytes, fill, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(tmp_path / "data")
    make_bucket(store)
    return store


def rebuilt(store: Store) -> None:
    """Close the store; the index made anew has the very rows of the old one."""
    store.close()
    rows = all_rows(store.data_dir)
    assert rebuild_index(store.data_dir).whole
    assert rows == all_rows(store.data_dir)
    check_references(store.data_dir)


def upload(store: Store, name: str, parts: Sequence[bytes], scope: bytes | None = None) -> list[tuple[int, int]]:
    store.submit(ops.CreateUpload(BUCKET, b"m", name, 1, b"d"))
    chosen = []
    for number, data in enumerate(parts, 1):
        body = store.stage(scope)
        body.write(data)
        extents, _ = store.finish(body)
        chosen.append((number, store.submit(ops.PutPart(BUCKET, b"m", name, number, extents, b"d")).seq))
    return chosen


def complete(store: Store, name: str, chosen: list[tuple[int, int]]) -> None:
    store.submit(ops.Complete(BUCKET, b"m", name, chosen, [], 1, "e", b"m", b"f", nonce()))


@pytest.mark.parametrize("policy", [ALL, SNAPSHOT], ids=lambda policy: policy.name)
def test_1_compaction_keeps_every_kind_of_record(store: Store, policy: object) -> None:
    """There the compactor knew objects only, and deleted the volumes that held users."""
    store.submit(ops.CreateBucket("locked", "o", 1, "r", "Enabled", {"policy": b"{}"}))
    store.submit(ops.PutLock("locked", LockDefault("GOVERNANCE", days=1)))
    store.submit(ops.PutConfig(BUCKET, "cors", b"<cors/>"))
    put(store, "held", b"h" * 20_000, bucket="locked")
    upload(store, "open", [b"p" * 50_000])
    stored = fill(store)
    for key in list(stored)[::2]:
        delete(store, key)
    assert policy in (ALL, SNAPSHOT)
    assert compact(store, ALL if policy is ALL else SNAPSHOT).volumes
    assert 2 == len(store.index.buckets())
    assert 1 == len(store.index.parts(store.index.upload(BUCKET, b"m", "open").seq, 0, 10))
    rebuilt(store)


def test_3_multipart_releases_what_it_held(store: Store) -> None:
    """Overwritten parts, unchosen parts, aborted and deleted uploads: the space of all of them returns."""
    put(store, "kept", b"k" * 1000)
    for _ in range(4):
        chosen = upload(store, "u", [b"a" * 90_000, b"b" * 90_000, b"c" * 90_000])
        store.submit(ops.AbortUpload(BUCKET, b"m", "u"))
        chosen = upload(store, "u", [b"a" * 90_000, b"b" * 90_000, b"c" * 90_000])
        complete(store, "u", chosen[:2])
    delete(store, "m")
    compact(store)
    assert upkeeping.stats(store.data_dir).unique_bytes == 1000
    assert disk_bytes(store.data_dir) < 2 * VOLUME_BYTES
    store.close()


def test_3_bytes_of_writers_that_died_are_dead(store: Store) -> None:
    """Nothing refers to what was never committed, and nobody has to look for it."""
    put(store, "kept", b"k" * 50_000)
    for _ in range(5):
        body = store.stage()
        body.write(b"d" * 1_500_000)
        del body
    before = disk_bytes(store.data_dir)
    compact(store)
    assert b"k" * 50_000 == get(store, "kept")
    after = disk_bytes(store.data_dir)
    store.close()
    assert (True, True) == (before > 7_000_000, after < 100_000)


def test_6_nothing_comes_back_after_everything_was_deleted(store: Store) -> None:
    """There recovery from volumes resurrected objects: deletes stood nowhere."""
    for key in fill(store):
        delete(store, key)
    compact(store)
    rebuilt(store)
    again = open_store(store.data_dir)
    assert [] == keys(again)
    again.close()


def test_7_a_bucket_with_hidden_versions_stays(store: Store) -> None:
    store.submit(ops.SetVersioning(BUCKET, "Enabled"))
    put(store, "k")
    delete(store, "k")
    with pytest.raises(BucketNotEmpty):
        store.submit(ops.DeleteBucket(BUCKET))
    store.close()


def test_a_volume_ids_grow_and_the_open_volume_is_never_compacted(store: Store) -> None:
    """There the writer started again at volume 0, and compaction removed the volume that it wrote to."""
    seen: set[int] = set()
    for _ in range(4):
        stored = fill(store, 30)
        for key in list(stored)[::2]:
            delete(store, key)
        removed = set(compact(store).volumes)
        assert store._committer is not None
        assert store._committer._volume not in removed
        assert not seen & {int(path.stem) for path in (store.data_dir / "volumes").iterdir()}
        seen |= removed
        store.close()
        store = open_store(store.data_dir)
    check = {int(path.stem) for path in (store.data_dir / "volumes").iterdir()}
    store.close()
    assert (set(), True) == (seen & check, len(seen) > 4)


def test_b_copies_are_flushed_before_the_switch(store: Store) -> None:
    """There the index was committed first; a power cut lost live objects."""
    stored = fill(store)
    for key in list(stored)[::5]:
        delete(store, key)
    flushed: list[int] = []
    steps: list[tuple[str, int]] = []
    flush = os.fdatasync

    def noted(descriptor: int) -> None:
        flushed.append(descriptor)
        flush(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fdatasync", noted)
        with upkeep(store, Pace(store.data_dir, 0), step=lambda name: steps.append((name, len(flushed)))) as run:
            Compactor(run, volume_bytes=VOLUME_BYTES, grace_s=0, move_grace_s=0).run(ALL)
    store.close()
    previous = ("", 0)
    switches = 0
    for name, count in steps:
        if name == "switch":
            assert ("flush copies", count - 1) == previous
            switches += 1
        previous = (name, count)
    assert switches > 1


def test_c_what_changes_during_a_move_stays_changed(store: Store) -> None:
    """There whole rows were written back: overwrites, deletes and holds of that moment were undone."""
    store.submit(ops.CreateBucket("locked", "o", 1, "r", "Enabled", {}))
    store.submit(ops.PutLock("locked", LockDefault()))
    stored = fill(store)
    held = put(store, "held", b"h" * 50_000, bucket="locked")
    delete(store, "k001")
    del stored["k001"]
    done: list[str] = []

    def step(name: str) -> None:
        if name == "switch" and not done:
            done.append(name)
            put(store, "k000", b"new")
            delete(store, "k002")
            store.submit(ops.SetLock("locked", b"held", held.seq, None, 0, hold=True))

    with upkeep(store, Pace(store.data_dir, 0), step=step) as run:
        Compactor(run, volume_bytes=VOLUME_BYTES, grace_s=0, move_grace_s=0).run(ALL)
    del stored["k002"]
    stored["k000"] = b"new"
    check_all(store, stored)
    assert store.index.lock(held.seq).hold
    rebuilt(store)


def test_d_garbage_collection_fails_closed(store: Store) -> None:
    """There one unreadable manifest made all that it named garbage. Here an index in doubt stops the snapshot."""
    fill(store)
    delete(store, "k000")
    assert store._committer is not None
    store._committer._connection.execute("UPDATE extents SET refs = refs + 1 WHERE id = 7")
    before = sorted(path.name for path in (store.data_dir / "volumes").iterdir())
    with pytest.raises(Unavailable, match="does not agree"):
        compact(store, SNAPSHOT)
    assert set(before) <= {path.name for path in (store.data_dir / "volumes").iterdir()}
    store.close()


def test_f_a_write_that_fails_in_the_middle_moves_no_offset(tmp_path: Path) -> None:
    """There every later object of the volume was read from the wrong place."""
    short = False

    def writev(fd: int, buffers: Sequence[Buffer]) -> int:
        if short:
            os.write(fd, b"".join(buffers)[:50])
            raise OSError(28, "No space left on device")
        return os.writev(fd, buffers)

    prepare(tmp_path)
    recover(tmp_path)
    committer = Committer(tmp_path, writev=writev)
    store = Store(tmp_path, committer=committer, writev=writev)
    make_bucket(store)
    for number in range(6):
        short = number % 2 == 0
        size = 30_000 if number % 3 else 3000
        if short:
            with pytest.raises((Unavailable, Refused)):
                put(store, f"k{number}", bytes([number]) * size)
            short = False
        else:
            put(store, f"k{number}", bytes([number]) * size)
    for key in keys(store):
        assert set(get(store, key)) == {int(key[1:])}
    assert ["k1", "k3", "k5"] == keys(store)
    store.close()
    committer.close()
    assert [] == agree(tmp_path)


def test_f_a_writer_that_died_in_the_middle_hides_nothing(tmp_path: Path) -> None:
    """The head of its record is whole, and claims what others appended after it: the journal of answered writes."""
    torn = False

    def writev(fd: int, buffers: Sequence[Buffer]) -> int:
        return os.write(fd, b"".join(buffers)[:500]) if torn else os.writev(fd, buffers)

    prepare(tmp_path)
    recover(tmp_path)
    committer = Committer(tmp_path)
    store = Store(tmp_path, committer=committer, writev=writev)
    make_bucket(store)
    put(store, "before", b"b" * 20_000)
    torn = True
    with pytest.raises(Unavailable):
        put(store, "torn", b"t" * 90_000)
    torn = False
    stored = {f"k{number}": bytes([number]) * 3000 for number in range(50)}
    for key, data in stored.items():
        put(store, key, data)
    delete(store, "before")
    assert [] == upkeeping.check(tmp_path, pace=Pace(tmp_path, 0)).lines
    store.close()
    committer.close()
    rows = all_rows(tmp_path)
    assert rebuild_index(tmp_path).whole
    assert rows == all_rows(tmp_path)
    again = open_store(tmp_path)
    compact(again)
    check_all(again, stored)
    rebuilt(again)


def test_g_object_bytes_do_not_pass_for_records(store: Store) -> None:
    """Not even with the salt, which nobody outside can know: a record's head is believed where the walk comes by."""
    put(store, "first", b"f" * 20_000)
    file = AppendFile(store.data_dir, 1)
    head, _ = pack_head(file.header.salt, RecordKind.JOURNAL, (b"evil" * 100,))
    file.close()
    put(store, "evil", (head + b"evil" * 100) * 20)
    delete(store, "first")
    compact(store)
    put(store, "later", b"l" * 20_000)
    assert ["evil", "later"] == keys(store)
    rebuilt(store)


def test_h_references_are_counted_where_they_are_made(store: Store) -> None:
    """Two equal parts are two references; the first delete takes nothing from the second object."""
    same = b"s" * 90_000
    complete(store, "u", upload(store, "u", [same, same, same], b"b"))
    store.submit(ops.Copy(BUCKET, b"m", store.index.current(BUCKET, b"m").seq, BUCKET, b"copy", b"m", b"f", nonce()))
    assert 90_000 == upkeeping.stats(store.data_dir).unique_bytes
    delete(store, "m")
    compact(store)
    row = store.index.current(BUCKET, b"copy")
    assert same * 3 == store.read(unpack_runs(row.extents or b""), 0, 270_000)
    rebuilt(store)


def test_i_no_version_is_dropped_by_puts_of_one_moment(store: Store) -> None:
    """There the list of versions was read, changed and written back without a lock."""
    store.submit(ops.SetVersioning(BUCKET, "Enabled"))

    def work(mine: int) -> None:
        for number in range(10):
            put(store, "k", bytes([mine, number]) * 100)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found, _ = store.index.list_versions(BUCKET, prefix=b"", delimiter=b"", after=b"", after_version="", limit=100)
    assert 40 == len({row.seq for row in found})
    store.close()


def test_j_a_slow_client_holds_nobody_up(store: Store) -> None:
    """There a volume was locked while a client sent its part."""
    body = store.stage()
    body.write(b"s" * 2_000_000)
    put(store, "meanwhile", b"m" * 50_000)
    compact(store)
    body.write(b"s" * 2_000_000)
    extents, _ = store.finish(body)
    store.submit(put_op("slow", extents, 4_000_000))
    assert ["meanwhile", "slow"] == keys(store)
    store.close()


def test_k_plans_read_no_volume(store: Store) -> None:
    """There every byte of every volume was read into memory each hour."""
    fill(store)
    for path in (store.data_dir / "volumes").iterdir():
        path.chmod(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s4gw.store.walk.Walk.__init__", None)
        assert upkeeping.plan(store, ALL, grace_s=0).volumes is not None
    store.close()


def test_l_the_last_page_costs_what_the_first_does(store: Store) -> None:
    """There each page of a listing began at the first key again."""
    names = [b"%05d" % number for number in range(3000)]
    store.submit_all([(ops.Put(BUCKET, name, [], 0, "e", b"m", b"f", nonce()), None) for name in names])
    steps = 0

    def count() -> bool:
        nonlocal steps
        steps += 1
        return False

    def page(after: bytes) -> int:
        nonlocal steps
        steps = 0
        rows, _ = store.index.list_current(BUCKET, prefix=b"", delimiter=b"", after=after, limit=100)
        assert 100 == len(rows)
        return steps

    page(b"")
    store.index._connection.set_progress_handler(count, 10)
    first, last = page(b""), page(b"02899")
    store.close()
    assert 0 < last <= 1.2 * first


def test_m_a_read_reads_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """There a GET read all of an object to check it, and then again to send it."""
    put(store, "k", os.urandom(3_000_000))
    pread, sizes = os.pread, list[int]()

    def counting(descriptor: int, size: int, offset: int) -> bytes:
        sizes.append(size)
        return pread(descriptor, size, offset)

    get(store, "k")  # opens the volume
    monkeypatch.setattr(os, "pread", counting)
    get(store, "k")
    store.close()
    assert 3_000_000 <= sum(sizes) < 3_001_000


def test_n_keys_have_no_reserved_characters(store: Store) -> None:
    """There '#' parted the key from its version."""
    names = ["a#b", "a", "a#", "#", "a//b", "../a", "a\x01b", "ä#1"]
    for name in names:
        put(store, name, name.encode())
    assert sorted(names, key=str.encode) == keys(store)
    assert volume_path(store.data_dir, 1).exists()
    rebuilt(store)
