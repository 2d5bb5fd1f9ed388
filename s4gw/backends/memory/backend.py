"""Backend that keeps everything in the memory of one process: for tests and for reading what a backend has to do.

One lock guards all state, so every operation is atomic. Nothing is durable and nothing is shared between processes.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from s4gw.backends.base import (
    NO_CONDITIONS,
    BucketInfo,
    Conditions,
    Deleted,
    DeleteTarget,
    ListPage,
    ObjectMeta,
    StoredObject,
    Versioning,
)
from s4gw.backends.bodies import Writer
from s4gw.backends.lifecycle import Expiry
from s4gw.backends.memory.multipart import MemoryMultipart
from s4gw.backends.memory.rules import (
    BucketRow,
    changed_lock,
    check_delete,
    check_removal,
    check_write,
    find,
    latest,
    object_page,
    rolled_up,
)
from s4gw.backends.memory.state import MemoryWriter, taken
from s4gw.backends.near import NearBackend
from s4gw.backends.wording import MFA_MESSAGE, NO_LOCK_MESSAGE
from s4gw.bucketconfig import Action, DefaultRetention, LockChange
from s4gw.s3.errors import (
    AccessDenied,
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    BucketNotEmpty,
    InternalError,
    InvalidBucketState,
    InvalidRequest,
    NoSuchKey,
    NoSuchVersion,
    S3Error,
)


class MemoryBackend(MemoryMultipart, NearBackend):
    """`s4gw.backends.base.Backend` over dictionaries.

    Args:
        clock: Seconds since the epoch.
    """

    # -- life -----------------------------------------------------------------------------------------------------
    def check(self) -> None:
        pass

    def close(self) -> None:
        pass

    # -- buckets --------------------------------------------------------------------------------------------------
    def list_buckets(self, owner: str | None = None) -> Sequence[BucketInfo]:
        with self._lock:
            infos = [row.info for row in self._buckets.values() if owner is None or row.info.owner == owner]
        return sorted(infos, key=lambda info: info.name)

    def get_bucket(self, bucket: str) -> BucketInfo:
        with self._lock:
            return self._bucket(bucket).info

    def create_bucket(self, info: BucketInfo) -> None:
        with self._lock:
            existing = self._buckets.get(info.name)
            if existing is not None:
                error = BucketAlreadyOwnedByYou if existing.info.owner == info.owner else BucketAlreadyExists
                raise error(BucketName=info.name)
            self._buckets[info.name] = BucketRow(info, {}, {}, {})

    def delete_bucket(self, bucket: str) -> None:
        with self._lock:
            if self._bucket(bucket).keys:
                raise BucketNotEmpty(BucketName=bucket)
            del self._buckets[bucket]

    def put_config(self, bucket: str, name: str, document: bytes | None) -> None:
        with self._lock:
            row = self._bucket(bucket)
            configs = {other: kept for other, kept in row.info.configs.items() if other != name}
            if document is not None:
                configs[name] = document
            row.info = msgspec.structs.replace(row.info, configs=configs)

    def set_versioning(
        self, bucket: str, state: Versioning, *, mfa_delete: str | None = None, mfa: bool = False
    ) -> None:
        with self._lock:
            row = self._bucket(bucket)
            if not mfa and "Enabled" in (mfa_delete, row.info.mfa_delete):
                raise AccessDenied(MFA_MESSAGE)
            if mfa_delete is not None:
                row.info = msgspec.structs.replace(row.info, mfa_delete=mfa_delete)
            if row.info.object_lock is not None and state != "Enabled":
                raise InvalidBucketState
            row.info = msgspec.structs.replace(row.info, versioning=state)

    def use_mfa_code(self, device: str, step: int) -> None:
        with self._lock:
            if step <= self._used_codes.get(device, 0):
                raise AccessDenied(MFA_MESSAGE)
            self._used_codes[device] = step

    def put_object_lock(self, bucket: str, default: DefaultRetention) -> None:
        with self._lock:
            row = self._bucket(bucket)
            if row.info.versioning != "Enabled":
                raise InvalidBucketState
            row.info = msgspec.structs.replace(row.info, object_lock=default)

    # -- objects --------------------------------------------------------------------------------------------------
    def open_writer(self, bucket: str, key: str, meta: ObjectMeta) -> Writer:
        del bucket, key, meta
        return MemoryWriter()

    def put_object(  # noqa: PLR0913
        self,
        bucket: str,
        key: str,
        body: Writer,
        *,
        size: int,
        etag: str,
        meta: ObjectMeta,
        conditions: Conditions = NO_CONDITIONS,
    ) -> StoredObject:
        with self._lock:
            row = self._bucket(bucket)
            check_write(latest(row, key), key, conditions)
            return self._add(row, key, taken(body), size=size, etag=etag, meta=meta)

    def head_object(self, bucket: str, key: str, version_id: str | None = None) -> StoredObject:
        with self._lock:
            versions = self._bucket(bucket).keys.get(key)
            if version_id is None:
                if versions is None:
                    raise NoSuchKey(Key=key)
                return versions[0]
            for version in versions or ():
                if version.version_id == version_id:
                    return version
            raise NoSuchVersion(Key=key, VersionId=version_id)

    def read(self, obj: StoredObject, start: int, end: int) -> bytes:
        body = obj.body
        if not isinstance(body, bytes) or not 0 <= start <= end <= len(body):
            raise InternalError
        return body[start:end]

    def delete_objects(self, bucket: str, targets: Sequence[DeleteTarget]) -> Sequence[Deleted | Exception]:
        with self._lock:
            row = self._bucket(bucket)
            results: list[Deleted | Exception] = []
            for target in targets:
                try:
                    results.append(self._delete(row, target))
                except S3Error as error:
                    results.append(error)
            return results

    def copy_object(  # noqa: PLR0913
        self,
        source: StoredObject,
        source_bucket: str,
        bucket: str,
        key: str,
        *,
        meta: ObjectMeta,
        conditions: Conditions = NO_CONDITIONS,
    ) -> StoredObject:
        with self._lock:
            row = self._bucket(bucket)
            found = find(self._bucket(source_bucket), source.key, source.version_id)
            if found is None or found.body is not source.body:
                raise NoSuchKey(Key=source.key)
            check_write(latest(row, key), key, conditions)
            data = source.body if isinstance(source.body, bytes) else b""
            return self._add(row, key, data, size=source.size, etag=source.etag, meta=meta)

    def rename_object(
        self,
        bucket: str,
        key: str,
        new_key: str,
        *,
        conditions: Conditions = NO_CONDITIONS,
        source_conditions: Conditions = NO_CONDITIONS,
    ) -> None:
        with self._lock:
            row = self._bucket(bucket)
            source = latest(row, key)
            if source is None or source.delete_marker:
                raise NoSuchKey(Key=key)
            check_write(source, key, source_conditions)
            check_write(latest(row, new_key), new_key, conditions)
            if key == new_key:
                return
            data = source.body if isinstance(source.body, bytes) else b""
            meta = msgspec.structs.replace(source.meta, lock=None)
            self._add(row, new_key, data, size=source.size, etag=source.etag, meta=meta)
            self._delete(row, DeleteTarget(key=key))

    def update_meta(self, bucket: str, obj: StoredObject, meta: ObjectMeta) -> None:
        with self._lock:
            versions, place = self._place(bucket, obj)
            kept = msgspec.structs.replace(meta, lock=versions[place].meta.lock)
            versions[place] = msgspec.structs.replace(versions[place], meta=kept)

    def set_lock(self, bucket: str, obj: StoredObject, change: LockChange) -> None:
        with self._lock:
            if self._bucket(bucket).info.object_lock is None:
                raise InvalidRequest(NO_LOCK_MESSAGE)
            versions, place = self._place(bucket, obj)
            meta = versions[place].meta
            lock = changed_lock(meta.lock, change, self._now_ms())
            meta = msgspec.structs.replace(meta, lock=lock)
            versions[place] = msgspec.structs.replace(versions[place], meta=meta)

    def _place(self, bucket: str, obj: StoredObject) -> tuple[list[StoredObject], int]:
        """Versions of the object's key, and which of them is this very one. Raises: NoSuchKey."""
        versions = self._bucket(bucket).keys.get(obj.key, [])
        for place, version in enumerate(versions):
            if version.version_id == obj.version_id and version.body is obj.body:
                return versions, place
        raise NoSuchKey(Key=obj.key)

    def expire(self, bucket: str, expiries: Sequence[Expiry]) -> Sequence[bool | Exception]:
        """See `lifecycle.Backend`."""
        with self._lock:
            return [self._expire(self._bucket(bucket), expiry) for expiry in expiries]

    def _expire(self, row: BucketRow, expiry: Expiry) -> bool | Exception:
        wanted, versions = expiry.version, row.keys.get(expiry.version.key, [])
        same = (wanted.version_id, wanted.modified_ms)
        place = next((n for n, v in enumerate(versions) if (v.version_id, v.modified_ms) == same), None)
        noncurrent = expiry.action is Action.REMOVE
        if place is None or (place > 0) != noncurrent:
            return False
        if not noncurrent and versions[place].delete_marker != (expiry.action is Action.REMOVE_MARKER):
            return False
        if expiry.action is Action.REMOVE_MARKER and len(versions) > 1:
            return False
        hidden = expiry.action is Action.EXPIRE and bool(row.info.versioning)
        version_id = None if hidden else versions[place].version_id
        try:
            self._delete(row, DeleteTarget(key=wanted.key, version_id=version_id))
        except AccessDenied as error:
            return error
        return True

    def list_objects(
        self, bucket: str, *, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000
    ) -> ListPage:
        with self._lock:
            row = self._bucket(bucket)
            current = (versions[0] for key, versions in row.keys.items() if key.startswith(prefix))
            objects = sorted((o for o in current if not o.delete_marker), key=lambda o: o.key.encode())
        kept = [o for o in objects if o.key.encode() > after.encode()]
        entries = list(rolled_up(((o.key, o) for o in kept), prefix, delimiter, after))
        return object_page(entries, limit)

    def list_versions(  # noqa: PLR0913
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        after_key: str = "",
        after_version_id: str = "",
        limit: int = 1000,
    ) -> ListPage:
        with self._lock:
            row = self._bucket(bucket)
            keys = sorted((key for key in row.keys if key.startswith(prefix)), key=str.encode)
            versions: list[StoredObject] = []
            for key in keys:
                if key.encode() > after_key.encode():
                    versions += row.keys[key]
                elif key == after_key and after_version_id:
                    ids = [version.version_id for version in row.keys[key]]
                    seen = ids.index(after_version_id) + 1 if after_version_id in ids else 0
                    versions += row.keys[key][seen:]
        entries = list(rolled_up(((o.key, o) for o in versions), prefix, delimiter, after_key))
        page = object_page(entries, limit)
        last = next((o for o in reversed(page.objects) if o.key == page.next_key), None)
        return msgspec.structs.replace(page, next_version_id=last.version_id) if page.truncated and last else page

    # -- inside (the lock is held)
    def _delete(self, row: BucketRow, target: DeleteTarget) -> Deleted:
        key, named = target.key, target.version_id
        doomed = latest(row, key) if named is None else find(row, key, named)
        check_delete(doomed, target.conditions)
        if named is not None:
            if doomed is not None and row.info.mfa_delete == "Enabled" and not target.mfa:
                raise AccessDenied(MFA_MESSAGE)
            check_removal(doomed, self._now_ms(), bypass=target.bypass)
        if named is None and row.info.versioning:
            marker = self._add(row, key, b"", size=0, etag="", meta=ObjectMeta(), delete_marker=True)
            return Deleted(key=key, delete_marker=True, marker_version_id=marker.version_id)
        if doomed is not None:
            left = [version for version in row.keys[key] if version is not doomed]
            if left:
                row.keys[key] = [msgspec.structs.replace(left[0], is_latest=True), *left[1:]]
            else:
                del row.keys[key]
        was_marker = doomed is not None and doomed.delete_marker and named is not None
        return Deleted(
            key=key, version_id=named, delete_marker=was_marker, marker_version_id=named if was_marker else None
        )
