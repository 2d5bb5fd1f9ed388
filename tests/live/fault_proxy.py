"""A proxy between a gateway and its upstream that counts requests and goes wrong when told to.

It knows S3's operations by the gateway's own routing table, so that tests count "GetObject", not URLs. Faults are
rules: an operation, what goes wrong, how often. It runs in threads of the test's process.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final
from urllib.parse import urlsplit

from s4gw.s3 import match, split_path, split_target
from s4gw.s3.errors import S3Error

TIMEOUT_S: Final = 60.0
BLOCK_BYTES: Final = 256 * 1024
ANY: Final = "*"


class Fault(Enum):
    """What goes wrong with a request."""

    RESET = "the connection ends before the upstream has seen the request"
    ERROR = "500, without the upstream"
    UNAVAILABLE = "503, without the upstream"
    TRUNCATE = "the answer's body ends in its middle"
    LOST = "the upstream carries the request out, and its answer is lost"


@dataclass
class Rule:
    """A fault that is to happen."""

    operation: str
    fault: Fault
    times: int
    after: int = 0
    """Requests of this operation that go well first."""


@dataclass
class Seen:
    """One request."""

    operation: str
    method: str
    target: str


@dataclass
class FaultProxy:
    """What stands between.

    Attributes:
        delay_s: Each request waits this long before it goes on: the way to a distant upstream and back.
        down: Connections are refused with a reset, as by a host that is there without its server.
        chance: Asked about every request that no rule is for: what goes wrong with it.
    """

    upstream: str
    url: str = ""
    delay_s: float = 0.0
    down: bool = False
    seen: list[Seen] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    chance: Callable[[str], Fault | None] = lambda _operation: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self) -> Counter[str]:
        """Requests by operation since `forget`."""
        with self._lock:
            return Counter(one.operation for one in self.seen)

    def forget(self) -> None:
        """Count from here."""
        with self._lock:
            self.seen.clear()

    def fail(self, operation: str, fault: Fault, *, times: int = 1, after: int = 0) -> None:
        """Let the next *times* requests of *operation* go wrong, once *after* of them have gone well."""
        with self._lock:
            self.rules.append(Rule(operation, fault, times, after))

    # -- one connection ----------------------------------------------------------------------------------------------
    def serve(self, listener: socket.socket) -> None:
        """Take connections until the listener is closed."""
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(sock,), daemon=True).start()

    def _talk(self, sock: socket.socket) -> None:
        sock.settimeout(TIMEOUT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        parts = urlsplit(self.upstream)
        link = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        with sock, contextlib.suppress(OSError, http.client.HTTPException), sock.makefile("rb") as file:
            while line := file.readline():
                method, target, _ = line.decode("latin-1").split()
                headers = []
                while (header := file.readline().strip()) != b"":
                    name, _, value = header.decode("latin-1").partition(":")
                    headers.append((name, value.strip()))
                names = {name.lower(): value for name, value in headers}
                if names.get("expect"):
                    sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = file.read(int(names.get("content-length", 0)))
                if self.down or not self._pass_on(sock, link, (method, target, headers, body)):
                    break
        link.close()

    def _pass_on(
        self,
        sock: socket.socket,
        link: http.client.HTTPConnection,
        request: tuple[str, str, list[tuple[str, str]], bytes],
    ) -> bool:
        """Deal with one request. Returns: whether the connection goes on."""
        method, target, headers, body = request
        fault = self._note(method, target, {name.lower(): value for name, value in headers})
        if self.delay_s:
            time.sleep(self.delay_s)
        if fault is Fault.RESET:
            return False
        if fault in (Fault.ERROR, Fault.UNAVAILABLE):
            sock.sendall(_error(fault))
            return True
        link.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            if name.lower() != "expect":
                link.putheader(name, value.encode("latin-1"))
        link.endheaders(body)
        answer = link.getresponse()
        if fault is Fault.LOST:
            answer.read()
            return False
        return _give_back(sock, answer, cut=fault is Fault.TRUNCATE)

    def _note(self, method: str, target: str, headers: dict[str, str]) -> Fault | None:
        """Count the request, and find what is to go wrong with it."""
        operation = operation_of(method, target, headers)
        with self._lock:
            self.seen.append(Seen(operation, method, target))
            for rule in self.rules:
                if rule.operation in (operation, ANY) and rule.times:
                    if rule.after:
                        rule.after -= 1
                        continue
                    rule.times -= 1
                    return rule.fault
            return self.chance(operation)


def operation_of(method: str, target: str, headers: dict[str, str]) -> str:
    """S3's name of what is asked."""
    path, query = split_target(target)
    bucket, key = split_path(path)
    try:
        return match(method, bucket=bool(bucket), key=bool(key), query=query, headers=headers).name
    except S3Error as error:
        return error.code


def _error(fault: Fault) -> bytes:
    status, code = (500, "InternalError") if fault is Fault.ERROR else (503, "ServiceUnavailable")
    body = f"<Error><Code>{code}</Code><Message>by the fault proxy</Message></Error>".encode()
    return f"HTTP/1.1 {status} Fault\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _give_back(sock: socket.socket, answer: http.client.HTTPResponse, *, cut: bool) -> bool:
    """Send the upstream's answer on. Returns: whether the connection goes on."""
    chunked = "chunked" in (answer.getheader("Transfer-Encoding") or "").lower()
    lines = "".join(f"{name}: {value}\r\n" for name, value in answer.getheaders())
    sock.sendall(f"HTTP/1.1 {answer.status} {answer.reason}\r\n{lines}\r\n".encode("latin-1"))
    left = (answer.length or 0) // 2 if cut else None
    while block := answer.read(BLOCK_BYTES if left is None else min(left, BLOCK_BYTES)):
        sock.sendall(b"%x\r\n%b\r\n" % (len(block), block) if chunked else block)
        if left is not None:
            left -= len(block)
    if chunked and not cut:
        sock.sendall(b"0\r\n\r\n")
    return not cut and not answer.will_close


@contextlib.contextmanager
def proxied(upstream: str) -> Iterator[FaultProxy]:
    """A proxy in front of the server at the URL *upstream*."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    proxy = FaultProxy(upstream, f"http://127.0.0.1:{listener.getsockname()[1]}")
    thread = threading.Thread(target=proxy.serve, args=(listener,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(TIMEOUT_S)
