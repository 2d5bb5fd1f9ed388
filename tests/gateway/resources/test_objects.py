"""Objects as clients see them: what was put is what is described, listed, copied and deleted."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s4gw import checksum
from s4gw.checksum import Algorithm

MIB = 1024 * 1024
TEXT = b"GET /api/v1/users/123 HTTP/1.1 200 4521\n" * 40_000


def code_of(caught: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    """Status and S3 code of an error."""
    response: Any = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def test_head_and_get_describe_the_original(s3: Any, bucket: str) -> None:
    """Size, ETag, headers and metadata are the original's, however it is stored."""
    put = s3.put_object(
        Bucket=bucket, Key="k", Body=TEXT, ContentType="text/x-log", CacheControl="no-store", Metadata={"a-b": "1"}
    )
    head = s3.head_object(Bucket=bucket, Key="k")
    got = s3.get_object(Bucket=bucket, Key="k")
    etag = f'"{hashlib.md5(TEXT).hexdigest()}"'
    assert [etag] * 3 == [put["ETag"], head["ETag"], got["ETag"]]
    assert (len(TEXT), "text/x-log", "no-store", {"a-b": "1"}) == (
        head["ContentLength"],
        head["ContentType"],
        head["CacheControl"],
        head["Metadata"],
    )
    assert TEXT == got["Body"].read()


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-", 100, None),
        ("bytes=-7", -7, None),
        ("bytes=1048570-1048580", 1048570, 1048581),
    ],
)
def test_ranges_are_slices(s3: Any, bucket: str, header: str, start: int, end: int | None) -> None:
    """Every form of a range, across frames too."""
    s3.put_object(Bucket=bucket, Key="k", Body=TEXT)
    got = s3.get_object(Bucket=bucket, Key="k", Range=header)
    assert TEXT[start:end] == got["Body"].read()
    assert 206 == got["ResponseMetadata"]["HTTPStatusCode"]


def test_a_download_goes_on_only_where_it_is_the_same_object(s3: Any, bucket: str) -> None:
    """If-Range of another ETag answers with all of the new object, its checksums too, past the end as well."""
    old = s3.put_object(Bucket=bucket, Key="k", Body=b"old bytes")["ETag"]
    new = s3.put_object(Bucket=bucket, Key="k", Body=b"NEW BYTES!")["ETag"]
    sent: dict[str, str] = {}
    s3.meta.events.register("before-call.s3.GetObject", lambda params, **_: params["headers"].update(sent))

    found = []
    for etag, wanted in ((old, "bytes=4-"), (old, "bytes=50-"), (new, "bytes=4-")):
        sent["If-Range"] = etag
        got = s3.get_object(Bucket=bucket, Key="k", Range=wanted, ChecksumMode="ENABLED")
        status = got["ResponseMetadata"]["HTTPStatusCode"]
        found.append((status, got["Body"].read(), got.get("ContentRange"), "ChecksumCRC32" in got))
    sent.clear()

    whole = (200, b"NEW BYTES!", None, True)
    assert [whole, whole, (206, b"BYTES!", "bytes 4-9/10", False)] == found


def test_a_range_outside_is_refused(s3: Any, bucket: str) -> None:
    """416 with the size, as S3."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"abc")
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="k", Range="bytes=3-")
    assert (416, "InvalidRange") == code_of(caught)


def test_metadata_of_gateways_and_unkept_promises(s3: Any, bucket: str) -> None:
    """``s4-*`` metadata change nothing, so that this can be a gateway's upstream; what would not be done is refused."""
    sent = {"s4-framed": "true", "s4-codec": "cpu-zstd", "mine": "1"}
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata=sent)
    found = s3.get_object(Bucket=bucket, Key="k")
    assert (sent, b"x") == (found["Metadata"], found["Body"].read())
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="e", Body=b"x", ServerSideEncryption="AES256")
    assert (501, "NotImplemented") == code_of(caught)
    with pytest.raises(ClientError) as caught:
        s3.head_object(Bucket=bucket, Key="e")
    assert 404 == code_of(caught)[0]


def test_conditional_requests(s3: Any, bucket: str) -> None:
    """Reads answer 304 and 412, writes 412 and 404, and nothing changes then."""
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"one")["ETag"]
    outcomes = []
    refused: list[tuple[str, dict[str, Any]]] = [
        ("get_object", {"Key": "k", "IfNoneMatch": etag}),
        ("get_object", {"Key": "k", "IfMatch": '"other"'}),
        ("put_object", {"Key": "k", "Body": b"two", "IfNoneMatch": "*"}),
        ("put_object", {"Key": "k", "Body": b"two", "IfMatch": '"other"'}),
        ("put_object", {"Key": "absent", "Body": b"two", "IfMatch": etag}),
    ]
    for name, options in refused:
        with pytest.raises(ClientError) as caught:
            getattr(s3, name)(Bucket=bucket, **options)
        outcomes.append(code_of(caught)[0])
    assert [304, 412, 412, 412, 404] == outcomes
    assert b"one" == s3.get_object(Bucket=bucket, Key="k")["Body"].read()


def test_a_copy_replaces_or_keeps_what_the_directives_say(s3: Any, bucket: str) -> None:
    """Metadata and tags follow their directives; a copy onto itself has to change something."""
    s3.put_object(Bucket=bucket, Key="a", Body=TEXT, Metadata={"m": "1"}, Tagging="t=1")
    source = {"Bucket": bucket, "Key": "a"}
    s3.copy_object(Bucket=bucket, Key="kept", CopySource=source)
    s3.copy_object(
        Bucket=bucket,
        Key="replaced",
        CopySource=source,
        MetadataDirective="REPLACE",
        Metadata={"n": "2"},
        TaggingDirective="REPLACE",
        Tagging="u=2",
    )
    with pytest.raises(ClientError) as caught:
        s3.copy_object(Bucket=bucket, Key="a", CopySource=source)
    metadata = [s3.head_object(Bucket=bucket, Key=key)["Metadata"] for key in ("kept", "replaced")]
    tags = [s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] for key in ("kept", "replaced")]
    assert [{"m": "1"}, {"n": "2"}] == metadata
    assert [[{"Key": "t", "Value": "1"}], [{"Key": "u", "Value": "2"}]] == tags
    assert TEXT == s3.get_object(Bucket=bucket, Key="replaced")["Body"].read()
    assert (400, "InvalidRequest") == code_of(caught)


def test_where_an_object_redirects_to_is_not_copied(s3: Any, bucket: str) -> None:
    """As in S3, it is the object's own: a copy has what its request says, whatever becomes of the other headers."""
    source = {"Bucket": bucket, "Key": "a"}
    s3.put_object(**source, Body=b"a", ContentType="a/b", WebsiteRedirectLocation="/old")
    s3.copy_object(Bucket=bucket, Key="kept", CopySource=source)
    s3.copy_object(Bucket=bucket, Key="own", CopySource=source, WebsiteRedirectLocation="/new")
    s3.copy_object(**source, CopySource=source, WebsiteRedirectLocation="/self")
    heads = [s3.head_object(Bucket=bucket, Key=key) for key in ("kept", "own", "a")]
    expected = [("a/b", None), ("a/b", "/new"), ("a/b", "/self")]
    assert expected == [(head["ContentType"], head.get("WebsiteRedirectLocation")) for head in heads]


@pytest.mark.parametrize("algorithm", Algorithm)
def test_every_checksum_of_s3_is_held_against_the_body(s3: Any, bucket: str, algorithm: Algorithm) -> None:
    """A wrong one is refused; a right one is kept, told with the object, in listings and of a copy."""
    member, value = f"Checksum{algorithm}", checksum.b64(checksum.of_whole(algorithm, TEXT))
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="k", Body=TEXT[:-1], **{member: value})
    put = s3.put_object(Bucket=bucket, Key="k", Body=TEXT, **{member: value})
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    attributes = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["Checksum"])["Checksum"]
    (listed,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"})["CopyObjectResult"]
    assert (400, "BadDigest") == code_of(caught)
    assert [value] * 4 == [answer[member] for answer in (put, head, attributes, copied)]
    assert ["FULL_OBJECT"] * 4 == [answer["ChecksumType"] for answer in (put, head, attributes, copied)]
    assert [algorithm] == listed["ChecksumAlgorithm"]


def test_a_copy_with_another_checksum_computes_it(s3: Any, bucket: str) -> None:
    """The checksum that a copy asks for is that of its bytes."""
    s3.put_object(Bucket=bucket, Key="a", Body=TEXT)
    s3.copy_object(Bucket=bucket, Key="b", CopySource={"Bucket": bucket, "Key": "a"}, ChecksumAlgorithm="SHA256")
    head = s3.head_object(Bucket=bucket, Key="b", ChecksumMode="ENABLED")
    assert base64.b64encode(hashlib.sha256(TEXT).digest()).decode() == head["ChecksumSHA256"]


def test_rename_moves_and_leaves_nothing(s3: Any, bucket: str) -> None:
    """The object is under its new key only."""
    s3.put_object(Bucket=bucket, Key="old", Body=b"x")
    s3.rename_object(Bucket=bucket, Key="new", RenameSource=f"{bucket}/old")
    listed = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert ["new"] == listed


def test_delete_objects_tells_each_verdict(s3: Any, bucket: str) -> None:
    """What is there and what is not are both deleted; a failed precondition is told and does not stop the rest."""
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    s3.put_object(Bucket=bucket, Key="b", Body=b"x")
    answer = s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": "a"}, {"Key": "absent"}, {"Key": "b", "ETag": '"other"'}]}
    )
    assert {"a", "absent"} == {entry["Key"] for entry in answer["Deleted"]}
    assert [("b", "PreconditionFailed")] == [(entry["Key"], entry["Code"]) for entry in answer["Errors"]]


def test_a_delete_marker_hides_and_names_itself(s3: Any, bucket: str) -> None:
    """In a versioned bucket the key is gone and its version is not."""
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["VersionId"]
    marker = s3.delete_object(Bucket=bucket, Key="k")
    with pytest.raises(ClientError) as hidden:
        s3.get_object(Bucket=bucket, Key="k")
    with pytest.raises(ClientError) as named:
        s3.get_object(Bucket=bucket, Key="k", VersionId=marker["VersionId"])
    assert [(404, "NoSuchKey"), (405, "MethodNotAllowed")] == [code_of(hidden), code_of(named)]
    assert b"x" == s3.get_object(Bucket=bucket, Key="k", VersionId=version)["Body"].read()
