"""Versions in the running gateway: states, null versions, markers, listings, multipart, and MFA delete."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s4gw.auth.mfa import STEP_S, code_at
from tests.live import gateway as live

SECRET = b"twenty bytes of test"
DEVICE = {"mfa_serial": "live-device", "mfa_secret": base64.b32encode(SECRET).decode()}


def code(caught: pytest.ExceptionInfo[ClientError]) -> str:
    return str(caught.value.response["Error"]["Code"])


def enable(s3: Any, bucket: str, status: str = "Enabled") -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


def test_states_and_null_versions(s3: Any, bucket: str) -> None:
    """Unversioned, enabled, suspended: what is null is replaced, what has an id stays."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"null")
    enable(s3, bucket)
    kept = s3.put_object(Bucket=bucket, Key="k", Body=b"kept")["VersionId"]
    enable(s3, bucket, "Suspended")
    s3.put_object(Bucket=bucket, Key="k", Body=b"null again")
    bodies = {v: s3.get_object(Bucket=bucket, Key="k", VersionId=v)["Body"].read() for v in ("null", kept)}
    marker = s3.delete_object(Bucket=bucket, Key="k")
    listed = s3.list_object_versions(Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="k", VersionId="null")
    assert {"null": b"null again", kept: b"kept"} == bodies
    assert ("null", [kept]) == (marker["VersionId"], [version["VersionId"] for version in listed["Versions"]])
    assert b"kept" == s3.get_object(Bucket=bucket, Key="k")["Body"].read()


def test_every_operation_takes_a_version(s3: Any, bucket: str) -> None:
    """GET, HEAD, attributes, tags, ACL and copies of an old version, multipart ones included."""
    enable(s3, bucket)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"old")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    old = s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload=parts)["VersionId"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"newer")
    named = {"Bucket": bucket, "Key": "k", "VersionId": old}
    s3.put_object_tagging(**named, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    attributes = s3.get_object_attributes(**named, ObjectAttributes=["ObjectSize", "ETag"])
    copy = s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k", "VersionId": old})
    facts = (s3.head_object(**named)["ContentLength"], s3.head_object(Bucket=bucket, Key="k")["ContentLength"])
    tags = [len(s3.get_object_tagging(**query)["TagSet"]) for query in (named, {"Bucket": bucket, "Key": "k"})]
    grants = s3.get_object_acl(**named)["Grants"]
    assert ((3, 5), 3, old, [1, 0], 1) == (facts, attributes["ObjectSize"], attributes["VersionId"], tags, len(grants))
    assert old == copy["CopySourceVersionId"]
    assert b"old" == s3.get_object(Bucket=bucket, Key="copy")["Body"].read()


def test_listing_by_both_markers(s3: Any, bucket: str) -> None:
    """Every page size gives every version, marker and common prefix once, newest first."""
    enable(s3, bucket)
    for key in ("a", "b/1", "b/2", "c"):
        for _ in range(3):
            s3.put_object(Bucket=bucket, Key=key, Body=b"x")
        s3.delete_object(Bucket=bucket, Key=key)
    whole = s3.list_object_versions(Bucket=bucket, Delimiter="/")

    def shown(page: Any) -> list[tuple[str, str]]:
        entries = [(e["Key"], e["VersionId"]) for name in ("Versions", "DeleteMarkers") for e in page.get(name, ())]
        return entries + [(prefix["Prefix"], "") for prefix in page.get("CommonPrefixes", ())]

    for size in (1, 2, 3):
        found: list[tuple[str, str]] = []
        markers: dict[str, str] = {}
        while True:
            page = s3.list_object_versions(Bucket=bucket, Delimiter="/", MaxKeys=size, **markers)
            found += shown(page)
            if not page["IsTruncated"]:
                break
            markers = {"KeyMarker": page["NextKeyMarker"]}
            if page.get("NextVersionIdMarker"):
                markers["VersionIdMarker"] = page["NextVersionIdMarker"]
        assert sorted(shown(whole)) == sorted(found)


def test_mfa_delete(tmp_path: Path) -> None:
    """Enabling it and removing versions take a code of the owner's device each, and each code once."""
    with live.running(tmp_path, device=DEVICE) as gateway:
        s3 = gateway.client()
        s3.create_bucket(Bucket="mfa")
        on = {"Status": "Enabled", "MFADelete": "Enabled"}
        now = int(time.time()) // STEP_S
        # This step and the next: both are still taken when a step has ended meanwhile.
        first, second = (f"live-device {code_at(SECRET, now + shift)}" for shift in (0, 1))
        with pytest.raises(ClientError) as without:
            s3.put_bucket_versioning(Bucket="mfa", VersioningConfiguration=on)
        s3.put_bucket_versioning(Bucket="mfa", VersioningConfiguration=on, MFA=first)
        version = s3.put_object(Bucket="mfa", Key="k", Body=b"x")["VersionId"]
        named = {"Bucket": "mfa", "Key": "k", "VersionId": version}
        refused = []
        for shown in ({}, {"MFA": first}, {"MFA": "live-device 000000"}, {"MFA": f"other {second[-6:]}"}):
            with pytest.raises(ClientError) as caught:
                s3.delete_object(**named, **shown)
            refused.append(code(caught))
        bulk = {"Objects": [{"Key": "k", "VersionId": version}]}
        errors = s3.delete_objects(Bucket="mfa", Delete=bulk)["Errors"]
        s3.delete_object(Bucket="mfa", Key="k")
        s3.delete_objects(Bucket="mfa", Delete=bulk, MFA=second)
        left = s3.list_object_versions(Bucket="mfa").get("Versions", [])
        state = s3.get_bucket_versioning(Bucket="mfa")
    assert ("AccessDenied", 4 * ["AccessDenied"], "AccessDenied") == (code(without), refused, errors[0]["Code"])
    assert ([], on) == (left, {name: state[name] for name in on})
