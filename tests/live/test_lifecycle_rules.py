"""Lifecycle rules in the running gateway, with days of a second: storaged's schedule carries them out by itself."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.live import gateway as live
from tests.live.gateway import BIN, Gateway, wait_until


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose lifecycle days last a second."""
    with live.running(tmp_path_factory.mktemp("hasty"), "--lifecycle-day-s", "1", "--workers", "1") as running:
        yield running


def rules(*given: dict[str, Any]) -> dict[str, Any]:
    return {"Rules": [{"Status": "Enabled", "Filter": {"Prefix": ""}} | rule for rule in given]}


def test_rules_are_carried_out(hasty: Gateway) -> None:
    """Objects, noncurrent versions, markers and uploads go; locked versions and what no rule names stay."""
    s3 = hasty.client()
    s3.create_bucket(Bucket="rules", ObjectLockEnabledForBucket=True)
    held = s3.put_object(Bucket="rules", Key="held", Body=b"1", ObjectLockLegalHoldStatus="ON")["VersionId"]
    for _ in range(3):
        s3.put_object(Bucket="rules", Key="old/k", Body=b"x", Tagging="a=b")
    s3.put_object(Bucket="rules", Key="held", Body=b"2")
    s3.put_object(Bucket="rules", Key="large", Body=b"x" * 100)
    s3.create_multipart_upload(Bucket="rules", Key="upload")
    document = rules(
        {
            "ID": "old",
            "Filter": {"And": {"Prefix": "old/", "Tags": [{"Key": "a", "Value": "b"}]}},
            "Expiration": {"Days": 1},
        },
        {"ID": "size", "Filter": {"ObjectSizeGreaterThan": 50}, "Expiration": {"Days": 1}},
        {"ID": "versions", "NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
        {"ID": "markers", "Expiration": {"ExpiredObjectDeleteMarker": True}},
        {"ID": "uploads", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
    )
    s3.put_bucket_lifecycle_configuration(Bucket="rules", LifecycleConfiguration=document)

    def left() -> list[tuple[str, bool]]:
        page = s3.list_object_versions(Bucket="rules")
        found = [(entry["Key"], False) for entry in page.get("Versions", ())]
        return found + [(entry["Key"], True) for entry in page.get("DeleteMarkers", ())]

    settled = wait_until(
        lambda: left() == [("held", False)] * 2 and not s3.list_multipart_uploads(Bucket="rules").get("Uploads")
    )
    assert settled, left()
    assert b"1" == s3.get_object(Bucket="rules", Key="held", VersionId=held)["Body"].read()
    assert wait_until(lambda: " lifecycle buckets=1 " in hasty.log)
    got = s3.get_bucket_lifecycle_configuration(Bucket="rules")["Rules"]
    assert document["Rules"] == got
    s3.delete_bucket_lifecycle(Bucket="rules")
    with pytest.raises(ClientError) as caught:
        s3.get_bucket_lifecycle_configuration(Bucket="rules")
    assert "NoSuchLifecycleConfiguration" == caught.value.response["Error"]["Code"]


def test_passes_rest_while_upkeep_is_paused(hasty: Gateway) -> None:
    """And go on when it is resumed."""
    s3 = hasty.client()
    s3.create_bucket(Bucket="paused")
    past = rules({"ID": "r", "Expiration": {"Date": datetime(2020, 1, 1, tzinfo=UTC)}})
    s3.put_bucket_lifecycle_configuration(Bucket="paused", LifecycleConfiguration=past)

    def store(action: str) -> None:
        command = [str(Path(BIN) / "s4gw"), "store", action, "--data-dir", str(hasty.folder / "data")]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    def there() -> bool:
        return bool(s3.list_objects_v2(Bucket="paused")["KeyCount"])

    store("pause")
    s3.put_object(Bucket="paused", Key="k", Body=b"x")
    gone_early = wait_until(lambda: not there(), 2)
    store("resume")
    assert (False, True) == (gone_early, wait_until(lambda: not there()))


@pytest.fixture
def young(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that has just started: its own first pass comes after a minute, and would be there before the test."""
    with live.running(tmp_path, "--workers", "1") as running:
        yield running


def test_the_command_beside_a_gateway(young: Gateway) -> None:
    """A dry run tells and does nothing; a run does it, through the committer of the gateway that serves."""
    s3, bucket = young.client(), "ruled"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    document = rules({"ID": "r", "Expiration": {"Date": datetime(2020, 1, 1, tzinfo=UTC)}})
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=document)
    told = s3.head_object(Bucket=bucket, Key="k")["Expiration"]

    def run(*flags: str) -> str:
        where = ("--data-dir", str(young.folder / "data"), "--bucket", bucket)
        command = [str(Path(BIN) / "s4gw"), "lifecycle", "run", *where, *flags]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    dry = run("--dry-run")
    before = s3.list_objects_v2(Bucket=bucket)["KeyCount"]
    done = run("--json")
    assert f"expire        {bucket}/k null (r)" == dry.splitlines()[0]
    assert (1, 0, True) == (before, s3.list_objects_v2(Bucket=bucket)["KeyCount"], '"expired":1' in done)
    assert 'expiry-date="Wed, 01 Jan 2020 00:00:00 GMT", rule-id="r"' == told
