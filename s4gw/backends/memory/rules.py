"""Pure parts of the memory backend: its rows, preconditions, common prefixes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec

from s4gw.backends.base import BucketInfo, Conditions, ListPage, PartInfo, StoredObject, Upload
from s4gw.backends.wording import LOCKED_MESSAGE, NO_LOCK_MESSAGE
from s4gw.bucketconfig import LockChange, ObjectLock
from s4gw.s3.errors import AccessDenied, InvalidRequest, NoSuchKey, PreconditionFailed
from s4gw.store import Lock, LockDefault, locks

T = TypeVar("T")


class PartRow(msgspec.Struct):
    """An uploaded part."""

    info: PartInfo
    data: bytes


class UploadRow(msgspec.Struct):
    """An upload in progress; `order` grows with the start."""

    upload: Upload
    order: int
    parts: dict[int, PartRow]


class BucketRow(msgspec.Struct):
    """A bucket and all that is in it."""

    info: BucketInfo
    keys: dict[str, list[StoredObject]]
    """Versions of each key, newest first; never an empty list."""
    uploads: dict[str, UploadRow]
    completed: dict[str, tuple[str, StoredObject]]


def latest(row: BucketRow, key: str) -> StoredObject | None:
    """The current version, a marker included."""
    versions = row.keys.get(key)
    return versions[0] if versions else None


def find(row: BucketRow, key: str, version_id: str) -> StoredObject | None:
    """The named version."""
    return next((version for version in row.keys.get(key, ()) if version.version_id == version_id), None)


def check_write(current: StoredObject | None, key: str, conditions: Conditions) -> None:
    """For writes a delete marker is nothing."""
    exists = current is not None and not current.delete_marker
    etag = current.etag if current is not None and exists else None
    if conditions.if_match is not None:
        if not exists:
            raise NoSuchKey(Key=key)
        if conditions.if_match not in ("*", etag):
            raise PreconditionFailed(Condition="If-Match")
    if conditions.if_none_match is not None and exists and conditions.if_none_match in ("*", etag):
        raise PreconditionFailed(Condition="If-None-Match")


def check_delete(doomed: StoredObject | None, conditions: Conditions) -> None:
    """Deleting what is not there succeeds whatever the condition; a delete marker is there, with no ETag."""
    if doomed is None:
        return
    if conditions.if_match is not None and conditions.if_match not in ("*", doomed.etag or None):
        raise PreconditionFailed(Condition="If-Match")
    if conditions.if_size is not None and conditions.if_size != doomed.size:
        raise PreconditionFailed(Condition="x-amz-if-match-size")
    if conditions.if_modified_s is not None and conditions.if_modified_s != doomed.modified_ms // 1000:
        raise PreconditionFailed(Condition="x-amz-if-match-last-modified-time")


def lock_for_new(info: BucketInfo, asked: ObjectLock | None, now_ms: int) -> ObjectLock | None:
    """The lock of a version made now. Raises: InvalidRequest."""
    if info.object_lock is None:
        if asked is not None and asked != ObjectLock():
            raise InvalidRequest(NO_LOCK_MESSAGE)
        return None
    default = LockDefault(info.object_lock.mode, info.object_lock.days, info.object_lock.years)
    lock = locks.for_new(default, None if asked is None else _lock(asked), now_ms)
    return None if lock == locks.UNLOCKED else ObjectLock(lock.mode, lock.until_ms, lock.hold)


def check_removal(doomed: StoredObject | None, now_ms: int, *, bypass: bool) -> None:
    """Raises: AccessDenied, while a lock keeps the version."""
    if doomed is not None and locks.keeps(_lock(doomed.meta.lock), now_ms, bypass=bypass):
        raise AccessDenied(LOCKED_MESSAGE)


def changed_lock(held: ObjectLock | None, change: LockChange, now_ms: int) -> ObjectLock | None:
    """The lock after a change. Raises: AccessDenied."""
    lock = held or ObjectLock()
    mode, until_ms = change.retention or (lock.mode, lock.until_ms)
    if change.retention and not locks.may_change(_lock(lock), mode, until_ms, now_ms, bypass=change.bypass):
        raise AccessDenied(LOCKED_MESSAGE)
    changed = ObjectLock(mode, until_ms, lock.hold if change.hold is None else change.hold)
    return None if changed == ObjectLock() else changed


def _lock(lock: ObjectLock | None) -> Lock:
    return locks.UNLOCKED if lock is None else Lock(lock.mode, lock.until_ms, lock.hold)


def rolled_up(
    entries: Iterable[tuple[str, T]], prefix: str, delimiter: str, after: str
) -> Iterator[tuple[str, T | None]]:
    """Replace each run of keys under one common prefix by (prefix, None); those not past *after* vanish."""
    last: str | None = None
    for key, entry in entries:
        end = key.find(delimiter, len(prefix)) if delimiter else -1
        if end < 0:
            yield key, entry
            continue
        common = key[: end + len(delimiter)]
        if common != last and common.encode() > after.encode():
            yield common, None
        last = common


def object_page(entries: Sequence[tuple[str, StoredObject | None]], limit: int) -> ListPage:
    """The first *limit* entries as a page."""
    page, truncated = entries[:limit], limit > 0 and len(entries) > limit
    return ListPage(
        objects=[obj for _, obj in page if obj is not None],
        prefixes=[common for common, obj in page if obj is None],
        truncated=truncated,
        next_key=page[-1][0] if truncated else "",
    )
