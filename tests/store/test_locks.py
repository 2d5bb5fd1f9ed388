"""Locks: what they forbid, that no operation gets past them, and that a rebuilt index has them all."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4gw.store import BadState, Locked, NoLock, Outcome, Store, StoreError, locks, ops, rebuild_index, version_id
from s4gw.store.ops import Lock, LockDefault
from s4gw.store.usage import Policy
from s4gw.store.volume_ops import Reap, VolumeDrop
from tests.store.kit import BUCKET, check_references, contents, get, nonce, put
from tests.store.upkeep_kit import ALL, SNAPSHOT, compact, fill, open_store

FAR_MS = 4_000_000_000_000
YEAR_MS = 365 * 86_400_000
HELD = Lock(hold=True)
GOVERNED = Lock("GOVERNANCE", FAR_MS)
COMPLIANT = Lock("COMPLIANCE", FAR_MS)
LOCKS = st.builds(Lock, st.sampled_from(["", "GOVERNANCE", "COMPLIANCE"]), st.integers(0, 10), st.booleans())


def ms(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type, misc] # year, month, day


@pytest.mark.parametrize(
    ("made", "default", "until"),
    [
        (ms(2026, 3, 1), LockDefault("GOVERNANCE", days=1), ms(2026, 3, 2)),
        (ms(2026, 3, 1), LockDefault("COMPLIANCE", years=2), ms(2028, 3, 1)),
        (ms(2028, 2, 29), LockDefault("COMPLIANCE", years=1), ms(2029, 3, 1)),
        (ms(2028, 2, 29), LockDefault("COMPLIANCE", years=4), ms(2032, 2, 29)),
        (ms(2026, 12, 31), LockDefault("GOVERNANCE", years=100), ms(2126, 12, 31)),
    ],
)
def test_default_retention_counts_days_and_calendar_years(made: int, default: LockDefault, until: int) -> None:
    assert Lock(default.mode, until) == locks.for_new(default, None, made)


def test_an_upload_that_brings_only_a_hold_gets_the_default_retention() -> None:
    assert Lock("GOVERNANCE", ms(2026, 3, 2), hold=True) == locks.for_new(
        LockDefault("GOVERNANCE", days=1), HELD, ms(2026, 3, 1)
    )


@given(
    held=LOCKS, mode=st.sampled_from(["", "GOVERNANCE", "COMPLIANCE"]), until=st.integers(0, 10), bypass=st.booleans()
)
def test_a_lock_that_keeps_cannot_be_exchanged_for_one_that_does_not(
    held: Lock, mode: str, until: int, bypass: bool
) -> None:
    """Whatever retention keeps a version at some time still does after any change that is allowed."""
    now = 5
    retention = Lock(held.mode, held.until_ms)
    if locks.may_change(held, mode, until, now, bypass=bypass):
        for later in range(now, 11):
            kept = locks.keeps(retention, later, bypass=bypass)
            assert not kept or locks.keeps(Lock(mode, until), later, bypass=bypass)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "data", in_process=True)
    made.submit(ops.CreateBucket(BUCKET, "owner", 1, "r", "Enabled", {}, LockDefault()))
    return made


def put_locked(store: Store, key: str, lock: Lock | None, bucket: str = BUCKET) -> Outcome:
    body = store.stage()
    body.write(b"locked")
    return store.put(ops.Put(bucket, key.encode(), [], 6, "etag", b"m", b"f", nonce(), None, lock), body)


def named(outcome: Outcome) -> str:
    return version_id(outcome.seq, outcome.flags, outcome.nonce)


def delete(store: Store, key: str, version: str | None, *, bypass: bool = False) -> object:
    return store.submit_all([(ops.Delete(BUCKET, key.encode(), version, nonce(), None, bypass), None)])[0]


@pytest.mark.parametrize("lock", [HELD, GOVERNED, COMPLIANT])
def test_a_locked_version_survives_every_operation(store: Store, lock: Lock) -> None:
    """Delete, delete with a bypass, overwrite, copy, rename from and to, multipart, suspension, bucket deletion."""
    kept = put_locked(store, "k", lock)
    put(store, "other", b"other")
    other = store.index.current(BUCKET, b"other")
    refused = [delete(store, "k", named(kept))]
    if lock != GOVERNED:
        refused.append(delete(store, "k", named(kept), bypass=True))
    attempts: list[ops.Operation] = [
        *(ops.Expire(BUCKET, b"k", kept.seq, kind, nonce()) for kind in range(3)),
        ops.Copy(BUCKET, b"other", other.seq, BUCKET, b"k", b"m", b"f", nonce()),
        ops.Rename(BUCKET, b"other", b"k", nonce()),
        ops.Rename(BUCKET, b"k", b"elsewhere", nonce()),
        ops.CreateUpload(BUCKET, b"k", "u", 1, b"d"),
        ops.Complete(BUCKET, b"k", "u", [], [], 0, "e", b"m", b"f", nonce()),
        ops.Delete(BUCKET, b"k", None, nonce()),
        *(ops.Expire(BUCKET, b"k", kept.seq, kind, nonce()) for kind in range(3)),
        ops.SetMeta(BUCKET, b"k", kept.seq, b"new", b"f"),
        ops.SetVersioning(BUCKET, "Suspended"),
        ops.SetVersioning(BUCKET, ""),
        ops.DeleteBucket(BUCKET),
        ops.SetLock(BUCKET, b"k", kept.seq, "GOVERNANCE" if lock.mode == "COMPLIANCE" else None, FAR_MS + 1, None),
        ops.PutLock(BUCKET, LockDefault()),
        Reap(FAR_MS, [(0, 1000)]),
        VolumeDrop(1, 0, [], 0),
    ]
    for operation in attempts:
        store.submit_all([(operation, None)])
    found = store.index.version(BUCKET, b"k", named(kept))
    assert all(isinstance(outcome, Locked) for outcome in refused)
    assert (kept.seq, lock, b"locked") == (found.seq, store.index.lock(found.seq), found.inline)
    check_references(store.data_dir)


def test_what_ends_a_lock_lets_the_version_go(store: Store) -> None:
    """A bypass for GOVERNANCE, the end of a hold, the end of the period."""
    governed, past = put_locked(store, "g", GOVERNED), put_locked(store, "p", Lock("COMPLIANCE", 1))
    held = put_locked(store, "h", HELD)
    store.submit(ops.SetLock(BUCKET, b"h", held.seq, None, 0, hold=False))
    for key, version, bypass in (("g", governed, True), ("p", past, False), ("h", held, False)):
        assert isinstance(delete(store, key, named(version), bypass=bypass), Outcome)
    assert [] == contents(store.data_dir)["locks"]


def test_a_retention_only_gets_longer(store: Store) -> None:
    """COMPLIANCE for everybody, GOVERNANCE for whoever may not bypass it."""
    for lock, bypass in ((COMPLIANT, True), (COMPLIANT, False), (GOVERNED, False)):
        made = put_locked(store, "k", lock)
        for mode, until in (("", 0), (lock.mode, FAR_MS - 1), ("GOVERNANCE", 1)):
            with pytest.raises(Locked):
                store.submit(ops.SetLock(BUCKET, b"k", made.seq, mode, until, None, bypass))
        store.submit(ops.SetLock(BUCKET, b"k", made.seq, lock.mode, FAR_MS + 1, None, bypass))
        assert Lock(lock.mode, FAR_MS + 1) == store.index.lock(made.seq)


def test_locks_need_a_bucket_for_them(store: Store) -> None:
    """And that needs versioning, for good."""
    store.submit(ops.CreateBucket("plain", "owner", 1, "r", "", {}))
    made = put_locked(store, "k", None, "plain")
    for attempt, error in (
        (ops.SetLock("plain", b"k", made.seq, None, 0, hold=True), NoLock),
        (ops.PutLock("plain", LockDefault()), BadState),
        (ops.SetVersioning(BUCKET, "Suspended"), BadState),
    ):
        with pytest.raises(error):
            store.submit(attempt)
    with pytest.raises(NoLock):
        put_locked(store, "k", HELD, "plain")
    store.submit(ops.SetVersioning("plain", "Enabled"))
    store.submit(ops.PutLock("plain", LockDefault("GOVERNANCE", days=1)))
    assert "GOVERNANCE" == store.index.lock(put_locked(store, "k", None, "plain").seq).mode


def test_a_rebuilt_index_has_every_lock(store: Store) -> None:
    """Defaults, periods, holds, and those that were changed or removed since; second factors too."""
    store.submit(ops.PutLock(BUCKET, LockDefault("COMPLIANCE", years=1)))
    for key, lock in (("d", None), ("g", GOVERNED), ("h", HELD)):
        put_locked(store, key, lock)
    changed, freed = put_locked(store, "x", GOVERNED), put_locked(store, "y", Lock("GOVERNANCE", FAR_MS, hold=True))
    store.submit(ops.SetLock(BUCKET, b"x", changed.seq, "GOVERNANCE", FAR_MS + 5, hold=True))
    store.submit(ops.SetLock(BUCKET, b"y", freed.seq, "", 0, hold=False, bypass=True))
    store.submit(ops.CreateUpload(BUCKET, b"m", "u", 1, b"d"))
    store.submit(ops.Complete(BUCKET, b"m", "u", [], [], 0, "e", b"m", b"f", nonce(), None, COMPLIANT))
    delete(store, "g", None)
    store.submit(ops.UseCode("device", 7))
    store.submit(ops.SetVersioning(BUCKET, "Enabled", "Enabled", mfa=True))
    before = contents(store.data_dir)
    store.close()
    rebuild_index(store.data_dir)
    assert (5, before) == (len(before["locks"]), contents(store.data_dir))


@pytest.mark.parametrize("policy", [ALL, SNAPSHOT], ids=lambda policy: policy.name)
def test_locked_versions_outlive_compaction(tmp_path: Path, policy: Policy) -> None:
    """Their bytes move, their locks stay, in the index and in one that is made anew from what is left."""
    store = open_store(tmp_path / "data")
    store.submit(ops.CreateBucket(BUCKET, "owner", 1, "r", "Enabled", {}, LockDefault()))
    held = put_locked(store, "held", GOVERNED)
    for key in fill(store):
        delete(store, key, named_current(store, key))
    result = compact(store, policy)
    outcomes = [delete(store, "held", named(held)) for _ in range(2)]
    moved = (store.index.lock(held.seq), get(store, "held"))
    before = contents(store.data_dir)["locks"]
    store.close()
    rebuild_index(store.data_dir)
    assert (True, (GOVERNED, b"locked"), before) == (
        len(result.volumes) > 1,
        moved,
        contents(store.data_dir)["locks"],
    )
    assert all(isinstance(outcome, Locked) for outcome in outcomes)


def named_current(store: Store, key: str) -> str:
    row = store.index.current(BUCKET, key.encode())
    return version_id(row.seq, row.flags, row.nonce)


def test_no_operation_of_the_store_is_forgotten_here() -> None:
    """A new operation that removes or replaces versions belongs into the walk above."""
    walked = {
        "CreateBucket", "DeleteBucket", "PutConfig", "SetVersioning", "PutLock", "SetLock", "UseCode", "Put", "Copy",
        "Rename", "SetMeta", "Delete", "CreateUpload", "PutPart", "AbortUpload", "Complete", "Reap", "VolumeDrop",
        "Expire", "SetQuota",
    }  # fmt: skip
    # of extents that somebody refers to they change the place, or nothing
    walked |= {"VolumeTurn", "VolumeAdd", "VolumeSeal", "Relocate", "VolumeGone", "Snapshotted", "Scrubbed"}
    assert walked == {kind.__name__ for kind in ops.Operation.__args__}
    assert issubclass(Locked, StoreError)
