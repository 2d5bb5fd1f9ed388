"""A whole gateway in front of a whole gateway: what clients see, and how few requests the upstream does."""

from __future__ import annotations

import base64
import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s4gw.backends.remote import Answered, Upstream
from s4gw.backends.remote.backend import RemoteBackend
from s4gw.backends.remote.catalogue import Catalogue
from s4gw.gateway.app import create_app
from s4gw.settings import Settings
from tests.backends.remote import kit
from tests.gateway.in_process import client_of
from tests.gateway.kit import ALICE, make_services
from tests.objects.bodies import mixed

BUCKET = "bucket"
MIB = 1024 * 1024


class Counted:
    """Counts the calls to an upstream."""

    def __init__(self, upstream: Upstream) -> None:
        self.calls: Counter[str] = Counter()
        upstream._observer = self._note

    def _note(self, answered: Answered) -> None:
        self.calls[answered.operation] += 1

    def take(self) -> Counter[str]:
        calls, self.calls = self.calls, Counter()
        return calls


@pytest.fixture
def counted(upstream: Upstream) -> Counted:
    return Counted(upstream)


@pytest.fixture
def s3(upstream: Upstream, counted: Counted, tmp_path: Path) -> Iterator[Any]:
    """Client of the gateway in front."""
    backend = RemoteBackend(upstream, owner=ALICE.owner_id, catalogue=Catalogue(tmp_path / "catalogue.db"))
    settings = Settings(data_dir=Path("unused"), endpoint_url=kit.ENDPOINT)
    services = make_services(settings, backend=backend, clock=time.time)
    client = client_of(create_app(services))
    upstream.call("CreateBucket", Bucket=BUCKET)
    client.head_bucket(Bucket=BUCKET)
    counted.take()
    yield client
    services.objects.close()
    backend.pools.close()


def test_what_a_client_puts_is_what_it_sees(s3: Any, upstream: Upstream) -> None:
    """Everything about the original is told; nothing of the gateway's is."""
    data = mixed(3 * MIB)
    put = s3.put_object(
        Bucket=BUCKET, Key="k", Body=data, Metadata={"a": "b", "s4-codec": "x"}, Tagging="t=1", ContentType="text/x",
        ChecksumAlgorithm="SHA256", CacheControl="no-cache",
    )  # fmt: skip
    got = s3.get_object(Bucket=BUCKET, Key="k", ChecksumMode="ENABLED")
    head = s3.head_object(Bucket=BUCKET, Key="k", ChecksumMode="ENABLED")
    assert data == got["Body"].read()
    for found in (got, head):
        assert (put["ETag"], len(data), {"a": "b"}, 1, "text/x", "no-cache", put["ChecksumSHA256"]) == tuple(
            found[name]
            for name in (
                "ETag", "ContentLength", "Metadata", "TagCount", "ContentType", "CacheControl", "ChecksumSHA256",
            )
        )  # fmt: skip
    listed = s3.list_objects_v2(Bucket=BUCKET)["Contents"][0]
    assert (put["ETag"], len(data)) == (listed["ETag"], listed["Size"])
    assert upstream.call("HeadObject", Bucket=BUCKET, Key="k")["ContentLength"] < len(data)


def test_requests_per_read(s3: Any, counted: Counted) -> None:
    """A warm range is one request upstream, also one that finds the object changed only by looking: If-None-Match."""
    data = mixed(8 * MIB)
    etag = s3.put_object(Bucket=BUCKET, Key="k", Body=data)["ETag"]
    counts = []
    for start in (5 * MIB, 6 * MIB, 1):
        counted.take()
        got = s3.get_object(Bucket=BUCKET, Key="k", Range=f"bytes={start}-{start + 65_535}")
        assert data[start : start + 65_536] == got["Body"].read()
        counts.append(counted.take().total())
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=BUCKET, Key="k", IfNoneMatch=etag)
    assert 304 == caught.value.response["ResponseMetadata"]["HTTPStatusCode"]
    assert ([2, 1, 1], {"HeadObject": 1}) == (counts, counted.take())


def test_requests_after_a_write(s3: Any, upstream: Upstream, counted: Counted) -> None:
    """What a gateway has overwritten it looks at anew; what others have, it finds out with one request."""
    counts = []
    for number, write in enumerate((s3.put_object, s3.put_object, upstream_put(upstream))):
        write(Bucket=BUCKET, Key="k", Body=b"text %d" % number * 1000)
        counted.take()
        s3.get_object(Bucket=BUCKET, Key="k", Range="bytes=0-9")["Body"].read()
        counts.append(counted.take().total())
    assert [1, 1, 2] == counts


def upstream_put(upstream: Upstream) -> Any:
    return lambda **params: upstream.call("PutObject", **params)


def test_a_changed_object_is_never_told_from_memory(s3: Any, upstream: Upstream) -> None:
    """Whatever somebody else does upstream, the next request of a client sees it."""
    s3.put_object(Bucket=BUCKET, Key="k", Body=mixed(2 * MIB))
    s3.get_object(Bucket=BUCKET, Key="k")["Body"].read()
    upstream.call("PutObject", Bucket=BUCKET, Key="k", Body=b"plain now", ContentType="text/y")
    got = s3.get_object(Bucket=BUCKET, Key="k", Range="bytes=0-4")
    assert (b"plain", "text/y", "bytes 0-4/9") == (got["Body"].read(), got["ContentType"], got["ContentRange"])
    upstream.call("DeleteObject", Bucket=BUCKET, Key="k")
    for range_ in ("bytes=0-4", "bytes=100-"):
        with pytest.raises(ClientError) as caught:
            s3.get_object(Bucket=BUCKET, Key="k", Range=range_)
        assert "NoSuchKey" == caught.value.response["Error"]["Code"]


def test_parts_and_copies_through_a_gateway(s3: Any, upstream: Upstream) -> None:
    """Multipart, part reads, range copies and server-side copies, as against S3 itself."""
    bodies = [mixed(5 * MIB, seed=1), mixed(5 * MIB + 7, seed=2), b"end"]
    place = {"Bucket": BUCKET, "Key": "m"}
    place["UploadId"] = s3.create_multipart_upload(**place, Metadata={"a": "b"})["UploadId"]
    etags = [s3.upload_part(**place, PartNumber=n, Body=body)["ETag"] for n, body in enumerate(bodies, 1)]
    parts = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, 1)]
    etag = s3.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})["ETag"]
    data = b"".join(bodies)
    s3.copy_object(Bucket=BUCKET, Key="c", CopySource=f"{BUCKET}/m", MetadataDirective="REPLACE", Metadata={"n": "1"})
    for key, metadata in (("m", {"a": "b"}), ("c", {"n": "1"})):
        got = s3.get_object(Bucket=BUCKET, Key=key)
        assert (etag, metadata, data) == (got["ETag"], got["Metadata"], got["Body"].read())
        part = s3.get_object(Bucket=BUCKET, Key=key, PartNumber=2)
        assert (bodies[1], 3) == (part["Body"].read(), part["PartsCount"])
    keys = {item["Key"] for item in upstream.call("ListObjectsV2", Bucket=BUCKET)["Contents"]}
    assert {"m", "c"} == {key for key in keys if not key.startswith(".s4gw/")}


def test_checksums_of_plain_objects(s3: Any, upstream: Upstream, counted: Counted) -> None:
    """What the upstream was given with an object is told as it tells it, for one more request the first time."""
    given = base64.b64encode(hashlib.sha1(b"plain").digest()).decode()
    upstream.call("PutObject", Bucket=BUCKET, Key="p", Body=b"plain", ChecksumSHA1=given)
    sha1 = s3.head_object(Bucket=BUCKET, Key="p", ChecksumMode="ENABLED")["ChecksumSHA1"]
    counts = []
    for _ in range(3):
        counted.take()
        got = s3.get_object(Bucket=BUCKET, Key="p", ChecksumMode="ENABLED")
        counts.append(counted.take().total())
        assert (b"plain", sha1, given, "FULL_OBJECT") == (
            got["Body"].read(),
            sha1,
            got["ChecksumSHA1"],
            got["ChecksumType"],
        )
    assert [2, 1, 1] == counts


def test_parts_of_plain_objects(s3: Any, upstream: Upstream, counted: Counted) -> None:
    """An object that somebody else made of parts has them here, too; their table is looked up once."""
    bodies = [mixed(5 * MIB, seed=1), mixed(5 * MIB + 1, seed=2), b"end"]
    place = {"Bucket": BUCKET, "Key": "p"}
    place["UploadId"] = upstream.call("CreateMultipartUpload", **place)["UploadId"]
    etags = [upstream.call("UploadPart", **place, PartNumber=n, Body=body)["ETag"] for n, body in enumerate(bodies, 1)]
    listed = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, 1)]
    etag = upstream.call("CompleteMultipartUpload", **place, MultipartUpload={"Parts": listed})["ETag"]
    got = s3.get_object(Bucket=BUCKET, Key="p")
    assert (etag, b"".join(bodies)) == (got["ETag"], got["Body"].read())
    for number, body in enumerate(bodies, 1):
        part = s3.get_object(Bucket=BUCKET, Key="p", PartNumber=number)
        assert (body, 3) == (part["Body"].read(), part["PartsCount"])
    counted.take()
    assert len(bodies[1]) == s3.head_object(Bucket=BUCKET, Key="p", PartNumber=2)["ContentLength"]
    assert {"HeadObject": 1} == counted.take()
