"""What gateway tests share: a request parsed from a real socket pair, and services over a memory backend."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gunicorn.config import Config
from gunicorn.http.parser import RequestParser

from s4gw.auth import Credentials, CredentialStore
from s4gw.auth.model import UNSIGNED_PAYLOAD, PayloadPlan
from s4gw.backends import MemoryBackend
from s4gw.codec import SamplingDispatcher
from s4gw.gateway import parsing
from s4gw.gateway.body import Body, open_body
from s4gw.gateway.middleware.authorization import PolicyAuthorizer
from s4gw.gateway.server import DEFAULTS
from s4gw.gateway.services import Services
from s4gw.objects import Objects
from s4gw.observability import Metrics
from s4gw.s3.headers import joined
from s4gw.settings import Settings

ALICE = Credentials("ALICEKEY", "alice-secret", "a" * 64, "alice")


@dataclass
class Received:
    """The server's side of one connection, with the first request's headers parsed."""

    parser: Any
    request: Any
    env: dict[str, Any]
    headers: Mapping[str, str]

    def body(self, plan: PayloadPlan = UNSIGNED_PAYLOAD, *, required: bool = False) -> Body:
        """Open the request's body as the gateway does."""
        return open_body(self.env, self.headers, plan, required=required)


def configured() -> Config:
    """Settings of gunicorn as the gateway has them."""
    cfg = Config()
    for name, value in DEFAULTS.items():
        cfg.set(name, value)
    return cfg


@contextmanager
def received(raw: bytes, *, end: bool = True) -> Iterator[Received]:
    """Send *raw* from a client, which then half-closes if *end*, and parse the first request's headers."""
    client, server = socket.socketpair()

    def send() -> None:
        client.sendall(raw)
        if end:
            client.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    try:
        parser = RequestParser(parsing.Snapshot(configured()), server, ("127.0.0.1", 1))
        parser.unreader = parsing.HeaderUnreader(server)
        request = parsing.next_request(parser)
        env = {"s4gw.request": request, "gunicorn.socket": server, "wsgi.input": request.body}
        yield Received(parser, request, env, request.fields)
    finally:
        server.close()
        sender.join()
        client.close()


def put(headers: Mapping[str, str], body: bytes, method: str = "PUT") -> bytes:
    """A request as it goes over the wire."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} /b/k HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode() + body


def http_chunks(data: bytes, size: int) -> bytes:
    """*data* in chunks of *size*, as Transfer-Encoding writes them."""
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def read_to_end(body: Body, step: int = 4096) -> bytes:
    """Read *body* in steps, as responders do."""
    content = bytearray()
    buffer = bytearray(step)
    with memoryview(buffer) as view:
        while size := body.readinto(view):
            content += view[:size]
    return bytes(content)


@dataclass
class Answer:
    """What a client gets."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


def parsed(lower: list[tuple[str, str]]) -> SimpleNamespace:
    """Stands in for what our worker's parser makes of headers."""
    return SimpleNamespace(lower=lower, fields=joined(lower))


def call(app: Any, method: str, target: str, headers: Mapping[str, str] | None = None, *, port: int = 8014) -> Answer:
    """Send a request without a body through a WSGI application, as our worker does."""
    sent_headers = {"host": "localhost"} | {name.lower(): value for name, value in (headers or {}).items()}
    env = {
        "wsgi.errors": None,
        "wsgi.input": None,
        "wsgi.url_scheme": "http",
        "REQUEST_METHOD": method,
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "RAW_URI": target,
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_PORT": str(port),
        "s4gw.request": parsed(list(sent_headers.items())),
    }
    started: list[tuple[str, list[tuple[str, str]]]] = []
    blocks = app(env, lambda status, sent: started.append((status, sent)))
    try:
        body = b"".join(blocks)
    finally:
        if hasattr(blocks, "close"):
            blocks.close()
    ((status, sent),) = started
    return Answer(int(status[:3]), {name.lower(): value for name, value in sent}, body)


def make_services(
    settings: Settings | None = None, *, backend: Any = None, clock: Callable[[], float] = lambda: 1_800_000_000.0
) -> Services:
    """Services over a memory backend, with one user."""
    backend = MemoryBackend() if backend is None else backend
    metrics = Metrics()
    return Services(
        settings=settings if settings is not None else Settings(data_dir=Path("unused")),
        backend=backend,
        objects=Objects(backend, SamplingDispatcher(), threads=2),
        credentials=CredentialStore([ALICE]),
        authorizer=PolicyAuthorizer(backend, metrics=metrics, clock=clock),
        metrics=metrics,
        clock=clock,
        ids=lambda: "0123456789ABCDEF",
    )
