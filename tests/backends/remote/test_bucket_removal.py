"""A bucket that clients see empty can go; one that they do not loses nothing, the gateway's own objects included."""

from __future__ import annotations

from typing import Any, cast

import pytest

from s4gw.backends.remote.backend import RemoteBackend
from s4gw.s3.errors import BucketNotEmpty, NoSuchBucket
from tests.backends.kit import BUCKET
from tests.backends.remote_fake import FakeUpstream


@pytest.fixture
def fake() -> FakeUpstream:
    """A bucket with more of the gateway's own objects than one listing shows."""
    fake = FakeUpstream()
    fake.call("CreateBucket", Bucket=BUCKET)
    fake.page_size = 5
    for key in (*(f".s4dict/{number}" for number in range(8)), ".s4gw/uploads/a", "k.s4index"):
        fake.call("PutObject", Bucket=BUCKET, Key=key, Body=b"ours")
    return fake


def remove(fake: FakeUpstream) -> None:
    RemoteBackend(cast("Any", fake), owner="me").delete_bucket(BUCKET)


@pytest.mark.parametrize("versioned", [False, True])
def test_what_clients_do_not_see_goes_with_the_bucket(fake: FakeUpstream, versioned: bool) -> None:
    if versioned:
        fake.call("PutBucketVersioning", Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        fake.call("PutObject", Bucket=BUCKET, Key=".s4gw/uploads/a", Body=b"again")
        fake.call("DeleteObject", Bucket=BUCKET, Key=".s4gw/uploads/a")
    remove(fake)
    with pytest.raises(NoSuchBucket):
        fake.call("HeadBucket", Bucket=BUCKET)


def test_servers_without_versions(fake: FakeUpstream) -> None:
    fake.missing |= {"ListObjectVersions", "DeleteObjects"}
    remove(fake)
    with pytest.raises(NoSuchBucket):
        fake.call("HeadBucket", Bucket=BUCKET)


@pytest.mark.parametrize("hidden", [False, True])
def test_bucket_that_is_not_empty_keeps_everything(fake: FakeUpstream, hidden: bool) -> None:
    """Also where a delete marker hides the last object: dictionaries that its versions need must not go."""
    fake.call("PutBucketVersioning", Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    fake.call("PutObject", Bucket=BUCKET, Key="z", Body=b"a client's")
    if hidden:
        fake.call("DeleteObject", Bucket=BUCKET, Key="z")
    before = [(obj.key, obj.version_id) for obj in fake.store.list_versions(BUCKET).objects]
    with pytest.raises(BucketNotEmpty):
        remove(fake)
    assert before == [(obj.key, obj.version_id) for obj in fake.store.list_versions(BUCKET).objects]
