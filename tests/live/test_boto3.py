"""boto3: every kind of content by single PUT, by multipart and through the transfer manager; ranges; presigning."""

from __future__ import annotations

import hashlib
import io
import random
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from tests.live import datasets
from tests.live.gateway import Gateway

MIB = 1024**2
RANGES = 250
PARTED = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)


@pytest.mark.parametrize("name", list(datasets.FILES))
def test_whole_and_by_ranges(s3: Any, bucket: str, files: Path, name: str) -> None:
    """Every kind of content, by PUT and by the transfer manager, comes back whole and by 250 random ranges."""
    data = datasets.make(name, files).read_bytes()
    put = s3.put_object(Bucket=bucket, Key="put", Body=data)
    s3.upload_fileobj(io.BytesIO(data), bucket, "parts", Config=PARTED)
    rng, wrong = random.Random(name), []
    for key in ("put", "parts"):
        got = s3.get_object(Bucket=bucket, Key=key)
        if got["Body"].read() != data or got["ContentLength"] != len(data):
            wrong.append(f"{key} as a whole")
    spans = []
    for number in range(RANGES if data else 0):
        start, end = sorted((rng.randrange(len(data)), rng.randrange(len(data))))
        # most readers want little: footers, pages, headers
        spans.append((start, end if number % 50 == 0 else min(end, start + 5000)))

    def check(span: tuple[int, int]) -> str | None:
        start, end = span
        key = "parts" if start % 2 else "put"
        body = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{end}")["Body"].read()
        return None if body == data[start : end + 1] else f"{key} {start}-{end}"

    with ThreadPoolExecutor(4) as pool:
        wrong += [found for found in pool.map(check, spans) if found]
    assert ([], f'"{hashlib.md5(data).hexdigest()}"') == (wrong, put["ETag"])


def test_transfer_manager(s3: Any, bucket: str, files: Path, tmp_path: Path) -> None:
    """upload_file and download_file in parallel parts; the listing shows original size and multipart ETag."""
    source = datasets.make("nginx-16m", files)
    s3.upload_file(str(source), bucket, "f", Config=PARTED, ExtraArgs={"Metadata": {"who": "me"}})
    s3.download_file(bucket, "f", str(tmp_path / "back"), Config=PARTED)
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    head = s3.head_object(Bucket=bucket, Key="f")
    data = source.read_bytes()
    md5s = [hashlib.md5(data[start : start + 5 * MIB]).digest() for start in range(0, len(data), 5 * MIB)]
    etag = f'"{hashlib.md5(b"".join(md5s)).hexdigest()}-{len(md5s)}"'
    assert (data, len(data), etag) == ((tmp_path / "back").read_bytes(), listed["Size"], listed["ETag"])
    assert (etag, len(data), {"who": "me"}) == (head["ETag"], head["ContentLength"], head["Metadata"])


def test_part_numbers(s3: Any, bucket: str, files: Path) -> None:
    """GET and HEAD by part number give that part's original bytes."""
    data = datasets.make("nginx-16m", files).read_bytes()
    s3.upload_fileobj(io.BytesIO(data), bucket, "f", Config=PARTED)
    got = s3.get_object(Bucket=bucket, Key="f", PartNumber=2)
    body = got["Body"].read()
    assert (data[5 * MIB : 10 * MIB], 4) == (body, got["PartsCount"])


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_checksums(s3: Any, bucket: str, algorithm: str) -> None:
    """A checksum that boto3 computes is verified, kept and given back, for PUTs and for multipart uploads."""
    data = b"checksum me\n" * 600_000
    extra = {"ChecksumAlgorithm": algorithm}
    put = s3.put_object(Bucket=bucket, Key="put", Body=data, **extra)
    s3.upload_fileobj(io.BytesIO(data), bucket, "parts", Config=PARTED, ExtraArgs=extra)
    field = f"Checksum{algorithm}"
    heads = [s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED") for key in ("put", "parts")]
    body = s3.get_object(Bucket=bucket, Key="parts", ChecksumMode="ENABLED")["Body"].read()
    assert (data, put[field], True) == (body, heads[0][field], bool(heads[1].get(field)))


def test_presigned_get_put(s3: Any, bucket: str) -> None:
    """Presigned URLs work from any HTTP client, with response overrides, and for their one request only."""
    data = b"presigned\n" * 1000
    link = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=60)
    urllib.request.urlopen(urllib.request.Request(link, data=data, method="PUT"), timeout=30).close()
    params = {"Bucket": bucket, "Key": "k", "ResponseContentType": "text/x-own"}
    link = s3.generate_presigned_url("get_object", Params=params, ExpiresIn=60)
    with urllib.request.urlopen(link, timeout=30) as answer:
        body, kind = answer.read(), answer.headers["Content-Type"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(link.replace("/k?", "/other?"), timeout=30)
    assert (data, "text/x-own", 403) == (body, kind, refused.value.code)


@pytest.mark.parametrize(("size", "status"), [(9, 400), (10, 204), (10_000, 204), (10_001, 400)])
def test_presigned_post(s3: Any, gateway: Gateway, bucket: str, size: int, status: int) -> None:
    """A browser form uploads what its policy allows, and nothing smaller or larger."""
    conditions = [["content-length-range", 10, 10_000], ["starts-with", "$Content-Type", "text/"]]
    # What is no URL is as if it were not there: S3 says so, and a header cannot be broken out of.
    fields = {"Content-Type": "text/plain", "success_action_redirect": "http://a/\r\nx: y"}
    conditions.append(["starts-with", "$success_action_redirect", ""])
    form = s3.generate_presigned_post(bucket, "up/${filename}", Fields=fields, Conditions=conditions, ExpiresIn=60)
    mark = "----------7e44boundary"
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in form["fields"].items()
    ]
    parts.append(f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n')
    body = "".join(parts).encode() + b"p" * size + f"\r\n--{mark}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={mark}"}
    request = urllib.request.Request(form["url"], data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            got = answer.status
    except urllib.error.HTTPError as error:
        got = error.code
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    assert (status, ["up/a.txt"] if status == 204 else []) == (got, keys)


def test_conditional_writes_are_atomic(s3: Any, bucket: str) -> None:
    """Of sixteen writers that all say If-None-Match: *, exactly one wins."""

    def write(number: int) -> int:
        try:
            s3.put_object(Bucket=bucket, Key="once", Body=b"%d" % number * 10_000, IfNoneMatch="*")
        except ClientError as error:
            return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
        return 200

    with ThreadPoolExecutor(16) as pool:
        statuses = sorted(pool.map(write, range(16)))
    assert (200, True) == (statuses[0], set(statuses[1:]) <= {409, 412})


def test_nothing_is_stored_larger(gateway: Gateway, s3: Any, bucket: str) -> None:
    """Noise costs at most 0.1 % and 256 bytes more than it is."""
    size = 9 * MIB + 17
    before = gateway.metric("s4_stored_bytes_total")
    s3.put_object(Bucket=bucket, Key="noise", Body=random.Random(1).randbytes(size))
    grown = gateway.metric("s4_stored_bytes_total") - before
    assert 0 < grown <= size * 1.001 + 256
