"""Size: ratio on S4's benchmark log, memory that does not follow the object, and several GiB at once."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.live import datasets, upstreams
from tests.live import gateway as live
from tests.live.gateway import Gateway

MIB, GIB = 1024**2, 1024**3
RATIO_MIN = 1400
RESIDENT_ONE_MAX = 100 * MIB
RESIDENT_EACH_MAX = 60 * MIB


@pytest.fixture(params=["disk", pytest.param("upstream", marks=pytest.mark.large)])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway with an empty store, whose size can be measured; or one in front of such a one."""
    with contextlib.ExitStack() as stack:
        if request.param == "disk":
            running = stack.enter_context(live.running(tmp_path))
        else:
            store = stack.enter_context(upstreams.s4gw(tmp_path / "up", "--codec", "passthrough"))
            running = stack.enter_context(upstreams.in_front(tmp_path / "front", store))
        running.client().create_bucket(Bucket="large")
        yield running


@pytest.mark.clients
def test_ratio_of_plain_aws_cp(gateway: Gateway, command: Callable[..., str], bucket: str, tmp_path: Path) -> None:
    """The 256 MiB nginx set, uploaded by `aws s3 cp` in 8 MiB parts, is stored at 1,400x or better and comes back."""
    source, digest = tmp_path / "nginx", hashlib.sha256()
    with source.open("wb") as sink:
        for block in datasets.nginx():
            digest.update(block)
            sink.write(block)
    before = gateway.metric("s4_stored_bytes_total")
    command("aws", "s3", "cp", source, f"s3://{bucket}/nginx", "--no-progress")
    stored = gateway.metric("s4_stored_bytes_total") - before
    command("bash", "-c", f"aws s3 cp s3://{bucket}/nginx - | sha256sum > back")
    back = (tmp_path / "home" / "back").read_text().split()[0]
    assert (digest.hexdigest(), True) == (back, datasets.NGINX_BYTES / stored >= RATIO_MIN)


@contextlib.contextmanager
def peak(own: Gateway) -> Iterator[list[int]]:
    """Watch the workers' largest resident set; its growth in bytes is in the list afterwards."""
    stop, found, before = threading.Event(), [0], own.resident_bytes()

    def watch() -> None:
        while not stop.wait(0.1):
            found[0] = max(found[0], own.resident_bytes() - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def warm_up(own: Gateway) -> None:
    """Let every worker import and allocate what it does once."""
    client = own.client()
    for number in range(16):
        client.put_object(Bucket="large", Key=f"warm-{number}", Body=b"w" * 3 * MIB)
        client.get_object(Bucket="large", Key=f"warm-{number}")["Body"].read()


def put(own: Gateway, key: str, size: int) -> str:
    """Stream *size* synthetic bytes in one PUT. Returns their SHA-256."""
    digest, link = hashlib.sha256(), http.client.HTTPConnection("127.0.0.1", own.port, timeout=600)
    url = own.client().generate_presigned_url("put_object", Params={"Bucket": "large", "Key": key}, ExpiresIn=3600)

    def blocks() -> Iterator[bytes]:
        for block in datasets.synthetic(size):
            digest.update(block)
            yield block

    link.request("PUT", url.removeprefix(own.url), body=blocks(), headers={"Content-Length": str(size)})
    answer = link.getresponse()
    assert answer.status == 200, answer.read()
    return digest.hexdigest()


def get(own: Gateway, key: str) -> str:
    """Read a whole object. Returns its SHA-256."""
    digest, body = hashlib.sha256(), own.client().get_object(Bucket="large", Key=key)["Body"]
    for block in body.iter_chunks(MIB):
        digest.update(block)
    return digest.hexdigest()


def ranges_differ(own: Gateway, key: str, size: int) -> list[int]:
    """Read 1,000 random ranges. Returns the starts of those that are wrong."""
    rng, client, wrong = random.Random(1), own.client(), []
    noise, text = (b"".join(datasets.synthetic(MIB))[8:], b"".join(datasets.nginx(MIB))[8:])
    for _ in range(1000):
        number, start = rng.randrange(size // MIB), rng.randrange(MIB - 5000)
        first = number * MIB + start
        block = number.to_bytes(8, "little") + (noise if number % 4 == 0 else text)
        got = client.get_object(Bucket="large", Key=key, Range=f"bytes={first}-{first + 4999}")["Body"].read()
        if got != block[start : start + 5000]:
            wrong.append(first)
    return wrong


@pytest.mark.large
def test_five_gib_by_single_put(own: Gateway) -> None:
    """5 GiB in one PUT come back whole and by 1,000 ranges, within 100 MiB more memory."""
    warm_up(own)
    with peak(own) as grown:
        written = put(own, "five", 5 * GIB)
        read = get(own, "five")
    wrong = ranges_differ(own, "five", 5 * GIB)
    assert (written, [], True) == (read, wrong, grown[0] < RESIDENT_ONE_MAX)


@pytest.mark.large
def test_five_gib_by_multipart(own: Gateway) -> None:
    """5 GiB in 64 MiB parts come back whole and by 1,000 ranges, within 100 MiB more memory."""
    warm_up(own)
    client: Any = own.client()
    upload = client.create_multipart_upload(Bucket="large", Key="parts")["UploadId"]
    parts: list[dict[str, Any]] = []
    digest, pending = hashlib.sha256(), bytearray()
    with peak(own) as grown:
        for block in datasets.synthetic(5 * GIB):
            digest.update(block)
            pending += block
            if len(pending) == 64 * MIB:
                where = {"Bucket": "large", "Key": "parts", "UploadId": upload, "PartNumber": len(parts) + 1}
                etag = client.upload_part(**where, Body=bytes(pending))["ETag"]
                parts.append({"ETag": etag, "PartNumber": len(parts) + 1})
                pending.clear()
        client.complete_multipart_upload(Bucket="large", Key="parts", UploadId=upload, MultipartUpload={"Parts": parts})
        read = get(own, "parts")
    wrong = ranges_differ(own, "parts", 5 * GIB)
    assert (digest.hexdigest(), [], True) == (read, wrong, grown[0] < RESIDENT_ONE_MAX)


@pytest.mark.large
def test_eight_at_once(own: Gateway) -> None:
    """Eight uploads and downloads of 1 GiB at once cost less than 60 MiB each."""
    warm_up(own)
    keys = [f"at-once-{number}" for number in range(8)]
    with peak(own) as grown, ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda key: put(own, key, GIB), keys))
        read = list(pool.map(lambda key: get(own, key), keys))
    assert (written, True) == (read, grown[0] < 8 * RESIDENT_EACH_MAX)


def test_memory_of_parts_at_once(own: Gateway) -> None:
    """160 MiB that do not shrink, four parts of 8 MiB at once, then four readers: less than 100 MiB more."""
    warm_up(own)
    client, body = own.client(max_pool_connections=4), random.Random(8).randbytes(8 * MIB)
    place = {"Bucket": "large", "Key": "parts"}
    place["UploadId"] = client.create_multipart_upload(**place)["UploadId"]

    def part(number: int) -> dict[str, Any]:
        return {"PartNumber": number, "ETag": client.upload_part(**place, PartNumber=number, Body=body)["ETag"]}

    with peak(own) as grown, ThreadPoolExecutor(4) as pool:
        parts = {"Parts": list(pool.map(part, range(1, 21)))}
        client.complete_multipart_upload(**place, MultipartUpload=parts)
        read = set(pool.map(lambda key: get(own, key), ["parts"] * 4))
    assert ({hashlib.sha256(body * 20).hexdigest()}, True) == (read, grown[0] < RESIDENT_ONE_MAX)


def test_memory_of_a_long_upload(own: Gateway) -> None:
    """A 320 MiB PUT and GET raise a worker's memory by less than 100 MiB."""
    warm_up(own)
    with peak(own) as grown:
        written = put(own, "long", 320 * MIB)
        read = get(own, "long")
    assert (written, True) == (read, grown[0] < RESIDENT_ONE_MAX)
