"""The S3 servers that runs are made against: ours, SeaweedFS and rclone, each fresh, on loopback, with keys.

Ours runs as `s4gw serve` gives it: durable, every answer after its fsync; as "gateway" it stands in front of a
SeaweedFS of its own. The peers run as they come, which is without fsync. Processes are found by a mark in their
environment, so that helpers which leave the process tree are counted too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from s3wire import Endpoint, Keys

MARK: Final = "S4GW_LOAD_RUN"
START_S_MAX: Final = 60.0
STOP_S_MAX: Final = 20.0
POLL_S: Final = 0.1
PORT_MAX: Final = 50_000  # SeaweedFS listens for gRPC 10,000 above each of its ports
BIN: Final = Path(sys.prefix) / "bin"
ACCESS_KEY: Final = "LOADRUNACCESSKEY0001"


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """One running server."""

    name: str
    endpoint: Endpoint
    keys: Keys
    folder: Path
    """Everything that it stores."""
    mark: str
    """What its processes carry in their environment."""
    process: subprocess.Popen[bytes]
    log: Path

    def pids(self) -> list[int]:
        """Find its processes, in ascending order."""
        wanted, found = f"{MARK}={self.mark}".encode(), []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if wanted in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
        return sorted(found)

    def cpu_s(self) -> float:
        """Sum the time that its processes were on a processor, in seconds; of threads that have ended, too."""
        ticks = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(after_name[11]) + int(after_name[12])  # utime and stime, proc(5)
        return ticks / os.sysconf("SC_CLK_TCK")

    def stored_bytes(self) -> int:
        """Sum the bytes of its files, as the file system allocates them."""
        total = 0
        for path in self.folder.rglob("*"):
            with contextlib.suppress(OSError):
                if path.is_file():
                    total += path.stat().st_blocks * 512
        return total

    def resident_bytes(self) -> dict[int, int]:
        """Give the resident set of each process."""
        sizes = {}
        for pid in self.pids():
            with contextlib.suppress(OSError):
                sizes[pid] = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return sizes

    def open_files(self) -> int:
        """Count the open descriptors of all processes."""
        count = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                count += len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return count

    def stop(self) -> int | None:
        """Ask it to stop, then insist. Returns the exit status, None if it had to be killed."""
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(STOP_S_MAX)
        for pid in self.pids():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(STOP_S_MAX)
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """How to start one kind of server in an empty folder."""

    command: Callable[[Path, int, Keys], Sequence[str]]
    ready: str
    """Path that answers anything but 5xx once requests are served."""
    prepare: Callable[[Path], None] = lambda _folder: None
    """What is done in its folder then."""


def _s4gw(folder: Path, port: int, _: Keys) -> Sequence[str]:
    where = ("--host", "127.0.0.1", "--port", str(port), "--data-dir", str(folder / "data"))
    return (str(BIN / "s4gw"), "serve", *where)


def _seaweedfs(folder: Path, port: int, keys: Keys) -> Sequence[str]:
    identity = {
        "name": "load",
        "credentials": [{"accessKey": keys.access_key, "secretKey": keys.secret_key}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir()
    ports = {"s3": port, "master": free_port(), "volume": free_port(), "filer": free_port()}
    (folder / "ports.json").write_text(json.dumps(ports))
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
        "master.volumeSizeLimitMB": "1024",
        "volume.max": "200",
    } | {f"{part}.port": str(number) for part, number in ports.items()}
    return (str(BIN / "weed"), f"-logdir={folder}", "server", *(f"-{name}={value}" for name, value in options.items()))


def _flush_volumes(folder: Path) -> None:
    """Have SeaweedFS flush each body before its answer; its own index of names goes on without."""
    ports = json.loads((folder / "ports.json").read_text())
    servers = [f"-{part}=127.0.0.1:{ports[part]}" for part in ("master", "filer")]
    subprocess.run(
        [str(BIN / "weed"), "shell", *servers], input=b"fs.configure -locationPrefix=/buckets/ -fsync -apply\n",
        check=True, timeout=START_S_MAX, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def _rclone(folder: Path, port: int, keys: Keys) -> Sequence[str]:
    (folder / "data").mkdir()
    where = ("--config", str(folder / "none.conf"), "--cache-dir", str(folder / "cache"), "--addr", f"127.0.0.1:{port}")
    return (
        str(BIN / "rclone"),
        "serve",
        "s3",
        *where,
        "--auth-key",
        f"{keys.access_key},{keys.secret_key}",
        str(folder / "data"),
    )


KINDS: Final[Mapping[str, Plan]] = {
    "s4gw": Plan(_s4gw, "/ready"),
    "seaweedfs": Plan(_seaweedfs, "/"),
    "seaweedfs-fsync": Plan(_seaweedfs, "/", _flush_volumes),
    "rclone": Plan(_rclone, "/"),
}


GATEWAY: Final = "gateway"
"""Ours in front of a fresh `UPSTREAM`."""
UPSTREAM: Final = "seaweedfs"


def free_port() -> int:
    """Find a port below `PORT_MAX` on which nobody listens, nor 10,000 above it."""
    while True:
        port = 20_000 + secrets.randbelow(PORT_MAX - 20_000)
        with socket.socket() as first, socket.socket() as second, contextlib.suppress(OSError):
            first.bind(("127.0.0.1", port))
            second.bind(("127.0.0.1", port + 10_000))
            return port


@contextlib.contextmanager
def running(name: str, *, parent: Path | None = None) -> Iterator[Server]:
    """Start a fresh server, give it, stop it and remove what it stored.

    Args:
        name: A key of `KINDS`, or `GATEWAY`, whose folder is then the upstream's and whose processes are its own.
        parent: Where its folder is made; the system's temporary folder otherwise.

    Raises: RuntimeError, if it is not ready in time; the message ends with its last log lines.
    """
    if name != GATEWAY:
        with _started(name, KINDS[name], parent, {}) as server:
            yield server
        return
    with running(UPSTREAM, parent=parent) as upstream:
        host, keys = f"http://{upstream.endpoint.authority}", upstream.keys
        chain = {"AWS_ACCESS_KEY_ID": keys.access_key, "AWS_SECRET_ACCESS_KEY": keys.secret_key}

        def command(folder: Path, port: int, own: Keys) -> Sequence[str]:
            return (*_s4gw(folder, port, own), "--endpoint-url", host)

        with _started(name, Plan(command, "/ready"), parent, chain) as server:
            yield dataclasses.replace(server, folder=upstream.folder)


@contextlib.contextmanager
def _started(name: str, plan: Plan, parent: Path | None, extra: Mapping[str, str]) -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix=f"s4gw-load-{name}-", dir=parent))
    keys, mark, port = Keys(ACCESS_KEY, secrets.token_hex(20)), secrets.token_hex(8), free_port()
    own = {MARK: mark, "S4_ACCESS_KEY_ID": ACCESS_KEY, "S4_SECRET_ACCESS_KEY": keys.secret_key}
    log = folder / "server.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            plan.command(folder, port, keys), stdout=sink, stderr=subprocess.STDOUT, env={**os.environ, **own, **extra},
            cwd=folder,
        )  # fmt: skip
    server = Server(name, Endpoint.parse(f"http://127.0.0.1:{port}"), keys, folder / "data", mark, process, log)
    try:
        _wait(server, plan.ready)
        plan.prepare(folder)
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _wait(server: Server, path: str) -> None:
    until = time.monotonic() + START_S_MAX
    while time.monotonic() < until and server.process.poll() is None:
        link = http.client.HTTPConnection("127.0.0.1", server.endpoint.port, timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException):
            link.request("GET", path)
            if link.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR:
                return
        link.close()
        time.sleep(POLL_S)
    tail = "\n".join(server.log.read_text(errors="replace").splitlines()[-15:])
    raise RuntimeError(f"{server.name} did not start:\n{tail}")
