"""A real `s4gw serve` process for the live tests: two users, a port of the kernel's choice, a folder of its own.

Nothing is patched or imported from the server: what tests see is what clients see.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config

START_S_MAX: Final = 60.0
STOP_S_MAX: Final = 60.0
POLL_S: Final = 0.05
READY: Final = "/ready"
REGION: Final = "us-east-1"
BIN: Final = Path(sys.prefix) / "bin"


@dataclasses.dataclass(frozen=True, slots=True)
class User:
    """One S3 user of the credentials file."""

    name: str
    access_key: str
    secret_key: str
    owner_id: str


MAIN: Final = User("main", "LIVEMAINKEY000000001", "main/Secret+with=marks0123456789abcdefgh", "1a" * 32)
ALT: Final = User("alt", "LIVEALTKEY0000000002", "alt/Secret+with=marks0123456789abcdefghi", "2b" * 32)


def client_of(url: str, access_key: str, secret_key: str, **options: Any) -> Any:
    """A boto3 client of the server at *url*, which asks once; *options* go to botocore's Config.

    It has a session of its own, so that any thread may make one. botocore still presigns with SigV2 in us-east-1
    unless it is told otherwise.
    """
    plain = Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    return boto3.session.Session().client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name=REGION,
        config=plain.merge(Config(**options)),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Gateway:
    """One running gateway."""

    process: subprocess.Popen[bytes]
    folder: Path
    address: str
    """Host and port."""

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def client(self, user: User = MAIN, **options: Any) -> Any:
        """A boto3 client for *user*; *options* go to botocore's Config."""
        return client_of(self.url, user.access_key, user.secret_key, **options)

    def environment(self, home: Path) -> dict[str, str]:
        """What a command-line client needs, and nothing of the caller's own settings."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
        return kept | {
            "HOME": str(home),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "AWS_ACCESS_KEY_ID": MAIN.access_key,
            "AWS_SECRET_ACCESS_KEY": MAIN.secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_CONFIG_FILE": str(home / "no-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(home / "no-credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def get(self, path: str) -> tuple[int, bytes]:
        """Ask without a signature, as a probe does. Returns status and body."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            link.request("GET", path)
            answer = link.getresponse()
            return answer.status, answer.read()
        finally:
            link.close()

    def metric(self, name: str) -> float:
        """Sum a metric over its labels."""
        text = self.get("/metrics")[1].decode()
        return sum(float(value) for value in re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", text, re.MULTILINE))

    def stored_bytes(self) -> int:
        """What the store's files hold, as `ls` counts."""
        return sum(path.stat().st_size for path in (self.folder / "data").rglob("*") if path.is_file())

    def workers(self) -> list[int]:
        """Process ids of the gunicorn workers: children of the master that hold its listening socket."""
        listening = _listening_inode(self.port)
        return sorted(pid for pid in _descendants(self.process.pid) if listening in _sockets(pid))

    def resident_bytes(self) -> int:
        """The largest resident set among the workers."""
        return max((_resident(pid) for pid in self.workers()), default=0)

    def alive(self, probe: str = READY) -> bool:
        """Tell whether it still answers."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.process.poll() is None and self.get(probe)[0] == http.HTTPStatus.OK
        return False

    def stop(self) -> int:
        """Ask it to finish. Returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S_MAX)


def write_credentials(path: Path, users: Sequence[User] = (MAIN, ALT), device: Mapping[str, str] | None = None) -> None:
    """Write a credentials file; *device* holds the fields of the first user's MFA device."""
    fields = ("aws_access_key_id", "aws_secret_access_key", "owner_id")
    values = [(user.name, (user.access_key, user.secret_key, user.owner_id)) for user in users]
    sections = [
        f"[{name}]\n" + "".join(f"{field} = {value}\n" for field, value in zip(fields, texts, strict=True))
        for name, texts in values
    ]
    sections[0] += "".join(f"{field} = {value}\n" for field, value in (device or {}).items())
    path.write_text("\n".join(sections))
    path.chmod(0o600)


@contextlib.contextmanager
def running(
    folder: Path,
    *flags: str,
    device: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    probe: str = READY,
    program: Sequence[str] = (str(BIN / "s4gw"),),
) -> Iterator[Gateway]:
    """Serve from *folder*, which may hold the data of an earlier run; stop at the end, hard if need be.

    *environment* stands beside this process's own; *probe* is what must answer before the gateway is given; *program*
    stands in for ``s4gw``, with its command line.
    """
    write_credentials(folder / "credentials", device=device)
    address = folder / "data" / "run" / "address"
    address.unlink(missing_ok=True)
    where = ("--host", "127.0.0.1", "--port", "0", "--data-dir", str(folder / "data"))
    users = ("--credentials-file", str(folder / "credentials"))
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [*program, "serve", *where, *users, *flags],
            stdout=log,
            stderr=log,
            cwd=folder,
            env=os.environ | dict(environment or {}),
        )
    try:
        yield _await(process, folder, address, probe)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await(process: subprocess.Popen[bytes], folder: Path, address: Path, probe: str) -> Gateway:
    until = time.monotonic() + START_S_MAX
    while time.monotonic() < until and process.poll() is None:
        lines = address.read_text().splitlines() if address.exists() else []
        if lines:
            gateway = Gateway(process, folder, lines[0])
            if gateway.alive(probe):
                return gateway
        time.sleep(POLL_S)
    raise AssertionError(f"s4gw serve did not start:\n{(folder / 'log').read_text(errors='replace')[-3000:]}")


def wait_until(condition: Any, seconds: float = 20.0) -> bool:
    """Poll *condition*, a function without arguments, until it is true or the time is up. Returns its last answer."""
    until = time.monotonic() + seconds
    while not (answer := bool(condition())) and time.monotonic() < until:
        time.sleep(POLL_S)
    return answer


def _listening_inode(port: int) -> str:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[3] == "0A":
            return f"socket:[{fields[9]}]"
    return ""


def _sockets(pid: int) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(str(entry.readlink()))
    return found


def _descendants(parent: int) -> list[int]:
    children = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                children.append(int(entry.name))
    return children


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
