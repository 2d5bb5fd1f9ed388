"""Quotas: looked at in the transaction, exact to the byte, also within one batch and in a rebuilt index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from s4gw.store import Outcome, QuotaFull, Store, ops, quota, rebuild_index
from tests.store.kit import BUCKET, check_references, contents, delete, keys, make_bucket, nonce, put, put_op


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


def part(store: Store, number: int, size: int, upload: str = "u") -> tuple[int, int]:
    body = store.stage()
    body.write(b"x" * size)
    outcome = store.submit(ops.PutPart(BUCKET, b"m", upload, number, store.finish(body)[0], b"d"))
    return number, outcome.seq


def complete(store: Store, parts: list[tuple[int, int]], tail: int = 0) -> None:
    body = store.stage()
    body.write(b"x" * tail)
    extents, _ = store.finish(body)
    store.submit(ops.Complete(BUCKET, b"m", "u", parts, extents, 60, "e", b"m", b"f", nonce()))


def used(store: Store) -> int:
    (found,) = store.index.buckets()
    return found.bytes


def test_parts_count_until_their_upload_ends(store: Store) -> None:
    """A part in place of another counts as what it is larger; an abort gives all of it back."""
    store.submit(ops.CreateUpload(BUCKET, b"m", "u", 1, b"d"))
    store.submit(ops.CreateUpload(BUCKET, b"m", "v", 1, b"d"))
    part(store, 1, 60)
    part(store, 1, 30)
    part(store, 1, 50)
    part(store, 7, 30, "v")
    with pytest.raises(QuotaFull):
        put(store, "a", b"x" * 21)
    with pytest.raises(QuotaFull):
        part(store, 2, 21)
    with pytest.raises(QuotaFull):
        part(store, 7, 51, "v")
    put(store, "a", b"x" * 20)
    full = used(store)
    store.submit(ops.AbortUpload(BUCKET, b"m", "u"))
    check_references(store.data_dir)
    assert (100, 50) == (full, used(store))


def test_a_complete_counts_nothing_twice(store: Store) -> None:
    """A full bucket takes it; parts that were not chosen give their bytes back, and the object it replaces too."""
    put(store, "m", b"x" * 20)
    store.submit(ops.CreateUpload(BUCKET, b"m", "u", 1, b"d"))
    parts = [part(store, number, 20) for number in (1, 2, 3, 4)]
    with pytest.raises(QuotaFull):
        complete(store, parts, tail=21)
    complete(store, parts[:3], tail=10)
    check_references(store.data_dir)
    assert 70 == used(store)


def test_a_deleted_bucket_takes_its_uploads_along(store: Store) -> None:
    store.submit(ops.CreateUpload(BUCKET, b"m", "u", 1, b"d"))
    part(store, 1, 60)
    store.submit(ops.DeleteBucket(BUCKET))
    make_bucket(store)
    assert 0 == used(store)


def test_a_lower_quota_is_no_reason_to_forget_anything(store: Store) -> None:
    """What was written under another limit is written again when the index is made anew."""
    put(store, "a", b"x" * 60)
    store.submit(ops.CreateUpload(BUCKET, b"m", "u", 1, b"d"))
    parts = [part(store, 1, 40)]
    store.submit(ops.SetQuota(BUCKET, 10))
    complete(store, parts)
    before = contents(store.data_dir)
    store.close()
    assert rebuild_index(store.data_dir).whole
    assert before == contents(store.data_dir)


def test_what_was_let_in_comes_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rebuild does not judge: rules may have been others when something was written."""
    with monkeypatch.context() as patch:
        patch.setattr(quota, "check", lambda *_: None)
        put(store, "a", b"x" * 200)
    before = contents(store.data_dir)
    store.close()
    assert rebuild_index(store.data_dir).whole
    assert before == contents(store.data_dir)


def test_a_rebuilt_index_has_it(store: Store) -> None:
    put(store, "a", b"x" * 60)
    before = contents(store.data_dir)
    store.close()
    rebuild_index(store.data_dir)
    assert before == contents(store.data_dir)
