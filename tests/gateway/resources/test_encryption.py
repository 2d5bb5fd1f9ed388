"""Every operation that writes an object is asked how it is to be encrypted, and what is refused stores nothing."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from types import SimpleNamespace
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError

from s4gw.bucketconfig import encryption as rules
from s4gw.gateway.app import create_app
from s4gw.gateway.middleware import encryption
from s4gw.policy import ACTIONS
from s4gw.s3.errors import SlowDown
from tests.gateway.in_process import InProcess, client_of
from tests.gateway.kit import make_services

BUCKET: Final = "bucket"
SOURCE: Final = {"Bucket": BUCKET, "Key": "source"}
TARGET: Final = {"Bucket": BUCKET, "Key": "target"}


class Gateway:
    """A server with an object and an upload of one part, and a client that can add headers."""

    def __init__(self) -> None:
        ids = map("{:016X}".format, count())
        self.services = dataclasses.replace(make_services(clock=time.time), ids=lambda: next(ids))
        self.carrier = InProcess(create_app(self.services))
        self.extra: Mapping[str, str] = {}
        self.s3 = client_of(self.carrier)
        self.s3.meta.events.register("before-call.s3", self._add)
        self.s3.create_bucket(Bucket=BUCKET)
        self.s3.put_object(**SOURCE, Body=b"source")
        self.upload = TARGET | {"UploadId": self.s3.create_multipart_upload(**TARGET)["UploadId"]}
        self.part = {"PartNumber": 1, "ETag": self.s3.upload_part(**self.upload, PartNumber=1, Body=b"part")["ETag"]}

    def _add(self, params: dict[str, Any], **_rest: Any) -> None:
        params["headers"].update(self.extra)

    def post(self) -> None:
        """Send a form, whose fields are what headers are elsewhere. Raises: ClientError."""
        fields = dict(self.extra)
        form = self.s3.generate_presigned_post(
            BUCKET, "target", Fields=fields, Conditions=[{name: value} for name, value in fields.items()]
        )
        body = b"".join(_field(name, value) for name, value in (*form["fields"].items(), ("file", "form")))
        headers = {"Content-Type": "multipart/form-data; boundary=edge"}
        request = SimpleNamespace(url=form["url"], method="POST", headers=headers, body=body + b"--edge--\r\n")
        answer = self.carrier.send(request)
        if answer.status_code >= 300:
            code = answer.text.partition("<Code>")[2].partition("</Code>")[0]
            details: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": answer.status_code}}
            raise ClientError(details, "PostObject")

    def state(self) -> Any:
        """Objects, uploads and parts, as a client sees them."""
        self.extra = {}
        objects = self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        uploads = self.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        under_way = self.upload["UploadId"] in {found["UploadId"] for found in uploads}
        parts = self.s3.list_parts(**self.upload)["Parts"] if under_way else []
        return (
            [(found["Key"], found["ETag"]) for found in objects],
            [found["UploadId"] for found in uploads],
            [(found["PartNumber"], found["ETag"]) for found in parts],
        )


def _field(name: str, value: str) -> bytes:
    return f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    made = Gateway()
    yield made
    made.services.objects.close()


WAYS: Final[Mapping[str, Callable[[Gateway], Any]]] = {
    "PutObject": lambda g: g.s3.put_object(**TARGET, Body=b"put"),
    "PostObject": Gateway.post,
    "CopyObject": lambda g: g.s3.copy_object(**TARGET, CopySource=SOURCE),
    "CopyObject, rewritten": lambda g: g.s3.copy_object(**TARGET, CopySource=SOURCE, ChecksumAlgorithm="SHA256"),
    "CreateMultipartUpload": lambda g: g.s3.create_multipart_upload(**TARGET),
    "UploadPart": lambda g: g.s3.upload_part(**g.upload, PartNumber=2, Body=b"two"),
    "UploadPartCopy": lambda g: g.s3.upload_part_copy(**g.upload, PartNumber=2, CopySource=SOURCE),
    "CompleteMultipartUpload": lambda g: g.s3.complete_multipart_upload(
        **g.upload, MultipartUpload={"Parts": [g.part]}
    ),
    "RenameObject": lambda g: g.s3.rename_object(**TARGET, RenameSource=f"/{BUCKET}/source"),
}
DECIDING: Final = ("PutObject", "PostObject", "CopyObject", "CreateMultipartUpload")
way = pytest.mark.parametrize("way", WAYS)


def refusal(gateway: Gateway, way: str) -> tuple[int, str]:
    """Status and code of an operation that changes nothing."""
    extra, before = gateway.extra, gateway.state()
    gateway.extra = extra
    with pytest.raises(ClientError) as caught:
        WAYS[way](gateway)
    assert before == gateway.state()
    error: Any = caught.value.response
    return error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"]


def test_all_ways_to_write_are_walked_here() -> None:
    """An operation that needs the permission to put an object is one of them; a form needs it for its target."""
    named = {name.partition(",")[0] for name in WAYS}
    assert named == encryption.WRITES | {"PostObject"}
    writing = {name for name, rules_of in ACTIONS.items() if any(rule.action == "s3:PutObject" for rule in rules_of)}
    assert named == writing


@way
def test_nothing_asked_for_is_written(gateway: Gateway, way: str) -> None:
    """The ways lead somewhere, so that a refusal is one."""
    before = gateway.state()
    WAYS[way](gateway)
    assert before != gateway.state()


@way
def test_every_way_passes_the_one_place(gateway: Gateway, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once each, with the bucket's default and what was sent; what it raises is the answer, and nothing is stored."""
    asked: list[tuple[str, bytes | None, bool]] = []

    def refuse(operation: str, default: bytes | None, sent: Mapping[str, str]) -> rules.Encryption:
        asked.append((operation, default, sent.get("x-amz-meta-sent") == "1"))
        raise SlowDown

    gateway.extra = {"x-amz-meta-sent": "1"}
    monkeypatch.setattr(rules, "of_store", refuse)
    assert (503, "SlowDown") == refusal(gateway, way)
    name = way.partition(",")[0]
    assert [("PutObject" if name == "PostObject" else name, None, True)] == asked


@way
def test_what_is_asked_for_is_refused(gateway: Gateway, way: str) -> None:
    """With S3's own error where S3 takes no such header, NotImplemented where it would encrypt."""
    deciding = way.startswith(DECIDING)
    expected = (501, "NotImplemented") if deciding else (400, "InvalidArgument")
    gateway.extra = {"x-amz-server-side-encryption": "AES256"}
    assert expected == refusal(gateway, way)
    gateway.extra = {"x-amz-server-side-encryption-customer-algorithm": "AES256"}
    assert (501, "NotImplemented") == refusal(gateway, way)


@way
def test_a_default_that_would_not_be_kept_is_refused(gateway: Gateway, way: str) -> None:
    """No configuration sets it in this version; one that is there all the same is never ignored."""
    gateway.services.backend.put_config(BUCKET, rules.CONFIG, b"{}")
    assert (501, "NotImplemented") == refusal(gateway, way)


@pytest.mark.parametrize("way", [name for name in WAYS if name.startswith(DECIDING)])
def test_nothing_is_written_without_an_answer(gateway: Gateway, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation that nobody asked about fails: what describes an object takes the answer into the description."""
    monkeypatch.setattr(encryption, "WRITES", frozenset())
    monkeypatch.setattr(encryption, "decide", lambda *_: SimpleNamespace())
    assert (500, "InternalError") == refusal(gateway, way)


def test_reads_name_no_encryption(gateway: Gateway) -> None:
    """As S3 answers for an object without a customer's key."""
    gateway.extra = {"x-amz-server-side-encryption-customer-algorithm": "AES256"}
    with pytest.raises(ClientError) as got:
        gateway.s3.get_object(**SOURCE)
    with pytest.raises(ClientError) as head:
        gateway.s3.head_object(**SOURCE)
    gateway.extra = {"x-amz-server-side-encryption": "aws:kms"}
    with pytest.raises(ClientError) as named:
        gateway.s3.get_object(**SOURCE)
    codes = [error.value.response["Error"]["Code"] for error in (got, head, named)]
    assert ["InvalidRequest", "400", "InvalidArgument"] == codes


def test_a_bucket_claims_no_encryption(gateway: Gateway) -> None:
    """S3 encrypts whatever is put; here there is no default, and none can be set."""
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    with pytest.raises(ClientError) as missing:
        gateway.s3.get_bucket_encryption(Bucket=BUCKET)
    with pytest.raises(ClientError) as refused:
        gateway.s3.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": [rule]})
    codes = [error.value.response["Error"]["Code"] for error in (missing, refused)]
    assert ["ServerSideEncryptionConfigurationNotFoundError", "NotImplemented"] == codes
    assert "ServerSideEncryption" not in gateway.s3.head_object(**SOURCE)
