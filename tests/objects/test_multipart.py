"""What is stored of a multipart object beside its frames is small, and what was written of it before is still read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from s4gw.backends import Backend, EmbeddedBackend, MemoryBackend
from s4gw.backends.base import BucketInfo, ObjectMeta, StoredObject, Upload
from s4gw.checksum import Algorithm
from s4gw.codec import FrameIndex, Manifest, ManifestPart, SamplingDispatcher, encode_trailer
from s4gw.codec.manifest import encode_manifest
from s4gw.objects import Completion, DigestPlan, Objects
from s4gw.s3.errors import InvalidPart
from s4gw.settings import Settings
from s4gw.tools.bench_data import make
from s4gw.tools.bench_measure import measure
from s4gw.wsgi import dispatcher

from .bodies import BytesSource, mixed
from .test_service import over_upstream

BUCKET: Final = "bucket"
MIB: Final = 1024 * 1024
PART: Final = 8 * MIB
LOSS_MAX: Final = 0.02
CHECKSUMS: Final = list(Algorithm)
"""Whatever a part may carry: 4 bytes to 64."""


def uploaded(
    objects: Objects, key: str, data: bytes, part_bytes: int, algorithm: Algorithm = Algorithm.CRC32
) -> StoredObject:
    """Upload *data* in parts, each with a checksum, as clients do: the object's is composite but for CRC-64/NVME."""
    upload = Upload(
        key=key,
        upload_id=f"upload-{key}",
        started_ms=0,
        meta=ObjectMeta(owner="o"),
        checksum_algorithm=algorithm.value,
        checksum_type="FULL_OBJECT" if algorithm is Algorithm.CRC64NVME else "COMPOSITE",
    )
    objects.backend.create_upload(BUCKET, upload)
    plan = DigestPlan(kept=(algorithm,))
    pieces = [data[start : start + part_bytes] for start in range(0, len(data), part_bytes)]
    parts = [objects.put_part(BUCKET, upload, n, BytesSource(piece), plan) for n, piece in enumerate(pieces, 1)]
    listed = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
    return objects.complete(BUCKET, upload, Completion(parts=listed))


@pytest.mark.parametrize(("name", "parts"), [("nginx", 2), ("parquet-like", 2), ("postings", 8), ("timestamps", 8)])
def test_parts_and_their_checksums_cost_no_ratio(name: str, parts: int) -> None:
    """All that is stored of parts of 8 MiB, trailer included, is within 2 % of the library's payloads alone.

    With SHA-512, whose 64 bytes a part nothing makes smaller, it is within 2 % of what the library stores.
    """
    backend = MemoryBackend()
    backend.create_bucket(BucketInfo(name=BUCKET, owner="o", created_ms=0))
    objects = Objects(backend, dispatcher(Settings()), threads=2)
    data = make(name, parts * PART)
    alone = measure(data, dispatcher(Settings()), frame_bytes=MIB)
    stored = {each: uploaded(objects, name, data, PART, each) for each in CHECKSUMS}
    back = [objects.read(BUCKET, obj, 5 * MIB, 9 * MIB) for obj in stored.values()]
    assert {data[5 * MIB : 9 * MIB]} == {b"".join(blocks) for blocks in back}
    objects.close()
    limits = {each: alone.stored_size if each is Algorithm.SHA512 else alone.payload_size for each in CHECKSUMS}
    losses = {each.value: obj.stored_size / limits[each] - 1 for each, obj in stored.items()}
    assert max(losses.values()) <= LOSS_MAX, losses


class Restless(MemoryBackend):
    """Parts are uploaded again right before the upload ends, the first *times*."""

    def __init__(self, times: int, again: bytes | None = None) -> None:
        super().__init__()
        self.times = times
        self.again = again
        """What part 1 is then; None: what it was."""

    def complete_upload(self, bucket: str, key: str, upload_id: str, *args: Any, **options: Any) -> StoredObject:
        if self.times:
            self.times -= 1
            objects = Objects(self, SamplingDispatcher(), threads=1)
            body = BytesSource(self.again or mixed(5 * MIB))
            objects.put_part(bucket, self.get_upload(bucket, key, upload_id), 1, body, DigestPlan())
            objects.close()
        return super().complete_upload(bucket, key, upload_id, *args, **options)


@pytest.mark.parametrize(("times", "again", "ends"), [(1, None, True), (1, b"another", False), (99, None, False)])
def test_a_part_that_comes_again_meanwhile(times: int, again: bytes | None, ends: bool) -> None:
    """It counts if it has the ETag that the client names, as in S3; whoever never stops is told in the end."""
    backend = Restless(times, again)
    backend.create_bucket(BucketInfo(name=BUCKET, owner="o", created_ms=0))
    objects, data = Objects(backend, SamplingDispatcher(), threads=2), mixed(5 * MIB)
    if ends:
        made = uploaded(objects, "k", data + b"end", 5 * MIB)
        assert data + b"end" == b"".join(objects.read(BUCKET, made, 0, made.size))
    else:
        with pytest.raises(InvalidPart):
            uploaded(objects, "k", data + b"end", 5 * MIB)
    objects.close()


@pytest.fixture(params=["memory", "embedded", "remote"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Objects]:
    made: Iterator[Backend] = iter((MemoryBackend(),))
    if request.param == "embedded":
        made = iter((EmbeddedBackend(tmp_path, in_process=True),))
    elif request.param == "remote":
        made = over_upstream()
    for backend in made:
        backend.create_bucket(BucketInfo(name=BUCKET, owner="o", created_ms=0))
        service = Objects(backend, SamplingDispatcher(), threads=2)
        yield service
        service.close()
        backend.close()


def long_trailer(index: FrameIndex, manifest: Manifest) -> bytes:
    """The trailer with the part table as it was written first: numbers, sizes and MD5s one by one."""
    columns = (
        [part.number for part in manifest.parts],
        [part.original_size for part in manifest.parts],
        b"".join(bytes([part.number]) * 16 for part in manifest.parts),
        {"CRC32": [(part.checksums["CRC32"].encode(), 0) for part in manifest.parts]},
    )
    short = msgspec.msgpack.decode(encode_manifest(manifest))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "s4gw.codec.trailer.encode_manifest", lambda _: msgspec.msgpack.encode([*short[:5], columns, *short[6:]])
        )
        return encode_trailer(index, manifest)


def test_objects_with_a_long_part_table_are_read(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    """In every backend: body, ranges and parts of what was written before the table became short."""
    data = mixed(2 * 5 * MIB + 99)
    after = uploaded(objects, "now", data, 5 * MIB)
    monkeypatch.setattr("s4gw.objects.multipart.encode_trailer", long_trailer)
    before = objects.backend.head_object(BUCKET, uploaded(objects, "before", data, 5 * MIB).key)
    parts = objects.parts(BUCKET, before)
    assert [bytes([n]).hex() * 16 for n in (1, 2, 3)] == [part.etag for part in parts]
    assert objects.parts(BUCKET, after) == [msgspec.structs.replace(part, etag="") for part in parts]
    assert [ManifestPart(number=n, original_size=size, etag=parts[n - 1].etag, checksums=parts[n - 1].checksums)
            for n, size in ((1, 5 * MIB), (2, 5 * MIB), (3, 99))] == parts  # fmt: skip
    assert data == b"".join(objects.read(BUCKET, before, 0, before.size))
    assert data[-200:-9] == b"".join(objects.read(BUCKET, before, before.size - 200, before.size - 9))
