"""What an upload's headers say does not depend on those that are left out at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s4gw.auth import ANONYMOUS_IDENTITY, CredentialStore, Identity, PayloadMode, PayloadPlan
from s4gw.backends.base import BucketInfo
from s4gw.bucketconfig import DefaultRetention
from s4gw.bucketconfig.encryption import Encryption
from s4gw.checksum import Algorithm
from s4gw.gateway.request import S3Request
from s4gw.gateway.resources import upload_request
from s4gw.s3.errors import S3Error

SIGNED = PayloadPlan(PayloadMode.SIGNED, "0" * 64)
SAID = {
    "cache-control": "no-store",
    "content-encoding": "aws-chunked",
    "content-md5": "1B2M2Y8AsgTpgAmY7PhCfg==",
    "content-type": "text/plain",
    "expires": "never",
    "if-match": "*",
    "if-none-match": '"e"',
    "x-amz-acl": "public-read",
    "x-amz-checksum-crc32": "AAAAAA==",
    "x-amz-checksum-nonsense": "AAAAAA==",
    "x-amz-grant-read": "id=x",
    "x-amz-meta-a": "b",
    "x-amz-object-lock-legal-hold": "ON",
    "x-amz-request-payer": "requester",
    "x-amz-sdk-checksum-algorithm": "CRC32",
    "x-amz-server-side-encryption": "AES256",
    "x-amz-storage-class": "GLACIER_IR",
    "x-amz-tagging": "a=b",
    "x-amz-trailer": "x-amz-checksum-crc32c",
    "x-amz-website-redirect-location": "/x",
}
HEADERS = st.lists(st.sampled_from([*SAID.items(), *((name, "1") for name in upload_request.SAYS_NOTHING)]), max_size=8)


def outcome(headers: dict[str, str], payload: PayloadPlan, upstream: object, default: Algorithm) -> Any:
    """All that is made of the headers, or the refusal."""
    req = cast(
        "S3Request",
        SimpleNamespace(
            bucket="b",
            bucket_info=BucketInfo(name="b", owner="o", created_ms=0, object_lock=DefaultRetention()),
            header_map=headers,
            identity=Identity(ANONYMOUS_IDENTITY.principal, "header", payload),
            principal=ANONYMOUS_IDENTITY.principal,
            encryption=Encryption({"x-amz-server-side-encryption": "AES256"}),
            services=SimpleNamespace(upstream=upstream, credentials=CredentialStore([]), clock=lambda: 0.0),
        ),
    )
    try:
        return (
            upload_request.meta_of(req),
            upload_request.digest_plan(req, default),
            upload_request.write_conditions(upload_request.telling(headers)),
        )
    except S3Error as error:
        return error.code, error.text


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sent=HEADERS,
    payload=st.sampled_from([ANONYMOUS_IDENTITY.payload, SIGNED]),
    upstream=st.sampled_from([None, object()]),
    default=st.sampled_from([Algorithm.CRC64NVME, Algorithm.SHA1]),
)
def test_headers_that_say_nothing_change_nothing(
    sent: list[tuple[str, str]],
    payload: PayloadPlan,
    upstream: object,
    default: Algorithm,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With and without them: the same metadata in the same order, digests, conditions and refusals."""
    headers = dict(sent)
    short = outcome(headers, payload, upstream, default)
    with monkeypatch.context() as patched:
        # a name that no request has, so that nothing is left out and no way is short
        patched.setattr(upload_request, "telling", lambda sent: {"no such header": "", **sent})
        general = outcome(headers, payload, upstream, default)
    assert general == short
    assert str(general) == str(short)
