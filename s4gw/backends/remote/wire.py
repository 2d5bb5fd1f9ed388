"""HTTP/1.1 to one upstream host: a pool of connections, requests in one piece, bodies read from the socket.

The body is read by the standard library's `http.client`; the head of an answer is read here, as the library makes an
e-mail message of it, which costs more than all the rest of a small request. What comes out is bytes and names: whether
an answer is good, and what to do when there is none, is for `lean` to say.
"""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult

HEADERS_MAX: Final = 200
LINE_BYTES_MAX: Final = 64 * 1024
"""As the standard library's."""
LENGTH_DIGITS_MAX: Final = 18
INFORMATIONAL_MAX: Final = 8
"""Answers of the kind of 100 Continue before the one that counts."""
IDLE_S_MAX: Final = 20.0
"""Servers close idle connections after 60 s or more, some proxies after 30."""
JOINED_BYTES_MAX: Final = 64 * 1024
"""A body up to this size leaves with its head in one segment train; copying a larger one costs more than a send."""
_KEEP_IDLE_S: Final = 60

_FIRST_FINAL: Final = 200
_NO_BODY: Final = frozenset({204, 304})


class _Response(http.client.HTTPResponse):
    """An answer whose head is a plain dict."""

    names: dict[str, str]
    """Lower-case name -> value, repeated ones joined by commas."""

    def begin(self) -> None:
        """Read the head. Raises: HTTPException, OSError."""
        for _ in range(INFORMATIONAL_MAX + 1):  # answers in between (100 Continue) have a head and nothing else
            version, status, _reason = self._read_status()  # type: ignore[attr-defined] # not in the stubs
            self.names = self._read_names()
            if status >= _FIRST_FINAL:
                break
        else:
            raise http.client.BadStatusLine("an answer that does not come")
        self.code = self.status = status
        self.version = 11
        names = self.names
        self.chunked = names.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        connection = names.get("connection", "").lower()
        self.will_close = "close" in connection or (version != "HTTP/1.1" and "keep-alive" not in connection)
        length = names.get("content-length", "")
        plain = length.isascii() and length.isdigit() and len(length) <= LENGTH_DIGITS_MAX
        self.length = int(length) if plain and not self.chunked else None
        if status in _NO_BODY or self._method == "HEAD":  # type: ignore[attr-defined] # not in the stubs
            self.length = 0
            self.chunked = False
        if self.length is None and not self.chunked:
            self.will_close = True

    def _read_names(self) -> dict[str, str]:
        names: dict[str, str] = {}
        for _ in range(HEADERS_MAX):
            line = self.fp.readline(LINE_BYTES_MAX + 1)
            if line in (b"\r\n", b"\n"):
                return names
            name, colon, value = line.partition(b":")
            if not colon or len(line) > LINE_BYTES_MAX:
                raise http.client.BadStatusLine("an answer whose head is none")
            key, text = name.strip().lower().decode("latin-1"), value.strip().decode("latin-1")
            names[key] = f"{names[key]},{text}" if key in names else text
        raise http.client.HTTPException("an answer with too many headers")


class _Connection:
    """One connection, used by one thread at a time."""

    __slots__ = ("host", "idle_since", "poll", "sock")

    def __init__(self, host: str, sock: socket.socket) -> None:
        self.host = host
        self.sock = sock
        self.idle_since = 0.0
        self.poll = select.poll()
        self.poll.register(sock, select.POLLIN | select.POLLHUP | select.POLLERR)

    def usable(self, now: float) -> bool:
        """Whether the other side has kept it open and silent."""
        return now - self.idle_since < IDLE_S_MAX and not self.poll.poll(0)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.close()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, whose body is still to be read."""

    status: int
    headers: Mapping[str, str]
    """Lower-case names."""
    body: ReplyBody
    length: int | None
    """Bytes of the body, where the other side said."""


class ReplyBody:
    """The body of an answer; gives its connection back at the end."""

    def __init__(self, pool: Pool, connection: _Connection, response: _Response) -> None:
        self._pool = pool
        self._connection: _Connection | None = connection
        self._response = response

    def read(self, size: int = -1) -> bytes:
        """Up to *size* bytes, everything when negative; nothing at the end. Raises: HTTPException, OSError."""
        data = self._response.read(None if size < 0 else size)
        if self._response.isclosed():
            self._release()
        return data

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill the front of *buffer*; 0 at the end. Raises: HTTPException, OSError."""
        size = self._response.readinto(buffer)
        if self._response.isclosed():
            self._release()
        return size

    def close(self) -> None:
        """Give the connection up unless the body was read to its end."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._response.close()
            connection.close()

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        # a cut body leaves a length behind; its connection is dead
        if self._response.will_close or self._response.length:
            connection.close()
        else:
            self._pool.put(connection)


class Pool:
    """Connections of one process to one upstream. Safe to use from any thread.

    Args:
        endpoint: Scheme, host and port.
        connections: Idle ones kept.
        connect_timeout_s: For a new connection, the TLS handshake included.
        read_timeout_s: For each wait for the other side.
        context: For https.
    """

    def __init__(
        self,
        endpoint: SplitResult,
        *,
        connections: int,
        connect_timeout_s: float,
        read_timeout_s: float,
        context: ssl.SSLContext | None,
    ) -> None:
        self._port = endpoint.port or (443 if endpoint.scheme == "https" else 80)
        self._connections = connections
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._context = context
        self._lock = threading.Lock()
        self._idle: dict[str, list[_Connection]] = {}

    def request(self, host: str, method: str, head: bytes, body: bytes | bytearray | memoryview) -> Reply:
        """Send a request and read the head of its answer.

        Args:
            host: To connect to: the endpoint's, or a bucket's below it.
            method: Of the request; HEAD has no body in the answer.
            head: Request line and headers, with the empty line.
            body: Possibly empty.

        Raises: OSError, HTTPException; `NotSentError` when it cannot have reached the other side.
        """
        connection = self._take(host)
        try:
            if len(body) <= JOINED_BYTES_MAX:
                connection.sock.sendall(head + bytes(body) if body else head)
            else:
                connection.sock.sendall(head)
                connection.sock.sendall(body)
            response = _Response(connection.sock, method=method)
            response.begin()
        except BaseException:
            connection.close()
            raise
        length = None if response.chunked else response.length
        reply_body = ReplyBody(self, connection, response)
        if length == 0:
            reply_body.read()
        return Reply(response.status, response.names, reply_body, length)

    def put(self, connection: _Connection) -> None:
        """Keep *connection* for the next request to its host."""
        connection.idle_since = time.monotonic()
        with self._lock:
            kept = self._idle.setdefault(connection.host, [])
            if len(kept) < self._connections:
                kept.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for connection in (one for kept in idle.values() for one in kept):
            connection.close()

    def _take(self, host: str) -> _Connection:
        now = time.monotonic()
        while True:
            with self._lock:
                kept = self._idle.get(host)
                connection = kept.pop() if kept else None
            if connection is None:
                return self._open(host)
            if connection.usable(now):
                return connection
            connection.close()

    def _open(self, host: str) -> _Connection:
        try:
            sock: Any = socket.create_connection((host, self._port), timeout=self._connect_timeout_s)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                if hasattr(socket, "TCP_KEEPIDLE"):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEP_IDLE_S)
                if self._context is not None:
                    sock = self._context.wrap_socket(sock, server_hostname=host)
                sock.settimeout(self._read_timeout_s)
            except BaseException:
                sock.close()
                raise
        except OSError as error:
            raise NotSentError(str(error)) from error
        return _Connection(host, sock)


class NotSentError(OSError):
    """There was no connection to send over."""
