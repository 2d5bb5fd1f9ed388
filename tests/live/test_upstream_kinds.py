"""A gateway in front of servers that are not ours: SeaweedFS, rclone and, where it is installed, moto."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from tests.live import upstreams
from tests.live.gateway import Gateway

MIB: Final = 1024**2
LOG_LINES: Final = b"GET /api/v1/users/123 HTTP/1.1 200 4521\n" * 40_000
PARTED: Final = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)
BUCKET: Final = "kinds"


@dataclass(frozen=True)
class Pair:
    """A gateway and what it stands in front of."""

    name: str
    front: Gateway
    s3: Any
    """boto3 through the gateway."""
    direct: Any
    """boto3 past it."""


@pytest.fixture(scope="module", params=["seaweedfs", "rclone", "moto"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """One of each kind, with a bucket made through the gateway."""
    folder = tmp_path_factory.mktemp("kinds")
    with (
        upstreams.SERVERS[request.param](folder / "up") as upstream,
        upstreams.in_front(folder / "front", upstream, "--workers", "1") as front,
    ):
        client = front.client()
        client.create_bucket(Bucket=BUCKET)
        yield Pair(request.param, front, client, upstream.client())


def test_objects_of_every_kind(pair: Pair) -> None:
    """Whole, by range, listed and described: the originals; stored in fewer bytes."""
    bodies = {"log": LOG_LINES, "random": os.urandom(3 * MIB), "small é+&": b"hello", "empty": b""}
    for key, body in bodies.items():
        pair.s3.put_object(Bucket=BUCKET, Key=f"objects/{key}", Body=body, Metadata={"x": "y"}, ContentType="text/x")
    got = {key: pair.s3.get_object(Bucket=BUCKET, Key=f"objects/{key}") for key in bodies}
    assert bodies == {key: answer["Body"].read() for key, answer in got.items()}
    assert [("text/x", {"x": "y"})] * 4 == [(one["ContentType"], one["Metadata"]) for one in got.values()]
    span = pair.s3.get_object(Bucket=BUCKET, Key="objects/log", Range="bytes=1000000-1000999")["Body"].read()
    listed = pair.s3.list_objects_v2(Bucket=BUCKET, Prefix="objects/")["Contents"]
    stored = pair.direct.head_object(Bucket=BUCKET, Key="objects/log")["ContentLength"]
    assert (LOG_LINES[1_000_000:1_001_000], True) == (span, stored * 100 < len(LOG_LINES))
    assert {f"objects/{key}": len(body) for key, body in bodies.items()} == {one["Key"]: one["Size"] for one in listed}


def test_multipart_and_copies(pair: Pair) -> None:
    """Parts become one object without padding; a copy keeps what decoding needs."""
    whole = LOG_LINES * 16
    pair.s3.upload_fileobj(io.BytesIO(whole), BUCKET, "multi/source", Config=PARTED)
    source = {"Bucket": BUCKET, "Key": "multi/source"}
    pair.s3.copy_object(
        Bucket=BUCKET, Key="multi/copy", CopySource=source, MetadataDirective="REPLACE", Metadata={"m": "n"}
    )
    copy = pair.s3.get_object(Bucket=BUCKET, Key="multi/copy")
    span = pair.s3.get_object(Bucket=BUCKET, Key="multi/source", Range="bytes=-1000")["Body"].read()
    etags = {pair.s3.head_object(Bucket=BUCKET, Key=f"multi/{name}")["ETag"] for name in ("source", "copy")}
    stored = pair.direct.head_object(Bucket=BUCKET, Key="multi/source")["ContentLength"]
    assert (True, "n", whole[-1000:], 1, True) == (
        copy["Body"].read() == whole,
        copy["Metadata"]["m"],
        span,
        len(etags),
        stored * 1000 < len(whole),
    )


def test_plain_objects_that_were_there_before(pair: Pair) -> None:
    """Are read as they are, and go away like any other."""
    pair.direct.put_object(Bucket=BUCKET, Key="plain/x", Body=b"0123456789", ContentType="text/plain")
    got = pair.s3.get_object(Bucket=BUCKET, Key="plain/x", Range="bytes=2-4")
    listed = pair.s3.list_objects_v2(Bucket=BUCKET, Prefix="plain/")["Contents"]
    pair.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "plain/x"}]})
    with pytest.raises(ClientError) as caught:
        pair.direct.head_object(Bucket=BUCKET, Key="plain/x")
    assert (b"234", [("plain/x", 10)], "404") == (
        got["Body"].read(),
        [(one["Key"], one["Size"]) for one in listed],
        caught.value.response["Error"]["Code"],
    )


def test_conditions_are_never_ignored(pair: Pair) -> None:
    """The upstream decides; where it ignores them, as rclone does, the gateway looks first."""
    pair.s3.put_object(Bucket=BUCKET, Key="once", Body=b"1")
    code = refusal(pair.s3.put_object, Key="once", Body=b"2", IfNoneMatch="*")
    directly = refusal(pair.direct.put_object, Key="once", Body=b"2", IfNoneMatch="*")
    assert ("PreconditionFailed", None if pair.name == "rclone" else "PreconditionFailed") == (code, directly)


def refusal(ask: Any, **params: Any) -> str | None:
    """The code of the error that *ask* ends in, None when it does not."""
    try:
        ask(Bucket=BUCKET, **params)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return None


def test_sub_resources_are_the_upstreams(pair: Pair) -> None:
    """Tags are set and read there; where the upstream would take them for a new body, nothing is sent."""
    pair.s3.put_object(Bucket=BUCKET, Key="tagged", Body=LOG_LINES)
    tags = {"TagSet": [{"Key": "c", "Value": "d"}]}
    code = refusal(pair.s3.put_object_tagging, Key="tagged", Tagging=tags)
    gone = refusal(pair.s3.delete_bucket_policy)
    assert LOG_LINES == pair.s3.get_object(Bucket=BUCKET, Key="tagged")["Body"].read()
    if pair.name == "rclone":
        assert ["NotImplemented"] * 2 == [code, gone]
        return
    direct = pair.direct.get_object_tagging(Bucket=BUCKET, Key="tagged")["TagSet"]
    through = pair.s3.get_object_tagging(Bucket=BUCKET, Key="tagged")["TagSet"]
    assert (None, [tags["TagSet"]] * 2) == (code, [direct, through])


def test_it_is_ready(pair: Pair) -> None:
    """/ready asks the upstream."""
    assert 200 == pair.front.get("/ready")[0]
