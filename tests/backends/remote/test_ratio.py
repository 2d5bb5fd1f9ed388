"""What multipart costs in bytes upstream: nothing that a single PUT does not cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from s4gw.backends import ObjectMeta, Upload
from s4gw.backends.remote.backend import RemoteBackend
from s4gw.checksum import Algorithm
from s4gw.codec import SamplingDispatcher
from s4gw.objects import Completion, DigestPlan, Objects
from s4gw.objects.get import ObjectSource
from tests.backends.kit import BUCKET
from tests.backends.remote_fake import FakeUpstream
from tests.live import datasets

MIB = 1024**2
PART_BYTES = 8 * MIB
"""What aws-cli and boto3 send."""
PLAN = DigestPlan(kept=(Algorithm.CRC64NVME,))


def stored(data: bytes, upload_id: str) -> tuple[int, int]:
    """Bytes upstream of *data* as one PUT and as an upload of parts; both are read back."""
    fake = FakeUpstream()
    fake.call("CreateBucket", Bucket=BUCKET)
    backend = RemoteBackend(cast("Any", fake), owner="me")
    objects = Objects(backend, SamplingDispatcher(), threads=2)
    try:
        objects.put(BUCKET, "one", source(data), meta=ObjectMeta(), plan=PLAN)
        meta = ObjectMeta()
        upload = Upload(
            key="parts", upload_id=upload_id, started_ms=1, meta=meta, checksum_algorithm="CRC64NVME",
            checksum_type="FULL_OBJECT",
        )  # fmt: skip
        backend.create_upload(BUCKET, upload)
        parts = []
        for first in range(0, len(data), PART_BYTES):
            number = first // PART_BYTES + 1
            part = objects.put_part(BUCKET, upload, number, source(data[first : first + PART_BYTES]), PLAN)
            parts.append({"PartNumber": number, "ETag": part.etag})
        objects.complete(BUCKET, upload, Completion(parts=parts))
        for key in ("one", "parts"):
            found = backend.head_object(BUCKET, key)
            assert data == b"".join(objects.read(BUCKET, found, 0, found.size))
            assert (len(parts) if key == "parts" else 0) == len(objects.parts(BUCKET, found)) == found.meta.parts
        assert ["one", "parts"] == [key for key in fake.keys(BUCKET) if not key.endswith("/done")]
        return len(fake.body(BUCKET, "one")), len(fake.body(BUCKET, "parts"))
    finally:
        objects.close()
        backend.close()


def source(data: bytes) -> ObjectSource:
    return ObjectSource(iter([data]), len(data))


@pytest.mark.parametrize("make", [datasets.nginx, datasets.parquet_like], ids=["nginx", "parquet"])
def test_parts_take_no_more_than_one_put(make: Callable[[int], Iterator[bytes]]) -> None:
    one, parts = stored(b"".join(make(24 * MIB)), "a" * 32)
    assert parts <= one * 1.02


def test_nginx_log_is_stored_in_less_than_a_hundred_and_fortieth() -> None:
    """The set of S4's benchmark, which stores 1.6 times less with parts padded to 5 MiB."""
    data = b"".join(datasets.nginx(24 * MIB))
    assert len(data) >= 140 * stored(data, "b" * 32)[1]


@pytest.mark.large
def test_whole_nginx_log_is_stored_in_less_than_a_hundred_and_fortieth() -> None:
    data = b"".join(datasets.nginx())
    assert len(data) >= 140 * stored(data, "c" * 32)[1]
