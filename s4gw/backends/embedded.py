"""Backend over the embedded store: S3's words outside, the store's operations inside.

It holds no state of its own beside what the store has open, and turns every error of the store into S3's.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, NamedTuple

from s4gw.backends import embedded_rows as rows
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
from s4gw.backends.embedded_base import DEDUP_OFF, EmbeddedSpan, made, nonce, remember, staged, translated
from s4gw.backends.embedded_errors import translate
from s4gw.backends.embedded_multipart import EmbeddedMultipart
from s4gw.backends.lifecycle import Expiry
from s4gw.backends.near import NearBackend
from s4gw.bucketconfig import Action, DefaultRetention, LockChange
from s4gw.s3.errors import (
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    InternalError,
    NoSuchKey,
)
from s4gw.store import (
    FLAG_MARKER,
    INLINE_BYTES,
    VOLUME_BYTES,
    BucketExists,
    Chore,
    LockDefault,
    NoBucket,
    Outcome,
    Refused,
    Store,
    StoreError,
    ops,
    version_id,
)

_DELETES_MAX: Final = 1000  # targets in one transaction, as many as one DeleteObjects may name
_BUCKETS_MAX: Final = 1000
_OBJECTS_MAX: Final = 4096
"""Remembered in each worker, checked by `Store.generations` before use; an object is some 2 KiB, 4 with its body."""


class Usage(NamedTuple):
    """What one bucket holds."""

    bucket: str
    objects: int
    """Visible ones."""
    versions: int
    """Markers included."""
    stored_bytes: int
    """Of all versions, and of the parts of uploads in progress."""
    quota_bytes: int | None


class EmbeddedBackend(EmbeddedMultipart, NearBackend):
    """`s4gw.backends.base.Backend` over one data directory.

    Args:
        data_dir: The data directory; made when missing.
        parent_pid: The committer's process ends with this one; with the calling process when left out.
        read_only: Never start a committer; writes answer ServiceUnavailable.
        in_process: Commit in this process, for single processes and tests.
        volume_bytes: Size at which a new volume begins.
        chores: What the committer's process is to have done beside itself.
        inline_bytes: Bodies up to this size are kept in the index as well.
        dedup: Where equal bytes are stored once: "off", "bucket" or "store".
        store: Use this store instead of opening one.

    Raises: DataDirError, StoreLocked.
    """

    def __init__(  # noqa: PLR0913
        self,
        data_dir: str | os.PathLike[str],
        *,
        parent_pid: int | None = None,
        read_only: bool = False,
        in_process: bool = False,
        volume_bytes: int = VOLUME_BYTES,
        chores: Sequence[Chore] = (),
        inline_bytes: int = INLINE_BYTES,
        dedup: str = DEDUP_OFF,
        store: Store | None = None,
    ) -> None:
        self._dedup = dedup
        self._store = store or Store(
            data_dir,
            parent_pid=parent_pid,
            read_only=read_only,
            in_process=in_process,
            volume_bytes=volume_bytes,
            chores=chores,
            inline_bytes=inline_bytes,
        )
        self._buckets: dict[str, tuple[int, BucketInfo]] = {}
        self._current: dict[tuple[str, str], tuple[int, StoredObject]] = {}

    # -- life -----------------------------------------------------------------------------------------------------
    def check(self) -> None:
        with translated():
            self._store.check()

    def close(self) -> None:
        self._store.close()

    # -- buckets --------------------------------------------------------------------------------------------------
    def list_buckets(self, owner: str | None = None) -> Sequence[BucketInfo]:
        with translated():
            infos = [rows.bucket_info(row) for row in self._store.index.buckets()]
        return [info for info in infos if owner is None or info.owner == owner]

    def get_bucket(self, bucket: str) -> BucketInfo:
        # PERF: an error is what costs in a ``try``, a ``with`` costs three calls.
        try:
            generations = self._store.generations()
            generation = generations.buckets() if generations else 0
            known = self._buckets.get(bucket)
            if known is not None and known[0] == generation:
                return known[1]
            info = rows.bucket_info(self._store.index.bucket(bucket))
            if generations:
                remember(self._buckets, bucket, (generation, info), _BUCKETS_MAX)
        except StoreError as error:
            raise translate(error) from error
        else:
            return info

    def create_bucket(self, info: BucketInfo) -> None:
        operation = ops.CreateBucket(
            info.name,
            info.owner,
            info.created_ms,
            info.region,
            info.versioning,
            dict(info.configs),
            rows.lock_default(info.object_lock),
        )
        try:
            self.submit(operation)
        except BucketAlreadyExists as error:
            if isinstance(error.__cause__, BucketExists) and error.__cause__.fact == info.owner:
                raise BucketAlreadyOwnedByYou(BucketName=info.name) from error
            raise BucketAlreadyExists(BucketName=info.name) from error

    def delete_bucket(self, bucket: str) -> None:
        self.submit(ops.DeleteBucket(bucket))

    def put_config(self, bucket: str, name: str, document: bytes | None) -> None:
        self.submit(ops.PutConfig(bucket, name, document))

    def set_versioning(
        self, bucket: str, state: Versioning, *, mfa_delete: str | None = None, mfa: bool = False
    ) -> None:
        self.submit(ops.SetVersioning(bucket, state, mfa_delete, mfa))

    def use_mfa_code(self, device: str, step: int) -> None:
        self.submit(ops.UseCode(device, step))

    def put_object_lock(self, bucket: str, default: DefaultRetention) -> None:
        self.submit(ops.PutLock(bucket, LockDefault(default.mode, default.days, default.years)))

    def set_quota(self, bucket: str, limit: int | None) -> None:
        """Limit the stored bytes of a bucket, or no longer. Raises: NoSuchBucket."""
        self.submit(ops.SetQuota(bucket, limit))

    def usage(self) -> Sequence[Usage]:
        """What each bucket holds, ascending by name."""
        with translated():
            found = self._store.index.buckets()
        return [Usage(row.name, row.objects, row.versions, row.bytes, row.quota) for row in found]

    # -- objects --------------------------------------------------------------------------------------------------
    def open_writer(self, bucket: str, key: str, meta: ObjectMeta) -> Writer:
        del key, meta
        return self.writer(bucket)

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
        document, facts = rows.encode_meta(meta)
        when = rows.when_of(conditions)
        lock = rows.lock_of(meta)
        operation = ops.Put(bucket, key.encode(), [], size, etag, document, facts, nonce(), when, lock)
        try:
            outcome = self._store.put(operation, staged(body))
        except StoreError as error:
            raise translate(error) from error
        return made(key, outcome, size=size, etag=etag, meta=meta)

    def head_object(self, bucket: str, key: str, version_id: str | None = None) -> StoredObject:
        encoded = key.encode()
        try:
            if version_id is not None:
                return rows.looked_up(key, self._store.index.version(bucket, encoded, version_id), self._store.index)
            generations = self._store.generations()
            # Asked for before the index: what changes in between counts as changed.
            generation = generations.key(bucket, encoded) if generations else 0
            known = self._current.get((bucket, key))
            if known is not None and known[0] == generation:
                return known[1]
            found = rows.looked_up(key, self._store.index.current(bucket, encoded), self._store.index)
            if generations:
                remember(self._current, (bucket, key), (generation, found), _OBJECTS_MAX)
        except StoreError as error:
            raise translate(error) from error
        else:
            return found

    def open_span(self, obj: StoredObject, start: int, end: int) -> EmbeddedSpan:
        handle = _handle(obj, start, end)
        with translated():
            return EmbeddedSpan(handle.open_span(self._store, start, end))

    def read(self, obj: StoredObject, start: int, end: int) -> bytes:
        handle = _handle(obj, start, end)
        with translated():
            data = handle.read(self._store, start, end)
        if len(data) != end - start:
            raise InternalError
        return data

    def delete_objects(self, bucket: str, targets: Sequence[DeleteTarget]) -> Sequence[Deleted | Exception]:
        results: list[Deleted | Exception] = []
        for first in range(0, len(targets), _DELETES_MAX):
            page = targets[first : first + _DELETES_MAX]
            operations = [
                (
                    ops.Delete(
                        bucket, t.key.encode(), t.version_id, nonce(), rows.when_of(t.conditions), t.bypass, t.mfa
                    ),
                    None,
                )
                for t in page
            ]
            with translated():
                outcomes = self._store.submit_all(operations)
            for target, outcome in zip(page, outcomes, strict=True):
                if isinstance(outcome, NoBucket):
                    raise translate(outcome)
                results.append(translate(outcome) if isinstance(outcome, Refused) else _deleted(target, outcome))
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
        document, facts = rows.encode_meta(meta)
        operation = ops.Copy(
            source_bucket, source.key.encode(), _seq(source), bucket, key.encode(), document, facts, nonce(),
            rows.when_of(conditions), rows.lock_of(meta),
        )  # fmt: skip
        return made(key, self.submit(operation), size=source.size, etag=source.etag, meta=meta)

    def rename_object(
        self,
        bucket: str,
        key: str,
        new_key: str,
        *,
        conditions: Conditions = NO_CONDITIONS,
        source_conditions: Conditions = NO_CONDITIONS,
    ) -> None:
        when, source_when = rows.when_of(conditions), rows.when_of(source_conditions)
        self.submit(ops.Rename(bucket, key.encode(), new_key.encode(), nonce(), when, source_when))

    def update_meta(self, bucket: str, obj: StoredObject, meta: ObjectMeta) -> None:
        document, facts = rows.encode_meta(meta)
        self.submit(ops.SetMeta(bucket, obj.key.encode(), _seq(obj), document, facts))

    def set_lock(self, bucket: str, obj: StoredObject, change: LockChange) -> None:
        mode, until_ms = change.retention or (None, 0)
        operation = ops.SetLock(bucket, obj.key.encode(), _seq(obj), mode, until_ms, change.hold, change.bypass)
        self.submit(operation)

    def expire(self, bucket: str, expiries: Sequence[Expiry]) -> Sequence[bool | Exception]:
        """See `lifecycle.Backend`."""
        operations = [
            (ops.Expire(bucket, e.version.key.encode(), _seq(e.version), _KINDS[e.action], nonce()), None)
            for e in expiries
        ]
        with translated():
            outcomes = self._store.submit_all(operations)
        for outcome in outcomes:
            if isinstance(outcome, NoBucket):
                raise translate(outcome)
        return [translate(o) if isinstance(o, Refused) else bool(o.seq) for o in outcomes]

    def list_objects(
        self, bucket: str, *, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000
    ) -> ListPage:
        with translated():
            index = self._store.index
            if limit < 1:
                index.bucket_id(bucket)
                return _EMPTY_PAGE
            found, more = index.list_current(
                bucket, prefix=prefix.encode(), delimiter=delimiter.encode(), after=after.encode(), limit=limit
            )
            shown = rows.Shown(index)
            return ListPage(
                objects=[shown.object(row) for row in found if row.seq],
                prefixes=[row.key.decode() for row in found if not row.seq],
                truncated=more,
                next_key=found[-1].key.decode() if more else "",
            )

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
        with translated():
            index = self._store.index
            if limit < 1:
                index.bucket_id(bucket)
                return _EMPTY_PAGE
            found, more = index.list_versions(
                bucket,
                prefix=prefix.encode(),
                delimiter=delimiter.encode(),
                after=after_key.encode(),
                after_version=after_version_id,
                limit=limit,
            )
            shown = rows.Shown(index)
            last = found[-1] if more else None
            return ListPage(
                objects=[shown.object(row) for row in found if row.seq],
                prefixes=[row.key.decode() for row in found if not row.seq],
                truncated=more,
                next_key=last.key.decode() if last else "",
                next_version_id=version_id(last.seq, last.flags, last.nonce) if last and last.seq else "",
            )


_KINDS: Final = {
    Action.EXPIRE: ops.EXPIRE_CURRENT,
    Action.REMOVE: ops.EXPIRE_NONCURRENT,
    Action.REMOVE_MARKER: ops.EXPIRE_MARKER,
}
_EMPTY_PAGE: Final = ListPage(objects=[], prefixes=[], truncated=False)


def _handle(obj: StoredObject, start: int, end: int) -> rows.Handle:
    """Raises: InternalError, for another backend's object or a range that it has not."""
    if not isinstance(obj.body, rows.Handle) or not 0 <= start <= end <= obj.stored_size:
        raise InternalError
    return obj.body


def _seq(obj: StoredObject) -> int:
    if not isinstance(obj.body, rows.Handle):
        raise NoSuchKey(Key=obj.key)
    return obj.body.seq


def _deleted(target: DeleteTarget, outcome: Outcome) -> Deleted:
    marker = bool(outcome.flags & FLAG_MARKER)
    named = target.version_id
    made = version_id(outcome.seq, outcome.flags, outcome.nonce) if marker else None
    return Deleted(
        key=target.key, version_id=named, delete_marker=marker, marker_version_id=named if marker and named else made
    )
