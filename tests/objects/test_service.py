"""What is put comes back bit for bit, whole and in ranges, and nothing wrong is ever visible."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s4gw.backends import Backend, MemoryBackend
from s4gw.backends.base import BucketInfo, ObjectMeta, StoredObject, Upload
from s4gw.backends.remote.backend import RemoteBackend
from s4gw.checksum import Algorithm
from s4gw.codec import SamplingDispatcher
from s4gw.objects import Completion, DamagedObject, DigestPlan, Expected, Objects
from s4gw.observability import log
from s4gw.s3.errors import BadDigest, EntityTooSmall, IncompleteBody, InvalidPart, InvalidPartOrder, NoSuchKey, S3Error
from tests.backends.remote import kit

from .bodies import BytesSource, CutSource, mixed

BUCKET = "bucket"
FRAME = 64 * 1024
PLAIN = DigestPlan()
MIB = 1024 * 1024


@pytest.fixture(scope="module", params=["memory", "remote"])
def objects(request: pytest.FixtureRequest) -> Iterator[Objects]:
    backends = over_upstream() if request.param == "remote" else iter((MemoryBackend(),))
    for backend in backends:
        backend.create_bucket(BucketInfo(name=BUCKET, owner="o", created_ms=0))
        service = Objects(backend, SamplingDispatcher(), frame_bytes=FRAME, threads=2)
        yield service
        service.close()


def over_upstream() -> Iterator[Backend]:
    """The remote backend over a second gateway of ours, in this process."""
    log.configure("json", kit.quiet_log())
    with pytest.MonkeyPatch.context() as patch:
        for name, value in kit.credentials().items():
            patch.setenv(name, value)
        for upstream in kit.own_gateway():
            backend = RemoteBackend(upstream, owner="o")
            yield backend
            backend.close()


def whole(objects: Objects, obj: StoredObject) -> bytes:
    return b"".join(objects.read(BUCKET, obj, 0, obj.size))


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("size", [0, 1, 27, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME, 9 * FRAME + 17])
def test_round_trip_of_every_size_around_a_frame(objects: Objects, size: int, known: bool) -> None:
    """A body of any size, announced or not, comes back whole with its MD5 as ETag."""
    data = mixed(size, seed=size)
    written = objects.put(BUCKET, "k", BytesSource(data, known=known), meta=ObjectMeta(owner="o"), plan=PLAIN)
    assert (size, hashlib.md5(data).hexdigest()) == (written.object.size, written.object.etag)
    assert data == whole(objects, objects.backend.head_object(BUCKET, "k"))


@pytest.mark.parametrize("size", [1, 100, FRAME, 20 * FRAME])
def test_incompressible_bodies_hardly_grow(objects: Objects, size: int) -> None:
    """Nothing is ever stored larger than original + 0.1 % + 256 bytes."""
    written = objects.put(
        BUCKET, "noise", BytesSource(random.Random(size).randbytes(size)), meta=ObjectMeta(owner="o"), plan=PLAIN
    )
    assert written.stored_size <= size + size // 1000 + 256


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_range_is_the_slice_of_the_whole(objects: Objects, data: st.DataObject) -> None:
    """Any range equals the slice of the original."""
    size = data.draw(st.integers(1, 6 * FRAME))
    body = mixed(size, seed=size)
    written = objects.put(BUCKET, "r", BytesSource(body), meta=ObjectMeta(owner="o"), plan=PLAIN)
    start = data.draw(st.integers(0, size))
    end = data.draw(st.integers(start, size))
    assert body[start:end] == b"".join(objects.read(BUCKET, written.object, start, end))


def test_a_cut_body_leaves_nothing(objects: Objects) -> None:
    """A sender that hangs up makes no object, in the small and in the pipelined path."""
    for have, promised in ((10, 100), (5 * FRAME, 9 * FRAME)):
        with pytest.raises(IncompleteBody):
            objects.put(BUCKET, "cut", CutSource(mixed(have), promised), meta=ObjectMeta(owner="o"), plan=PLAIN)
        with pytest.raises(NoSuchKey):
            objects.backend.head_object(BUCKET, "cut")


@pytest.mark.parametrize("size", [10, 5 * FRAME])
@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_wrong_digest_leaves_nothing(objects: Objects, algorithm: Algorithm, size: int) -> None:
    """Every declared digest is checked on the original bytes before anything is visible."""
    wrong = bytes(len(hashlib.md5().digest()) if algorithm is Algorithm.MD5 else 64)
    plan = DigestPlan(expected=(Expected(algorithm, wrong),))
    with pytest.raises(BadDigest):
        objects.put(BUCKET, "wrong", BytesSource(mixed(size)), meta=ObjectMeta(owner="o"), plan=plan)
    with pytest.raises(NoSuchKey):
        objects.backend.head_object(BUCKET, "wrong")


def test_a_trailer_digest_is_checked_after_the_body(objects: Objects) -> None:
    """A checksum that arrives in the trailer counts as one in a header does."""
    data = mixed(3 * FRAME)
    plan = DigestPlan(kept=(Algorithm.SHA256,), trailer=Algorithm.SHA256)
    right = base64.b64encode(hashlib.sha256(data).digest()).decode()
    source = BytesSource(data, trailers={"x-amz-checksum-sha256": right})
    written = objects.put(BUCKET, "t", source, meta=ObjectMeta(owner="o"), plan=plan)
    source = BytesSource(data, trailers={"x-amz-checksum-sha256": base64.b64encode(bytes(32)).decode()})
    with pytest.raises(BadDigest):
        objects.put(BUCKET, "t2", source, meta=ObjectMeta(owner="o"), plan=plan)
    assert {"SHA256": right} == written.object.meta.checksums


def damaged(objects: Objects, obj: StoredObject, position: int) -> Objects:
    """A service over a backend in which one stored byte of *obj* is flipped."""

    class Flipped(MemoryBackend):
        def read(self, _obj: StoredObject, start: int, end: int) -> bytes:
            stored = bytearray(objects.backend.read(obj, start, end))
            if start <= position < end:
                stored[position - start] ^= 0x40
            return bytes(stored)

    return Objects(Flipped(), SamplingDispatcher(), frame_bytes=FRAME, threads=2)


@pytest.mark.parametrize("size", [200, 3 * FRAME])
def test_a_flipped_stored_byte_is_never_served(objects: Objects, size: int) -> None:
    """Wherever one byte flips, the read is refused or still right."""
    data = mixed(size, seed=5)
    obj = objects.put(BUCKET, "flip", BytesSource(data), meta=ObjectMeta(owner="o"), plan=PLAIN).object
    step = max(1, obj.stored_size // 150)
    outcomes: set[bool | None] = set()
    for position in range(0, obj.stored_size, step):
        service = damaged(objects, obj, position)
        try:
            outcomes.add(whole(service, obj) == data)
        except DamagedObject:
            outcomes.add(None)
        finally:
            service.close()
    assert None in outcomes
    assert False not in outcomes


def start_upload(objects: Objects, algorithm: str = "CRC64NVME", kind: str = "FULL_OBJECT") -> Upload:
    upload = Upload(
        key="m",
        upload_id=random.Random(algorithm + kind).randbytes(8).hex(),
        started_ms=0,
        meta=ObjectMeta(owner="o"),
        checksum_algorithm=algorithm,
        checksum_type=kind,
    )
    objects.backend.create_upload(BUCKET, upload)
    return upload


def listed(part_number: int, etag: str) -> dict[str, object]:
    return {"PartNumber": part_number, "ETag": etag}


@pytest.mark.parametrize(
    ("algorithm", "kind"), [("CRC64NVME", "FULL_OBJECT"), ("CRC32", "COMPOSITE"), ("SHA256", "COMPOSITE")]
)
def test_multipart_joins_parts_without_padding(objects: Objects, algorithm: str, kind: str) -> None:
    """Parts become one object with AWS's ETag and checksum, stored as small as a single PUT."""
    upload = start_upload(objects, algorithm, kind)
    bodies = [mixed(5 * MIB, seed=1), mixed(5 * MIB + 3, seed=2), mixed(77, seed=3)]
    plan = DigestPlan(kept=(Algorithm(algorithm),))
    parts = [objects.put_part(BUCKET, upload, n, BytesSource(body), plan) for n, body in enumerate(bodies, 1)]
    request = Completion(parts=[listed(part.number, part.etag) for part in parts])
    obj = objects.complete(BUCKET, upload, request)
    data = b"".join(bodies)
    single = objects.put(BUCKET, "single", BytesSource(data), meta=ObjectMeta(owner="o"), plan=plan)
    etag = hashlib.md5(b"".join(hashlib.md5(body).digest() for body in bodies)).hexdigest() + "-3"
    if kind == "FULL_OBJECT":
        assert single.object.meta.checksums == obj.meta.checksums
    assert data == whole(objects, obj)
    assert [5 * MIB, 5 * MIB + 3, 77] == [part.original_size for part in objects.parts(BUCKET, obj)]
    assert abs(obj.stored_size - single.stored_size) < single.stored_size * 0.02
    assert etag == obj.etag


@pytest.mark.parametrize(
    ("numbers", "sizes", "error"),
    [
        ([2, 1], [5 * MIB, 5 * MIB], InvalidPartOrder),
        ([1, 3], [5 * MIB], InvalidPart),
        ([1, 2], [9, 9], EntityTooSmall),
    ],
)
def test_complete_refuses_bad_lists(
    objects: Objects, numbers: list[int], sizes: list[int], error: type[S3Error]
) -> None:
    """Wrong order, missing parts and small parts get S3's own errors."""
    upload = start_upload(objects, "CRC32", error.code)
    parts = {n: objects.put_part(BUCKET, upload, n, BytesSource(mixed(s)), PLAIN) for n, s in enumerate(sizes, 1)}
    etags = [parts[number].etag if number in parts else "0" * 32 for number in numbers]
    request = Completion(parts=list(map(listed, numbers, etags)))
    with pytest.raises(error):
        objects.complete(BUCKET, upload, request)


def test_a_lost_trailer_is_replaced_by_walking_the_headers(objects: Objects) -> None:
    """An object whose trailer is damaged still reads, by its frame headers."""
    data = mixed(5 * FRAME, seed=9)
    obj = objects.put(BUCKET, "walk", BytesSource(data), meta=ObjectMeta(owner="o"), plan=PLAIN).object
    service = damaged(objects, obj, obj.stored_size - 1)
    assert data == whole(service, obj)
    service.close()


def test_a_copy_keeps_what_decoding_needs(objects: Objects) -> None:
    """Replacing metadata cannot turn a framed body into garbage."""
    from s4gw.objects import copied_meta

    data = mixed(4 * FRAME, seed=11)
    obj = objects.put(BUCKET, "src", BytesSource(data), meta=ObjectMeta(owner="o"), plan=PLAIN).object
    meta = copied_meta(obj.meta, ObjectMeta(owner="o", metadata={"a": "b"}))
    copy = objects.backend.copy_object(obj, BUCKET, BUCKET, "copy", meta=meta)
    assert (data, {"a": "b"}) == (whole(objects, copy), copy.meta.metadata)
    assert msgspec.structs.replace(obj.meta, metadata={"a": "b"}) == copy.meta
