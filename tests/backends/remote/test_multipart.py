"""Uploads upstream: staged out of sight, completed in one step, by any gateway, without a byte more."""

from __future__ import annotations

from typing import Any

import pytest

from s4gw.backends import ObjectMeta, PartInfo, Upload
from s4gw.backends.remote.multipart import RemoteMultipart
from s4gw.backends.remote.part_writer import SPILL_BYTES
from s4gw.s3.errors import InvalidArgument, NoSuchUpload
from tests.backends.kit import BUCKET, etag_of
from tests.backends.remote.uploads import (
    ID,
    KEY,
    LARGE,
    MIB,
    SMALL,
    TAIL,
    another,
    finish,
    left,
    send,
    start,
    upload,
    whole,
)
from tests.backends.remote_fake import FakeUpstream


@pytest.mark.parametrize("bodies", [LARGE, SMALL], ids=["large", "small"])
def test_parts_become_one_object_without_a_byte_more(
    fake: FakeUpstream, gateway: RemoteMultipart, bodies: dict[int, bytes]
) -> None:
    upload(gateway, bodies)
    assert KEY not in fake.keys(BUCKET)
    made = finish(gateway)
    assert whole(bodies) == fake.body(BUCKET, KEY)
    assert (len(whole(bodies)), "e-5") == (made.stored_size, made.etag)
    metadata = fake.call("HeadObject", Bucket=BUCKET, Key=KEY)["Metadata"]
    assert ("red", "e-5") == (metadata["colour"], metadata["s4-logical-etag"])
    assert [] == left(fake)


def test_large_pieces_are_copied_by_the_upstream(fake: FakeUpstream, gateway: RemoteMultipart) -> None:
    upload(gateway, LARGE)
    fake.calls.clear()
    finish(gateway)
    sent = sum(len(params["Body"]) for operation, params in fake.calls if operation == "UploadPart")
    assert (3, True) == (fake.counts()["UploadPartCopy"], sent < 80)


@pytest.mark.parametrize("how", ["unknown", "ignored"])
def test_upstream_that_cannot_copy_parts_gets_them_sent(fake: FakeUpstream, gateway: RemoteMultipart, how: str) -> None:
    if how == "unknown":
        fake.missing.add("UploadPartCopy")
    else:
        ignore_copies(fake)
    for _ in range(2):
        upload(gateway, LARGE)
        fake.calls.clear()
        finish(gateway)
        assert whole(LARGE) == fake.body(BUCKET, KEY)
        fake.call("DeleteObject", Bucket=BUCKET, Key=f".s4gw/mpu/{ID}/done")
        assert [] == left(fake)
    assert 0 == fake.counts()["UploadPartCopy"]


def ignore_copies(fake: FakeUpstream) -> None:
    """Take each request to copy for an empty part, as some servers do."""
    plain = fake._UploadPart

    def copy(*, UploadId: str, PartNumber: int, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's names
        plain(UploadId=UploadId, PartNumber=PartNumber, Body=b"")
        return {"CopyPartResult": {"ETag": '"d41d8cd98f00b204e9800998ecf8427e"'}}

    fake._UploadPartCopy = copy  # type: ignore[method-assign] # a server that answers otherwise


def test_part_larger_than_memory_allows_goes_up_in_blocks(fake: FakeUpstream, gateway: RemoteMultipart) -> None:
    start(gateway)
    body = bytes(range(256)) * (2 * SPILL_BYTES // 256) + b"rest"
    writer = gateway.open_part_writer(BUCKET, KEY, ID)
    for first in range(0, len(body), MIB):
        writer.write(body[first : first + MIB])
    frames = b"\x01" * 5000  # more than a name holds
    given = gateway.put_part(BUCKET, KEY, ID, writer, PartInfo(number=1, size=9, etag=etag_of(b""), frames=frames))
    assert [given] == gateway.list_parts(BUCKET, KEY, ID)
    assert frames == given.frames
    assert body + TAIL == fake.body(BUCKET, finish(gateway).key)
    assert [] == left(fake)


def test_aborted_writer_leaves_nothing(fake: FakeUpstream, gateway: RemoteMultipart) -> None:
    start(gateway)
    writer = gateway.open_part_writer(BUCKET, KEY, ID)
    writer.write(b"x" * (SPILL_BYTES + 1))
    assert 1 == len(fake.uploads)
    writer.abort()
    writer.abort()
    assert {} == fake.uploads


def test_what_is_staged_is_encrypted_as_the_object_will_be(fake: FakeUpstream, gateway: RemoteMultipart) -> None:
    asked = {"x-amz-server-side-encryption": "aws:kms", "x-amz-acl": "public-read"}
    meta = ObjectMeta(owner="me", forwarded=asked)
    gateway.create_upload(BUCKET, Upload(key=KEY, upload_id=ID, started_ms=1, meta=meta))
    send(gateway, 1, b"one")
    writer = gateway.open_part_writer(BUCKET, KEY, ID)
    writer.write(b"x" * (SPILL_BYTES + 1))
    writer.abort()
    made = [params for operation, params in fake.calls if operation in ("PutObject", "CreateMultipartUpload")]
    assert [("aws:kms", None)] * 3 == [(params.get("ServerSideEncryption"), params.get("ACL")) for params in made]


def test_any_gateway_takes_any_request(fake: FakeUpstream) -> None:
    fleet = [another(fake) for _ in range(4)]
    start(fleet[0])
    send(fleet[1], 1, b"old")
    send(fleet[2], 2, b"two")
    send(fleet[3], 1, b"new")
    assert ["new", "two"] == [
        {etag_of(b"new"): "new", etag_of(b"two"): "two"}[part.etag] for part in fleet[2].list_parts(BUCKET, KEY, ID)
    ]
    finish(fleet[1])
    assert b"newtwo" + TAIL == fake.body(BUCKET, KEY)
    for gateway in fleet:
        assert "e-5" == finish(gateway).etag
        with pytest.raises(NoSuchUpload):
            send(gateway, 3, b"late")
    assert [] == left(fake)


def test_parts_are_listed_by_one_request_and_a_look(fake: FakeUpstream, gateway: RemoteMultipart) -> None:
    upload(gateway, dict.fromkeys(range(1, 50), b"x"))
    fake.calls.clear()
    gateway.list_parts(BUCKET, KEY, ID)
    assert {"ListObjectsV2": 1, "HeadObject": 1} == fake.counts()


def test_ids_that_clients_make_up_never_become_keys(fake: FakeUpstream, gateway: RemoteMultipart) -> None:
    fake.calls.clear()
    for upload_id in ("", "..", "a/b", "x" * 200, "é", "a\n"):
        for call in (gateway.get_upload, gateway.list_parts, gateway.abort_upload):
            with pytest.raises(NoSuchUpload):
                call(BUCKET, KEY, upload_id)
        assert gateway.completed_upload(BUCKET, KEY, upload_id) is None
    assert [] == fake.calls


@pytest.mark.parametrize(("body", "operation"), [(b"x" * 60, "UploadPartCopy"), (b"x" * 3, "GetObject")])
def test_a_thousand_parts_are_asked_for_side_by_side(
    fake: FakeUpstream, gateway: RemoteMultipart, body: bytes, operation: str
) -> None:
    """At 50 ms a request, 1,000 one after another would take a minute; side by side, 2.5 s."""
    upload(gateway, dict.fromkeys(range(1, 1001), body))
    fake.calls.clear()
    fake.latency_s = 0.001
    finish(gateway)
    assert len(body) * 1000 + len(TAIL) == len(fake.body(BUCKET, KEY))
    others = fake.counts().total() - fake.counts()[operation] - fake.counts()["UploadPart"]
    assert (True, True, True) == (fake.counts()[operation] >= 1000, fake.most_at_once >= 16, others <= 22)


def test_upload_cannot_become_a_reserved_object(gateway: RemoteMultipart) -> None:
    for key in (".s4gw/uploads/x", "k.s4index", ".s4mpu/1"):
        with pytest.raises(InvalidArgument):
            start(gateway, key=key)
