"""Details of answers that clients and caches go by, as AWS documents them or its answers show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.gateway.resources.test_objects import code_of


def refused(call: Any, **params: Any) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    """Headers and error of a call that is not to succeed."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    response: Any = caught.value.response
    return response["ResponseMetadata"]["HTTPHeaders"], response["Error"]


def test_a_304_carries_what_caches_live_by(s3: Any, bucket: str) -> None:
    """RFC 9110, section 15.4.5; nothing else of the object's."""
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", CacheControl="max-age=60", ContentLanguage="de")
    headers, error = refused(s3.get_object, Bucket=bucket, Key="k", IfNoneMatch=put["ETag"])
    shown = {name: headers.get(name) for name in ("etag", "cache-control", "content-language", "content-type")}
    assert (
        {"etag": put["ETag"], "cache-control": "max-age=60", "content-language": None, "content-type": None}
    ) == shown
    assert (True, "304") == ("last-modified" in headers, error["Code"])


def test_a_delete_marker_says_that_it_can_only_be_deleted(s3: Any, bucket: str) -> None:
    """405 has to come with an Allow header (RFC 9110, section 15.5.6); S3 gives this one."""
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    headers, error = refused(s3.get_object, Bucket=bucket, Key="k", VersionId=marker)
    assert ("DELETE", "true", "MethodNotAllowed") == (headers["allow"], headers["x-amz-delete-marker"], error["Code"])


def test_buckets_of_another_region_are_not_listed(s3: Any, bucket: str) -> None:
    """`bucket-region` filters, as `prefix` does."""
    here = s3.list_buckets(BucketRegion="us-east-1", MaxBuckets=10)["Buckets"]
    there = s3.list_buckets(BucketRegion="eu-west-1", MaxBuckets=10)["Buckets"]
    assert ([bucket], []) == ([found["Name"] for found in here], there)


def test_an_error_names_the_argument(s3: Any, bucket: str) -> None:
    """Which one was wrong, and what it was."""
    _, error = refused(s3.list_object_versions, Bucket=bucket, VersionIdMarker="null")
    _, source = refused(s3.copy_object, Bucket=bucket, Key="k", CopySource="nokey")
    assert ("version-id-marker", "null") == (error["ArgumentName"], error["ArgumentValue"])
    assert ("x-amz-copy-source", "nokey") == (source["ArgumentName"], source["ArgumentValue"])


def test_an_acl_document_without_a_list_changes_nothing(s3: Any, bucket: str) -> None:
    """An empty list takes all grants away; a document that has none is malformed."""
    owner = s3.get_bucket_acl(Bucket=bucket)["Owner"]
    before = s3.get_bucket_acl(Bucket=bucket)["Grants"]
    with pytest.raises(ClientError) as caught:
        s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy={"Owner": owner})
    after = s3.get_bucket_acl(Bucket=bucket)["Grants"]
    s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy={"Owner": owner, "Grants": []})
    emptied = s3.get_bucket_acl(Bucket=bucket)["Grants"]
    assert ((400, "MalformedACLError"), before, []) == (code_of(caught), after, emptied)


@pytest.mark.parametrize("tag", ["a!", "a\nb", "<", "\U0001f600"])
def test_tags_of_other_signs_are_refused(s3: Any, bucket: str, tag: str) -> None:
    """AWS takes letters, digits and blanks of any script and ``+ - = . _ : / @``."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    with pytest.raises(ClientError) as caught:
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "k", "Value": tag}]})
    assert (400, "InvalidTag") == code_of(caught)
