"""Object Lock, the same in every backend."""

from __future__ import annotations

import msgspec
import pytest

from s4gw.backends import Backend, BucketInfo, DeleteTarget, ObjectMeta
from s4gw.bucketconfig import DefaultRetention, LockChange, ObjectLock
from s4gw.s3.errors import AccessDenied, InvalidBucketState, InvalidRequest
from tests.backends.kit import (
    BUCKET,
    OWNER,
    complete,
    delete,
    get,
    make_bucket,
    needs_store,
    put,
    put_part,
    start_upload,
)

FAR_MS = 4_000_000_000_000
LOCKS = [ObjectLock(hold=True), ObjectLock("GOVERNANCE", FAR_MS), ObjectLock("COMPLIANCE", FAR_MS)]


@pytest.fixture
def locking(backend: Backend) -> Backend:
    """A backend with a bucket whose versions can be locked."""
    needs_store(backend, "operations of Object Lock are handed on to an upstream as they are")
    info = BucketInfo(name=BUCKET, owner=OWNER, created_ms=1, versioning="Enabled", object_lock=DefaultRetention())
    backend.create_bucket(info)
    return backend


def locked(lock: ObjectLock) -> ObjectMeta:
    return ObjectMeta(owner=OWNER, lock=lock)


def test_bucket_tells_its_default(locking: Backend) -> None:
    default = DefaultRetention("COMPLIANCE", years=2)
    before = locking.get_bucket(BUCKET).object_lock
    locking.put_object_lock(BUCKET, default)
    assert (DefaultRetention(), default) == (before, locking.get_bucket(BUCKET).object_lock)


@pytest.mark.parametrize("lock", LOCKS)
def test_no_way_around_a_lock(locking: Backend, lock: ObjectLock) -> None:
    """Deletes, overwrites, copies, renames, multipart and suspension leave the version as it was."""
    kept = put(locking, "k", b"kept", meta=locked(lock))
    other = put(locking, "other", b"other")
    refused = delete(locking, "k", kept.version_id)
    put(locking, "k", b"new")
    locking.copy_object(other, BUCKET, BUCKET, "k", meta=other.meta)
    locking.rename_object(BUCKET, "other", "k")
    upload = start_upload(locking, "k")
    complete(locking, "k", upload, [put_part(locking, "k", upload, 1, b"part")])
    delete(locking, "k")
    with pytest.raises(InvalidBucketState):
        locking.set_versioning(BUCKET, "Suspended")
    found = locking.head_object(BUCKET, "k", kept.version_id)
    assert (lock, b"kept") == (found.meta.lock, get(locking, "k", kept.version_id))
    assert isinstance(refused, AccessDenied)


def test_renaming_leaves_the_lock_behind(locking: Backend) -> None:
    """The version stays, hidden; what has the new name is another version without its lock."""
    kept = put(locking, "k", b"kept", meta=locked(LOCKS[0]))
    locking.rename_object(BUCKET, "k", "new")
    assert LOCKS[0] == locking.head_object(BUCKET, "k", kept.version_id).meta.lock
    assert locking.head_object(BUCKET, "new").meta.lock is None


def test_bypass_is_for_governance_only(locking: Backend) -> None:
    outcomes = []
    for lock in LOCKS:
        obj = put(locking, "k", meta=locked(lock))
        target = DeleteTarget(key="k", version_id=obj.version_id, bypass=True)
        outcomes.append(isinstance(locking.delete_objects(BUCKET, [target])[0], AccessDenied))
    assert [True, False, True] == outcomes


def test_locks_change_as_far_as_they_allow(locking: Backend) -> None:
    """Longer always; weaker by bypass of GOVERNANCE; a hold at any time; metadata never touches them."""
    obj = put(locking, "k", meta=locked(LOCKS[1]))
    locking.set_lock(BUCKET, obj, LockChange(retention=("GOVERNANCE", FAR_MS + 1), hold=True))
    with pytest.raises(AccessDenied):
        locking.set_lock(BUCKET, obj, LockChange(retention=("GOVERNANCE", FAR_MS)))
    locking.update_meta(BUCKET, obj, msgspec.structs.replace(obj.meta, tags={"a": "b"}, lock=None))
    found = locking.head_object(BUCKET, "k").meta
    locking.set_lock(BUCKET, obj, LockChange(retention=("", 0), hold=False, bypass=True))
    bare = locking.head_object(BUCKET, "k").meta
    assert (ObjectLock("GOVERNANCE", FAR_MS + 1, hold=True), {"a": "b"}) == (found.lock, found.tags)
    assert None is bare.lock or ObjectLock() == bare.lock


def test_default_retention_is_given_to_new_versions(locking: Backend) -> None:
    """Unless they bring their own; copies and multipart uploads too, and never what was there before."""
    before = put(locking, "before")
    locking.put_object_lock(BUCKET, DefaultRetention("COMPLIANCE", days=30))
    put(locking, "put")
    locking.copy_object(before, BUCKET, BUCKET, "copy", meta=before.meta)
    upload = start_upload(locking, "parts")
    complete(locking, "parts", upload, [put_part(locking, "parts", upload, 1, b"part")])
    put(locking, "own", meta=locked(LOCKS[1]))
    put(locking, "held", meta=locked(LOCKS[0]))
    found = {
        key: locking.head_object(BUCKET, key).meta.lock for key in ("before", "put", "copy", "parts", "own", "held")
    }
    modes = {key: (lock.mode, lock.hold) if lock else None for key, lock in found.items()}
    days = ("COMPLIANCE", False)
    expected = {"before": None, "put": days, "copy": days, "parts": days, "own": ("GOVERNANCE", False)}
    assert expected | {"held": ("COMPLIANCE", True)} == modes


def test_locks_need_a_bucket_for_them(backend: Backend) -> None:
    needs_store(backend, "an upstream refuses such a lock itself")
    make_bucket(backend)
    obj = put(backend, "k")
    with pytest.raises(InvalidRequest):
        put(backend, "k", meta=locked(LOCKS[0]))
    with pytest.raises(InvalidRequest):
        backend.set_lock(BUCKET, obj, LockChange(hold=True))
    with pytest.raises(InvalidBucketState):
        backend.put_object_lock(BUCKET, DefaultRetention())
