"""Tests of s4gw.gateway.server: the configuration of gunicorn, and real starts, reloads and stops."""

from __future__ import annotations

import http.client
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from gunicorn.config import Config

from s4gw.gateway import access, malloc, server
from s4gw.gateway.server import DEFAULTS, Gateway
from s4gw.settings import Settings, SettingsError

CONF = Path(__file__).parents[2] / "conf" / "gunicorn.conf.py"


def configured(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    """A gateway that is configured and not started."""
    monkeypatch.setattr(server, "start_store", lambda _settings: None)
    return Gateway(settings, lambda *_: None, lambda *_: None)


def test_the_documented_values_are_the_built_in_ones() -> None:
    """conf/gunicorn.conf.py explains each knob; deleting it changes nothing."""
    names = {name: value for name, value in runpy.run_path(str(CONF)).items() if name in Config().settings}
    assert dict(DEFAULTS) == names


def test_flags_win_over_the_file_and_the_file_over_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the gateway depends on cannot be changed by the file."""
    conf = tmp_path / "conf.py"
    conf.write_text("threads = 3\nworkers = 5\nkeepalive = 99\nworker_class = 'sync'\nbind = ':1'\n")
    settings = Settings(data_dir=tmp_path / "d", workers=2, gunicorn_conf=conf, port=1234, metrics_port=1235)
    cfg = configured(settings, monkeypatch).cfg
    assert (2, 3, 99, ["127.0.0.1:1234", "127.0.0.1:1235"], "s4gw.gateway.worker.S4Worker") == (
        cfg.workers,
        cfg.threads,
        cfg.keepalive,
        cfg.bind,
        cfg.worker_class_str,
    )
    assert str(tmp_path / "d" / "run" / "gunicorn.ctl") == cfg.control_socket


def test_a_reload_that_cannot_be_carried_out_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken file stops a start and leaves a running gateway as it is."""
    conf = tmp_path / "conf.py"
    conf.write_text("threads = 3\n")
    gateway = configured(Settings(data_dir=tmp_path / "d", gunicorn_conf=conf), monkeypatch)
    before = (gateway.cfg, gateway.access)
    conf.write_text("threads = \n")
    gateway.reload()
    assert before == (gateway.cfg, gateway.access)
    conf.write_text("threads = 4\n")
    gateway.reload()
    assert gateway.cfg.threads == 4


def test_a_configuration_that_is_broken_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one line that names the file."""
    conf = tmp_path / "conf.py"
    conf.write_text("raise RuntimeError('odd')\n")
    with pytest.raises(SettingsError, match=r"conf\.py: RuntimeError: odd"):
        configured(Settings(data_dir=tmp_path / "d", gunicorn_conf=conf), monkeypatch)


def test_one_gateway_per_data_directory(tmp_path: Path) -> None:
    """A second one would empty the first one's runtime directory."""
    settings = Settings(data_dir=tmp_path / "d")
    lock = server.prepare(settings)
    with pytest.raises(SettingsError, match="another gateway serves it"):
        server.prepare(settings)
    os.close(lock)
    os.close(server.prepare(settings))


def test_the_data_directory_is_private(tmp_path: Path) -> None:
    """Nobody else on the machine reads objects, sockets or keys."""
    os.close(server.prepare(Settings(data_dir=tmp_path / "d")))
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("d", "d/run", "d/gateway.lock")]
    assert [0o700, 0o700, 0o600] == modes


def test_a_data_directory_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    """A file in the place of the directory."""
    (tmp_path / "d").write_text("")
    with pytest.raises(SettingsError, match=r"^--data-dir: .*: is no directory$"):
        server.prepare(Settings(data_dir=tmp_path / "d"))


def test_an_address_that_cannot_be_bound_is_one_line_and_makes_no_key(tmp_path: Path) -> None:
    """The key is shown once: at a start that fails it would be shown never."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"^--port: 127.0.0.1:{port} is in use$"):
            server.Gateway(Settings(data_dir=tmp_path, port=port), lambda *_: None, lambda *_: None)
        with pytest.raises(SettingsError, match=r"^--metrics-port: "):
            server.check_addresses(Settings(data_dir=tmp_path, port=0, metrics_port=port))
    with pytest.raises(SettingsError, match=r"^--host: 192.0.2.1: "):
        server.check_addresses(Settings(data_dir=tmp_path, host="192.0.2.1", port=0))
    assert not (tmp_path / "credentials").exists()


@pytest.fixture(autouse=True)
def _own_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's mode is the process's; these tests must not turn it for the others."""
    monkeypatch.setattr("s4gw.observability.metrics.prepare_directory", lambda _path: None)


class FakeWorker:
    """What gunicorn's hooks are given."""

    s4_core: int | None = None


class FakeArbiter:
    """The master, as far as pinning looks at it."""

    def __init__(self) -> None:
        self.WORKERS: dict[int, FakeWorker] = {}


@pytest.mark.parametrize(
    ("workers", "pin", "expected"), [(2, True, [3, 7]), (1, True, [None]), (2, False, [None, None])]
)
def test_workers_are_spread_over_cores_where_there_are_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, *, pin: bool, expected: list[int | None]
) -> None:
    """One core each; a worker that replaces a dead one takes the free core; fewer workers than cores roam."""
    gateway = configured(Settings(data_dir=tmp_path / "d", workers=workers, pin_workers=pin), monkeypatch)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {3, 7})
    arbiter = FakeArbiter()
    for number in range(workers):
        arbiter.WORKERS[number] = FakeWorker()
        gateway.cfg.pre_fork(arbiter, arbiter.WORKERS[number])
    assert expected == [worker.s4_core for worker in arbiter.WORKERS.values()]
    first = arbiter.WORKERS.pop(0)
    replacement = FakeWorker()
    gateway.cfg.pre_fork(arbiter, replacement)
    assert first.s4_core == replacement.s4_core


def test_the_limit_of_descriptors_is_raised_as_far_as_allowed() -> None:
    """Shells start programs with 1024, of which a worker's connections alone may take 1000."""
    code = "import resource as r; from s4gw.gateway import server; r.setrlimit(r.RLIMIT_NOFILE, (64, 2000));"
    code += "server.raise_file_limit(); print(r.getrlimit(r.RLIMIT_NOFILE))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert found == "(2000, 2000)\n"


def test_the_allocator_is_tuned_where_it_is_glibcs() -> None:
    """Every value is taken, or nothing is tried."""
    libc = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else None
    assert malloc.tune() is bool(libc and libc.startswith("glibc"))


def test_what_a_rush_has_left_is_given_back_now_and_then() -> None:
    """Only where there is much, and once a minute."""
    now, resident, trimmed = 0.0, malloc.KEPT_BYTES, 0

    def give_back() -> None:
        nonlocal trimmed
        trimmed += 1

    trimmer = malloc.Trimmer(clock=lambda: now, resident=lambda: resident, give_back=give_back)
    found = []
    looks = ((1.0, 2**40), (60.0, malloc.KEPT_BYTES), (119.0, 2**40), (120.0, 2**40), (121.0, 2**40))
    for moment, size in looks:
        now, resident = moment, size
        trimmer()
        found.append(trimmed)
    assert [0, 0, 0, 1, 1] == found
    assert 2**20 < malloc.resident_bytes() < 2**40
    if malloc.is_glibc():
        malloc.trim()


class Running:
    """A gateway in a process of its own."""

    def __init__(self, data_dir: Path, *flags: str) -> None:
        self.data_dir = data_dir
        command = [sys.executable, "-m", "s4gw.tools.cli", "serve", "--data-dir", str(data_dir), "--port", "0"]
        command += ["--metrics-port", "0", "--workers", "2", "--threads", "2", *flags]
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment, cwd=data_dir.parent
        )
        assert self.process.stdout is not None
        self.page = ""
        for line in self.process.stdout:
            self.page += line
            if "metrics:" in line:
                break
        self.port, self.metrics_port = (
            int(line.rpartition(":")[2]) for line in (data_dir / "run" / "address").read_text().splitlines()
        )

    def get(self, path: str, port: int | None = None) -> tuple[int, bytes]:
        """GET without a signature."""
        client = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=30)
        client.request("GET", path)
        answer = client.getresponse()
        body = answer.read()
        client.close()
        return answer.status, body

    def stop(self) -> int:
        """End it as systemd does."""
        self.process.terminate()
        return self.process.wait(60)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    gateway = Running(tmp_path_factory.mktemp("gateway") / "data")
    yield gateway
    gateway.process.kill()
    gateway.process.wait(30)


def test_a_fresh_start_makes_a_key_and_serves(running: Running) -> None:
    """One command: data directory, root key on the page and in its file, probes, S3."""
    pairs = list(access.load(Settings(data_dir=running.data_dir)).credentials)
    statuses = [running.get(path)[0] for path in ("/health", "/ready", "/metrics", "/nobucket/key")]
    assert ([200, 200, 200, 404], 1, True) == (statuses, len(pairs), pairs[0].secret_key in running.page)


def test_the_metrics_listener_answers_probes_only(running: Running) -> None:
    """On the port that the kernel chose, too."""
    statuses = [running.get(path, running.metrics_port)[0] for path in ("/metrics", "/health", "/bucket")]
    assert [200, 200, 404] == statuses


def test_metrics_are_summed_over_workers(running: Running) -> None:
    """Whichever worker is asked knows what all have answered."""
    for number in range(20):
        running.get(f"/nobucket/{number}")
    _, text = running.get("/metrics")
    counted = [line for line in text.decode().splitlines() if 'result="NoSuchBucket"' in line and "requests" in line]
    assert (1, True) == (len(counted), float(counted[0].rpartition(" ")[2]) >= 20)


def test_reload_loses_no_request(running: Running) -> None:
    """SIGHUP replaces every worker while clients, old connections and new, go on."""
    failures: list[BaseException] = []
    stop = threading.Event()

    def load(*, keep: bool) -> None:
        client = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
        while not stop.is_set():
            try:
                client.request("GET", "/nobucket/key")
                client.getresponse().read()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a failure
                failures.append(error)
                return
            if not keep:
                client.close()
        client.close()

    threads = [threading.Thread(target=load, kwargs={"keep": number % 2 == 0}) for number in range(4)]
    before = _workers(running)
    for thread in threads:
        thread.start()
    running.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 30
    while _workers(running) & before and time.monotonic() < deadline:
        running.get("/health")
    stop.set()
    for thread in threads:
        thread.join()
    assert ([], set(), True) == (failures, _workers(running) & before, bool(_workers(running)))


def _workers(running: Running) -> set[int]:
    """Process ids of the workers."""
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
    return {int(child) for child in children}


def test_stop_is_graceful(running: Running) -> None:
    """SIGTERM ends master and workers with status 0, and does not wait for the silent; runs last in this module.

    Who comes while it ends is refused at once, and a request that has begun is answered.
    """
    silent, begun = (socket.create_connection(("127.0.0.1", running.port), timeout=30) for _ in range(2))
    begun.sendall(b"POST /nobucket HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n")
    begun.sendall(b"Content-Length: 10\r\n\r\n--b")
    time.sleep(0.3)
    running.process.terminate()
    refused = False
    for _ in range(50):
        time.sleep(0.1)
        with suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", running.port), timeout=30).close()
            continue
        refused = True
        break
    alive = running.process.poll() is None
    begun.sendall(b"\r\n--b--\r\n")
    answer = begun.recv(1000)
    before = time.monotonic()
    assert (True, True, b"HTTP/1.1 4", 0) == (refused, alive, answer[:10], running.process.wait(60))
    assert time.monotonic() - before < 30
    silent.close()
    begun.close()
