"""In front of an upstream, what is the upstream's matter is handed on; the gateway's own store goes on refusing it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError

from s4gw.backends import BucketInfo, MemoryBackend, ObjectMeta, StoredObject
from s4gw.gateway.app import create_app
from tests.gateway.in_process import client_of
from tests.gateway.kit import ALICE, make_services

ANSWERED = {"x-amz-server-side-encryption": "aws:kms"}


class Recording(MemoryBackend):
    """Keeps what uploads ask an upstream for, and answers as one."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[ObjectMeta] = []

    def put_object(self, *args: Any, meta: ObjectMeta, **rest: Any) -> StoredObject:
        self.asked.append(meta)
        answered = msgspec.structs.replace(meta, forwarded=ANSWERED)
        return super().put_object(*args, meta=answered, **rest)

    def complete_upload(self, *args: Any, meta: ObjectMeta, **rest: Any) -> StoredObject:
        self.asked.append(meta)
        answered = msgspec.structs.replace(meta, forwarded=ANSWERED)
        return super().complete_upload(*args, meta=answered, **rest)

    def copy_object(self, *args: Any, meta: ObjectMeta, **rest: Any) -> StoredObject:
        self.asked.append(meta)
        return super().copy_object(*args, meta=meta, **rest)


class NoUpstream:
    """Nothing in this module is delegated."""

    def call(self, operation: str, /, **params: Any) -> dict[str, Any]:
        raise NotImplementedError(operation)

    def forget(self, bucket: str) -> None: ...

    def hides(self, key: str) -> bool:
        return key == "hidden"


@pytest.fixture
def store() -> Recording:
    return Recording()


@pytest.fixture
def s3(store: Recording) -> Iterator[Any]:
    """Client of a gateway in front of an upstream."""
    services = dataclasses.replace(make_services(backend=store, clock=time.time), upstream=NoUpstream())
    client = client_of(create_app(services))
    store.create_bucket(BucketInfo(name="bucket", owner=ALICE.owner_id, created_ms=0))
    yield client
    services.objects.close()


def test_an_upload_hands_on_and_gives_back(s3: Any, store: Recording) -> None:
    """Encryption, ACL, lock and storage class go up; the upstream's answer comes down."""
    put = s3.put_object(
        Bucket="bucket",
        Key="k",
        Body=b"x",
        ACL="bucket-owner-full-control",
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId="key-1",
        ObjectLockLegalHoldStatus="ON",
        StorageClass="DEEP_ARCHIVE",
    )
    head = s3.head_object(Bucket="bucket", Key="k")
    expected = {
        "x-amz-acl": "bucket-owner-full-control",
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "key-1",
        "x-amz-object-lock-legal-hold": "ON",
    }
    (asked,) = store.asked
    assert (expected, "DEEP_ARCHIVE", b"") == (asked.forwarded, asked.storage_class, asked.acl)
    assert ["aws:kms"] * 2 == [put["ServerSideEncryption"], head["ServerSideEncryption"]]


def test_every_step_of_an_upload_tells_of_encryption(s3: Any, store: Recording) -> None:
    """As S3 does; the request's own context is not given back."""
    asked = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key-1", "SSEKMSEncryptionContext": "e30="}
    target = {"Bucket": "bucket", "Key": "k"}
    created = s3.create_multipart_upload(**target, **asked, ACL="private")
    target["UploadId"] = created["UploadId"]
    part = s3.upload_part(**target, PartNumber=1, Body=b"x")
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    done = s3.complete_multipart_upload(**target, MultipartUpload={"Parts": parts})
    told = [(step.get("ServerSideEncryption"), step.get("SSEKMSKeyId")) for step in (created, part, done)]
    assert ([("aws:kms", "key-1")] * 2 + [("aws:kms", None)], True) == (
        told,
        "x-amz-server-side-encryption-context" in store.asked[0].forwarded,
    )
    assert "x-amz-server-side-encryption-context" not in created["ResponseMetadata"]["HTTPHeaders"]


def test_a_copy_hands_on_what_is_asked_for_the_target(s3: Any, store: Recording) -> None:
    """The source's encryption is not the target's."""
    s3.put_object(Bucket="bucket", Key="k", Body=b"x")
    s3.copy_object(Bucket="bucket", Key="k", CopySource={"Bucket": "bucket", "Key": "k"}, ServerSideEncryption="AES256")
    s3.copy_object(Bucket="bucket", Key="l", CopySource={"Bucket": "bucket", "Key": "k"})
    assert [{}, {"x-amz-server-side-encryption": "AES256"}, {}] == [asked.forwarded for asked in store.asked]


def test_keys_of_the_client_are_refused(s3: Any, store: Recording) -> None:
    """They would be needed for every read of the index."""
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket="bucket", Key="k", Body=b"x", SSECustomerAlgorithm="AES256", SSECustomerKey="0" * 32)
    assert ("NotImplemented", []) == (caught.value.response["Error"]["Code"], store.asked)
