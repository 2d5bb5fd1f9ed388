"""Uploads over an upstream in memory: short ways to say what their tests say often."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from s4gw.backends import Conditions, ObjectMeta, PartInfo, StoredObject, Upload
from s4gw.backends.remote import Upstream
from s4gw.backends.remote.compose import Limits
from s4gw.backends.remote.multipart import RemoteMultipart
from s4gw.s3.errors import NoSuchUpload
from tests.backends.kit import BUCKET, etag_of
from tests.backends.remote_fake import FakeUpstream

MIB = 1024**2
KEY = "k"
ID = "0123456789abcdef0123456789abcdef"
LARGE = {1: b"a" * 60, 2: b"b" * 70, 3: b"c" * 3, 4: b"d" * 110, 5: b"e" * 5}
"""As seen with `LIMITS`, a million times smaller than S3's."""
SMALL = {1: b"first", 2: b"second"}
TAIL = b"the end"
LIMITS = Limits(part_bytes_min=50, part_bytes_max=50_000, merged_bytes=50)


def empty() -> FakeUpstream:
    """An upstream with a bucket."""
    fake = FakeUpstream(part_bytes_min=LIMITS.part_bytes_min)
    fake.call("CreateBucket", Bucket=BUCKET)
    return fake


def another(fake: FakeUpstream) -> RemoteMultipart:
    """A gateway of the fleet: it shares nothing with others but the upstream."""
    made = RemoteMultipart(cast("Upstream", fake), owner="me")
    made.limits, made.one_put_bytes = LIMITS, 100
    return made


def start(gateway: RemoteMultipart, upload_id: str = ID, key: str = KEY) -> None:
    meta = ObjectMeta(owner="me", metadata={"colour": "red"})
    gateway.create_upload(BUCKET, Upload(key=key, upload_id=upload_id, started_ms=1, meta=meta))


def send(gateway: RemoteMultipart, number: int, data: bytes, *, frames: bytes = b"f", upload_id: str = ID) -> PartInfo:
    writer = gateway.open_part_writer(BUCKET, KEY, upload_id)
    writer.write(data)
    part = PartInfo(
        number=number, size=len(data), etag=etag_of(data), checksums={"CRC32": "x"}, crc32c=7, frames=frames
    )
    return gateway.put_part(BUCKET, KEY, upload_id, writer, part)


def finish(gateway: RemoteMultipart, conditions: Conditions | None = None, upload_id: str = ID) -> StoredObject:
    """Complete as the gateway does: by the parts that are listed; a retry is told what became of the upload."""
    try:
        parts = gateway.list_parts(BUCKET, KEY, upload_id, limit=10_000)
        tail = gateway.open_part_writer(BUCKET, KEY, upload_id)
        tail.write(TAIL)
        return gateway.complete_upload(
            BUCKET,
            KEY,
            upload_id,
            parts,
            tail,
            size=sum(part.size for part in parts),
            etag="e-5",
            meta=ObjectMeta(owner="me", metadata={"colour": "red"}, framed=True, frames=5, parts=5, crc32c=1),
            conditions=conditions or Conditions(),
        )
    except NoSuchUpload:
        done = gateway.completed_upload(BUCKET, KEY, upload_id)
        if done is None:
            raise
        return done


def upload(gateway: RemoteMultipart, bodies: Mapping[int, bytes]) -> None:
    start(gateway)
    for number, data in bodies.items():
        send(gateway, number, data)


def whole(bodies: Mapping[int, bytes]) -> bytes:
    return b"".join(bodies[number] for number in sorted(bodies)) + TAIL


def left(fake: FakeUpstream) -> list[str]:
    """What an ended upload leaves: nothing but its result."""
    return [key for key in fake.keys(BUCKET) if key != KEY and not key.endswith("/done")] + list(fake.uploads)
