"""Objects over an upstream: what is put comes back, in few requests, and a write is there whole or not at all."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from s4gw.backends import BucketInfo, Conditions, DeleteTarget, ObjectMeta, StoredObject
from s4gw.backends.bodies import ObjectChanged
from s4gw.backends.remote import Upstream
from s4gw.backends.remote.backend import RemoteBackend
from s4gw.codec import FrameReader, SamplingDispatcher
from s4gw.objects import DigestPlan, Objects
from s4gw.s3.errors import (
    InvalidArgument,
    MetadataTooLarge,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    PreconditionFailed,
    S3Error,
    ServiceUnavailable,
)
from tests.objects.bodies import BytesSource, mixed

MIB = 1024 * 1024
BUCKET = "bucket"
OWNER = ObjectMeta(owner="o")


class Watched:
    """An upstream whose calls are counted, and can be made to fail before they are sent or after they were answered."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self.seen: list[str] = []
        self.before: dict[str, S3Error] = {}
        self.after: dict[str, S3Error] = {}
        self.heeds_conditions = True

    def call(self, operation: str, /, **params: Any) -> dict[str, Any]:
        self.seen.append(operation)
        if not self.heeds_conditions:
            params = {name: value for name, value in params.items() if name not in ("IfMatch", "CopySourceIfMatch")}
        if operation in self.before:
            raise self.before.pop(operation)
        answer = self._upstream.call(operation, **params)
        if operation in self.after:
            raise self.after.pop(operation)
        return answer

    def close(self) -> None:
        self._upstream.close()

    def take(self) -> list[str]:
        """The operations since the last call."""
        seen, self.seen = self.seen, []
        return seen


@pytest.fixture
def watched(upstream: Upstream) -> Watched:
    return Watched(upstream)


@pytest.fixture
def backend(watched: Watched) -> Iterator[RemoteBackend]:
    made = RemoteBackend(cast("Upstream", watched), owner="o")
    made.create_bucket(BucketInfo(name=BUCKET, owner="o", created_ms=0))
    watched.take()
    yield made
    made.pools.close()


def put(objects: Objects, key: str, data: bytes, **options: Any) -> StoredObject:
    meta = options.pop("meta", OWNER)
    return objects.put(BUCKET, key, BytesSource(data), meta=meta, plan=DigestPlan(), **options).object


def get(objects: Objects, key: str, start: int = 0, end: int | None = None) -> bytes:
    """Read as the gateway does: what has changed since it was remembered is looked at again."""
    obj = objects.backend.open_object(BUCKET, key)
    try:
        blocks = objects.read(BUCKET, obj, start, obj.size if end is None else end)
    except ObjectChanged:
        obj = objects.backend.open_object(BUCKET, key)
        blocks = objects.read(BUCKET, obj, start, obj.size if end is None else end)
    return b"".join(blocks)


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


# -- writing ----------------------------------------------------------------------------------------------------------
def test_a_small_body_is_one_put_with_all_metadata(objects: Objects, watched: Watched) -> None:
    """One request up; a HEAD tells size, ETag and checksums without looking into the body."""
    data = mixed(3 * MIB)
    made = put(objects, "k", data)
    assert ["PutObject"] == watched.take()
    found = objects.backend.head_object(BUCKET, "k")
    assert ["HeadObject"] == watched.take()
    assert (len(data), hashlib.md5(data).hexdigest(), made.meta) == (found.size, found.etag, found.meta)
    assert {"CRC64NVME"} == set(found.meta.checksums)


def test_a_large_body_goes_up_in_parts_and_its_trailer_tells_the_rest(objects: Objects, watched: Watched) -> None:
    """Above 16 MiB stored: an upload, no more of it held than a few parts, nothing left beside the object."""
    data = noise(17 * MIB) + mixed(5 * MIB)
    made = put(objects, "k", data)
    seen = watched.take()
    assert (1, 3, 1) == tuple(
        seen.count(name) for name in ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload")
    )
    found = objects.backend.head_object(BUCKET, "k")
    assert ["HeadObject", "GetObject"] == watched.take()
    objects.backend.head_object(BUCKET, "k")
    assert ["HeadObject"] == watched.take()  # the trailer is known by the upstream's ETag
    assert (made.size, made.etag, made.meta) == (found.size, found.etag, found.meta)
    assert data == get(objects, "k")
    listed = watched._upstream.call("ListObjectsV2", Bucket=BUCKET)["Contents"]
    assert ["k"] == [item["Key"] for item in listed]


def test_bodies_can_be_walked_by_others(objects: Objects, watched: Watched) -> None:
    """What lies upstream is frames and paddings from the first byte to the last, or the original."""
    for size in (1, 100_000, 3 * MIB + 5):
        data = mixed(size, seed=size)
        put(objects, "k", data)
        stored = watched.call("GetObject", Bucket=BUCKET, Key="k")
        body = stored["Body"].read()
        if stored["Metadata"].get("s4-framed") == "true":
            reader = FrameReader()
            reader.feed(body)
            while reader.next_event() is not None:
                pass
            reader.finish()
        else:
            assert data == body
        assert (str(size), str(len(body))) == tuple(
            stored["Metadata"][name] for name in ("s4-original-size", "s4-compressed-size")
        )


@pytest.mark.parametrize("body", [b"x" * 5000, noise(5000), b"text " * MIB, b""])
def test_large_metadata_of_a_client_move_ours_into_the_trailer(objects: Objects, body: bytes) -> None:
    """Nothing about the original is forgotten when the metadata have no room for it."""
    meta = ObjectMeta(owner="o", metadata={"k": "v" * 1990})
    made = put(objects, "k", body, meta=meta)
    found = objects.backend.head_object(BUCKET, "k")
    assert (body, made.etag, made.meta.checksums, meta.metadata) == (
        get(objects, "k"),
        found.etag,
        found.meta.checksums,
        found.meta.metadata,
    )


def test_metadata_may_take_all_of_s3s_room(objects: Objects, watched: Watched) -> None:
    """A small object is then stored as its original, with nothing of ours; one of several frames is refused."""
    meta = ObjectMeta(owner="o", metadata={"k": "v" * 2047})
    for body in (b"x" * 5000, noise(5000), b""):
        made = put(objects, "k", body, meta=meta)
        found = objects.backend.head_object(BUCKET, "k")
        told = (found.size, found.etag, found.meta.metadata, found.meta.checksums)
        assert (len(body), made.etag, meta.metadata, made.meta.checksums) == told
        assert body == get(objects, "k") == watched.call("GetObject", Bucket=BUCKET, Key="k")["Body"].read()
    with pytest.raises(MetadataTooLarge):
        put(objects, "k", mixed(3 * MIB), meta=meta)


def test_reserved_keys_are_neither_written_nor_seen(objects: Objects, watched: Watched) -> None:
    """Whatever lies under them, a client finds nothing and leaves nothing there."""
    watched.call("PutObject", Bucket=BUCKET, Key="k.s4index", Body=b"x")
    for key in (".s4gw/x", "k.s4index", ".s4dict/0", ".s4mpu/1", "k.__s4ver__/1"):
        with pytest.raises(InvalidArgument):
            put(objects, key, b"x")
        assert isinstance(objects.backend.delete_objects(BUCKET, [DeleteTarget(key=key)])[0], InvalidArgument)
    for key in (".s4gw/x", "k.s4index"):
        with pytest.raises(NoSuchKey):
            objects.backend.head_object(BUCKET, key)


# -- conditions -------------------------------------------------------------------------------------------------------
def test_conditions_are_the_upstreams_to_decide(objects: Objects, watched: Watched) -> None:
    """The client's ETag is the original's; the request that writes names the upstream's."""
    first = put(objects, "k", b"one " * 1000)
    watched.take()
    put(objects, "k", b"two " * 1000, conditions=Conditions(if_match=first.etag))
    assert ["HeadObject", "PutObject"] == watched.take()
    for miss in (Conditions(if_match=first.etag), Conditions(if_none_match="*")):
        with pytest.raises(PreconditionFailed):
            put(objects, "k", b"three", conditions=miss)
    with pytest.raises(NoSuchKey):
        put(objects, "new", b"x", conditions=Conditions(if_match="*"))
    assert b"two " * 1000 == get(objects, "k")


@pytest.mark.parametrize("size", [1000, 17 * MIB])
def test_a_lost_answer_to_a_write_is_found_out(objects: Objects, watched: Watched, size: int) -> None:
    """The upstream did it, the answer got lost, and the request was sent again: that is success, not a conflict."""
    operation = "PutObject" if size < MIB else "CompleteMultipartUpload"
    watched.after[operation] = PreconditionFailed() if size < MIB else NoSuchUpload()
    data = noise(size)
    made = put(objects, "k", data, conditions=Conditions(if_none_match="*"))
    assert (made.etag, data) == (hashlib.md5(data).hexdigest(), get(objects, "k"))


def test_anothers_write_is_not_taken_for_ours(objects: Objects) -> None:
    """The same bytes, written by two who both demand to be the first: one of them is not."""
    put(objects, "k", b"same", conditions=Conditions(if_none_match="*"))
    with pytest.raises(PreconditionFailed):
        put(objects, "k", b"same", conditions=Conditions(if_none_match="*"))


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])
def test_a_write_that_fails_leaves_what_was_there(objects: Objects, watched: Watched, operation: str) -> None:
    """Whichever request fails, the object before stays and the upload is given up."""
    put(objects, "k", b"before")
    watched.before[operation] = ServiceUnavailable()
    with pytest.raises(ServiceUnavailable):
        put(objects, "k", noise(20 * MIB))
    assert b"before" == get(objects, "k")
    assert [] == watched.call("ListMultipartUploads", Bucket=BUCKET).get("Uploads", [])
    assert ["k"] == [item["Key"] for item in watched.call("ListObjectsV2", Bucket=BUCKET)["Contents"]]


# -- reading ----------------------------------------------------------------------------------------------------------
def test_ranges_take_two_requests_cold_and_one_warm(objects: Objects, watched: Watched) -> None:
    """The first look brings the index along; after that a range is one request, however large the object."""
    data = mixed(24 * MIB)
    put(objects, "k", data)
    fresh = RemoteBackend(cast("Upstream", watched), owner="o")
    reader = Objects(fresh, SamplingDispatcher(), threads=2)
    counts = []
    for start, end in ((5 * MIB, 5 * MIB + 100), (7 * MIB + 1, 9 * MIB), (0, 1), (23 * MIB, 24 * MIB)):
        watched.take()
        assert data[start:end] == get(reader, "k", start, end)
        counts.append(len(watched.take()))
    reader.close()
    fresh.pools.close()
    assert [2, 1, 1, 1] == counts


def test_a_small_object_is_read_by_one_request(objects: Objects, watched: Watched) -> None:
    """Look and body in one, cold and warm."""
    put(objects, "k", b"text " * 2000)
    for _ in range(3):
        watched.take()
        assert b"text " * 2000 == get(objects, "k")
        assert ["GetObject"] == watched.take()


def test_a_long_read_is_one_request_and_survives_a_broken_one(objects: Objects, watched: Watched) -> None:
    """More than 4 MiB stored stream from one answer; one that breaks is asked for again from where it broke."""
    data = noise(12 * MIB)
    put(objects, "k", data)
    obj = objects.backend.head_object(BUCKET, "k")
    watched.take()
    blocks = objects.read(BUCKET, obj, 0, obj.size)
    first = next(blocks)
    assert 2 == len(watched.take())  # its trailer, and the whole of it
    assert data == b"".join((first, *blocks))
    assert [] == watched.take()
    watched.before["GetObject"] = ServiceUnavailable()
    assert data == get(objects, "k")


def test_an_overwritten_object_is_never_mixed_with_the_new_one(objects: Objects, watched: Watched) -> None:
    """Whoever has looked before the overwrite is told to look again, with or without a new ETag."""
    old, new = mixed(3 * MIB, seed=1), mixed(3 * MIB, seed=2)
    put(objects, "k", old)
    assert old == get(objects, "k")
    opened = objects.backend.open_object(BUCKET, "k")
    put(objects, "k", new)
    with pytest.raises(ObjectChanged):
        next(objects.read(BUCKET, opened, 0, 100))
    assert new == get(objects, "k")
    remembered = objects.backend.open_object(BUCKET, "k")
    assert remembered.remembered
    stored = watched.call("HeadObject", Bucket=BUCKET, Key="k")["Metadata"]
    watched.call(
        "CopyObject", Bucket=BUCKET, Key="k", CopySource={"Bucket": BUCKET, "Key": "k"}, MetadataDirective="REPLACE",
        Metadata=stored | {"changed": "yes"},
    )  # fmt: skip
    with pytest.raises(ObjectChanged):
        next(objects.read(BUCKET, remembered, 0, 100))
    assert {"changed": "yes"} == objects.backend.open_object(BUCKET, "k").meta.metadata


@pytest.mark.parametrize("size", [1000, 3 * MIB, 9 * MIB])
def test_a_server_without_conditions_mixes_nothing(objects: Objects, watched: Watched, size: int) -> None:
    """Some (rclone, moto) do not heed If-Match: each answer is held against the object that it is to be of."""
    watched.heeds_conditions = False
    old, new = noise(size, seed=1), noise(size, seed=2)
    put(objects, "k", old)
    opened = objects.backend.head_object(BUCKET, "k")
    put(objects, "k", new)
    with pytest.raises(ObjectChanged):
        next(objects.read(BUCKET, opened, 0, size))
    with pytest.raises(NoSuchKey):
        objects.backend.copy_object(opened, BUCKET, BUCKET, "copy", meta=opened.meta)
    with pytest.raises(NoSuchKey):
        objects.backend.head_object(BUCKET, "copy")
    assert new == get(objects, "k")


def test_plain_objects_from_before_are_served_as_they_are(objects: Objects, watched: Watched) -> None:
    """Bytes, size, ETag and metadata of objects that no gateway wrote, even if they look like frames."""
    for body in (b"S4F2 is text", noise(6 * MIB), b""):
        watched.call("PutObject", Bucket=BUCKET, Key="p", Body=body, Metadata={"a": "b"}, ContentType="text/x")
        found = objects.backend.head_object(BUCKET, "p")
        assert (len(body), hashlib.md5(body).hexdigest(), {"a": "b"}, {"content-type": "text/x"}) == (
            found.size, found.etag, found.meta.metadata, found.meta.headers,
        )  # fmt: skip
        assert (body, body[3:70_000]) == (
            get(objects, "p"),
            get(objects, "p", min(3, len(body)), min(70_000, len(body))),
        )


# -- copies, tags -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [0, 10, 2000, 3 * MIB, 18 * MIB])
def test_a_copy_moves_no_bytes(objects: Objects, watched: Watched, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """One CopyObject, whose time is told; new metadata beside what decoding needs, known without the trailer."""
    monkeypatch.setattr("s4gw.backends.remote.writing.time", SimpleNamespace(time=lambda: 0.0))
    data = noise(size, seed=2) if size > MIB else mixed(size)
    put(objects, "k", data)
    source = objects.backend.head_object(BUCKET, "k")
    watched.take()
    meta = ObjectMeta(
        owner="o", metadata={"n": "1"}, framed=source.meta.framed, frames=source.meta.frames, parts=source.meta.parts,
        codec=source.meta.codec, crc32c=source.meta.crc32c, checksums=source.meta.checksums,
        checksum_type=source.meta.checksum_type,
    )  # fmt: skip
    made = objects.backend.copy_object(source, BUCKET, BUCKET, "copy", meta=meta)
    assert ["CopyObject"] == watched.take()
    found = objects.backend.head_object(BUCKET, "copy")
    assert ["HeadObject"] == watched.take()
    assert (meta, source.size, source.etag, made.etag) == (found.meta, found.size, found.etag, found.etag)
    assert (data, found.modified_ms) == (get(objects, "copy"), made.modified_ms)


def test_tags_are_the_upstreams(objects: Objects) -> None:
    """They are seen at once, and changing them touches nothing else."""
    made = put(objects, "k", b"x" * 5000, meta=ObjectMeta(owner="o", tags={"a b": "1"}))
    assert {"a b": "1"} == objects.backend.head_object(BUCKET, "k").meta.tags
    before = objects.backend.head_object(BUCKET, "k")
    for tags in ({"c": "2", "d": ""}, {}):
        objects.backend.update_meta(BUCKET, before, ObjectMeta(**{**_fields(before.meta), "tags": tags}))
        found = objects.backend.head_object(BUCKET, "k")
        assert (tags, before.modified_ms, made.etag) == (found.meta.tags, found.modified_ms, found.etag)
        before = found


def _fields(meta: ObjectMeta) -> dict[str, Any]:
    return {name: getattr(meta, name) for name in meta.__struct_fields__}


def test_missing_things_are_told_apart(backend: RemoteBackend) -> None:
    """HEAD has no body to say what is missing; the client is told all the same."""
    with pytest.raises(NoSuchKey):
        backend.head_object(BUCKET, "k")
    with pytest.raises(NoSuchBucket):
        backend.head_object("nope", "k")


def test_a_bucket_with_nothing_but_leftovers_can_go(backend: RemoteBackend, watched: Watched) -> None:
    """What clients cannot see does not keep them from deleting their bucket."""
    for key in (".s4gw/mpu/1", "k.s4index"):
        watched.call("PutObject", Bucket=BUCKET, Key=key, Body=b"x")
    backend.delete_bucket(BUCKET)
    with pytest.raises(NoSuchBucket):
        backend.get_bucket(BUCKET)
