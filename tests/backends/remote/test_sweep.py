"""A sweep takes what nobody will come back for, and nothing else."""

from __future__ import annotations

import time
from typing import Any, cast

import msgspec
import pytest

from s4gw.backends import ObjectMeta, PartInfo, Upload
from s4gw.backends.remote.multipart import RemoteMultipart
from s4gw.backends.remote.part_writer import SPILL_BYTES
from s4gw.backends.remote.sweep import DAY_S, Ages, Swept, sweep
from tests.backends.kit import BUCKET, etag_of
from tests.backends.remote_fake import FakeUpstream


@pytest.fixture
def fake() -> FakeUpstream:
    fake = FakeUpstream()
    fake.call("CreateBucket", Bucket=BUCKET)
    fake.call("PutObject", Bucket=BUCKET, Key="k", Body=b"a client's")
    return fake


@pytest.fixture
def backend(fake: FakeUpstream) -> RemoteMultipart:
    return RemoteMultipart(cast("Any", fake), owner="me")


def start(backend: RemoteMultipart, upload_id: str) -> PartInfo:
    backend.create_upload(BUCKET, Upload(key="m", upload_id=upload_id, started_ms=1, meta=ObjectMeta()))
    writer = backend.open_part_writer(BUCKET, "m", upload_id)
    writer.write(b"part")
    part = PartInfo(number=1, size=4, etag=etag_of(b"part"), frames=b"f")
    return backend.put_part(BUCKET, "m", upload_id, writer, part)


def after_days(days: float) -> int:
    return int((time.time() + days * DAY_S) * 1000)


def test_idle_uploads_go_after_a_week_and_not_before(fake: FakeUpstream, backend: RemoteMultipart) -> None:
    start(backend, "a")
    before = fake.keys(BUCKET)
    assert Swept() == sweep(backend, BUCKET, after_days(6.9))
    assert before == fake.keys(BUCKET)
    expected = Swept(uploads=1, objects=1, bytes=4)
    assert expected == sweep(backend, BUCKET, after_days(7.1), dry_run=True)
    assert before == fake.keys(BUCKET)
    assert expected == sweep(backend, BUCKET, after_days(7.1))
    assert ["k"] == fake.keys(BUCKET)


def test_leftovers_of_ended_uploads_go_after_a_day(fake: FakeUpstream, backend: RemoteMultipart) -> None:
    part = start(backend, "a")
    fake.missing.add("DeleteObjects")
    backend.complete_upload(BUCKET, "m", "a", [part], None, size=4, etag="e", meta=ObjectMeta())
    start(backend, "b")
    fake.call("DeleteObject", Bucket=BUCKET, Key=".s4gw/uploads/b")  # its gateway died in the middle of an Abort
    assert Swept() == sweep(backend, BUCKET, after_days(0.9))
    assert 2 == sweep(backend, BUCKET, after_days(1.1)).objects
    assert ["k", "m"] == fake.keys(BUCKET)


def test_uploads_of_the_upstreams_that_were_ours_are_given_up(fake: FakeUpstream, backend: RemoteMultipart) -> None:
    start(backend, "a")
    backend.open_part_writer(BUCKET, "m", "a").write(b"x" * (SPILL_BYTES + 1))
    fake.call("CreateMultipartUpload", Bucket=BUCKET, Key="large")
    note = msgspec.json.encode({"key": "large"})
    fake.call("PutObject", Bucket=BUCKET, Key=".s4gw/put/1-0", Body=note)
    composed = fake.call("CreateMultipartUpload", Bucket=BUCKET, Key="m")["UploadId"]
    intent = msgspec.json.encode({"key": "m", "upstream_id": composed, "started_ms": 1})
    fake.call("PutObject", Bucket=BUCKET, Key=".s4gw/mpu/a/intent/0", Body=intent)
    foreign = fake.call("CreateMultipartUpload", Bucket=BUCKET, Key="m")["UploadId"]
    assert 0 == sweep(backend, BUCKET, after_days(0.9)).unfinished
    assert 2 == sweep(backend, BUCKET, after_days(8)).unfinished
    assert ({foreign}, ["k"]) == (set(fake.uploads), fake.keys(BUCKET))


def test_versions_go_too(fake: FakeUpstream, backend: RemoteMultipart) -> None:
    fake.call("PutBucketVersioning", Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    start(backend, "a")
    fake.call("DeleteObject", Bucket=BUCKET, Key=".s4gw/uploads/a")
    sweep(backend, BUCKET, after_days(8))
    assert ["k"] == [obj.key for obj in fake.store.list_versions(BUCKET).objects]


def test_what_others_wrote_under_our_prefix_stays(fake: FakeUpstream, backend: RemoteMultipart) -> None:
    for key in (".s4gw/mpu/not.an.id/x", ".s4gw/other"):
        fake.call("PutObject", Bucket=BUCKET, Key=key, Body=b"?")
    assert Swept() == sweep(backend, BUCKET, after_days(100))


def test_ages_can_be_chosen(fake: FakeUpstream, backend: RemoteMultipart) -> None:
    start(backend, "a")
    assert 1 == sweep(backend, BUCKET, after_days(0.1), Ages(idle_s=3600)).uploads
    assert ["k"] == fake.keys(BUCKET)
