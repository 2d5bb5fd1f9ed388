"""Quotas: looked at in the transaction, exact to the byte, also within one batch and in a rebuilt index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from s4gw.store import Outcome, QuotaFull, Store, ops, rebuild_index
from tests.store.kit import BUCKET, contents, delete, keys, make_bucket, nonce, put, put_op


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "data", in_process=True)
    make_bucket(made)
    made.submit(ops.SetQuota(BUCKET, 100))
    return made


def test_the_last_byte_fits_and_one_more_does_not(store: Store) -> None:
    put(store, "a", b"x" * 60)
    put(store, "b", b"x" * 40)
    with pytest.raises(QuotaFull):
        put(store, "c", b"x")
    put(store, "c", b"")
    delete(store, "a")
    put(store, "c", b"x" * 60)
    assert ["b", "c"] == keys(store)


def test_an_overwrite_makes_room_unless_versions_are_kept(store: Store) -> None:
    put(store, "a", b"x" * 60)
    put(store, "a", b"x" * 90)
    store.submit(ops.SetVersioning(BUCKET, "Enabled"))
    with pytest.raises(QuotaFull):
        put(store, "a", b"x" * 20)


def test_requests_of_one_batch_see_each_other(store: Store) -> None:
    operations = []
    for number in range(4):
        body = store.stage()
        body.write(b"x" * 40)
        operations.append((put_op(f"k{number}", store.finish(body)[0], 40), None))
    outcomes = store.submit_all(operations)
    assert [True, True, False, False] == [isinstance(outcome, Outcome) for outcome in outcomes]


def copied(store: Store) -> None:
    source = store.index.current(BUCKET, b"a")
    store.submit(ops.Copy(BUCKET, b"a", source.seq, BUCKET, b"copy", b"m", b"f", nonce()))


def completed(store: Store) -> None:
    store.submit(ops.CreateUpload(BUCKET, b"m", "u", 1, b"d"))
    parts = []
    for number in (1, 2):
        body = store.stage()
        body.write(b"x" * 30)
        outcome = store.submit(ops.PutPart(BUCKET, b"m", "u", number, store.finish(body)[0], b"d"))
        parts.append((number, outcome.seq))
    store.submit(ops.Complete(BUCKET, b"m", "u", parts, [], 60, "e", b"m", b"f", nonce()))


@pytest.mark.parametrize("write", [copied, completed])
def test_copies_and_uploads_count(store: Store, write: Callable[[Store], None]) -> None:
    put(store, "a", b"x" * 60)
    with pytest.raises(QuotaFull):
        write(store)
    store.submit(ops.SetQuota(BUCKET, None))
    store.submit_all([(ops.AbortUpload(BUCKET, b"m", "u"), None)])
    write(store)


def test_a_rebuilt_index_has_it(store: Store) -> None:
    put(store, "a", b"x" * 60)
    before = contents(store.data_dir)
    store.close()
    rebuild_index(store.data_dir)
    assert before == contents(store.data_dir)
