"""What a bucket's configuration enforces, as its clients meet it: CORS, quotas, ownership, public access, refusals."""

from __future__ import annotations

import json
import random
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.live.gateway import BIN, Gateway

NOISE = random.Random(1).randbytes(4096)
PAGE = "https://app.example"


def ask(gateway: Gateway, method: str, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    """A request as a browser sends it, without a signature."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{gateway.url}/{path}", method=method, headers=named)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read().decode()


def refused(call: Callable[..., Any], **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def test_preflights_are_answered_by_the_rules(s3: Any, gateway: Gateway, bucket: str) -> None:
    """Without a signature: the first rule that fits, or 403 with the reason; 400 for what is no preflight."""
    asking = {"Origin": PAGE, "Access_Control_Request_Method": "PUT"}
    none = ask(gateway, "OPTIONS", f"{bucket}/k", **asking)
    rule = {
        "AllowedMethods": ["PUT"],
        "AllowedOrigins": ["https://*.example"],
        "AllowedHeaders": ["x-amz-*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 60,
    }
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    good = ask(gateway, "OPTIONS", f"{bucket}/k", **asking, Access_Control_Request_Headers="X-Amz-Date")
    bad = [
        ask(gateway, "OPTIONS", f"{bucket}/k", **{**asking, **changed})
        for changed in (
            {"Origin": "https://other.test"},
            {"Access_Control_Request_Method": "GET"},
            {"Access_Control_Request_Headers": "content-type"},
        )
    ]
    odd = [ask(gateway, "OPTIONS", bucket)[0], ask(gateway, "OPTIONS", bucket, Origin=PAGE)[0]]
    told = {name.removeprefix("access-control-"): value for name, value in good[1].items() if "access-control" in name}
    expected = {"allow-origin": PAGE, "allow-methods": "PUT", "allow-headers": "x-amz-date", "max-age": "60"}
    assert expected | {"expose-headers": "ETag", "allow-credentials": "true"} == told
    assert (200, [403] * 3, [400] * 2) == (good[0], [status for status, *_ in bad], odd)
    assert (403, True) == (none[0], "CORS is not enabled for this bucket" in none[2])


def test_actual_requests_are_marked_for_the_page_they_come_from(s3: Any, gateway: Gateway, bucket: str) -> None:
    """Refusals too, so that the page can read why."""
    rules = [{"AllowedMethods": ["GET"], "AllowedOrigins": [PAGE]}]
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})
    own = ask(gateway, "GET", f"{bucket}/k", Origin=PAGE)
    foreign = ask(gateway, "GET", f"{bucket}/k", Origin="https://other.test")
    assert (403, PAGE) == (own[0], own[1]["access-control-allow-origin"])
    assert (403, False) == (foreign[0], "access-control-allow-origin" in foreign[1])


def test_a_quota_refuses_what_is_too_much(s3: Any, gateway: Gateway, bucket: str) -> None:
    """Set by the operator's command beside the running gateway."""

    def quota(size: str) -> None:
        command = [str(Path(BIN) / "s4gw"), "quota", bucket, size, "--data-dir", str(gateway.folder / "data")]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    quota("1KB")
    s3.put_object(Bucket=bucket, Key="small", Body=b"x" * 500)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    part = {"Bucket": bucket, "Key": "parts", "UploadId": upload, "PartNumber": 1, "Body": NOISE}
    codes = [
        refused(s3.put_object, Bucket=bucket, Key="large", Body=NOISE),
        refused(s3.upload_part, **part),
    ]
    quota("none")
    s3.put_object(Bucket=bucket, Key="large", Body=NOISE)
    assert ["QuotaExceeded"] * 2 == codes


def test_ownership_and_public_access_are_enforced(s3: Any, bucket: str) -> None:
    """BucketOwnerEnforced refuses lists; the public access block refuses what would be public."""
    s3.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    )
    owned = refused(s3.put_object, Bucket=bucket, Key="k", Body=b"", ACL="public-read")
    s3.delete_bucket_ownership_controls(Bucket=bucket)
    block = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    codes = [
        refused(s3.put_object, Bucket=bucket, Key="k", Body=b"", ACL="public-read"),
        refused(s3.put_bucket_acl, Bucket=bucket, ACL="public-read"),
        refused(s3.put_bucket_policy, Bucket=bucket, Policy=policy),
    ]
    assert ("AccessControlListNotSupported", ["AccessDenied"] * 3) == (owned, codes)


def test_what_would_not_be_done_is_refused(s3: Any, bucket: str) -> None:
    """Website, default encryption, transitions, replication, notifications: NotImplemented, in words."""
    algorithm = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    transition = {"Days": 1, "StorageClass": "GLACIER"}
    rule = {"ID": "r", "Status": "Enabled", "Filter": {}, "Transitions": [transition]}
    codes = [
        refused(s3.put_bucket_website, Bucket=bucket, WebsiteConfiguration={"IndexDocument": {"Suffix": "i"}}),
        refused(s3.put_bucket_encryption, Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [algorithm]}),
        refused(s3.put_bucket_lifecycle_configuration, Bucket=bucket, LifecycleConfiguration={"Rules": [rule]}),
        refused(s3.put_bucket_notification_configuration, Bucket=bucket, NotificationConfiguration={}),
    ]
    assert ["NotImplemented"] * 4 == codes
