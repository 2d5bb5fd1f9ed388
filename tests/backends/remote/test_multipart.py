"""Uploads upstream: staged out of sight, completed in one step, repeated and resumed, whatever dies on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, cast

import pytest

from s4gw.backends import Conditions, ObjectMeta, PartInfo, StoredObject, Upload
from s4gw.backends.remote import Upstream, UpstreamUnavailable
from s4gw.backends.remote.completion import ONE_PUT_BYTES
from s4gw.backends.remote.compose import Limits
from s4gw.backends.remote.multipart import RemoteMultipart
from s4gw.backends.remote.part_writer import SPILL_BYTES
from s4gw.s3.errors import InvalidArgument, InvalidPart, NoSuchKey, NoSuchUpload, PreconditionFailed, S3Error
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


class Died(BaseException):
    """What kill -9 looks like from inside: nothing is cleaned up."""


@pytest.fixture
def fake() -> FakeUpstream:
    return empty()


@pytest.fixture
def gateway(fake: FakeUpstream) -> Iterator[RemoteMultipart]:
    made = another(fake)
    yield made
    made.pools.close()


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


# -- death on the way ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("bodies", [LARGE, SMALL], ids=["large", "small"])
@pytest.mark.parametrize("versioned", [False, True])
def test_gateway_that_dies_at_any_step_of_complete(bodies: dict[int, bytes], when: str, versioned: bool) -> None:
    """Old object or new one, never a mixture; another gateway completes it, and makes no second version."""
    for step in count(1):
        fake = empty()
        if versioned:
            fake.call("PutBucketVersioning", Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        fake.call("PutObject", Bucket=BUCKET, Key=KEY, Body=b"old")
        gateway = another(fake)
        upload(gateway, bodies)
        setattr(fake, when, dies_at(step))
        try:
            finish(gateway)
        except Died:
            survived = False
        else:
            survived = True
        setattr(fake, when, lambda *_: None)
        assert fake.body(BUCKET, KEY) in (b"old", whole(bodies))
        heir = another(fake)
        assert ["e-5", "e-5"] == [finish(heir).etag, finish(heir).etag]
        assert whole(bodies) == fake.body(BUCKET, KEY)
        assert (2 if versioned else 1) == len(fake.store.list_versions(BUCKET, prefix=KEY).objects)
        if survived:
            assert step > 8
            break


def dies_at(step: int) -> Any:
    """A hook that lets *step* - 1 calls through and none after."""
    calls = count(1)

    def hook(_operation: str, _params: Mapping[str, Any]) -> None:
        if next(calls) >= step:
            raise Died

    return hook


@pytest.mark.parametrize(
    "operation", ["PutObject", "CompleteMultipartUpload", "CreateMultipartUpload", "UploadPartCopy"]
)
def test_answer_that_gets_lost(fake: FakeUpstream, gateway: RemoteMultipart, operation: str) -> None:
    """The request was carried out and nobody heard of it: the object is found, or the next Complete makes it."""
    upload(gateway, LARGE)
    lost = iter([UpstreamUnavailable(sent=True)])

    def lose(done: str, params: Mapping[str, Any]) -> None:
        if done == operation and (error := next(lost, None)) is not None:
            raise error

    fake.after = lose
    try:
        made = finish(gateway)
    except S3Error:
        made = finish(gateway)
    assert whole(LARGE) == fake.body(BUCKET, KEY)
    assert "e-5" == made.etag


def test_lost_answer_of_the_only_request_is_found_by_its_mark(fake: FakeUpstream, gateway: RemoteMultipart) -> None:
    upload(gateway, SMALL)

    def lose(operation: str, params: Mapping[str, Any]) -> None:
        if operation == "PutObject" and params["Key"] == KEY:
            raise UpstreamUnavailable(sent=True)

    fake.after = lose
    assert "e-5" == finish(gateway, Conditions(if_none_match="*")).etag
    assert whole(SMALL) == fake.body(BUCKET, KEY)


def test_second_complete_joins_the_one_under_way(fake: FakeUpstream, gateway: RemoteMultipart) -> None:
    """A client that did not wait asks again: both work on one upload of the upstream's."""
    upload(gateway, LARGE)
    other = another(fake)
    answers: list[StoredObject] = []

    def ask_again(operation: str, params: Mapping[str, Any]) -> None:
        if operation == "UploadPartCopy":
            fake.after = lambda *_: None
            answers.append(finish(other))

    fake.after = ask_again
    answers.append(finish(gateway))
    assert ["e-5", "e-5"] == [answer.etag for answer in answers]
    assert 1 == sum(1 for op, params in fake.calls if op == "CreateMultipartUpload" and params["Key"] == KEY)
    assert whole(LARGE) == fake.body(BUCKET, KEY)
    assert [] == left(fake)


@pytest.mark.parametrize("bodies", [LARGE, SMALL], ids=["large", "small"])
def test_conditions_are_the_upstreams(fake: FakeUpstream, gateway: RemoteMultipart, bodies: dict[int, bytes]) -> None:
    upload(gateway, bodies)
    with pytest.raises(NoSuchKey):
        finish(gateway, Conditions(if_match="*"))
    fake.call("PutObject", Bucket=BUCKET, Key=KEY, Body=b"old")
    for conditions in (Conditions(if_none_match="*"), Conditions(if_match="other")):
        with pytest.raises(PreconditionFailed):
            finish(gateway, conditions)
    fake.calls.clear()
    finish(gateway, Conditions(if_match=etag_of(b"old")))
    writes = [params for _, params in fake.calls if params.get("Key") == KEY and "IfMatch" in params]
    assert [f'"{etag_of(b"old")}"'] == [params["IfMatch"] for params in writes]
    assert whole(bodies) == fake.body(BUCKET, KEY)
    assert [] == left(fake)


def test_abort_takes_everything_with_it(fake: FakeUpstream, gateway: RemoteMultipart) -> None:
    upload(gateway, LARGE)
    writer = gateway.open_part_writer(BUCKET, KEY, ID)
    writer.write(b"x" * (SPILL_BYTES + 1))
    fake.before = dies_at_operation("CompleteMultipartUpload")
    with pytest.raises(Died):
        finish(gateway)
    fake.before = lambda *_: None
    another(fake).abort_upload(BUCKET, KEY, ID)
    assert ([], []) == (fake.keys(BUCKET), list(fake.uploads))
    with pytest.raises(NoSuchUpload):
        finish(another(fake))


def dies_at_operation(name: str) -> Any:
    def hook(operation: str, _params: Mapping[str, Any]) -> None:
        if operation == name:
            raise Died

    return hook


def test_part_replaced_since_it_was_listed_is_invalid(fake: FakeUpstream, gateway: RemoteMultipart) -> None:
    start(gateway)
    old = send(gateway, 1, b"old")
    send(gateway, 1, b"new")
    with pytest.raises(InvalidPart):
        gateway.complete_upload(BUCKET, KEY, ID, [old], None, size=3, etag="e", meta=ObjectMeta())


def test_one_put_bound_is_below_what_needs_parts() -> None:
    assert ONE_PUT_BYTES == SPILL_BYTES


def test_condition_that_holds_for_what_came_meanwhile_too(fake: FakeUpstream, gateway: RemoteMultipart) -> None:
    """The upstream is asked about one object; if another took its place, the client's condition decides again."""
    upload(gateway, SMALL)
    fake.call("PutObject", Bucket=BUCKET, Key=KEY, Body=b"old")

    def replace(operation: str, params: Mapping[str, Any]) -> None:
        if operation == "HeadObject" and params["Key"] == KEY:
            fake.after = lambda *_: None
            fake.call("PutObject", Bucket=BUCKET, Key=KEY, Body=b"newer")

    fake.after = replace
    finish(gateway, Conditions(if_match="*"))
    assert whole(SMALL) == fake.body(BUCKET, KEY)
