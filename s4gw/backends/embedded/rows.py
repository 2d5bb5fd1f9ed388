"""Between the store's rows and the port's values."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from s4gw.backends.base import (
    NO_CONDITIONS,
    BucketInfo,
    Conditions,
    ObjectMeta,
    PartInfo,
    StoredObject,
    Upload,
    Versioning,
)
from s4gw.bucketconfig import DefaultRetention, ObjectLock
from s4gw.store import (
    FLAG_LOCKED,
    FLAG_MARKER,
    BodySpan,
    BucketRecord,
    CompletedRecord,
    Extent,
    IndexReader,
    ListedVersion,
    Lock,
    LockDefault,
    PartRecord,
    Store,
    UploadRecord,
    VersionRecord,
    When,
    unpack_runs,
    version_id,
)

EMPTY_META: Final = ObjectMeta()

_ENCODER: Final = msgspec.msgpack.Encoder()
_META: Final = msgspec.msgpack.Decoder(ObjectMeta)
_UPLOAD: Final = msgspec.msgpack.Decoder(Upload)
_PART: Final = msgspec.msgpack.Decoder(PartInfo)
_LOCK_DEFAULT: Final = msgspec.msgpack.Decoder(LockDefault)
_CONFIGS: Final = msgspec.msgpack.Decoder(dict[str, bytes])


class Handle:
    """How to read a body: its version's sequence and, unless it comes from a write or a listing, where it lies."""

    __slots__ = ("inline", "known", "packed", "runs", "seq")

    def __init__(self, seq: int, packed: bytes | None = None, inline: bytes | None = None) -> None:
        self.seq = seq
        self.packed = packed
        """Packed runs of extents; None when they were not looked up yet."""
        self.inline = inline
        """The whole body, when the index holds it."""
        self.runs: list[tuple[int, int, int]] | None = None
        """Unpacked runs, from the first read on."""
        self.known: dict[int, Extent] = {}
        """Extents that reads have looked up."""

    def read(self, store: Store, start: int, end: int) -> bytes | memoryview:
        """Bytes ``[start, end)``. Raises: StoreError."""
        known = self.inline
        if known is not None:
            return known[start:end]
        runs = self._located(store)
        return self.inline[start:end] if self.inline is not None else store.read(runs, start, end, self.known)

    def open_span(self, store: Store, start: int, end: int) -> BodySpan:
        """The same bytes, to be read in order. Raises: StoreError."""
        runs = self._located(store)
        if self.inline is not None:
            return BodySpan(iter((memoryview(self.inline)[start:end],)))
        return store.open_span(runs, start, end, self.known)

    def _located(self, store: Store) -> list[tuple[int, int, int]]:
        """Runs of extents, none where the body is in the index. Raises: StoreError."""
        if self.runs is None:
            if self.packed is None:
                self.packed, self.inline = store.index.body(self.seq)
            self.runs = unpack_runs(self.packed) if self.inline is None else []
        return self.runs


def encode_meta(meta: ObjectMeta) -> tuple[bytes, bytes]:
    """Metadata as stored, and the part of it that listings show."""
    shown = _shown(meta.owner, meta.storage_class, tuple(meta.checksums), meta.checksum_type)
    if meta.lock is not None:  # kept by the store, which enforces it
        meta = msgspec.structs.replace(meta, lock=None)
    return _ENCODER.encode(meta), shown


@lru_cache(maxsize=1024)
def _shown(owner: str, storage_class: str, checksums: tuple[str, ...], checksum_type: str) -> bytes:
    """What listings show. PERF: most objects of a bucket show the same."""
    return _ENCODER.encode(
        ObjectMeta(
            owner=owner,
            storage_class=storage_class,
            checksums=dict.fromkeys(checksums, ""),
            checksum_type=checksum_type,
        )
    )


def encode_document(value: Upload | PartInfo) -> bytes:
    """An upload or part as stored."""
    return _ENCODER.encode(value)


def when_of(conditions: Conditions) -> When | None:
    """The store's preconditions."""
    if conditions is NO_CONDITIONS or conditions == NO_CONDITIONS:
        return None
    return When(conditions.if_match, conditions.if_none_match, conditions.if_size, conditions.if_modified_s)


def lock_of(meta: ObjectMeta) -> Lock | None:
    """The lock that a write asks for, as the store takes it."""
    lock = meta.lock
    return None if lock is None else Lock(lock.mode, lock.until_ms, lock.hold)


def lock_default(default: DefaultRetention | None) -> LockDefault | None:
    """The store's form of a bucket's default."""
    return None if default is None else LockDefault(default.mode, default.days, default.years)


def _object_lock(stored: bytes | None) -> DefaultRetention | None:
    if stored is None:
        return None
    default = _LOCK_DEFAULT.decode(stored)
    return DefaultRetention(default.mode, default.days, default.years)


def bucket_info(row: BucketRecord) -> BucketInfo:
    """A bucket."""
    return BucketInfo(
        name=row.name,
        owner=row.owner,
        created_ms=row.created_ms,
        region=row.region,
        versioning=_VERSIONING[row.versioning],
        object_lock=_object_lock(row.lock),
        mfa_delete=row.mfa_delete,
        configs=_CONFIGS.decode(row.configs),
    )


_VERSIONING: Final[dict[str, Versioning]] = {"": "", "Enabled": "Enabled", "Suspended": "Suspended"}


def stored_object(key: str, row: VersionRecord) -> StoredObject:
    """A version with its handle."""
    return StoredObject(
        key=key,
        version_id=version_id(row.seq, row.flags, row.nonce),
        is_latest=bool(row.latest),
        delete_marker=bool(row.flags & FLAG_MARKER),
        size=row.size,
        etag=row.etag,
        stored_size=row.stored_size,
        modified_ms=row.modified_ms,
        meta=EMPTY_META if row.meta is None else _META.decode(row.meta),
        body=Handle(row.seq, row.extents or b"", row.inline),
    )


def looked_up(key: str, row: VersionRecord, index: IndexReader) -> StoredObject:
    """A version with its handle and its lock."""
    obj = stored_object(key, row)
    if not row.flags & FLAG_LOCKED:
        return obj
    lock = index.lock(row.seq)
    meta = msgspec.structs.replace(obj.meta, lock=ObjectLock(lock.mode, lock.until_ms, lock.hold))
    return msgspec.structs.replace(obj, meta=meta)


def completed_object(key: str, row: CompletedRecord) -> StoredObject:
    """What a Complete answered; its body may be gone."""
    return StoredObject(
        key=key,
        version_id=version_id(row.seq, row.flags, row.nonce),
        size=row.size,
        etag=row.etag,
        stored_size=row.stored_size,
        modified_ms=row.at_ms,
        meta=_META.decode(row.meta),
        body=Handle(row.seq),
    )


class Shown:
    """Listing documents of one page, each decoded once."""

    def __init__(self, index: IndexReader) -> None:
        self._index = index
        self._known: dict[int, ObjectMeta] = {}

    def meta(self, number: int) -> ObjectMeta:
        """The listed part of the metadata."""
        meta = self._known.get(number)
        if meta is None:
            document = self._index.facts(number)
            meta = self._known[number] = _META.decode(document) if document else EMPTY_META
        return meta

    def object(self, row: ListedVersion) -> StoredObject:
        """A version as listings show it, its body looked up at the first read."""
        return StoredObject(
            key=row.key.decode(),
            version_id=version_id(row.seq, row.flags, row.nonce),
            is_latest=bool(row.latest),
            delete_marker=bool(row.flags & FLAG_MARKER),
            size=row.size,
            etag=row.etag,
            stored_size=row.stored_size,
            modified_ms=row.modified_ms,
            meta=self.meta(row.facts),
            body=Handle(row.seq),
        )


def upload_of(row: UploadRecord) -> Upload:
    """An upload in progress."""
    return _UPLOAD.decode(row.document)


def part_of(row: PartRecord) -> PartInfo:
    """A part, with what the store knows of it."""
    return msgspec.structs.replace(
        _PART.decode(row.document),
        part_id=f"{row.seq:x}",
        stored_size=row.stored_size,
        modified_ms=row.modified_ms,
    )
