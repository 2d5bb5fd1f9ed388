"""HTTP/1.1 to one upstream host: a pool of connections, requests in one piece, answers read from the socket.

PERF: the standard library's `http.client` makes an e-mail message of the head of an answer and a new file of the socket
for each, which costs more than all the rest of a small request; here a connection keeps its buffer, and a small answer
is one read. What comes out is bytes and names: whether an answer is good, and what to do when there is none, is for
`lean` to say.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import select
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult

from s4gw.backends.bodies import Buffer

HEADERS_MAX: Final = 200
LINE_BYTES_MAX: Final = 64 * 1024
"""As the standard library's."""
LENGTH_DIGITS_MAX: Final = 18
CHUNK_DIGITS_MAX: Final = 16
INFORMATIONAL_MAX: Final = 8
"""Answers of the kind of 100 Continue before the one that counts."""
IDLE_S_MAX: Final = 20.0
"""Servers close idle connections after 60 s or more, some proxies after 30."""
JOINED_BYTES_MAX: Final = 64 * 1024
"""A body up to this size leaves with its head in one segment train; copying a larger one costs more than a send."""
READ_BYTES: Final = 16 * 1024
"""What one read takes at most where no more is asked for: the head and all of a small answer."""
_KEEP_IDLE_S: Final = 60

_FIRST_FINAL: Final = 200
_NO_BODY: Final = frozenset({204, 304})


class _Inbound(io.RawIOBase):
    """What comes in over a socket, counted."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self._receive = sock.recv_into
        self.received = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        size = self._receive(buffer)
        self.received += size
        return size

    def tell(self) -> int:
        """Where the socket is; a reader above says by its own `tell` how far it has come."""
        return self.received


class _Connection:
    """One connection, used by one thread at a time."""

    __slots__ = ("_inbound", "file", "host", "idle_since", "poll", "sock")

    def __init__(self, host: str, sock: socket.socket) -> None:
        self.host = host
        self.sock = sock
        self._inbound = _Inbound(sock)
        self.file = io.BufferedReader(self._inbound, READ_BYTES)
        self.idle_since = 0.0
        self.poll = select.poll()
        self.poll.register(sock, select.POLLIN | select.POLLHUP | select.POLLERR)

    def usable(self, now: float) -> bool:
        """Whether the other side has kept it open and silent.

        SECURITY: what it said behind the end of the last answer would pass for the next one.
        """
        silent = self._inbound.received == self.file.tell() and not (
            isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()
        )
        return silent and now - self.idle_since < IDLE_S_MAX and not self.poll.poll(0)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.file.close()
            self.sock.close()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, whose body is still to be read."""

    status: int
    headers: Mapping[str, str]
    """Lower-case names; repeated ones joined by commas."""
    body: ReplyBody


class ReplyBody:
    """The body of an answer; gives its connection back at the end.

    Args:
        pool: Takes the connection back.
        connection: Stands behind the head of the answer.
        length: Bytes that follow; None where the end of the connection ends them, or chunks say.
        chunked: They come in chunks.
        closes: The connection is good for nothing afterwards.
    """

    def __init__(self, pool: Pool, connection: _Connection, *, length: int | None, chunked: bool, closes: bool) -> None:
        self._pool = pool
        self._connection: _Connection | None = connection
        self._left = length
        self._chunked = chunked
        self._chunk_left = 0
        self._closes = closes
        if length == 0:
            self._release()

    def read(self, size: int = -1) -> bytes:
        """The next *size* bytes, everything when negative; fewer at the end. Raises: HTTPException, OSError."""
        connection = self._connection
        if connection is None or not size:
            return b""
        if self._chunked:
            return self._read_chunks(connection, size)
        left = self._left
        if left is None:
            data = connection.file.read(size)
            if size < 0 or len(data) < size:
                self.close()
            return data
        wanted = left if size < 0 else min(size, left)
        data = connection.file.read(wanted)
        self._left = left - len(data)
        if not self._left:
            self._release()
        elif len(data) < wanted:
            self.close()
        return data

    def close(self) -> None:
        """Give the connection up unless the body was read to its end."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._closes:
            connection.close()
        else:
            self._pool.put(connection)

    def _read_chunks(self, connection: _Connection, size: int) -> bytes:
        pieces: list[bytes] = []
        while size and self._connection is not None:
            if not self._chunk_left and not self._next_chunk(connection.file):
                self._release()
                break
            wanted = self._chunk_left if size < 0 else min(size, self._chunk_left)
            piece = connection.file.read(wanted)
            pieces.append(piece)
            if len(piece) < wanted:
                self.close()
                raise http.client.IncompleteRead(b"".join(pieces))
            self._chunk_left -= wanted
            size -= wanted if size > 0 else 0
            if not self._chunk_left and connection.file.readline(LINE_BYTES_MAX).strip():
                self.close()
                raise http.client.BadStatusLine("a chunk that does not end where it said")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _next_chunk(self, file: io.BufferedReader[_Inbound]) -> bool:
        """Read the line before a chunk. Returns: whether there is one; the trailer has been read otherwise."""
        digits = file.readline(LINE_BYTES_MAX).partition(b";")[0].strip()
        try:
            self._chunk_left = int(digits, 16) if len(digits) <= CHUNK_DIGITS_MAX else -1
        except ValueError:
            self._chunk_left = -1
        if self._chunk_left < 0:
            self.close()
            raise http.client.IncompleteRead(digits)
        if not self._chunk_left:
            for _ in range(HEADERS_MAX):
                if file.readline(LINE_BYTES_MAX) in (b"\r\n", b"\n", b""):
                    return False
            self.close()
            raise http.client.HTTPException("a trailer without an end")
        return True


def _read_head(file: io.BufferedReader[_Inbound]) -> tuple[str, int, dict[str, str]]:
    """Version, status and headers of the next answer that counts. Raises: HTTPException, OSError."""
    for _ in range(INFORMATIONAL_MAX + 1):  # answers in between (100 Continue) have a head and nothing else
        head = _read_one(file)
        if head[1] >= _FIRST_FINAL:
            return head
    raise http.client.BadStatusLine("an answer that does not come")


def _read_one(file: io.BufferedReader[_Inbound]) -> tuple[str, int, dict[str, str]]:
    """One head."""
    lines = _lines(file)
    if not lines or not lines[0]:
        raise http.client.RemoteDisconnected("the connection was closed without an answer")
    version, _, rest = lines[0].partition(" ")
    code = rest.strip()[:3]
    if not version.startswith("HTTP/1.") or len(code) < 3 or not (code.isascii() and code.isdigit()):  # noqa: PLR2004
        raise http.client.BadStatusLine("an answer that is none")
    if len(lines) > HEADERS_MAX:
        raise http.client.HTTPException("an answer with too many headers")
    names: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or len(line) > LINE_BYTES_MAX:
            raise http.client.BadStatusLine("an answer whose head is none")
        key, text = name.strip().lower(), value.strip()
        names[key] = f"{names[key]},{text}" if key in names else text
    return version, int(code), names


def _lines(file: io.BufferedReader[_Inbound]) -> list[str]:
    """Lines of a head, without their ends and the empty one."""
    ready = file.peek(1)
    end = ready.find(b"\r\n\r\n")
    if end >= 0:  # PERF: nearly always, and without a call for each line
        return file.read(end + 4)[:-4].decode("latin-1").split("\r\n")
    lines: list[str] = []  # it does not lie in the buffer as a whole, or has bare line feeds
    while len(lines) <= HEADERS_MAX:
        line = file.readline(LINE_BYTES_MAX + 1)
        if line in (b"\r\n", b"\n", b""):
            break
        lines.append(line.rstrip(b"\r\n").decode("latin-1"))
    return lines


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

    def request(self, host: str, method: str, head: bytes, body: Sequence[Buffer]) -> Reply:
        """Send a request and read the head of its answer.

        Args:
            host: To connect to: the endpoint's, or a bucket's below it.
            method: Of the request; HEAD has no body in the answer.
            head: Request line and headers, with the empty line.
            body: In pieces; possibly none.

        Raises: OSError, HTTPException; `NotSentError` when it cannot have reached the other side.
        """
        connection = self._take(host)
        try:
            if len(body) <= 1 and sum(map(len, body)) <= JOINED_BYTES_MAX:
                connection.sock.sendall(b"".join((head, *body)))
            else:
                connection.sock.sendall(head)
                for piece in body:
                    connection.sock.sendall(piece)
            version, status, names = _read_head(connection.file)
        except BaseException:
            connection.close()
            raise
        return Reply(status, names, self._body(connection, method, version, status, names))

    def _body(
        self, connection: _Connection, method: str, version: str, status: int, names: Mapping[str, str]
    ) -> ReplyBody:
        """How the body of an answer is framed. Source: RFC 9112, section 6.3."""
        wish = names.get("connection", "").lower()
        closes = "close" in wish or (version != "HTTP/1.1" and "keep-alive" not in wish)
        if status in _NO_BODY or method == "HEAD":
            return ReplyBody(self, connection, length=0, chunked=False, closes=closes)
        chunked = names.get("transfer-encoding", "").lower() == "chunked"
        text = names.get("content-length", "")
        plain = text.isascii() and text.isdigit() and len(text) <= LENGTH_DIGITS_MAX
        length = int(text) if plain and not chunked else None
        closes = closes or (length is None and not chunked)
        return ReplyBody(self, connection, length=length, chunked=chunked, closes=closes)

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
