"""Processes come and go: killed workers, reloads and stops lose nothing acknowledged and show nothing else."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.live import gateway as live
from tests.live.gateway import Gateway, wait_until
from tests.live.raw_client import Raw

BUCKET = "lifecycle"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that may be hurt."""
    with live.running(tmp_path) as running:
        running.client().create_bucket(Bucket=BUCKET)
        yield running


def body(number: int) -> bytes:
    """The content of object *number*, sometimes of several frames."""
    return b"%08d" % number * (400_000 if number % 5 == 0 else 500)


def read_all(client: Any) -> dict[str, bytes]:
    """Everything in the bucket."""
    listed = client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return {entry["Key"]: client.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read() for entry in listed}


def test_killed_worker(own: Gateway) -> None:
    """After kill -9 of a worker during 100 PUTs: all that was acknowledged reads back, nothing is half-written."""
    client, acknowledged, killed = own.client(max_pool_connections=16), set(), threading.Event()

    def put(number: int) -> None:
        if number == 40:
            os.kill(own.workers()[0], signal.SIGKILL)
            killed.set()
        try:
            client.put_object(Bucket=BUCKET, Key=f"{number:03d}", Body=body(number))
        except (BotoCoreError, ClientError):
            return
        acknowledged.add(f"{number:03d}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(100)))
    back = wait_until(own.alive)
    found = read_all(own.client())
    changed = [key for key, data in found.items() if data != body(int(key))]
    lost = sorted(acknowledged - found.keys())
    assert (True, True, [], [], True) == (killed.is_set(), back, lost, changed, len(acknowledged) >= 80)


def test_killed_master_and_workers(tmp_path: Path) -> None:
    """After kill -9 of master and workers the next start serves every acknowledged object."""
    with live.running(tmp_path) as first:
        client = first.client()
        client.create_bucket(Bucket=BUCKET)
        for number in range(30):
            client.put_object(Bucket=BUCKET, Key=f"{number:03d}", Body=body(number))
        workers = first.workers()
        for pid in (first.process.pid, *workers):
            os.kill(pid, signal.SIGKILL)
        first.process.wait()
    with live.running(tmp_path) as second:
        found = read_all(second.client())
    assert {f"{number:03d}": body(number) for number in range(30)} == found


def test_restart_keeps_everything(tmp_path: Path) -> None:
    """A graceful stop ends with status 0, and the next start serves the same objects."""
    with live.running(tmp_path) as first:
        first.client().create_bucket(Bucket=BUCKET)
        first.client().put_object(Bucket=BUCKET, Key="005", Body=body(5))
        status = first.stop()
    with live.running(tmp_path) as second:
        found = read_all(second.client())
    assert (0, {"005": body(5)}) == (status, found)


def test_graceful_stop_finishes_uploads(own: Gateway) -> None:
    """An upload that is under way when the gateway is asked to stop is answered, and kept."""
    started, data = threading.Event(), body(5)

    class Slow:
        """Gives the body in blocks with pauses between."""

        def __init__(self) -> None:
            self.left = data

        def __len__(self) -> int:
            return len(data)

        def read(self, size: int = -1) -> bytes:
            block, self.left = self.left[:size], self.left[size:]
            started.set()
            time.sleep(0.1)  # the stop comes while this is under way
            return block

    link = own.client().generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "005"})
    connection = http.client.HTTPConnection("127.0.0.1", own.port, timeout=60, blocksize=500_000)
    outcome: list[int] = []

    def upload() -> None:
        connection.request("PUT", link.removeprefix(own.url), body=Slow(), headers={"Content-Length": str(len(data))})
        outcome.append(connection.getresponse().status)

    thread = threading.Thread(target=upload)
    thread.start()
    started.wait(30)
    status = own.stop()
    thread.join(30)
    assert ([200], 0) == (outcome, status)


def test_reload_under_load(own: Gateway) -> None:
    """SIGHUP replaces the workers while clients go on; no request fails."""
    client, stop, errors, done = own.client(max_pool_connections=8), threading.Event(), [], []

    def work(number: int) -> None:
        while not stop.is_set():
            try:
                client.put_object(Bucket=BUCKET, Key=f"{number:03d}", Body=body(number))
                client.get_object(Bucket=BUCKET, Key=f"{number:03d}")["Body"].read()
                done.append(number)
            except (BotoCoreError, ClientError) as error:
                errors.append(str(error))

    before = set(own.workers())
    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    own.process.send_signal(signal.SIGHUP)
    replaced = wait_until(lambda: own.workers() and before.isdisjoint(own.workers()), 60)
    count = len(done)
    more = wait_until(lambda: len(done) > count + 8)
    stop.set()
    for thread in threads:
        thread.join(60)
    assert ([], True, True) == (errors, replaced, more)


def test_disconnects_leave_nothing(own: Gateway) -> None:
    """Clients that vanish within their upload leave no object and no busy thread behind."""
    raw = Raw(own)
    for number in range(40):
        head = raw.sign("PUT", f"/{BUCKET}/gone-{number}").head
        raw.send(head + b"content-length: 5000000\r\n\r\n" + bytes(300_000), finish=True)
    idle = wait_until(lambda: own.metric("s4_in_flight_requests") <= 1)
    assert (True, {}, True) == (idle, read_all(own.client()), own.alive())
