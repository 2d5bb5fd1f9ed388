"""CPU that one small request takes in one thread of a worker, without a fight for locks or cores.

    python scripts/soak/request_cost.py [--seconds 5] [--size 1024] 2> /dev/null

The parser, the worker's own code, the application and storaged are the real ones, over a connection within this
process; what signs, sends and receives is not counted. Standard error takes the log, ``TMPDIR`` says where the data
lies. "answered at once" gives each commit the answer of an earlier one, so that the rest is the worker's own. What runs
beside it pushes its code out of the caches: the minimum and the tenth percentile say most.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http import wsgi as gunicorn_wsgi
from gunicorn.workers import gthread

from s4gw import settings as s4gw_settings
from s4gw.auth import OutgoingSigner
from s4gw.gateway import access, connection, parsing, server, worker
from s4gw.store import Store, ensure_running
from s4gw.store.ops import Reply, Request
from s4gw.wsgi import make_app

KEY, SECRET, REGION = "AKIAIOSFODNN7EXAMPLE", "x" * 40, "us-east-1"
OBJECTS = 200


def request(signer: OutgoingSigner, method: str, path: str, body: bytes = b"") -> bytes:
    """A signed request as it is on the wire."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    headers = {"host": "localhost", "x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-date": moment}
    headers["authorization"] = signer.authorization(method, path, "", headers, "UNSIGNED-PAYLOAD", moment)
    headers |= {"content-length": str(len(body)), "user-agent": "request_cost", "accept": "*/*"}
    return f"{method} {path} HTTP/1.1\r\n".encode() + b"".join(
        f"{name}: {value}\r\n".encode() for name, value in headers.items()
    ) + b"\r\n" + body  # fmt: skip


class Bench:
    """One worker, as far as a pool thread of it goes, and one connection."""

    def __init__(self, data_dir: Path) -> None:
        os.environ |= {"S4_ACCESS_KEY_ID": KEY, "S4_SECRET_ACCESS_KEY": SECRET}
        parser = argparse.ArgumentParser()
        s4gw_settings.add_arguments(parser)
        settings = s4gw_settings.load(parser.parse_args(["--data-dir", str(data_dir)]), os.environ)
        server.prepare(settings)
        ensure_running(settings.data_dir, os.getpid(), volume_bytes=settings.volume_bytes)
        cfg = Config()
        for name, value in server.DEFAULTS.items():
            cfg.set(name, value)
        self._worker = worker.S4Worker(0, os.getppid(), [], None, 30, cfg, Logger(cfg))
        self._worker.cfg = parsing.Snapshot(cfg)
        self._worker.keepalived_conns = []
        self._worker.wsgi = app = make_app(settings, access.load(settings))
        self._worker._environ = gunicorn_wsgi.base_environ(  # noqa: SLF001 - made where its loop begins
            self._worker.cfg
        )
        app.tick()
        self._client, mine = socket.socketpair()
        self._conn = gthread.TConn(self._worker.cfg, mine, ("127.0.0.1", 1), ("127.0.0.1", 2))
        connection.limit_waiting(mine)
        self._conn.init()
        self._conn.parser.unreader = parsing.HeaderUnreader(mine)

    def serve(self, raw: bytes) -> float:
        """Seconds of CPU that the request takes this thread."""
        self._client.sendall(raw)
        start = time.thread_time()
        self._worker.handle_request(parsing.next_request(self._conn.parser), self._conn)
        took = time.thread_time() - start
        answer = self._client.recv(1 << 20)
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(answer.decode("latin-1"))
        return took


def answered_at_once() -> Callable[[Any, Request], Reply]:
    """What stands in for asking storaged: it asks for the first commits, and then repeats an answer."""
    asked: list[Reply] = []
    real = vars(Store)["_send"]

    def send(store: Any, message: Request) -> Reply:
        if len(asked) < OBJECTS:
            asked.append(real(store, message))
        return asked[-1]

    return send


def report(name: str, bench: Bench, raws: list[bytes], seconds: float) -> None:
    """Serve *raws* over and over, and print what one takes."""
    times: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        times += map(bench.serve, raws)
    times.sort()
    shown = ", ".join(f"{label} {1e6 * times[len(times) * place // 100]:.0f}" for label, place in PLACES)
    print(f"{name:<28} {shown} us of {len(times)}", flush=True)


PLACES = (("min", 0), ("p10", 10), ("p50", 50))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each line")
    parser.add_argument("--size", type=int, default=1024, help="bytes of an object")
    options = parser.parse_args()
    signer, body = OutgoingSigner(KEY, SECRET, REGION), os.urandom(options.size)
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(Path(directory))
        bench.serve(request(signer, "PUT", "/bucket"))
        paths = [f"/bucket/prefix/object-{number:06d}" for number in range(OBJECTS)]
        puts = [request(signer, "PUT", path, body) for path in paths]
        gets = [request(signer, "GET", path) for path in paths]
        report("PUT", bench, puts, options.seconds)
        report("GET", bench, gets, options.seconds)
        with mock.patch.object(Store, "_send", answered_at_once()):
            report("PUT, answered at once", bench, puts, options.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
