"""Object Lock in the running gateway: every path that could remove or change a locked version is tried."""

from __future__ import annotations

import contextlib
import itertools
import json
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.live.gateway import ALT, Gateway

UNTIL = datetime(2140, 1, 1, tzinfo=UTC)
LOCKS: dict[str, dict[str, Any]] = {
    "compliance": {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": UNTIL},
    "governance": {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": UNTIL},
    "hold": {"ObjectLockLegalHoldStatus": "ON"},
}
_numbers = itertools.count(1)


@pytest.fixture
def locking(s3: Any) -> str:
    """A bucket of its own; it cannot be emptied, so nothing else may use it."""
    name = f"locking-{next(_numbers)}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def attempts(s3: Any, alt_s3: Any, bucket: str, version: str, lock: str) -> list[Callable[[], Any]]:
    """What would destroy or change the version, one call each."""
    named = {"Bucket": bucket, "Key": "k", "VersionId": version}
    earlier = {
        "Mode": "COMPLIANCE" if lock == "compliance" else "GOVERNANCE",
        "RetainUntilDate": datetime(2139, 1, 1, tzinfo=UTC),
    }
    bulk = {"Objects": [{"Key": "k", "VersionId": version}, {"Key": "k"}]}
    bypass = {"BypassGovernanceRetention": True} if lock != "governance" else {}
    lower: list[Callable[[], Any]] = []
    if lock != "hold":
        lower = [
            lambda: s3.put_object_retention(**named, Retention=earlier, **bypass),
            lambda: s3.put_object_retention(**named, Retention={}, **bypass),
        ]
    return [
        *lower,
        lambda: s3.delete_object(**named, **bypass),
        lambda: alt_s3.delete_object(**named, BypassGovernanceRetention=True),
        lambda: alt_s3.put_object_legal_hold(**named, LegalHold={"Status": "OFF"}),
        lambda: s3.delete_objects(Bucket=bucket, Delete=bulk, **bypass),
        lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"overwritten"),
        lambda: s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/other"),
        lambda: s3.rename_object(Bucket=bucket, Key="k", RenameSource=f"{bucket}/other"),
        lambda: s3.rename_object(Bucket=bucket, Key="moved", RenameSource=f"{bucket}/k"),
        lambda: s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"}),
        lambda: s3.put_object_lock_configuration(
            Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}
        ),
        lambda: s3.delete_object(Bucket=bucket, Key="k"),
        lambda: s3.delete_bucket(Bucket=bucket),
    ]


@pytest.mark.parametrize("lock", LOCKS)
def test_no_path_gets_round_a_lock(s3: Any, alt_s3: Any, locking: str, lock: str) -> None:
    """Deletes, overwrites, copies, renames, multipart, bypass, suspension: the version stays, byte for byte."""
    data = b"kept for the auditor\n" * 10_000
    version = s3.put_object(Bucket=locking, Key="k", Body=data, **LOCKS[lock])["VersionId"]
    s3.put_object(Bucket=locking, Key="other", Body=b"other")
    for attempt in attempts(s3, alt_s3, locking, version, lock):
        with contextlib.suppress(ClientError):
            attempt()
    upload = s3.create_multipart_upload(Bucket=locking, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=locking, Key="k", UploadId=upload, PartNumber=1, Body=b"p")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=locking, Key="k", UploadId=upload, MultipartUpload=parts)
    got = s3.get_object(Bucket=locking, Key="k", VersionId=version)
    assert data == got["Body"].read()
    assert LOCKS[lock] == {name: got[name] for name in LOCKS[lock]}


def test_a_bypass_takes_its_own_permission(s3: Any, alt_s3: Any, locking: str) -> None:
    """Whoever may remove versions may not go against GOVERNANCE until a policy says so."""
    version = s3.put_object(Bucket=locking, Key="k", Body=b"x", **LOCKS["governance"])["VersionId"]
    named = {"Bucket": locking, "Key": "k", "VersionId": version, "BypassGovernanceRetention": True}
    outcomes = []
    for actions in (["s3:DeleteObjectVersion"], ["s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"]):
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": ALT.owner_id},
            "Action": actions,
            "Resource": f"arn:aws:s3:::{locking}/*",
        }
        s3.put_bucket_policy(Bucket=locking, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
        try:
            outcomes.append(alt_s3.delete_object(**named)["ResponseMetadata"]["HTTPStatusCode"])
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])
    assert ["AccessDenied", 204] == outcomes


def test_a_form_locks_what_it_uploads(s3: Any, gateway: Gateway, locking: str) -> None:
    """Fields of a POST form are the headers of a PUT."""
    fields = {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": "2140-01-01T00:00:00Z"}
    form = s3.generate_presigned_post(locking, "k", Fields=fields, Conditions=[{k: v} for k, v in fields.items()])
    mark = "----------7e44boundary"
    body = "".join(
        f'--{mark}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in form["fields"].items()
    )
    body += f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--{mark}--\r\n'
    headers = {"Content-Type": f"multipart/form-data; boundary={mark}"}
    urllib.request.urlopen(urllib.request.Request(form["url"], body.encode(), headers), timeout=30).close()
    head = s3.head_object(Bucket=locking, Key="k")
    with pytest.raises(ClientError) as caught:
        s3.delete_object(Bucket=locking, Key="k", VersionId=head["VersionId"])
    assert (UNTIL, "AccessDenied") == (head["ObjectLockRetainUntilDate"], caught.value.response["Error"]["Code"])
