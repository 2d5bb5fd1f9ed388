"""State of the memory backend and what every operation needs of it; the caller holds the lock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec

from s4gw.backends.base import NULL_VERSION, ObjectMeta, StoredObject
from s4gw.backends.bodies import Buffer, Writer
from s4gw.backends.memory.rules import BucketRow, UploadRow, lock_for_new
from s4gw.s3.errors import InternalError, NoSuchBucket, NoSuchUpload


class MemoryWriter:
    """Staged bytes of the memory backend."""

    shares = False

    def __init__(self) -> None:
        self._data = bytearray()
        self._size = 0

    @property
    def size(self) -> int:
        return self._size

    def divide(self) -> None: ...

    def write(self, *buffers: Buffer) -> None:
        for buffer in buffers:
            self._data += buffer
            self._size += len(buffer)

    def abort(self) -> None:
        self._data = bytearray()

    def take(self) -> bytes:
        """Give the bytes to their new owner."""
        data, self._data = bytes(self._data), bytearray()
        return data


class MemoryCore:
    """Dictionaries under one lock.

    Args:
        clock: Seconds since the epoch.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._buckets: dict[str, BucketRow] = {}
        self._counter = 0
        self._used_codes: dict[str, int] = {}

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _bucket(self, name: str) -> BucketRow:
        try:
            return self._buckets[name]
        except KeyError:
            raise NoSuchBucket(BucketName=name) from None

    def _upload(self, bucket: str, key: str, upload_id: str) -> UploadRow:
        row = self._bucket(bucket).uploads.get(upload_id)
        if row is None or row.upload.key != key:
            raise NoSuchUpload(UploadId=upload_id)
        return row

    def _version_id(self, row: BucketRow) -> str:
        if row.info.versioning != "Enabled":
            return NULL_VERSION
        self._counter += 1
        return f"{self._counter:032x}"

    def _add(  # noqa: PLR0913
        self,
        row: BucketRow,
        key: str,
        data: bytes,
        *,
        size: int,
        etag: str,
        meta: ObjectMeta,
        delete_marker: bool = False,
    ) -> StoredObject:
        lock = None if delete_marker else lock_for_new(row.info, meta.lock, self._now_ms())
        if lock != meta.lock:
            meta = msgspec.structs.replace(meta, lock=lock)
        obj = StoredObject(
            key=key,
            version_id=self._version_id(row),
            delete_marker=delete_marker,
            size=size,
            etag=etag,
            stored_size=len(data),
            modified_ms=self._now_ms(),
            meta=meta,
            body=bytes(bytearray(data)),  # a copy, so that `is` tells two versions apart
        )
        older = [version for version in row.keys.get(key, []) if version.version_id != obj.version_id]
        row.keys[key] = [obj, *(msgspec.structs.replace(version, is_latest=False) for version in older)]
        return obj


def taken(body: Writer) -> bytes:
    """The bytes of a writer of ours. Raises: InternalError."""
    if not isinstance(body, MemoryWriter):
        raise InternalError
    return body.take()
