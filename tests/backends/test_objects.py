"""Objects: bodies come back byte for byte, metadata whole, and each write is atomic under its conditions."""

from __future__ import annotations

import random

import msgspec
import pytest

from s4gw.backends import Backend, Conditions, DeleteTarget, ObjectMeta
from s4gw.backends.bodies import ObjectChanged
from s4gw.s3.errors import InternalError, NoSuchKey, NoSuchVersion, PreconditionFailed
from tests.backends.kit import BUCKET, OWNER, delete, etag_of, get, is_store, keys, make_bucket, needs_store, put

NO_RENAME = "S3 renames in directory buckets only"

ODD_KEYS = [
    "a#b",
    "..",
    "../../etc/passwd",
    "//",
    "/lead",
    "trail/",
    "sp ace +%20",
    "\x01control\x7f",
    "ünïcødé-日本語",
    "\U0001f600",
    "\uffff",
    "k" * 1024,
    "é" * 512,
    "null",
    "'; DROP TABLE objects; --",
]


def test_body_comes_back(backend: Backend) -> None:
    make_bucket(backend)
    for size in (0, 1, 4095, 4096, 4097, 65_535, 65_536, 65_537, 1_048_576, 9_000_001):
        data = random.Random(size).randbytes(size)
        put(backend, "k", data)
        assert data == get(backend, "k")


def test_ranges_equal_slices(backend: Backend) -> None:
    make_bucket(backend)
    rng = random.Random(1)
    data = rng.randbytes(9_000_001)
    writer = backend.open_writer(BUCKET, "k", ObjectMeta())
    at = 0
    while at < len(data):
        step = rng.choice([1, 1000, 70_000, 1_048_576, 4_194_304, 5_000_000])
        writer.write(data[at : at + step // 2], memoryview(bytearray(data[at + step // 2 : at + step])))
        at += step
    backend.put_object(BUCKET, "k", writer, size=1, etag="e", meta=ObjectMeta())
    obj = backend.head_object(BUCKET, "k")
    assert len(data) == obj.stored_size == writer.size
    for _ in range(60):
        start = rng.randrange(len(data))
        end = min(len(data), start + rng.choice([0, 1, 65_536, 65_537, 4_194_305, rng.randrange(len(data))]))
        assert data[start:end] == backend.read(obj, start, end)


def test_buffers_may_be_reused_at_once(backend: Backend) -> None:
    make_bucket(backend)
    writer = backend.open_writer(BUCKET, "k", ObjectMeta())
    expected = b""
    buffer = bytearray(600_000)
    for number in range(5):
        buffer[:] = bytes([number]) * len(buffer)
        expected += bytes(buffer)
        writer.write(memoryview(buffer))
    buffer[:] = b"\xff" * len(buffer)
    backend.put_object(BUCKET, "k", writer, size=1, etag="e", meta=ObjectMeta())
    assert expected == get(backend, "k")


def test_read_outside_of_the_body_is_refused(backend: Backend) -> None:
    make_bucket(backend)
    obj = put(backend, "k", b"12345")
    for start, end in ((-1, 2), (0, 6), (4, 3)):
        with pytest.raises(InternalError):
            backend.read(obj, start, end)


def test_every_source_of_an_object_reads_the_same_body(backend: Backend) -> None:
    make_bucket(backend)
    data = b"x" * 200_000
    sources = [put(backend, "k", data), backend.head_object(BUCKET, "k"), *backend.list_objects(BUCKET).objects]
    assert [data] * 3 == [backend.read(obj, 0, obj.stored_size) for obj in sources]


def test_what_was_told_about_the_object_comes_back(backend: Backend) -> None:
    make_bucket(backend)
    meta = ObjectMeta(
        owner="me",
        headers={"content-type": "text/x"},
        metadata={"a.b": "é", "c": ""},
        tags={"k": "v"},
        acl=b"{}",
        storage_class="GLACIER_IR",
        checksums={"CRC32C": "AAAA"},
        checksum_type="FULL_OBJECT",
        framed=True,
        frames=3,
        codec="zstd",
        crc32c=0,
        parts=2,
    )
    made = put(backend, "k", b"12", meta=meta)
    found = backend.head_object(BUCKET, "k")
    if not is_store(backend):  # a write does not tell its time
        meta = msgspec.structs.replace(meta, owner=OWNER, acl=b"")
        assert abs(made.modified_ms - found.modified_ms) <= 2000
        made = msgspec.structs.replace(made, modified_ms=found.modified_ms)
    assert (meta, 2, etag_of(b"12"), made.modified_ms, "null", True, False) == (
        found.meta,
        found.size,
        found.etag,
        found.modified_ms,
        found.version_id,
        found.is_latest,
        found.delete_marker,
    )


def test_listing_shows_owner_class_and_checksum_names(backend: Backend) -> None:
    make_bucket(backend)
    owner = "me" if is_store(backend) else OWNER
    meta = ObjectMeta(
        owner=owner, storage_class="GLACIER_IR", checksums={"SHA1": "x"}, checksum_type="COMPOSITE", crc32c=1
    )
    put(backend, "k", b"12", meta=meta)
    listed = backend.list_objects(BUCKET).objects[0]
    assert (owner, "GLACIER_IR", ["SHA1"], "COMPOSITE", 2, etag_of(b"12")) == (
        listed.meta.owner,
        listed.meta.storage_class,
        list(listed.meta.checksums),
        listed.meta.checksum_type,
        listed.size,
        listed.etag,
    )


def test_odd_keys_are_ordinary(backend: Backend) -> None:
    make_bucket(backend)
    for number, key in enumerate(ODD_KEYS):
        put(backend, key, f"{number}".encode())
    assert sorted(ODD_KEYS, key=str.encode) == keys(backend)
    assert [f"{number}".encode() for number in range(len(ODD_KEYS))] == [get(backend, key) for key in ODD_KEYS]


def test_overwritten_body_is_still_readable_by_who_opened_it(backend: Backend) -> None:
    make_bucket(backend)
    put(backend, "k", b"1" * 100_000)
    opened = backend.head_object(BUCKET, "k")
    put(backend, "k", b"2" * 100_000)
    if not is_store(backend):  # an unversioned bucket keeps nothing, and bytes of two objects never mix
        with pytest.raises(ObjectChanged):
            backend.read(opened, 0, 100_000)
        return
    assert (b"1" * 100_000, b"2" * 100_000) == (backend.read(opened, 0, 100_000), get(backend, "k"))


def test_missing_key_and_version(backend: Backend) -> None:
    make_bucket(backend)
    with pytest.raises(NoSuchKey):
        backend.head_object(BUCKET, "k")
    put(backend, "k")
    for version_id in ("x", "A" * 32, "", "A" * 31 + "é"):
        with pytest.raises(NoSuchVersion):
            backend.head_object(BUCKET, "k", version_id)


def test_aborted_body_is_never_seen(backend: Backend) -> None:
    make_bucket(backend)
    writer = backend.open_writer(BUCKET, "k", ObjectMeta())
    writer.write(b"x" * 3_000_000)
    writer.abort()
    writer.abort()
    assert [] == keys(backend)


def test_delete_reports_and_missing_keys_are_no_errors(backend: Backend) -> None:
    make_bucket(backend)
    put(backend, "a")
    results = backend.delete_objects(BUCKET, [DeleteTarget(key="a"), DeleteTarget(key="b")])
    assert [("a", None, False, None), ("b", None, False, None)] == [
        (r.key, r.version_id, r.delete_marker, r.marker_version_id)  # type: ignore[union-attr] # no error among them
        for r in results
    ]
    assert [] == keys(backend)


def test_one_failing_delete_stops_no_other(backend: Backend) -> None:
    make_bucket(backend)
    for key in "abc":
        put(backend, key)
    bad = Conditions(if_match="other")
    results = backend.delete_objects(
        BUCKET, [DeleteTarget(key="a"), DeleteTarget(key="b", conditions=bad), DeleteTarget(key="c")]
    )
    assert isinstance(results[1], PreconditionFailed)
    assert ["b"] == keys(backend)


def test_more_deletes_than_one_transaction_takes(backend: Backend) -> None:
    make_bucket(backend)
    put(backend, "k1500")
    results = backend.delete_objects(BUCKET, [DeleteTarget(key=f"k{n}") for n in range(2001)])
    assert (2001, []) == (len(results), keys(backend))


# -- copy, rename, metadata -----------------------------------------------------------------------------------------
def test_copy_outlives_its_source(backend: Backend) -> None:
    make_bucket(backend)
    make_bucket(backend, "other")
    for size in (0, 10, 5_000_000):
        data = random.Random(size).randbytes(size)
        put(backend, "a", data)
        source = backend.head_object(BUCKET, "a")
        meta = ObjectMeta(owner="new" if is_store(backend) else OWNER, metadata={"x": "y"})
        made = backend.copy_object(source, BUCKET, "other", "b", meta=meta)
        delete(backend, "a")
        found = backend.head_object("other", "b")
        if not is_store(backend):  # an upstream tells checksums of its own
            meta = msgspec.structs.replace(meta, checksums=found.meta.checksums, checksum_type=found.meta.checksum_type)
        assert (data, meta, source.etag, size, made.modified_ms) == (
            get(backend, "b", bucket="other"),
            found.meta,
            found.etag,
            found.size,
            found.modified_ms,
        )


def test_copy_to_itself_replaces_metadata(backend: Backend) -> None:
    make_bucket(backend)
    put(backend, "a", b"x" * 50_000)
    source = backend.head_object(BUCKET, "a")
    backend.copy_object(source, BUCKET, BUCKET, "a", meta=ObjectMeta(metadata={"n": "1"}))
    assert (b"x" * 50_000, {"n": "1"}) == (get(backend, "a"), backend.head_object(BUCKET, "a").meta.metadata)


def test_copy_of_what_went_away(backend: Backend) -> None:
    make_bucket(backend)
    put(backend, "a")
    source = backend.head_object(BUCKET, "a")
    put(backend, "a", b"newer")
    with pytest.raises(NoSuchKey):
        backend.copy_object(source, BUCKET, BUCKET, "b", meta=ObjectMeta())


def test_copy_keeps_conditions(backend: Backend) -> None:
    make_bucket(backend)
    source = put(backend, "a")
    put(backend, "b")
    with pytest.raises(PreconditionFailed):
        backend.copy_object(source, BUCKET, BUCKET, "b", meta=ObjectMeta(), conditions=Conditions(if_none_match="*"))


def test_rename_moves_everything(backend: Backend) -> None:
    needs_store(backend, NO_RENAME)
    make_bucket(backend)
    meta = ObjectMeta(owner="me", metadata={"a": "b"})
    put(backend, "a", b"x" * 10_000, meta=meta)
    put(backend, "b", b"gone")
    backend.rename_object(BUCKET, "a", "b")
    assert (["b"], b"x" * 10_000, meta) == (keys(backend), get(backend, "b"), backend.head_object(BUCKET, "b").meta)


def test_rename_leaves_a_marker_where_there_are_versions(backend: Backend) -> None:
    needs_store(backend, NO_RENAME)
    make_bucket(backend, versioning="Enabled")
    put(backend, "a", b"x" * 10_000)
    backend.rename_object(BUCKET, "a", "b")
    assert (["b"], b"x" * 10_000, True) == (
        keys(backend),
        get(backend, "b"),
        backend.head_object(BUCKET, "a").delete_marker,
    )


def test_rename_conditions(backend: Backend) -> None:
    needs_store(backend, NO_RENAME)
    make_bucket(backend)
    put(backend, "a")
    put(backend, "b")
    with pytest.raises(NoSuchKey):
        backend.rename_object(BUCKET, "nope", "c")
    with pytest.raises(PreconditionFailed):
        backend.rename_object(BUCKET, "a", "b", conditions=Conditions(if_none_match="*"))
    with pytest.raises(PreconditionFailed):
        backend.rename_object(BUCKET, "a", "c", source_conditions=Conditions(if_match="bad"))
    backend.rename_object(BUCKET, "a", "a")
    assert ["a", "b"] == keys(backend)


def test_metadata_of_exactly_this_version_changes(backend: Backend) -> None:
    make_bucket(backend)
    put(backend, "a", b"body")
    before = backend.head_object(BUCKET, "a")
    owner = "new" if is_store(backend) else OWNER
    backend.update_meta(BUCKET, before, ObjectMeta(owner=owner, tags={"t": "1"}))
    after = backend.head_object(BUCKET, "a")
    assert (before.modified_ms, {"t": "1"}, b"body", owner) == (
        after.modified_ms,
        after.meta.tags,
        get(backend, "a"),
        backend.list_objects(BUCKET).objects[0].meta.owner,
    )
    put(backend, "a", b"other")
    with pytest.raises(NoSuchKey):
        backend.update_meta(BUCKET, after, ObjectMeta(owner=owner))
