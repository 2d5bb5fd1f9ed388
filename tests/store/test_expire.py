"""Expiry in the store: journaled like everything else, and refused where locks hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from s4gw.store import Locked, Store, ops, rebuild_index
from s4gw.store.ops import EXPIRE_CURRENT, EXPIRE_MARKER, EXPIRE_NONCURRENT, Expire, Lock, LockDefault
from tests.store.kit import BUCKET, check_references, contents, delete, keys, make_bucket, nonce, put


def expire(key: str, seq: int, kind: int) -> Expire:
    return Expire(BUCKET, key.encode(), seq, kind, nonce())


@pytest.mark.parametrize("versioning", ["", "Enabled", "Suspended"])
def test_a_rebuilt_index_has_expired_the_same(tmp_path: Path, versioning: str) -> None:
    store = Store(tmp_path / "data", in_process=True)
    make_bucket(store, versioning=versioning)
    first, second = put(store, "a"), put(store, "a")
    other = put(store, "b")
    delete(store, "c")
    outcomes = [
        store.submit(expire("a", first.seq, EXPIRE_NONCURRENT)).seq,
        store.submit(expire("a", second.seq, EXPIRE_CURRENT)).seq,
        store.submit(expire("b", other.seq + 1, EXPIRE_CURRENT)).seq,
    ]
    if versioning:
        marker = store.index.current(BUCKET, b"c")
        outcomes.append(store.submit(expire("c", marker.seq, EXPIRE_MARKER)).seq - marker.seq)
    before = contents(store.data_dir)
    visible = keys(store)
    check_references(store.data_dir)
    store.close()
    rebuild_index(store.data_dir)
    expected = [first.seq if versioning == "Enabled" else 0, second.seq, 0] + ([0] if versioning else [])
    assert (expected, ["b"], before) == (outcomes, visible, contents(store.data_dir))


def test_a_lock_outlasts_expiry(tmp_path: Path) -> None:
    store = Store(tmp_path / "data", in_process=True)
    store.submit(ops.CreateBucket(BUCKET, "owner", 1, "r", "Enabled", {}, LockDefault()))
    body = store.stage()
    held = store.put(ops.Put(BUCKET, b"k", [], 0, "e", b"m", b"f", nonce(), None, Lock(hold=True)), body)
    put(store, "k")
    with pytest.raises(Locked):
        store.submit(expire("k", held.seq, EXPIRE_NONCURRENT))
