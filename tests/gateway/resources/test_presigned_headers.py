"""Headers that some SDKs move into the URLs that they sign."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.credentials import Credentials

from s4gw.gateway.app import create_app
from tests.gateway.in_process import InProcess
from tests.gateway.kit import ALICE, make_services

HASH_OF_NOTHING = "AAAAAA=="
"""CRC32 of an empty body."""


@pytest.fixture
def carrier() -> Iterator[InProcess]:
    services = make_services(clock=time.time)
    yield InProcess(create_app(services))
    services.objects.close()


def presigned(carrier: InProcess, method: str, target: str, body: bytes = b"", **moved: str) -> AWSResponse:
    """Send what a URL with those headers in its query asks for."""
    query = urlencode({name.replace("_", "-"): value for name, value in moved.items()})
    request = AWSRequest(method=method, url=f"http://s3.test{target}?{query}")
    signer = S3SigV4QueryAuth(Credentials(ALICE.access_key, ALICE.secret_key), "s3", "us-east-1", expires=60)
    signer.add_auth(request)
    return carrier.send(SimpleNamespace(url=request.url, method=method, headers={}, body=body))


@pytest.fixture
def bucket(carrier: InProcess) -> str:
    assert presigned(carrier, "PUT", "/bucket").status_code == 200
    return "/bucket"


def test_metadata_of_a_url_is_kept(carrier: InProcess, bucket: str) -> None:
    """It would be lost without a word otherwise."""
    put = presigned(
        carrier, "PUT", f"{bucket}/k", b"data", x_amz_meta_Colour="red green", x_amz_storage_class="STANDARD_IA"
    )
    head = presigned(carrier, "HEAD", f"{bucket}/k")
    shown = [head.headers.get(name) for name in ("x-amz-meta-colour", "x-amz-storage-class")]
    assert ([200, "red green", "STANDARD_IA"]) == [put.status_code, *shown]


def test_a_checksum_of_a_url_is_verified(carrier: InProcess, bucket: str) -> None:
    """As one in a header is."""
    refused = presigned(carrier, "PUT", f"{bucket}/k", b"data", x_amz_checksum_crc32=HASH_OF_NOTHING)
    stored = presigned(carrier, "PUT", f"{bucket}/k", b"", x_amz_checksum_crc32=HASH_OF_NOTHING)
    assert (400, True, 200) == (refused.status_code, "BadDigest" in refused.text, stored.status_code)


def test_encryption_of_a_url_is_not_passed_over(carrier: InProcess, bucket: str) -> None:
    """What was to be encrypted is not stored in clear."""
    refused = presigned(carrier, "PUT", f"{bucket}/k", b"data", x_amz_server_side_encryption="AES256")
    assert (501, 404) == (refused.status_code, presigned(carrier, "HEAD", f"{bucket}/k").status_code)


def test_a_copy_by_url_needs_its_source(carrier: InProcess, bucket: str) -> None:
    """The source in the query makes it a copy, with a copy's permissions."""
    presigned(carrier, "PUT", f"{bucket}/k", b"data")
    copied = presigned(carrier, "PUT", f"{bucket}/copy", x_amz_copy_source="bucket/k")
    assert (200, True) == (copied.status_code, "<CopyObjectResult" in copied.text)
    assert b"data" == presigned(carrier, "GET", f"{bucket}/copy").content


def test_tags_of_a_url_are_ignored(carrier: InProcess, bucket: str) -> None:
    """As S3 does: they have to be headers."""
    put = presigned(carrier, "PUT", f"{bucket}/k", b"data", x_amz_tagging="a=b")
    assert (200, None) == (
        put.status_code,
        presigned(carrier, "HEAD", f"{bucket}/k").headers.get("x-amz-tagging-count"),
    )


def test_a_header_stands_before_the_url(carrier: InProcess, bucket: str) -> None:
    """A query without signature brings nothing, so that only what was signed counts."""
    url = f"http://s3.test{bucket}/k?x-amz-meta-a=b"
    assert carrier.send(SimpleNamespace(url=url, method="PUT", headers={}, body=b"")).status_code == 403
