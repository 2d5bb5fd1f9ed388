"""Large uploads and listings through a gateway in front of a second one of ours: what clients and the upstream see."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import apsw
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError

from tests.live import datasets, upstreams
from tests.live.fault_proxy import FaultProxy
from tests.live.gateway import MAIN, REGION, Gateway, wait_until
from tests.live.upstreams import Upstream

MIB: Final = 1024**2
PARTED: Final = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, proxy: FaultProxy) -> Iterator[Gateway]:
    with upstreams.in_front(tmp_path_factory.mktemp("front") / "gw", Upstream("proxy", proxy.url)) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def s3(front: Gateway) -> Any:
    return front.client()


@pytest.fixture
def bucket(s3: Any, proxy: FaultProxy, request: pytest.FixtureRequest) -> str:
    name = "m-" + hashlib.md5(request.node.name.encode()).hexdigest()[:8]
    s3.create_bucket(Bucket=name)
    proxy.forget()
    return name


def start(s3: Any, bucket: str, bodies: list[bytes]) -> dict[str, Any]:
    """Upload parts. Returns: the parameters of the Complete."""
    target = {"Bucket": bucket, "Key": "k"}
    target["UploadId"] = s3.create_multipart_upload(**target)["UploadId"]
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**target, PartNumber=number, Body=body)["ETag"]}
        for number, body in enumerate(bodies, 1)
    ]
    return target | {"MultipartUpload": {"Parts": parts}}


@pytest.mark.parametrize("size", [32 * MIB, pytest.param(datasets.NGINX_BYTES, marks=pytest.mark.large)])
def test_nginx_log_in_parts_of_8_mib(s3: Any, store: Upstream, bucket: str, size: int) -> None:
    """One object upstream, less than a hundred-and-fortieth of the log, and back it comes."""
    data = b"".join(datasets.nginx(size))
    s3.upload_fileobj(io.BytesIO(data), bucket, "access.log", Config=PARTED)
    listed = store.client().list_objects_v2(Bucket=bucket)["Contents"]
    sizes = {one["Key"]: one["Size"] for one in listed if not one["Key"].startswith(".s4gw/")}
    assert (["access.log"], True) == (list(sizes), sizes["access.log"] * 140 <= size)
    back = s3.get_object(Bucket=bucket, Key="access.log")
    assert (data, size // (8 * MIB)) == (back["Body"].read(), int(back["ETag"].strip('"').partition("-")[2]))


def test_first_byte_comes_before_the_work_is_done(s3: Any, proxy: FaultProxy, bucket: str) -> None:
    """The client hears of a long Complete while the upstream has not even been asked for the object."""
    request = start(s3, bucket, [b"a" * (5 * MIB), b"end"])
    url = urlsplit(s3.generate_presigned_url("complete_multipart_upload", Params=without_parts(request)))
    body = "".join(
        f"<Part><PartNumber>{part['PartNumber']}</PartNumber><ETag>{part['ETag']}</ETag></Part>"
        for part in request["MultipartUpload"]["Parts"]
    )
    link = http.client.HTTPConnection(url.hostname or "", url.port, timeout=60)
    proxy.forget()
    proxy.delay_s = 0.3
    try:
        document = f"<CompleteMultipartUpload>{body}</CompleteMultipartUpload>"
        link.request("POST", f"{url.path}?{url.query}", document, {"Content-Type": "application/xml"})
        answer = link.getresponse()
        first = answer.read(5)
        asked = proxy.count()
        rest = answer.read()
    finally:
        proxy.delay_s = 0.0
        link.close()
    assert (200, b"<?xml", 0) == (answer.status, first, asked["PutObject"])
    assert b"<CompleteMultipartUploadResult" in rest
    assert 5 * MIB + 3 == s3.head_object(Bucket=bucket, Key="k")["ContentLength"]


def without_parts(request: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name != "MultipartUpload"}


def test_gateway_killed_in_the_middle_of_a_complete(
    tmp_path: Path, s3: Any, store: Upstream, proxy: FaultProxy, bucket: str
) -> None:
    """The old object stands; another gateway goes on with what the dead one has begun, and leaves nothing behind."""
    old, bodies = b"old", [os.urandom(8 * MIB) for _ in range(3)]
    s3.put_object(Bucket=bucket, Key="k", Body=old)
    request = start(s3, bucket, bodies)
    with upstreams.in_front(tmp_path / "doomed", Upstream("proxy", proxy.url), "--workers", "1") as doomed:
        proxy.forget()
        proxy.delay_s = 0.3
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(_complete, doomed, request)
            assert wait_until(lambda: proxy.count()["UploadPartCopy"] >= 1, 60)
            for pid in [doomed.process.pid, *doomed.workers()]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            assert asked.result() is None
    proxy.delay_s = 0.0
    assert old == s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    etags = {s3.complete_multipart_upload(**request)["ETag"] for _ in range(2)}
    assert b"".join(bodies) == s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    created = [one for one in proxy.seen if one.operation == "CreateMultipartUpload" and f"/{bucket}/k" in one.target]
    direct = store.client()
    left = [one["Key"] for one in direct.list_objects_v2(Bucket=bucket)["Contents"]]
    assert (1, 1, ["done", "k"]) == (len(etags), len(created), sorted(key.rpartition("/")[2] for key in left))
    assert not direct.list_multipart_uploads(Bucket=bucket).get("Uploads")


def _complete(gateway: Gateway, request: dict[str, Any]) -> Any:
    with contextlib.suppress(ClientError, BotoCoreError):
        return gateway.client().complete_multipart_upload(**request)
    return None


def rows(front: Gateway) -> int:
    """How many objects the gateway's catalogue knows."""
    with contextlib.suppress(apsw.Error):  # nobody has written to it yet
        link = apsw.Connection(str(front.folder / "data" / "catalogue.db"), flags=apsw.SQLITE_OPEN_READONLY)
        with contextlib.closing(link):
            return int(link.execute("SELECT count(*) FROM object").get)
    return 0


@pytest.mark.parametrize("count", [250, pytest.param(5000, marks=pytest.mark.large)])
def test_second_listing_costs_no_look(
    front: Gateway, s3: Any, store: Upstream, proxy: FaultProxy, bucket: str, count: int
) -> None:
    """Half of the objects came through the gateway, half did not; each of these is asked for once."""
    direct = store.client()
    before = rows(front)

    def put(number: int) -> None:
        body = b"%d " % number * 400
        (s3 if number % 2 else direct).put_object(Bucket=bucket, Key=f"dir/{number:05}", Body=body)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(count)))
    assert wait_until(lambda: rows(front) >= before + count // 2)  # each worker writes down what it learns, soon
    proxy.forget()
    runs = []
    for _ in range(2):
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        sizes = {one["Key"]: one["Size"] for page in pages for one in page["Contents"]}
        runs.append(proxy.count())
        proxy.forget()
    assert {f"dir/{number:05}": len(b"%d " % number * 400) for number in range(count)} == sizes
    assert ({"ListObjectsV2": -(-count // 1000)}, True) == (dict(runs[1]), runs[0]["HeadObject"] <= count // 2)


@pytest.mark.upstreams
@pytest.mark.parametrize("name", ["rclone", "seaweedfs"])
def test_other_servers_as_upstream(tmp_path: Path, name: str) -> None:
    """One takes a request to copy a part for an empty one (rclone), one copies: the object is the same."""
    data = os.urandom(20 * MIB) + b"".join(datasets.nginx(12 * MIB))
    with upstreams.SERVERS[name](tmp_path / "up") as upstream, upstreams.in_front(tmp_path / "gw", upstream) as gateway:
        client = gateway.client()
        client.create_bucket(Bucket="bucket")
        client.upload_fileobj(io.BytesIO(data), "bucket", "k", Config=PARTED)
        back = client.get_object(Bucket="bucket", Key="k")["Body"].read()
        stored = {one["Key"]: one["Size"] for one in upstream.client().list_objects_v2(Bucket="bucket")["Contents"]}
        listed = client.list_objects_v2(Bucket="bucket")["Contents"]
        again = client.create_multipart_upload(Bucket="bucket", Key="k")["UploadId"]
        client.upload_part(Bucket="bucket", Key="k", UploadId=again, PartNumber=1, Body=b"x")
        client.abort_multipart_upload(Bucket="bucket", Key="k", UploadId=again)
        client.delete_object(Bucket="bucket", Key="k")
        client.delete_bucket(Bucket="bucket")
    assert (True, [("k", len(data))]) == (data == back, [(one["Key"], one["Size"]) for one in listed])
    assert (["done", "k"], True) == (sorted(key.rpartition("/")[2] for key in stored), stored["k"] < 21 * MIB)


@pytest.mark.clients
@pytest.mark.parametrize("count", [200, pytest.param(5000, marks=pytest.mark.large)])
def test_second_sync_and_check_find_no_difference(
    front: Gateway, proxy: FaultProxy, bucket: str, tmp_path: Path, count: int
) -> None:
    """`aws s3 sync` and `rclone check` of the same files again ask the upstream for its listing and nothing else."""
    tree = tmp_path / "tree"
    for number in range(count):
        path = tree / f"{number % 10}" / f"{number:05}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d a line of a log\n" % number * (number % 60))
    remote = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": front.url, "REGION": REGION, "FORCE_PATH_STYLE": "true"}
    remote |= {"ACCESS_KEY_ID": MAIN.access_key, "SECRET_ACCESS_KEY": MAIN.secret_key}
    environment = front.environment(tmp_path) | {f"RCLONE_CONFIG_GW_{name}": value for name, value in remote.items()}
    environment["RCLONE_CONFIG"] = str(tmp_path / "none.conf")

    def run(*words: str | Path) -> str:
        done = subprocess.run(
            [str(word) for word in words], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words[0]} failed ({done.returncode}):\n{done.stdout}\n{done.stderr}"
        return done.stdout

    assert count == run("aws", "s3", "sync", tree, f"s3://{bucket}/tree").count("upload:")
    proxy.forget()
    assert "" == run("aws", "s3", "sync", tree, f"s3://{bucket}/tree")
    synced = proxy.count()
    proxy.forget()
    run("rclone", "check", tree, f"gw:{bucket}/tree")
    checked = proxy.count()
    pages = -(-count // 1000)
    assert {"ListObjectsV2": pages} == dict(synced)
    # rclone lists folder by folder, and looks first whether the folder is an object
    assert (1, True) == (checked.pop("HeadObject"), set(checked) == {"ListObjectsV2"}), checked
    assert checked["ListObjectsV2"] <= pages + 11
