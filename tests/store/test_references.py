"""After any sequence of operations the reference counts are the rows' own, and the volumes give the same index."""

from __future__ import annotations

import shutil
from pathlib import Path
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.store import Refused, Store, ops, tables
from s4gw.store.ops import Operation, version_id
from s4gw.store.rebuild import rebuild_index
from s4gw.store.usage import Policy, read_stats
from tests.store.kit import BUCKET, all_rows, check_references, contents, make_bucket, memory_dir, nonce
from tests.store.upkeep_kit import ALL, SNAPSHOT, agree, compact

KEYS = st.sampled_from([b"a", b"b", b"c"])
UPLOADS = st.sampled_from(["u1", "u2"])
STEPS = st.one_of(
    st.tuples(st.just("put"), KEYS, st.sampled_from([0, 1, 5000, 100_000])),
    st.tuples(st.just("delete"), KEYS, st.none()),
    st.tuples(st.just("delete version"), KEYS, st.integers(0, 30)),
    st.tuples(st.just("copy"), KEYS, KEYS),
    st.tuples(st.just("rename"), KEYS, KEYS),
    st.tuples(st.just("meta"), KEYS, st.integers(0, 3)),
    st.tuples(st.just("versioning"), KEYS, st.sampled_from(["", "Enabled", "Suspended"])),
    st.tuples(st.just("upload"), KEYS, UPLOADS),
    st.tuples(st.just("part"), UPLOADS, st.integers(1, 3)),
    st.tuples(st.just("complete"), UPLOADS, st.sets(st.integers(1, 3), max_size=3)),
    st.tuples(st.just("abort"), UPLOADS, st.none()),
    st.tuples(st.just("compact"), st.sampled_from([ALL, SNAPSHOT]), st.none()),
    st.tuples(st.just("config"), KEYS, st.sampled_from([None, b"document"])),
)


class Play:
    """Carries out steps and remembers what it needs to name things."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.made: list[tuple[bytes, str, int]] = []
        self.uploads: dict[str, bytes] = {}
        self.parts: dict[tuple[str, int], int] = {}

    def step(self, what: str, first: object, second: object) -> None:
        if what == "compact":
            assert isinstance(first, Policy)
            compact(self.store, first)
            return
        operation, inline = getattr(self, what.replace(" ", "_"))(first, second)
        if operation is None:
            return
        outcome = self.store.submit_all([(operation, inline)])[0]
        if isinstance(outcome, Refused):
            return
        if isinstance(operation, ops.Put | ops.Copy | ops.Complete | ops.Delete) and outcome.seq:
            self.made.append((operation.key, version_id(outcome.seq, outcome.flags, outcome.nonce), outcome.seq))
        if isinstance(operation, ops.PutPart):
            self.parts[operation.upload_id, operation.number] = outcome.seq

    def put(self, key: bytes, size: int) -> tuple[Operation | None, bytes | None]:
        body = self.store.stage()
        body.write(b"x" * size)
        extents, inline = self.store.finish(body)
        return ops.Put(BUCKET, key, extents, size, "e", b"m", b"facts", nonce()), inline

    def delete(self, key: bytes, _: None) -> tuple[Operation | None, bytes | None]:
        return ops.Delete(BUCKET, key, None, nonce()), None

    def delete_version(self, key: bytes, place: int) -> tuple[Operation | None, bytes | None]:
        mine = [version for name, version, _ in self.made if name == key]
        return ops.Delete(BUCKET, key, mine[place % len(mine)] if mine else "null", nonce()), None

    def copy(self, key: bytes, target: bytes) -> tuple[Operation | None, bytes | None]:
        seqs = [seq for name, _, seq in self.made if name == key]
        return ops.Copy(BUCKET, key, seqs[-1] if seqs else 0, BUCKET, target, b"m2", b"facts2", nonce()), None

    def rename(self, key: bytes, target: bytes) -> tuple[Operation | None, bytes | None]:
        return ops.Rename(BUCKET, key, target, nonce()), None

    def meta(self, key: bytes, place: int) -> tuple[Operation | None, bytes | None]:
        seqs = [seq for name, _, seq in self.made if name == key]
        return ops.SetMeta(BUCKET, key, seqs[-1 - place % len(seqs)] if seqs else 0, b"new", b"facts3"), None

    def versioning(self, _: bytes, state: str) -> tuple[Operation | None, bytes | None]:
        return ops.SetVersioning(BUCKET, state), None

    def config(self, _: bytes, document: bytes | None) -> tuple[Operation | None, bytes | None]:
        return ops.PutConfig(BUCKET, "cors", document), None

    def upload(self, key: bytes, upload_id: str) -> tuple[Operation | None, bytes | None]:
        self.uploads.setdefault(upload_id, key)
        return ops.CreateUpload(BUCKET, self.uploads[upload_id], upload_id, 1, b"d"), None

    def part(self, upload_id: str, number: int) -> tuple[Operation | None, bytes | None]:
        body = self.store.stage()
        body.write(b"p" * 70_000)
        extents, _ = self.store.finish(body)
        return ops.PutPart(BUCKET, self.uploads.get(upload_id, b"a"), upload_id, number, extents, b"d"), None

    def complete(self, upload_id: str, numbers: set[int]) -> tuple[Operation | None, bytes | None]:
        chosen = [(number, self.parts.get((upload_id, number), 0)) for number in sorted(numbers)]
        key = self.uploads.get(upload_id, b"a")
        return ops.Complete(BUCKET, key, upload_id, chosen, [], 1, "e", b"m", b"facts", nonce()), None

    def abort(self, upload_id: str, _: None) -> tuple[Operation | None, bytes | None]:
        return ops.AbortUpload(BUCKET, self.uploads.get(upload_id, b"a"), upload_id), None


@settings(max_examples=30, deadline=None)
@given(st.lists(STEPS, min_size=5, max_size=30), st.sampled_from([0, 2, tables.DEAD_MAX]))
def test_counts_hold_and_the_volumes_are_the_truth(steps: list[tuple[str, object, object]], dead_max: int) -> None:
    with memory_dir() as place, patch.object(tables, "DEAD_MAX", dead_max):
        play_and_rebuild(place / "data", steps)


def play_and_rebuild(data_dir: Path, steps: list[tuple[str, object, object]]) -> None:
    """Carry the steps out, and compare."""
    store = Store(data_dir, in_process=True, volume_bytes=300_000)
    make_bucket(store)
    play = Play(store)
    for step in steps:
        play.step(*step)
    store.close()
    check_references(data_dir)
    assert [] == agree(data_dir)
    before = all_rows(data_dir)
    rebuild_index(data_dir)
    check_references(data_dir)
    assert before == all_rows(data_dir)


def test_bodies_that_came_with_their_orders_are_in_the_volumes(tmp_path: Path) -> None:
    """An index made anew holds small bodies as the committer placed them, inline ones included."""
    data_dir = tmp_path / "data"
    store = Store(data_dir, in_process=True, volume_bytes=20_000)
    make_bucket(store)
    for number, size in enumerate([1, 500, 1024, 1025, 16_000, 16_385, 40_000]):
        body = store.stage()
        body.write(bytes([number]) * size)
        store.put(ops.Put(BUCKET, b"k%d" % number, [], size, "e", b"m", b"f", nonce()), body)
    store.close()
    check_references(data_dir)
    before = contents(data_dir)
    rebuild_index(data_dir)
    check_references(data_dir)
    assert before == contents(data_dir)


def test_small_bodies_go_by_the_hundred_and_leave_the_volumes_with_the_next_compaction(tmp_path: Path) -> None:
    """They are counted as waiting from the start, and an index made anew holds the same rows."""
    with memory_dir() as place:
        data_dir = place / "data"
        store = Store(data_dir, in_process=True)
        make_bucket(store)
        most = tables.DEAD_MAX
        for number in range(2 * most // 8):
            store.submit_all([_small(store, b"k%d" % (number * key % 11)) for key in range(8)])
        waiting = _dead(store)
        stats = read_stats(store.index._connection, data_dir)
        store.close()
        shutil.copytree(data_dir, tmp_path / "lost")
        for path in (tmp_path / "lost").glob("index.db*"):
            path.unlink()
        rebuild_index(tmp_path / "lost")
        check_references(data_dir)
        rows = all_rows(data_dir)
        assert rows == all_rows(tmp_path / "lost")
        store = Store(data_dir, in_process=True)
        compact(store, ALL)
        left, after = _dead(store), read_stats(store.index._connection, data_dir)
        store.close()
        check_references(data_dir)
        assert [] == agree(data_dir)
    assert (True, 0) == (most - 8 * 32 < waiting <= most, left)
    assert stats.referenced_bytes == stats.unique_bytes == after.unique_bytes == 10 * after.objects
    assert (after.waiting_bytes, after.dead_bytes) == (0, 0)


def _small(store: Store, key: bytes) -> tuple[Operation, bytes | None]:
    body = store.stage()
    body.write(b"0123456789")
    extents, inline = store.finish(body)
    return ops.Put(BUCKET, key, extents, 10, "e", b"m", b"f", nonce()), inline


def _dead(store: Store) -> int:
    return sum(mask.bit_count() for (mask,) in store.index._connection.execute("SELECT mask FROM dead"))
