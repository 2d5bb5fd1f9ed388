"""Pure parts of the memory backend: its rows, preconditions, common prefixes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec

from s4gw.backends.base import BucketInfo, Conditions, ListPage, PartInfo, StoredObject, Upload
from s4gw.s3.errors import NoSuchKey, PreconditionFailed

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
