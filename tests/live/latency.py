"""What clients wait for when the upstream is 50 ms away: ``python -m tests.live.latency``.

Ranges of 64 KiB go three ways, each over one connection: the stored bytes straight from the upstream, the original
through the gateway for the first time of each object, and again. All pass the same proxy, which delays each request; so
the difference between the first figure and the last is the gateway's. Then an upload of a thousand parts is completed.
"""

from __future__ import annotations

import http.client
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tests.live import datasets, upstreams
from tests.live.fault_proxy import proxied
from tests.live.upstreams import Upstream

DELAY_S: Final = 0.05
RANGE_BYTES: Final = 64 * 1024
OBJECTS: Final = 20
OBJECT_BYTES: Final = 4 * 1024**2
WARM_READS: Final = 100
BUCKET: Final = "latency"
PARTS: Final = 1000
PART_BYTES: Final = 5 * 1024**2
THREADS: Final = 4


def main() -> None:
    """Measure and tell."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            upstreams.s4gw(folder / "up", "--codec", "passthrough") as store,
            proxied(store.url) as proxy,
            upstreams.in_front(folder / "front", Upstream("proxy", proxy.url), "--workers", "1") as front,
        ):
            client = front.client()
            client.create_bucket(Bucket=BUCKET)
            body = b"".join(datasets.synthetic(OBJECT_BYTES))
            keys = [f"object-{number}" for number in range(OBJECTS)]
            for key in keys:
                client.put_object(Bucket=BUCKET, Key=key, Body=body)
            proxy.delay_s = DELAY_S
            rng = random.Random(1)
            straight = Upstream("proxy", proxy.url).client()
            stored = client_size(straight, keys[0])
            direct = list(times(straight, rng.choices(keys, k=WARM_READS), stored, rng))
            proxy.forget()
            cold = list(times(client, keys, OBJECT_BYTES, rng))
            after_cold = sum(proxy.count().values())
            warm = list(times(client, rng.choices(keys, k=WARM_READS), OBJECT_BYTES, rng))
            asked = sum(proxy.count().values()) - after_cold
            proxy.delay_s = 0.0
            upload = uploaded(client)
            proxy.delay_s = DELAY_S
            first_s, done_s = complete(client, *upload)
    for label, found in (("straight", direct), ("cold", cold), ("warm", warm)):
        tell(label, found)
    sys.stdout.write(f"requests upstream: cold {after_cold / OBJECTS:.2f}, warm {asked / WARM_READS:.2f} for each\n")
    added_s = statistics.median(warm) - statistics.median(direct)
    sys.stdout.write(f"the gateway adds {added_s * 1000:.1f} ms to the median of a warm range\n")
    sys.stdout.write(f"complete of {PARTS} parts: first byte after {first_s:.2f} s, done after {done_s:.2f} s\n")


def client_size(client: Any, key: str) -> int:
    """Bytes of an object as *client* sees it."""
    return int(client.head_object(Bucket=BUCKET, Key=key)["ContentLength"])


def times(client: Any, keys: Sequence[str], size: int, rng: random.Random) -> Iterator[float]:
    """Seconds from request to last byte of a random range of each of *keys*, over one connection."""
    link = http.client.HTTPConnection(urlsplit(client.meta.endpoint_url).netloc, timeout=60)
    for key in keys:
        url = client.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": key}, ExpiresIn=600)
        start = rng.randrange(size - RANGE_BYTES)
        began = time.perf_counter()
        path = url.removeprefix(client.meta.endpoint_url)
        link.request("GET", path, headers={"Range": f"bytes={start}-{start + RANGE_BYTES - 1}"})
        got = link.getresponse().read()
        yield time.perf_counter() - began
        if len(got) != RANGE_BYTES:
            raise AssertionError(got)
    link.close()


def uploaded(client: Any) -> tuple[dict[str, str], str]:
    """Upload parts. Returns: the upload, the document that completes it."""
    upload = {"Bucket": BUCKET, "Key": "parts"}
    upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
    body = b"".join(datasets.nginx(PART_BYTES))

    def send(number: int) -> str:
        etag = client.upload_part(**upload, PartNumber=number, Body=body)["ETag"]
        return f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"

    with ThreadPoolExecutor(THREADS) as pool:
        parts = "".join(pool.map(send, range(1, PARTS + 1)))
    return upload, f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>"


def complete(client: Any, upload: dict[str, str], document: str) -> tuple[float, float]:
    """Seconds from the request to the first byte of the answer's body, and to its last."""
    url = urlsplit(client.generate_presigned_url("complete_multipart_upload", Params=upload))
    link = http.client.HTTPConnection(url.netloc, timeout=600)
    began = time.perf_counter()
    link.request("POST", f"{url.path}?{url.query}", document, {"Content-Type": "application/xml"})
    answer = link.getresponse()
    answer.read(1)
    first_s = time.perf_counter() - began
    rest = answer.read()
    link.close()
    if b"<CompleteMultipartUploadResult" not in rest:
        raise AssertionError(rest)
    return first_s, time.perf_counter() - began


def tell(label: str, found: Sequence[float]) -> None:
    """One line about *found*, in milliseconds."""
    in_order = sorted(found)
    p50, p90 = (in_order[len(in_order) * part // 10] * 1000 for part in (5, 9))
    sys.stdout.write(f"{label:8}  p50 {p50:6.1f} ms  p90 {p90:6.1f} ms  least {in_order[0] * 1000:6.1f} ms\n")


if __name__ == "__main__":
    main()
