"""A server on loopback that answers requests with the bytes it is given, whatever they are."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

CLOSE: Final = b""
"""Instead of an answer: close the connection."""
TIMEOUT_S: Final = 10.0
CERTIFICATE: Final = Path(__file__).parent / "tls.pem"
"""A key that is no secret, and its certificate: for 127.0.0.1 and localhost, valid for a hundred years."""
CA: Final = Path(__file__).parent / "ca.pem"


@dataclass
class Request:
    """One request as it came."""

    connection: int
    """Number of the connection, from 0."""
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes


@dataclass
class RawServer:
    """What to answer, and what was asked."""

    answers: list[bytes]
    url: str = ""
    seen: list[Request] = field(default_factory=list)
    tls: ssl.SSLContext | None = None

    def serve(self, listener: socket.socket) -> None:
        """Take connections until the listener is closed."""
        number = 0
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(sock, number), daemon=True).start()
            number += 1

    def _talk(self, sock: socket.socket, number: int) -> None:
        sock.settimeout(TIMEOUT_S)
        if self.tls is not None:
            try:
                sock = self.tls.wrap_socket(sock, server_side=True)
            except OSError:  # a client that does not trust us
                sock.close()
                return
        with sock, contextlib.suppress(OSError), sock.makefile("rb") as file:
            while line := file.readline():
                method, target, _ = line.decode().split()
                headers = []
                while (header := file.readline().strip()) != b"":
                    name, _, value = header.decode("latin-1").partition(":")
                    headers.append((name.lower(), value.strip()))
                if dict(headers).get("expect"):
                    sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = file.read(int(dict(headers).get("content-length", 0)))
                self.seen.append(Request(number, method, target, headers, body))
                answer = self.answers.pop(0)
                if answer is CLOSE:
                    return
                sock.sendall(answer)
                if b"connection: close" in answer.lower():
                    return


@contextlib.contextmanager
def raw_server(answers: list[bytes], *, tls: bool = False) -> Iterator[RawServer]:
    """Serve *answers*, one for each request; with *tls*, under a certificate that `CA` has signed."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = RawServer(answers, f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}")
    if tls:
        server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.tls.load_cert_chain(CERTIFICATE)
    thread = threading.Thread(target=server.serve, args=(listener,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(TIMEOUT_S)


def answer(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    """An answer with a length; underscores in names stand for hyphens."""
    names = {"content-length": str(len(body))} | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in names.items())
    return f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode() + body
