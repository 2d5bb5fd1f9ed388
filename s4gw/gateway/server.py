"""The gunicorn master: its configuration, what it does before workers start, and what it does on SIGHUP.

The master opens no database and starts no thread; it makes directories, reads small files, starts storaged and the GPU
worker, and binds the listeners. Each worker builds its own `Services` after the fork.

Precedence: flags and environment over ``conf/gunicorn.conf.py`` over `DEFAULTS`, and a test holds the last two equal.
A reload that cannot be carried out is reported and leaves everything as it was.
"""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import resource
import runpy
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger

from s4gw import gpu
from s4gw.auth import Credentials
from s4gw.gateway import access, malloc, worker
from s4gw.gateway.access import Access
from s4gw.gateway.chores import chores
from s4gw.gateway.shares import Shares
from s4gw.observability import log, metrics
from s4gw.settings import THREADS_DEFAULT, Settings, SettingsError, default_workers
from s4gw.store import StoreError, ensure_running

ADDRESS_FILE: Final = "address"
"""In the runtime directory: the address of the main listener, and of the metrics listener if there is one."""
CONTROL_SOCKET: Final = "gunicorn.ctl"
METRICS_DIR: Final = "metrics"
GPU_LOCKS: Final = "gpu.lanes"
LOCK_FILE: Final = "gateway.lock"
PRIVATE: Final = 0o700
FILES_WANTED: Final = 65536

DEFAULTS: Final[Mapping[str, Any]] = {
    "workers": default_workers(),
    "threads": THREADS_DEFAULT,
    "worker_connections": 1000,
    "backlog": 2048,
    "keepalive": 75,
    "timeout": 60,
    "graceful_timeout": 60,
    "limit_request_line": 8190,
    "limit_request_fields": 100,
    "limit_request_field_size": 8190,
    "header_map": "dangerous",
    "http_parser": "auto",
    "http_protocols": "h1",
    "max_requests": 0,
    "preload_app": False,
    "reuse_port": False,
    "forwarded_allow_ips": "127.0.0.1,::1",
    "worker_tmp_dir": "/dev/shm" if Path("/dev/shm").is_dir() else None,  # noqa: S108 - gunicorn's own advice
    "control_socket_mode": 0o600,
    "loglevel": "warning",
}
"""gunicorn's settings; the reason for each stands in ``conf/gunicorn.conf.py``."""

MakeApp = Callable[[Settings, Access, gpu.Link | None], Any]
Started = Callable[[Settings, Credentials | None], None]


class MasterLog(Logger):  # type: ignore[misc] # gunicorn ships no types
    """gunicorn's own lines, in the format of all others."""

    def setup(self, cfg: Any) -> None:
        """Give everything to the root logger."""
        super().setup(cfg)
        for logger in (self.error_log, self.access_log):
            logger.handlers.clear()
            logger.propagate = True


class Gateway(BaseApplication):  # type: ignore[misc] # gunicorn ships no types
    """The gateway as gunicorn runs it.

    Args:
        settings: How to run.
        make_app: Builds the WSGI application inside a worker.
        started: Called once, in the master, when the listeners are bound and workers are about to start; is given
            the settings with the real ports and the root key pair if it has just been made.
    """

    def __init__(self, settings: Settings, make_app: MakeApp, started: Started) -> None:
        self.cfg: Config
        self.settings = settings
        self._asked = settings
        self._make_app = make_app
        self._started = started
        self._lock = prepare(settings)
        check_addresses(settings)
        self._root_key = access.ensure_root_key(settings)
        self.access = access.load(settings)
        if settings.endpoint_url is None:
            start_store(settings)
        super().__init__()
        # Twice: during a reload the workers of before are still on their way out.
        self._shares = Shares(2 * self.cfg.workers + 1)
        self._gpu = gpu_supervisor(settings, self.cfg.workers)

    def load_config(self) -> None:
        """Fill gunicorn's configuration. Raises: SettingsError."""
        # As asked for, not as bound: a port that the kernel chose must not look like a change on reload.
        self._configure(self.cfg, self._asked)

    def do_load_config(self) -> None:
        """As gunicorn's, but an error is the caller's instead of the end of the process."""
        self.load_default_config()
        self.load_config()

    def load(self) -> Any:
        """The application of one worker; called after the fork."""
        return self._make_app(self.settings, self.access, None if self._gpu is None else self._gpu.link)

    def run(self) -> None:
        """Serve until told to stop."""
        Master(self).run()

    def tick(self) -> None:
        """Look after what runs beside the workers; about once a second, and when a child has ended."""
        if self._gpu is not None:
            self._gpu.tick()

    def reload(self) -> None:
        """Take over changed files, or say why not and go on as before."""
        kept = (self.cfg, self.access)
        try:
            self.do_load_config()
            self.access = access.load(self.settings)
        except (SettingsError, ValueError, TypeError) as error:
            self.cfg, self.access = kept
            log.get_logger().error("reload refused, going on as before", reason=str(error))

    def _configure(self, cfg: Config, settings: Settings) -> None:
        values = dict(DEFAULTS)
        if settings.gunicorn_conf is not None:
            values.update(_read_conf(settings.gunicorn_conf, cfg))
        if settings.workers is not None:
            values["workers"] = settings.workers
        if settings.threads is not None:
            values["threads"] = settings.threads
        values["bind"] = [_bind(settings.host, settings.port)]
        if settings.metrics_port is not None:
            values["bind"].append(_bind(settings.host, settings.metrics_port))
        values["worker_class"] = worker.worker_class()
        if settings.trusted_proxies:
            values["forwarded_allow_ips"] = ",".join(str(network) for network in settings.trusted_proxies)
        values["logger_class"] = MasterLog
        values["control_socket"] = str(settings.runtime_dir / CONTROL_SOCKET)
        values["proc_name"] = "s4gw"
        values["when_ready"] = self._when_ready
        values["pre_fork"] = self._pre_fork
        values["post_fork"] = self._post_fork
        values["child_exit"] = self._child_exit
        values["on_exit"] = self._on_exit
        for name, value in values.items():
            cfg.set(name, value)

    # -- hooks, in the order in which they run ---------------------------------------------------------------------
    def _when_ready(self, arbiter: Any) -> None:
        addresses = [listener.sock.getsockname() for listener in arbiter.LISTENERS]
        ports = [address[1] for address in addresses]
        metrics_port = ports[1] if self.settings.metrics_port is not None else None
        self.settings = dataclasses.replace(self.settings, port=ports[0], metrics_port=metrics_port)
        lines = "".join(f"{_bind(address[0], address[1])}\n" for address in addresses)
        (self.settings.runtime_dir / ADDRESS_FILE).write_text(lines, encoding="ascii")
        if self._gpu is not None:
            self._gpu.start()
        self._started(self.settings, self._root_key)
        self._root_key = None

    def _pre_fork(self, arbiter: Any, new: Any) -> None:
        """Choose the core of a worker: the one that fewest live workers have."""
        cores = sorted(os.sched_getaffinity(0))
        new.s4_core = None
        new.s4_shares, new.s4_slot = self._shares, self._shares.claim()
        if self.settings.pin_workers and self.cfg.workers >= len(cores):
            taken = [getattr(other, "s4_core", None) for other in arbiter.WORKERS.values()]
            new.s4_core = min(cores, key=taken.count)

    def _child_exit(self, _arbiter: Any, gone: Any) -> None:
        self._shares.release(gone.s4_slot)
        metrics.worker_gone(gone.pid)

    def _on_exit(self, _arbiter: Any) -> None:
        if self._gpu is not None:
            self._gpu.stop()

    def _post_fork(self, _arbiter: Any, new: Any) -> None:
        """PERF: one core per worker; the threads of an unpinned one play ping-pong with the interpreter lock."""
        os.close(self._lock)  # a worker that outlives its master must not keep the next one out
        if new.s4_core is not None:
            os.sched_setaffinity(0, {new.s4_core})
        malloc.tune()


class Master(Arbiter):  # type: ignore[misc] # gunicorn ships no types
    """gunicorn's master, with one thing more to look after."""

    def manage_workers(self) -> None:
        """Called in every round of the loop."""
        super().manage_workers()
        self.app.tick()


def gpu_supervisor(settings: Settings, workers: int) -> gpu.Supervisor | None:
    """What is to run the GPU worker, if there is to be one; nothing is started yet. Raises: SettingsError."""
    what = gpu.wanted(settings.gpu)
    if what is None:
        return None
    try:
        link = gpu.Link.make(workers, gpu.SLOTS_PER_LANE, settings.runtime_dir / GPU_LOCKS)
    except OSError as error:
        raise SettingsError(f"--gpu: {error.strerror}") from error
    return gpu.Supervisor(link, what, log_format=settings.log_format, gone=metrics.worker_gone)


def prepare(settings: Settings) -> int:
    """Make the data directory fit to serve from and lock it.

    Returns: the descriptor that holds the lock.
    Raises: SettingsError, also when another gateway serves the directory.
    """
    try:
        settings.data_dir.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        if settings.runtime_dir.exists() and not settings.runtime_dir.is_dir():
            raise SettingsError(f"{settings.runtime_dir}: is in the way")
        settings.runtime_dir.mkdir(mode=PRIVATE, exist_ok=True)
        lock = os.open(settings.data_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise SettingsError(f"--data-dir: {settings.data_dir}: another gateway serves it") from error
    except FileExistsError as error:
        raise SettingsError(f"--data-dir: {settings.data_dir}: is no directory") from error
    except OSError as error:
        raise SettingsError(f"--data-dir: {settings.data_dir}: {error.strerror}") from error
    metrics.prepare_directory(settings.runtime_dir / METRICS_DIR)
    return lock


def raise_file_limit() -> None:
    """Take the descriptors that this process may have: shells give out 1024, which is one worker's connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def check_addresses(settings: Settings) -> None:
    """Find out whether the listeners can be bound, before a key is made that nobody would see.

    Raises: SettingsError.
    """
    if "LISTEN_FDS" in os.environ:
        return  # systemd has bound them
    for flag, port in (("--port", settings.port), ("--metrics-port", settings.metrics_port or 0)):
        try:
            found = socket.getaddrinfo(
                settings.host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            family, kind, protocol, _, address = found[0]
            with socket.socket(family, kind, protocol) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise SettingsError(f"{flag}: {_bind(settings.host, port)} is in use") from error
            if isinstance(error, PermissionError):
                raise SettingsError(f"{flag}: {port}: {error.strerror}") from error
            raise SettingsError(f"--host: {settings.host}: {error.strerror}") from error


def start_store(settings: Settings) -> None:
    """Start storaged, which ends with this process. Raises: SettingsError."""
    try:
        ensure_running(settings.data_dir, os.getpid(), volume_bytes=settings.volume_bytes, chores=chores(settings))
    except StoreError as error:
        raise SettingsError(f"--data-dir: {error}") from error


def _bind(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def _read_conf(path: Path, cfg: Config) -> dict[str, Any]:
    """Read a gunicorn configuration file. Raises: SettingsError."""
    try:
        names = runpy.run_path(str(path))
    except Exception as error:  # it is a program, and may fail as it likes
        raise SettingsError(f"{path}: {type(error).__name__}: {error}") from error
    return {name: value for name, value in names.items() if name in cfg.settings}


def serve(settings: Settings, make_app: MakeApp, started: Started) -> int:
    """Run the gateway until it is stopped.

    Args:
        settings: How.
        make_app: See `Gateway`.
        started: See `Gateway`.

    Returns: exit status. Raises: SettingsError.
    """
    log.configure(settings.log_format)
    raise_file_limit()
    if missing := worker.internals_missing():
        log.get_logger().warning("gunicorn has changed; serving with its own worker, slower", missing=missing)
    try:
        Gateway(settings, make_app, started).run()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    return 0
