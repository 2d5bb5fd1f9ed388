"""aws-cli, as people use it: the high-level commands as processes, and every s3api operation of ours."""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
import importlib
import io
import json
import os
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.live import datasets
from tests.live.gateway import Gateway

pytestmark = pytest.mark.clients
Run = Callable[..., str]
MIB = 1024**2


def cli(*words: str | Path) -> str:
    """Run one command inside this process, which saves a second each. Gives what it prints."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = importlib.import_module("awscli.clidriver").create_clidriver().main([str(word) for word in words])
    assert status == 0, f"{' '.join(map(str, words))}: {errors.getvalue()}"
    return output.getvalue()


def api(*words: str | Path) -> Any:
    """Run one s3api command. Gives its parsed output."""
    return json.loads(cli("s3api", *words, "--output", "json") or "{}")


@pytest.fixture
def aws(gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment for `cli`; gives a folder to work in."""
    for name in list(os.environ):
        if name.startswith("AWS_") and name != "AWS_DATA_PATH":  # which aws-cli sets for itself
            monkeypatch.delenv(name)
    for name, value in gateway.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "body").write_bytes(b"hello s4gw\n" * 1000)
    (tmp_path / "part1").write_bytes(b"1" * 5 * MIB)
    (tmp_path / "part2").write_bytes(b"2" * 1000)
    return tmp_path


def same(left: Path, right: Path) -> list[str]:
    """Compare two trees. Returns names that differ or are missing on one side."""
    names = {path.relative_to(root) for root in (left, right) for path in root.rglob("*") if path.is_file()}
    pairs = ((left / name, right / name, name) for name in sorted(names))
    return [str(name) for a, b, name in pairs if not (a.is_file() and b.is_file() and filecmp.cmp(a, b, shallow=False))]


def test_sync_a_tree_and_back(bucket: str, command: Run, tmp_path: Path) -> None:
    """A documentation tree with odd names goes up and comes back; a second sync moves nothing either way."""
    tree, back = tmp_path / "tree", tmp_path / "back"
    tree.mkdir()
    datasets.document_tree(tree)
    command("aws", "s3", "sync", tree, f"s3://{bucket}/docs", "--no-progress")
    again = command("aws", "s3", "sync", tree, f"s3://{bucket}/docs", "--no-progress")
    command("aws", "s3", "sync", f"s3://{bucket}/docs", back, "--no-progress")
    back_again = command("aws", "s3", "sync", f"s3://{bucket}/docs", back, "--no-progress")
    assert ("", "", []) == (again, back_again, same(tree, back))


@pytest.mark.parametrize("name", list(datasets.FILES))
def test_copy_every_kind_of_file(bucket: str, aws: Path, files: Path, name: str) -> None:
    """`aws s3 cp`, single and multipart, gives every kind of content back bit for bit."""
    source = datasets.make(name, files)
    cli("s3", "cp", source, f"s3://{bucket}/{name}", "--no-progress")
    cli("s3", "cp", f"s3://{bucket}/{name}", aws / "back", "--no-progress")
    assert filecmp.cmp(source, aws / "back", shallow=False)


def test_move_remove_list_presign(bucket: str, aws: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """mv, ls, presign, rm, mb and rb do what they say."""
    source = datasets.make("nginx-16m", files)
    cli("s3", "cp", source, f"s3://{bucket}/a/big", "--no-progress")
    cli("s3", "mv", f"s3://{bucket}/a/big", f"s3://{bucket}/b/big", "--no-progress")
    listed = cli("s3", "ls", f"s3://{bucket}", "--recursive").split()
    folders = cli("s3", "ls", f"s3://{bucket}").split()
    (aws / "v4").write_text("[default]\ns3 =\n  signature_version = s3v4\n")  # version 1 presigns with SigV2
    with monkeypatch.context() as configured:
        configured.setenv("AWS_CONFIG_FILE", str(aws / "v4"))
        link = cli("s3", "presign", f"s3://{bucket}/b/big", "--expires-in", "60").strip()
    with urllib.request.urlopen(link, timeout=60) as answer:
        digest = hashlib.sha256(answer.read()).hexdigest()
    cli("s3", "rm", f"s3://{bucket}", "--recursive")
    cli("s3", "rb", f"s3://{bucket}")
    expected = ([str(source.stat().st_size), "b/big"], ["PRE", "b/"], hashlib.sha256(source.read_bytes()).hexdigest())
    assert expected == (listed[2:], folders, digest)


def test_streams(bucket: str, command: Run, tmp_path: Path) -> None:
    """`cp -` from and to pipes works, which is how dumps are stored."""
    script = f"seq 1 200000 | aws s3 cp - s3://{bucket}/seq && aws s3 cp s3://{bucket}/seq - | sha256sum"
    digest = command("bash", "-c", script).split()[0]
    expected = hashlib.sha256("".join(f"{n}\n" for n in range(1, 200_001)).encode()).hexdigest()
    assert expected == digest


def test_api_buckets(aws: Path, bucket: str) -> None:
    """ListBuckets, CreateBucket, HeadBucket, GetBucketLocation, DeleteBucket."""
    api("create-bucket", "--bucket", f"{bucket}-b")
    api("head-bucket", "--bucket", f"{bucket}-b")
    names = [entry["Name"] for entry in api("list-buckets")["Buckets"]]
    location = api("get-bucket-location", "--bucket", f"{bucket}-b")["LocationConstraint"]
    api("delete-bucket", "--bucket", f"{bucket}-b")
    left = [entry["Name"] for entry in api("list-buckets")["Buckets"]]
    assert (True, False, None) == (f"{bucket}-b" in names, f"{bucket}-b" in left, location)


def test_api_objects(aws: Path, bucket: str) -> None:
    """PutObject, HeadObject, GetObject with a range, CopyObject, GetObjectAttributes, deletes."""
    where = ("--bucket", bucket, "--key")
    put = api("put-object", *where, "k", "--body", "body", "--metadata", "a_b=1,c-d=2", "--content-type", "text/plain")
    head = api("head-object", *where, "k", "--checksum-mode", "ENABLED")
    part = api("get-object", *where, "k", "--range", "bytes=6-9", aws / "out")
    copied = api("copy-object", *where, "copy", "--copy-source", f"{bucket}/k")
    attributes = api("get-object-attributes", *where, "copy", "--object-attributes", "ETag", "ObjectSize", "Checksum")
    api("delete-object", *where, "k")
    deleted = api("delete-objects", "--bucket", bucket, "--delete", "Objects=[{Key=copy},{Key=nobody}]")
    size = (aws / "body").stat().st_size
    assert api("list-objects-v2", "--bucket", bucket).get("KeyCount", 0) == 0
    assert (b"s4gw", "bytes 6-9/11000") == ((aws / "out").read_bytes(), part["ContentRange"])
    assert {"nobody", "copy"} == {entry["Key"] for entry in deleted["Deleted"]}
    assert (size, {"a_b": "1", "c-d": "2"}, "text/plain") == (
        head["ContentLength"],
        head["Metadata"],
        head["ContentType"],
    )
    assert (put["ETag"], size) == (f'"{attributes["ETag"]}"', attributes["ObjectSize"])
    assert put["ETag"] == copied["CopyObjectResult"]["ETag"]
    assert put["ChecksumCRC32"] == head["ChecksumCRC32"]


def test_api_rename(aws: Path, bucket: str) -> None:
    """RenameObject, which the embedded store does in one transaction."""
    where = ("--bucket", bucket, "--key")
    api("put-object", *where, "k", "--body", "body")
    api("rename-object", *where, "renamed", "--rename-source", f"/{bucket}/k")
    left = [entry["Key"] for entry in api("list-objects-v2", "--bucket", bucket)["Contents"]]
    api("get-object", *where, "renamed", aws / "out")
    assert (["renamed"], (aws / "body").read_bytes()) == (left, (aws / "out").read_bytes())


def test_api_listings(aws: Path, bucket: str) -> None:
    """ListObjects and ListObjectsV2 with prefix, delimiter, start-after, paging and owner."""
    for key in ("a", "dir/1", "dir/2", "dir/sub/3", "z&<>"):
        api("put-object", "--bucket", bucket, "--key", key)
    first = api("list-objects", "--bucket", bucket, "--delimiter", "/")
    second = api("list-objects-v2", "--bucket", bucket, "--prefix", "dir/", "--delimiter", "/", "--fetch-owner")
    paged = api("list-objects-v2", "--bucket", bucket, "--page-size", "2")
    after = api("list-objects-v2", "--bucket", bucket, "--start-after", "dir/2")
    keys = [[entry["Key"] for entry in page["Contents"]] for page in (first, second, paged, after)]
    prefixes = [[entry["Prefix"] for entry in page["CommonPrefixes"]] for page in (first, second)]
    everything = ["a", "dir/1", "dir/2", "dir/sub/3", "z&<>"]
    assert [["a", "z&<>"], ["dir/1", "dir/2"], everything, ["dir/sub/3", "z&<>"]] == keys
    assert [["dir/"], ["dir/sub/"]] == prefixes
    assert {"1a" * 32} == {entry["Owner"]["ID"] for entry in second["Contents"]}


def test_api_multipart(aws: Path, bucket: str) -> None:
    """Every multipart operation, UploadPartCopy with a byte range among them."""
    where = ("--bucket", bucket, "--key", "big")
    api("put-object", "--bucket", bucket, "--key", "source", "--body", "body")
    upload = ("--upload-id", api("create-multipart-upload", *where)["UploadId"])
    etags = [
        api("upload-part", *where, *upload, "--part-number", "1", "--body", "part1")["ETag"],
        api("upload-part-copy", *where, *upload, "--part-number", "2", "--copy-source", f"{bucket}/source",
            "--copy-source-range", "bytes=0-10")["CopyPartResult"]["ETag"],
        api("upload-part", *where, *upload, "--part-number", "3", "--body", "part2")["ETag"],
    ]  # fmt: skip
    parts = api("list-parts", *where, *upload)["Parts"]
    uploads = api("list-multipart-uploads", "--bucket", bucket)["Uploads"]
    chosen = [{"ETag": etags[0], "PartNumber": 1}, {"ETag": etags[2], "PartNumber": 3}]
    done = api("complete-multipart-upload", *where, *upload, "--multipart-upload", json.dumps({"Parts": chosen}))
    other = ("--upload-id", api("create-multipart-upload", *where)["UploadId"])
    api("abort-multipart-upload", *where, *other)
    api("get-object", *where, "out")
    md5s = [hashlib.md5((aws / name).read_bytes()).digest() for name in ("part1", "part2")]
    assert (aws / "out").read_bytes() == (aws / "part1").read_bytes() + (aws / "part2").read_bytes()
    assert f'"{hashlib.md5(b"".join(md5s)).hexdigest()}-2"' == done["ETag"]
    assert [(1, 5 * MIB), (2, 11), (3, 1000)] == [(part["PartNumber"], part["Size"]) for part in parts]
    assert ["big"] == [entry["Key"] for entry in uploads]
    assert "Uploads" not in api("list-multipart-uploads", "--bucket", bucket)


def test_api_tagging(aws: Path, bucket: str) -> None:
    """Tags of objects and buckets are put, given back and deleted."""
    tags = [{"Key": "a b", "Value": "1+2=3"}]
    given = []
    for kind, where in (("bucket", ["--bucket", bucket]), ("object", ["--bucket", bucket, "--key", "k"])):
        if kind == "object":
            api("put-object", *where)
        api(f"put-{kind}-tagging", *where, "--tagging", json.dumps({"TagSet": tags}))
        given.append(api(f"get-{kind}-tagging", *where)["TagSet"])
        api(f"delete-{kind}-tagging", *where)
    left = api("get-object-tagging", "--bucket", bucket, "--key", "k")["TagSet"]
    assert ([tags, tags], []) == (given, left)


CORS = {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["https://example.com"], "MaxAgeSeconds": 60}]}
OWNERSHIP = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
BLOCK = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)


@pytest.mark.parametrize(
    ("name", "flag", "document"),
    [
        ("bucket-cors", "--cors-configuration", CORS),
        ("bucket-ownership-controls", "--ownership-controls", OWNERSHIP),
        ("public-access-block", "--public-access-block-configuration", BLOCK),
    ],
)
def test_api_bucket_configuration(aws: Path, bucket: str, name: str, flag: str, document: dict[str, Any]) -> None:
    """A configuration that is accepted comes back as it was, and goes when it is deleted."""
    api(f"put-{name}", "--bucket", bucket, flag, json.dumps(document))
    stored = api(f"get-{name}", "--bucket", bucket)
    api(f"delete-{name}", "--bucket", bucket)
    assert document in (stored, *stored.values())


def test_api_policy(aws: Path, bucket: str) -> None:
    """A bucket policy is stored, given back and deleted."""
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteBucket", "Resource": f"arn:aws:s3:::{bucket}"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    api("put-bucket-policy", "--bucket", bucket, "--policy", json.dumps(policy))
    stored = json.loads(api("get-bucket-policy", "--bucket", bucket)["Policy"])
    api("delete-bucket-policy", "--bucket", bucket)
    assert policy == stored
