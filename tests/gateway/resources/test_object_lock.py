"""Object Lock as clients meet it: documents, headers, permissions, and no request that gets round it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.gateway.resources.test_objects import code_of

UNTIL = datetime(2140, 1, 1, tzinfo=UTC)
GOVERNED: dict[str, Any] = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": UNTIL}


@pytest.fixture
def locking(s3: Any) -> str:
    s3.create_bucket(Bucket="locking", ObjectLockEnabledForBucket=True)
    return "locking"


def refused(call: Any, **arguments: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return code_of(caught)


def test_a_bucket_made_with_locks_keeps_versions(s3: Any, locking: str) -> None:
    """It tells so, takes a default, and cannot be suspended."""
    versioning = s3.get_bucket_versioning(Bucket=locking)["Status"]
    bare = s3.get_object_lock_configuration(Bucket=locking)["ObjectLockConfiguration"]
    wanted = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Years": 1}}}
    s3.put_object_lock_configuration(Bucket=locking, ObjectLockConfiguration=wanted)
    assert ("Enabled", {"ObjectLockEnabled": "Enabled"}) == (versioning, bare)
    assert wanted == s3.get_object_lock_configuration(Bucket=locking)["ObjectLockConfiguration"]
    suspended = {"Status": "Suspended"}
    outcome = refused(s3.put_bucket_versioning, Bucket=locking, VersioningConfiguration=suspended)
    assert (409, "InvalidBucketState") == outcome


def test_locks_come_later_too(s3: Any, bucket: str) -> None:
    """On a bucket with versioning, as AWS allows; without it, or without locks, S3's errors."""
    wanted = {"ObjectLockEnabled": "Enabled"}
    enable: dict[str, Any] = {"Bucket": bucket, "ObjectLockConfiguration": wanted}
    outcomes = [refused(s3.put_object_lock_configuration, **enable)]
    outcomes.append(refused(s3.get_object_lock_configuration, Bucket=bucket))
    outcomes.append(refused(s3.put_object, Bucket=bucket, Key="k", Body=b"x", **GOVERNED))
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    outcomes.append(refused(s3.get_object_retention, Bucket=bucket, Key="k"))
    expected = [
        (409, "InvalidBucketState"),
        (404, "ObjectLockConfigurationNotFoundError"),
        *2 * [(400, "InvalidRequest")],
    ]
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(**enable)
    s3.put_object_legal_hold(Bucket=bucket, Key="k", LegalHold={"Status": "ON"})
    outcomes.append(refused(s3.delete_object, Bucket=bucket, Key="k", VersionId="null"))
    assert [*expected, (403, "AccessDenied")] == outcomes


def test_every_kind_of_upload_takes_locks(s3: Any, locking: str) -> None:
    """By headers on PUT, copy and multipart; GET, HEAD and the operations of their own tell them."""
    wanted = {**GOVERNED, "ObjectLockLegalHoldStatus": "ON"}
    s3.put_object(Bucket=locking, Key="put", Body=b"x", **wanted)
    s3.copy_object(Bucket=locking, Key="copy", CopySource=f"{locking}/put", **wanted)
    s3.copy_object(Bucket=locking, Key="bare", CopySource=f"{locking}/put")
    upload = s3.create_multipart_upload(Bucket=locking, Key="parts", **wanted)["UploadId"]
    part = s3.upload_part(Bucket=locking, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=locking, Key="parts", UploadId=upload, MultipartUpload=parts)
    for key in ("put", "copy", "parts"):
        for answer in (s3.head_object(Bucket=locking, Key=key), s3.get_object(Bucket=locking, Key=key)):
            assert wanted == {name: answer[name] for name in wanted}
        retention = s3.get_object_retention(Bucket=locking, Key=key)["Retention"]
        hold = s3.get_object_legal_hold(Bucket=locking, Key=key)["LegalHold"]
        assert ({"Mode": "GOVERNANCE", "RetainUntilDate": UNTIL}, {"Status": "ON"}) == (retention, hold)
    assert (404, "NoSuchObjectLockConfiguration") == refused(s3.get_object_retention, Bucket=locking, Key="bare")


def test_a_locked_version_goes_only_by_bypass(s3: Any, locking: str) -> None:
    """Its owner hides it, cannot remove it, one by one or in bulk, and may bypass GOVERNANCE."""
    version = s3.put_object(Bucket=locking, Key="k", Body=b"x", **GOVERNED)["VersionId"]
    named = {"Bucket": locking, "Key": "k", "VersionId": version}
    marker = s3.delete_object(Bucket=locking, Key="k")
    first = refused(s3.delete_object, **named)
    bulk = s3.delete_objects(Bucket=locking, Delete={"Objects": [{"Key": "k", "VersionId": version}]})
    shorter = {"Mode": "GOVERNANCE", "RetainUntilDate": UNTIL - timedelta(days=1)}
    weaker = refused(s3.put_object_retention, **named, Retention=shorter)
    s3.put_object_retention(**named, Retention=shorter, BypassGovernanceRetention=True)
    s3.delete_object(**named, BypassGovernanceRetention=True)
    left = s3.list_object_versions(Bucket=locking)
    assert (True, (403, "AccessDenied"), (403, "AccessDenied")) == (marker["DeleteMarker"], first, weaker)
    assert (["AccessDenied"], []) == ([error["Code"] for error in bulk["Errors"]], left.get("Versions", []))


def test_policies_decide_about_locks(s3: Any, locking: str) -> None:
    """A Deny on the bypass and on long periods, in headers as well as in documents, holds for the owner too."""
    resource = f"arn:aws:s3:::{locking}/*"
    days = {"NumericGreaterThan": {"s3:object-lock-remaining-retention-days": "10"}}
    common = {"Effect": "Deny", "Principal": "*", "Resource": resource}
    statements = [
        {**common, "Action": "s3:BypassGovernanceRetention"},
        {**common, "Action": ["s3:PutObjectRetention", "s3:PutObject"], "Condition": days},
        {**common, "Action": "s3:GetObjectRetention"},
    ]
    s3.put_bucket_policy(Bucket=locking, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(days=5)
    short = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": soon}
    version = s3.put_object(Bucket=locking, Key="k", Body=b"x", **short, ObjectLockLegalHoldStatus="ON")["VersionId"]
    named = {"Bucket": locking, "Key": "k", "VersionId": version}
    longer = {"Mode": "GOVERNANCE", "RetainUntilDate": UNTIL}
    outcomes = [
        refused(s3.put_object, Bucket=locking, Key="k", Body=b"x", **GOVERNED),
        refused(s3.put_object_retention, **named, Retention=longer),
        refused(s3.delete_object, **named, BypassGovernanceRetention=True),
    ]
    s3.put_object_retention(**named, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": soon + timedelta(days=1)})
    head = s3.head_object(**named)
    assert 3 * [(403, "AccessDenied")] == outcomes
    assert ("ON", False) == (head["ObjectLockLegalHoldStatus"], "ObjectLockMode" in head)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"ObjectLockMode": "GOVERNANCE"}, "InvalidArgument"),
        ({**GOVERNED, "ObjectLockRetainUntilDate": datetime(2020, 1, 1, tzinfo=UTC)}, "InvalidArgument"),
        ({"ObjectLockLegalHoldStatus": "on"}, "InvalidArgument"),
    ],
)
def test_wrong_headers_store_nothing(s3: Any, locking: str, headers: dict[str, Any], code: str) -> None:
    outcome = refused(s3.put_object, Bucket=locking, Key="k", Body=b"x", **headers)
    assert ((400, code), 404) == (outcome, refused(s3.head_object, Bucket=locking, Key="k")[0])
