"""Multipart uploads, step by step."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from s4gw import checksum
from s4gw.checksum import Algorithm
from tests.gateway.resources.test_objects import MIB, TEXT, code_of

FIRST = (TEXT * 4)[: 5 * MIB]
SECOND = b"the end"


def uploaded(s3: Any, bucket: str, **options: Any) -> dict[str, Any]:
    """An upload with two parts, ready to be completed."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", **options)["UploadId"]
    target = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    asked = {name: options[name] for name in ("ChecksumAlgorithm",) if name in options}
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**target, **asked, PartNumber=number, Body=body)["ETag"]}
        for number, body in enumerate((FIRST, SECOND), 1)
    ]
    return {**target, "MultipartUpload": {"Parts": parts}}


def test_parts_become_one_object(s3: Any, bucket: str) -> None:
    """The object, each of its parts and its attributes are the originals'."""
    answer = s3.complete_multipart_upload(**uploaded(s3, bucket, Metadata={"m": "1"}))
    whole = s3.get_object(Bucket=bucket, Key="k")
    second = s3.get_object(Bucket=bucket, Key="k", PartNumber=2)
    attributes = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectSize", "ObjectParts"])
    assert answer["ETag"].endswith('-2"')
    assert (FIRST + SECOND, {"m": "1"}) == (whole["Body"].read(), whole["Metadata"])
    assert (SECOND, 2) == (second["Body"].read(), second["PartsCount"])
    assert (len(FIRST + SECOND), 2) == (attributes["ObjectSize"], attributes["ObjectParts"]["TotalPartsCount"])


def test_a_repeated_complete_gets_the_same_answer(s3: Any, bucket: str) -> None:
    """A client that lost the answer may ask again."""
    request = uploaded(s3, bucket)
    first, second = s3.complete_multipart_upload(**request), s3.complete_multipart_upload(**request)
    assert first["ETag"] == second["ETag"]


@pytest.mark.parametrize(
    "change", [lambda parts: parts[:1], lambda parts: parts[::-1], lambda parts: [*parts, parts[0]]]
)
def test_a_complete_with_other_parts_is_no_repetition(s3: Any, bucket: str, change: Any) -> None:
    """Nobody is told that the object consists of parts that it does not consist of."""
    request = uploaded(s3, bucket)
    s3.complete_multipart_upload(**request)
    parts = request["MultipartUpload"]["Parts"]
    with pytest.raises(ClientError) as caught:
        s3.complete_multipart_upload(**request | {"MultipartUpload": {"Parts": change(parts)}})
    assert (404, "NoSuchUpload") == code_of(caught)


def test_listing_and_aborting(s3: Any, bucket: str) -> None:
    """Uploads and parts show while they last, with sizes of the originals, and are gone after an abort."""
    request = uploaded(s3, bucket)
    target = {name: request[name] for name in ("Bucket", "Key", "UploadId")}
    sizes = [part["Size"] for part in s3.list_parts(**target)["Parts"]]
    listed = [entry["UploadId"] for entry in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]]
    s3.abort_multipart_upload(**target)
    with pytest.raises(ClientError) as caught:
        s3.list_parts(**target)
    assert ([len(FIRST), len(SECOND)], [target["UploadId"]]) == (sizes, listed)
    assert (404, "NoSuchUpload") == code_of(caught)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_a_part_of_another_object_by_range(s3: Any, bucket: str) -> None:
    """A copied range is the original's bytes, cut anew."""
    s3.put_object(Bucket=bucket, Key="source", Body=TEXT)
    target = {"Bucket": bucket, "Key": "k"}
    target["UploadId"] = s3.create_multipart_upload(**target)["UploadId"]
    copied = s3.upload_part_copy(
        **target, PartNumber=1, CopySource={"Bucket": bucket, "Key": "source"}, CopySourceRange="bytes=10-1048600"
    )
    parts = [{"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}]
    s3.complete_multipart_upload(**target, MultipartUpload={"Parts": parts})
    assert TEXT[10:1048601] == s3.get_object(Bucket=bucket, Key="k")["Body"].read()


@pytest.mark.parametrize("algorithm", ["SHA512", "XXHASH64", "XXHASH3", "XXHASH128"])
def test_checksums_of_parts_make_that_of_the_object(s3: Any, bucket: str, algorithm: str) -> None:
    """Where they cannot be combined it is the checksum of checksums; a full one cannot be had."""
    with pytest.raises(ClientError) as caught:
        uploaded(s3, bucket, ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT")
    request = uploaded(s3, bucket, ChecksumAlgorithm=algorithm)
    done = s3.complete_multipart_upload(**request)
    kind = Algorithm(algorithm)
    digests = b"".join(checksum.of_whole(kind, part) for part in (FIRST, SECOND))
    assert (400, "InvalidRequest") == code_of(caught)
    assert f"{checksum.b64(checksum.of_whole(kind, digests))}-2" == done[f"Checksum{algorithm}"]
    assert FIRST + SECOND == s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["Body"].read()


def test_a_whole_checksum_that_is_wrong_is_refused(s3: Any, bucket: str) -> None:
    """The object does not appear, and the upload is still there."""
    request = uploaded(s3, bucket, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    with pytest.raises(ClientError) as caught:
        s3.complete_multipart_upload(**request, ChecksumCRC32="AAAAAA==", ChecksumType="FULL_OBJECT")
    with pytest.raises(ClientError) as absent:
        s3.head_object(Bucket=bucket, Key="k")
    assert ((400, "BadDigest"), 404) == (code_of(caught), code_of(absent)[0])
    assert s3.complete_multipart_upload(**request)["ETag"].endswith('-2"')
