"""Objects of the embedded backend: written, read, changed, moved and deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from s4gw.backends.base import NO_CONDITIONS, Conditions, Deleted, DeleteTarget, ObjectMeta, StoredObject
from s4gw.backends.bodies import Writer
from s4gw.backends.embedded import rows
from s4gw.backends.embedded.base import EmbeddedBase, EmbeddedSpan, made, nonce, remember, staged, translated
from s4gw.backends.embedded.errors import translate
from s4gw.backends.lifecycle import Expiry
from s4gw.bucketconfig import Action, LockChange
from s4gw.s3.errors import InternalError, NoSuchKey
from s4gw.store import FLAG_MARKER, NoBucket, Outcome, Refused, StoreError, ops, version_id

_DELETES_MAX: Final = 1000  # targets in one transaction, as many as one DeleteObjects may name
_OBJECTS_MAX: Final = 4096
"""Remembered in each worker, checked by `Store.generations` before use; an object is some 2 KiB, 4 with its body."""

_KINDS: Final = {
    Action.EXPIRE: ops.EXPIRE_CURRENT,
    Action.REMOVE: ops.EXPIRE_NONCURRENT,
    Action.REMOVE_MARKER: ops.EXPIRE_MARKER,
}


class EmbeddedObjects(EmbeddedBase):
    """The port's object methods."""

    _current: dict[tuple[str, str], tuple[int, StoredObject]]
    """Bucket and key -> the generation of the key, and what its current version was then."""

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

    def read(self, obj: StoredObject, start: int, end: int) -> bytes | memoryview:
        handle = _handle(obj, start, end)
        try:  # PERF: a ``with`` costs three calls
            data = handle.read(self._store, start, end)
        except StoreError as error:
            raise translate(error) from error
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
