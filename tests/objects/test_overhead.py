"""Nothing is stored larger than original + 0.1 % + 256 bytes, whatever it is, however it comes and wherever it lies."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s4gw.backends import Backend, EmbeddedBackend, MemoryBackend
from s4gw.backends.base import BucketInfo, ObjectMeta, PartInfo, StoredObject, Upload
from s4gw.checksum import DIGEST_BYTES, Algorithm, b64
from s4gw.codec import FRAME_HEADER_SIZE, AutoDispatcher, FrameIndex, Trailer, read_trailer
from s4gw.objects import Completion, DigestPlan, Objects
from s4gw.tools.bench_data import SETS, make

from .bodies import BytesSource, mixed
from .test_service import over_upstream

BUCKET: Final = "bucket"
MIB: Final = 1024 * 1024
PART_MIN: Final = 5 * MIB
PARTS_MAX: Final = 10_000


def bound(size: int) -> int:
    return size + size // 1000 + 256


@pytest.fixture(scope="module", params=["memory", "embedded", "upstream"])
def objects(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Objects]:
    """The default codecs. On the embedded store the content says where frames end, so there are more of them."""
    made: Iterator[Backend] = iter((MemoryBackend(),))
    if request.param == "embedded":
        made = iter((EmbeddedBackend(tmp_path_factory.mktemp("overhead"), in_process=True, dedup="bucket"),))
    elif request.param == "upstream":
        made = over_upstream()
    for backend in made:
        backend.create_bucket(BucketInfo(name=BUCKET, owner="o", created_ms=0))
        service = Objects(backend, AutoDispatcher(), threads=2)
        yield service
        service.close()
        backend.close()


@pytest.fixture(scope="module")
def in_memory() -> Iterator[Objects]:
    backend = MemoryBackend()
    backend.create_bucket(BucketInfo(name=BUCKET, owner="o", created_ms=0))
    service = Objects(backend, AutoDispatcher(), threads=2)
    yield service
    service.close()


def put(objects: Objects, data: bytes, *, known: bool = True) -> int:
    """Stored bytes of one PUT, which comes back as it was."""
    source = BytesSource(data, known=known)
    obj = objects.put(BUCKET, "k", source, meta=ObjectMeta(owner="o"), plan=DigestPlan()).object
    assert data == b"".join(objects.read(BUCKET, obj, 0, obj.size))
    return obj.stored_size


def begun(objects: Objects, algorithm: Algorithm, kind: str) -> Upload:
    upload = Upload(
        key="parts",
        upload_id=f"upload-{algorithm}-{kind}",
        started_ms=0,
        meta=ObjectMeta(owner="o"),
        checksum_algorithm=algorithm.value,
        checksum_type=kind,
    )
    objects.backend.create_upload(BUCKET, upload)
    return upload


def put_parts(objects: Objects, pieces: Sequence[bytes], algorithm: Algorithm, kind: str) -> StoredObject:
    upload, plan = begun(objects, algorithm, kind), DigestPlan(kept=(algorithm,))
    parts = [objects.put_part(BUCKET, upload, n, BytesSource(piece), plan) for n, piece in enumerate(pieces, 1)]
    listed = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
    return objects.complete(BUCKET, upload, Completion(parts=listed))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.one_of(st.integers(0, 70_000), st.integers(0, 4 * MIB), st.sampled_from([MIB - 1, MIB, MIB + 1, 2 * MIB])),
    kind=st.sampled_from(["noise", "mixed", "noise, then nothing", "almost noise"]),
    known=st.booleans(),
)
def test_one_body(objects: Objects, size: int, kind: str, *, known: bool) -> None:
    """Of any size, announced or not: noise, what has some in it, and what a codec nearly shrinks."""
    rng = random.Random(size)
    data = mixed(size, seed=size)
    if kind != "mixed":
        data = rng.randbytes(size)
    if kind == "noise, then nothing":
        data = data[: size // 2] + bytes(size - size // 2)
    elif kind == "almost noise":
        data = bytes(byte if place % 101 else 0 for place, byte in enumerate(data[:70_000]))
    assert put(objects, data, known=known) <= bound(len(data))


@pytest.mark.parametrize("name", SETS)
def test_every_data_set(in_memory: Objects, name: str) -> None:
    """What the benchmark is made of, cut where no frame ends; small pieces as well."""
    try:
        data = make(name, 140_001)
    except ImportError as error:
        pytest.skip(str(error))  # Parquet and Arrow are made by pyarrow
    assert not [size for size in (1, 200, 5000, len(data)) if put(in_memory, data[:size]) > bound(size)]


@pytest.mark.parametrize("kind", ["COMPOSITE", "FULL_OBJECT"])
@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_an_upload_of_one_small_part(in_memory: Objects, algorithm: Algorithm, kind: str) -> None:
    """Where the table of parts and the checksums weigh most: SHA-512 takes 128 bytes of the 256."""
    rng = random.Random(5)
    for size in (0, 1, 100, 5000, 100_000):
        obj = put_parts(in_memory, [rng.randbytes(size)], algorithm, kind)
        assert obj.stored_size <= bound(size), size


def test_parts_of_noise(objects: Objects) -> None:
    """The smallest parts that S3 allows, of odd sizes, and a last one of a byte."""
    rng = random.Random(6)
    pieces = [rng.randbytes(PART_MIN), rng.randbytes(PART_MIN + 12_345), b"!"]
    put_parts(objects, pieces, Algorithm.SHA512, "COMPOSITE")
    obj = objects.backend.head_object(BUCKET, "parts")
    assert (sum(map(len, pieces)), True) == (obj.size, obj.stored_size <= bound(obj.size))
    assert b"".join(pieces)[-7:] == b"".join(objects.read(BUCKET, obj, obj.size - 7, obj.size))


def test_ten_thousand_parts(in_memory: Objects) -> None:
    """The most that S3 allows, all different, with the longest checksum: 50 GiB, of which only the table is made."""
    objects, backend = in_memory, in_memory.backend
    upload, rng = begun(objects, Algorithm.SHA512, "COMPOSITE"), random.Random(7)
    frames, listed = 0, []
    for number in range(1, PARTS_MAX + 1):
        index = FrameIndex()
        for size in [MIB] * 5 + [rng.randrange(1, MIB)]:
            index.append(size, size + FRAME_HEADER_SIZE)
        frames += len(index)
        etag = rng.randbytes(16).hex()
        writer = backend.open_part_writer(BUCKET, upload.key, upload.upload_id)
        backend.put_part(
            BUCKET,
            upload.key,
            upload.upload_id,
            writer,
            PartInfo(
                number=number,
                size=index.original_size,
                etag=etag,
                checksums={"SHA512": b64(rng.randbytes(DIGEST_BYTES[Algorithm.SHA512]))},
                crc32c=rng.getrandbits(32),
                frames=index.pack(),
                codec="passthrough",
            ),
        )
        listed.append({"PartNumber": number, "ETag": etag})
    obj = objects.complete(BUCKET, upload, Completion(parts=listed))
    assert obj.size > 50 * 1024 * MIB
    assert obj.stored_size + FRAME_HEADER_SIZE * frames <= obj.size // 10_000
    body = obj.size + FRAME_HEADER_SIZE * frames  # which was not sent
    trailer = read_trailer(backend.read(obj, 0, obj.stored_size), body + obj.stored_size)
    assert isinstance(trailer, Trailer)
    assert (PARTS_MAX, frames) == (len(trailer.manifest.parts), len(trailer.index))
