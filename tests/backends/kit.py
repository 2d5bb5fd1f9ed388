"""Short ways to say what the backend tests say often."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest

from s4gw.backends import (
    NO_CONDITIONS,
    Backend,
    BucketInfo,
    Conditions,
    Deleted,
    DeleteTarget,
    EmbeddedBackend,
    MemoryBackend,
    ObjectMeta,
    PartInfo,
    StoredObject,
    Upload,
    Versioning,
    read_all,
)
from s4gw.backends.bodies import ObjectChanged
from s4gw.backends.remote.backend import RemoteBackend
from tests.store.kit import memory_dir, serving

OWNER = "owner-1"
BUCKET = "bucket"

Near = MemoryBackend | EmbeddedBackend
NEAR = ("memory", "embedded", "storaged")
"""Kinds of `near`."""


@contextmanager
def near(kind: str) -> Iterator[Near]:
    """An empty backend that keeps objects itself: in memory, in a store, or in a store over storaged's socket."""
    if kind == "memory":
        yield MemoryBackend()
        return
    apart = kind == "storaged"
    with memory_dir() as folder, serving(folder) if apart else nullcontext():
        made = EmbeddedBackend(folder, in_process=not apart, parent_pid=0)
        try:
            yield made
        finally:
            made.close()


def is_store(backend: Backend) -> bool:
    """Whether the backend keeps objects itself; an upstream that does has its own owners, times and limits."""
    return not isinstance(backend, RemoteBackend)


def needs_store(backend: Backend, why: str) -> None:
    """Skip where an upstream keeps the objects, for the reason given."""
    if not is_store(backend):
        pytest.skip(why)


def make_bucket(backend: Backend, name: str = BUCKET, *, versioning: Versioning = "", owner: str = OWNER) -> None:
    backend.create_bucket(BucketInfo(name=name, owner=owner, created_ms=1_700_000_000_000))
    if versioning:
        backend.set_versioning(name, versioning)


def etag_of(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def put(
    backend: Backend,
    key: str,
    data: bytes = b"data",
    *,
    bucket: str = BUCKET,
    meta: ObjectMeta | None = None,
    conditions: Conditions = NO_CONDITIONS,
) -> StoredObject:
    meta = meta or ObjectMeta(owner=OWNER)
    writer = backend.open_writer(bucket, key, meta)
    writer.write(data)
    return backend.put_object(bucket, key, writer, size=len(data), etag=etag_of(data), meta=meta, conditions=conditions)


def get(backend: Backend, key: str, version_id: str | None = None, *, bucket: str = BUCKET) -> bytes:
    """Read a body, looking again when it was overwritten meanwhile."""
    while True:
        obj = backend.head_object(bucket, key, version_id)
        try:
            return b"".join(read_all(backend, obj, 1024**2))
        except ObjectChanged:
            continue


def delete(
    backend: Backend, key: str, version_id: str | None = None, *, conditions: Conditions = NO_CONDITIONS
) -> Deleted | Exception:
    target = DeleteTarget(key=key, version_id=version_id, conditions=conditions)
    return backend.delete_objects(BUCKET, [target])[0]


def keys(backend: Backend, **query: str | int) -> list[str]:
    page = backend.list_objects(BUCKET, **query)  # type: ignore[arg-type] # tests pass what the port names
    return [obj.key for obj in page.objects]


def versions(backend: Backend) -> list[tuple[str, str, bool, bool]]:
    """(key, version id, latest, marker) of all versions."""
    page = backend.list_versions(BUCKET)
    return [(obj.key, obj.version_id, obj.is_latest, obj.delete_marker) for obj in page.objects]


def start_upload(backend: Backend, key: str, upload_id: str = "upload-1") -> str:
    backend.create_upload(BUCKET, Upload(key=key, upload_id=upload_id, started_ms=1, meta=ObjectMeta(owner=OWNER)))
    return upload_id


def put_part(backend: Backend, key: str, upload_id: str, number: int, data: bytes) -> PartInfo:
    writer = backend.open_part_writer(BUCKET, key, upload_id)
    writer.write(data)
    return backend.put_part(
        BUCKET, key, upload_id, writer, PartInfo(number=number, size=len(data), etag=etag_of(data), frames=b"f")
    )


def complete(
    backend: Backend,
    key: str,
    upload_id: str,
    parts: list[PartInfo],
    *,
    tail: bytes | None = None,
    conditions: Conditions = NO_CONDITIONS,
) -> StoredObject:
    writer = None
    if tail is not None:
        writer = backend.open_part_writer(BUCKET, key, upload_id)
        writer.write(tail)
    size = sum(part.size for part in parts)
    return backend.complete_upload(
        BUCKET,
        key,
        upload_id,
        parts,
        writer,
        size=size,
        etag="e-1",
        meta=ObjectMeta(owner=OWNER),
        conditions=conditions,
    )
