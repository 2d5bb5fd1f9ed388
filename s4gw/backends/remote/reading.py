"""Reading bodies upstream: few requests, each pinned to one object, and no more held than asked for.

`open_object` looks and reads in one: the first request fetches the end of the body, where a small object is whole and a
large one has its index. What was learnt is remembered by key; the next reader of that key asks for its range at once,
If-Match pinned, and the answer's own headers tell whether all is as remembered. If not, `ObjectChanged` is raised
before a byte is given, and whoever reads looks again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from s4gw.backends.base import StoredObject
from s4gw.backends.bodies import ObjectChanged, Span
from s4gw.backends.remote import stored_meta
from s4gw.backends.remote.base import READ_ATTEMPTS, TAIL_BYTES, Handle
from s4gw.backends.remote.listing import RemoteListing
from s4gw.backends.remote.reserved import INDEX_SUFFIX, OWN_PREFIX
from s4gw.codec import BodyKind, FrameIndex, Manifest
from s4gw.s3.errors import (
    InternalError,
    InvalidRange,
    InvalidRequest,
    NoSuchKey,
    NoSuchVersion,
    PreconditionFailed,
    S3Error,
    ServiceUnavailable,
)

REMEMBERED_MAX: Final = 4096
"""Objects known by key, some 2 KiB each."""
SPAN_BYTES: Final = 4 * 1024 * 1024
"""Spans up to this are fetched whole; longer ones are read as they are wanted."""

_GONE: Final = (PreconditionFailed, NoSuchKey, NoSuchVersion, InvalidRange)


class RemoteReading(RemoteListing):
    """The port's reads."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._remembered = _Remembered()

    def head_object(self, bucket: str, key: str, version_id: str | None = None) -> StoredObject:
        check_readable(key, version_id)
        return self._learnt(bucket, self.look(bucket, key, version_id))

    def open_object(
        self, bucket: str, key: str, version_id: str | None = None, *, checksums: bool = False
    ) -> StoredObject:
        check_readable(key, version_id)
        known = self._remembered.get((bucket, key, version_id))
        if known is not None:
            return self._with_checksums(bucket, known, version_id) if checksums else known
        named = {"Bucket": bucket, "Key": key, "VersionId": version_id}
        try:
            response = self.call("GetObject", Range=f"bytes=-{TAIL_BYTES}", **named)
            with response["Body"] as body:
                tail: bytes = body.read()
        except S3Error:
            return self.head_object(
                bucket, key, version_id
            )  # an empty object has no last bytes; HEAD tells the rest apart
        total = _total(response, len(tail))
        if len(tail) != min(TAIL_BYTES, total):
            return self.head_object(bucket, key, version_id)
        obj = self.found(bucket, key, version_id, response, total, tail)
        self._remembered.add((bucket, key, version_id), obj)
        obj = self._learnt(bucket, obj)
        return self._with_checksums(bucket, obj, version_id) if checksums else obj

    def _with_checksums(self, bucket: str, obj: StoredObject, version_id: str | None) -> StoredObject:
        """*obj* with what an upstream tells of plain objects by HEAD only: the checksums it was given with them."""
        handle = _handle(obj)
        if handle.stored is None or handle.stored.kind is not BodyKind.PLAIN or handle.checksums_known:
            return obj
        now = self.head_object(bucket, obj.key, version_id)
        if not isinstance(now.body, Handle) or now.body.etag != handle.etag:
            return now
        meta = msgspec.structs.replace(obj.meta, checksums=now.meta.checksums, checksum_type=now.meta.checksum_type)
        told = msgspec.structs.replace(obj, meta=meta, body=replace(handle, checksums_known=True))
        self._remembered.add((bucket, obj.key, version_id), told)
        return told

    def learnt(self, bucket: str, obj: StoredObject, upstream_etag: str, *, modified_known: bool) -> None:
        if not modified_known:  # our own write
            self._remembered.forget((bucket, obj.key, None))
        super().learnt(bucket, obj, upstream_etag, modified_known=modified_known)

    def deleted(self, bucket: str, key: str, version_id: str | None) -> None:
        """What was known of *key* is not so any more."""
        self._remembered.forget((bucket, key, version_id))
        self._remembered.forget((bucket, key, None))

    def _learnt(self, bucket: str, obj: StoredObject) -> StoredObject:
        """Let listings know what was looked up."""
        if isinstance(obj.body, Handle):
            self.learnt(bucket, obj, obj.body.etag, modified_known=True)
        return obj

    def frames_of(self, obj: StoredObject) -> tuple[FrameIndex, Manifest | None] | None:
        handle = _handle(obj)
        if handle.stored is None:  # just written, or listed
            return None
        layout = self.layout_of(handle)
        return layout.index, layout.manifest

    def read(self, obj: StoredObject, start: int, end: int) -> bytes:
        handle = _handle(obj)
        if not 0 <= start <= end <= obj.stored_size:
            raise InternalError
        tail_start = obj.stored_size - len(handle.tail)
        if start >= tail_start and not obj.remembered:
            return handle.tail[start - tail_start : end - tail_start]
        span = RemoteSpan(self, obj, handle, start, end)
        try:
            return span.read(end - start)
        finally:
            span.close()

    def open_span(self, obj: StoredObject, start: int, end: int) -> Span:
        handle = _handle(obj)
        if end - start <= SPAN_BYTES:
            return _Fetched(self.read(obj, start, end))
        return RemoteSpan(self, obj, handle, start, end)

    def check_unchanged(self, obj: StoredObject, handle: Handle, response: Mapping[str, Any]) -> None:
        """Hold a remembered object against an answer of now. Raises: ObjectChanged."""
        now = stored_meta.read(response, _total(response, obj.stored_size))
        if now != handle.stored:
            self._remembered.forget((handle.bucket, handle.key, handle.asked))
            raise ObjectChanged

    def gone(self, handle: Handle) -> ObjectChanged:
        """The object of *handle* is not there any more."""
        self._remembered.forget((handle.bucket, handle.key, handle.asked))
        return ObjectChanged()


class RemoteSpan:
    """A span that is read from one answer of the upstream; a broken answer is asked for again from where it broke."""

    step_bytes = SPAN_BYTES

    def __init__(self, base: RemoteReading, obj: StoredObject, handle: Handle, start: int, end: int) -> None:
        self._base = base
        self._obj = obj
        self._handle = handle
        self._position = start
        self._end = end
        self._body: Any = None

    def read(self, size: int) -> bytes:
        """The next *size* bytes. Raises: ObjectChanged, ServiceUnavailable."""
        pieces: list[bytes] = []
        failures = 0
        while size:
            try:
                piece = self._next(size)
            except ServiceUnavailable as error:
                self.close()
                failures += 1
                if failures >= READ_ATTEMPTS or isinstance(error, ObjectChanged):
                    raise
                continue
            pieces.append(piece)
            size -= len(piece)
            self._position += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Give the answer up."""
        body, self._body = self._body, None
        if body is not None:
            body.close()

    def _next(self, size: int) -> bytes:
        """Some of the next *size* bytes. Raises: ServiceUnavailable, where they end early."""
        if self._body is None:
            self._open()
        piece: bytes = self._body.read(size)
        if not piece:
            raise ServiceUnavailable
        return piece

    def _open(self) -> None:
        try:
            response = self._base.call(
                "GetObject", **self._handle.named, Range=f"bytes={self._position}-{self._end - 1}"
            )
        except _GONE as error:
            raise self._base.gone(self._handle) from error
        self._body = response["Body"]
        try:
            self._handle.check(response)
        except ObjectChanged as error:
            raise self._base.gone(self._handle) from error
        if response.get("ContentLength", self._end - self._position) != self._end - self._position:
            raise InternalError  # the upstream has not understood the range
        if self._obj.remembered:
            self._base.check_unchanged(self._obj, self._handle, response)


class _Fetched:
    """A span that was fetched whole."""

    step_bytes = 0

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def read(self, size: int) -> bytes:
        start = self._position
        self._position += size
        return self._data if size == len(self._data) else self._data[start : start + size]

    def close(self) -> None:
        self._data = b""


class _Remembered:
    """Objects by the name they were asked for; the least recently used go first. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str, str | None], StoredObject] = OrderedDict()

    def get(self, name: tuple[str, str, str | None]) -> StoredObject | None:
        with self._lock:
            known = self._known.get(name)
            if known is not None:
                self._known.move_to_end(name)
            return known

    def add(self, name: tuple[str, str, str | None], obj: StoredObject) -> None:
        """Keep *obj*, without what of its body came along."""
        handle = _handle(obj)
        kept = msgspec.structs.replace(obj, remembered=True, body=handle.without_tail())
        with self._lock:
            self._known[name] = kept
            self._known.move_to_end(name)
            if len(self._known) > REMEMBERED_MAX:
                self._known.popitem(last=False)

    def forget(self, name: tuple[str, str, str | None]) -> None:
        with self._lock:
            self._known.pop(name, None)


def check_readable(key: str, version_id: str | None = None) -> None:
    """Raises: NoSuchKey or NoSuchVersion, for keys that clients are not to see; S4's dictionaries may be read."""
    if key.startswith(OWN_PREFIX) or key.endswith(INDEX_SUFFIX):
        raise NoSuchKey(Key=key) if version_id is None else NoSuchVersion(Key=key, VersionId=version_id)


def _handle(obj: StoredObject) -> Handle:
    """Raises: InternalError, for an object of another backend; InvalidRequest, for one in an envelope of S4's."""
    if not isinstance(obj.body, Handle):
        raise InternalError
    if obj.body.stored is not None and obj.body.stored.encrypted:
        raise InvalidRequest(
            "The object was stored using a form of Server Side Encryption. "
            "The correct parameters must be provided to retrieve the object."
        )
    return obj.body


def _total(response: Mapping[str, Any], length: int) -> int:
    """Size of the whole stored object."""
    _, _, total = str(response.get("ContentRange") or "").rpartition("/")
    return int(total) if total.isdigit() else int(response.get("ContentLength") or length)
