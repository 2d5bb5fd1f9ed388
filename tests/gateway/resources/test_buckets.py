"""Buckets, their listings and their configuration."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s4gw.bucketconfig import SUB_RESOURCES
from s4gw.gateway.resources import RESOURCES
from tests.gateway.resources.test_objects import code_of

KEYS = st.lists(st.text(alphabet="ab/ é\x01#", min_size=1, max_size=6), unique=True, max_size=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys=KEYS, size=st.integers(1, 4), delimiter=st.sampled_from(["", "/"]))
def test_pages_join_to_the_whole_listing(s3: Any, keys: list[str], size: int, delimiter: str) -> None:
    """Any page size gives every key or common prefix once, in order of UTF-8, in both versions."""
    name = f"b{abs(hash((tuple(keys), size, delimiter))) % 10**12:012d}"
    s3.create_bucket(Bucket=name)
    for key in keys:
        s3.put_object(Bucket=name, Key=key, Body=b"")
    options = {"Bucket": name, "MaxKeys": size} | ({"Delimiter": delimiter} if delimiter else {})
    found: dict[str, list[str]] = {}
    for operation in ("list_objects", "list_objects_v2"):
        for page in s3.get_paginator(operation).paginate(**options, PaginationConfig={"PageSize": size}):
            shown = [entry["Key"] for entry in page.get("Contents", ())]
            shown += [entry["Prefix"] for entry in page.get("CommonPrefixes", ())]
            assert len(shown) <= size
            found.setdefault(operation, []).extend(sorted(shown, key=str.encode))
    expected = {key[: key.index("/") + 1] if delimiter and "/" in key else key for key in keys}
    wanted = sorted(expected, key=str.encode)
    assert [wanted, wanted] == [found["list_objects"], found["list_objects_v2"]]


def test_a_bucket_with_anything_in_it_stays(s3: Any, bucket: str) -> None:
    """Objects, and old versions behind a delete marker, keep a bucket."""
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="k")
    with pytest.raises(ClientError) as caught:
        s3.delete_bucket(Bucket=bucket)
    assert (409, "BucketNotEmpty") == code_of(caught)


def test_configuration_is_given_back_or_refused(s3: Any, bucket: str) -> None:
    """What is enforced is stored; what is not is NotImplemented; what was never set has S3's own error."""
    rules = {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["https://a.example"]}]}
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=rules)
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert rules["CORSRules"] == s3.get_bucket_cors(Bucket=bucket)["CORSRules"]
    assert [{"Key": "a", "Value": "b"}] == s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    with pytest.raises(ClientError) as refused:
        s3.put_bucket_encryption(
            Bucket=bucket,
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
        )
    with pytest.raises(ClientError) as absent:
        s3.get_bucket_website(Bucket=bucket)
    assert [(501, "NotImplemented"), (404, "NoSuchWebsiteConfiguration")] == [code_of(refused), code_of(absent)]


def test_every_sub_resource_has_its_operations() -> None:
    """A row in the table of sub-resources without a class would answer NotImplemented to a read."""
    wanted = {name for row in SUB_RESOURCES.values() for name in row.operations if not name.startswith("List")}
    assert set() == wanted - RESOURCES.keys()
