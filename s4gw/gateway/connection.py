"""Client connections at the level of the socket: limits on waiting, gathering writes, closing without a reset."""

from __future__ import annotations

import email.utils
import errno
import os
import select
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from typing import Any, Final

from s4gw.gateway.pool import client_wait
from s4gw.s3 import xml_write
from s4gw.s3.errors import S3Error

IO_TIMEOUT_S: Final = 60
"""Longest silence of a client in the middle of a request or an answer."""
CLOSE_BYTES_MAX: Final = 64 * 1024**2
CLOSE_S: Final = 5.0
"""What is still read from a client whose upload was refused, so that it gets to see the answer."""
CLOSE_WAIT_S: Final = 0.05
"""How long a thread waits for more of it, before it lets go of the connection until something comes."""
CLOSE_STEP_BYTES: Final = 256 * 1024
JOIN_BYTES_MAX: Final = 64 * 1024
"""Up to this size header and body are joined for TLS, which has no gathering write."""

NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What keeps a connection from being accepted until others have been closed."""

SERVER_NAME: Final = "S4GW"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

Piece = bytes | bytearray | memoryview

_TIMEVAL: Final = struct.pack("@ll", IO_TIMEOUT_S, 0)


class Expectation:
    """A client that waits for ``100 Continue``."""

    __slots__ = ("_sock", "pending")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.pending = True

    def meet(self) -> None:
        """Tell the client to send its body; does nothing the second time."""
        if self.pending:
            self.pending = False
            try:
                self._sock.sendall(CONTINUE)
            except OSError:
                return  # the read that follows finds out


def environ_of(conn: Any) -> dict[str, Any]:
    """What the environments of all requests of a connection share."""
    client, server = conn.client, conn.server
    found = {"gunicorn.socket": conn.sock, "QUERY_STRING": "", "PATH_INFO": "/", "SCRIPT_NAME": "", "REMOTE_ADDR": ""}
    if isinstance(client, tuple):
        found["REMOTE_ADDR"], found["REMOTE_PORT"] = client[0], str(client[1])
    if isinstance(server, tuple):
        found["SERVER_NAME"], found["SERVER_PORT"] = str(server[0]), str(server[1])
    else:
        found["SERVER_NAME"], found["SERVER_PORT"] = str(server), ""
    return found


def limit_waiting(sock: socket.socket) -> None:
    """Make every read and write give up after `IO_TIMEOUT_S` of silence, with `BlockingIOError`.

    PERF: the kernel keeps the time; Python's own timeout costs a poll before each call.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL)


@client_wait
def readable(sock: Any, timeout_s: float) -> bool:
    """Tell whether there is something to read, or the peer is gone, within *timeout_s*."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


@client_wait
def send(sock: Any, pieces: Sequence[Piece]) -> None:
    """Send all *pieces*, in one system call where the kernel takes them at once.

    The limit on waiting counts for each write, so that a slow client that reads on is served.
    Raises: OSError.
    """
    if isinstance(sock, ssl.SSLSocket):
        if sum(map(len, pieces)) <= JOIN_BYTES_MAX:
            pieces = [b"".join(pieces)]
        for piece in pieces:
            _send_all(sock, memoryview(piece))
        return
    sent = sock.sendmsg(pieces)
    if sent == sum(map(len, pieces)):
        return
    for piece in pieces:
        if sent >= len(piece):
            sent -= len(piece)
            continue
        _send_all(sock, memoryview(piece)[sent:])
        sent = 0


@client_wait
def _send_all(sock: Any, view: memoryview) -> None:
    while view:
        view = view[sock.send(view) :]


class Farewell:
    """The end of a connection that the client may still be sending on.

    Closing at once would reset the connection, and the client would lose the answer. So what it sends is read and
    dropped, up to `CLOSE_S` and `CLOSE_BYTES_MAX`.

    Attributes:
        deadline: By the monotonic clock; to be closed then.
    """

    __slots__ = ("_left", "_sock", "deadline")

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._left = CLOSE_BYTES_MAX
        self.deadline = time.monotonic() + CLOSE_S

    @client_wait
    def swallow(self) -> bool:
        """Drop what comes. Returns: it is over, and the socket to be closed; else nothing has come for a moment."""
        scratch = bytearray(CLOSE_STEP_BYTES)
        try:
            while self._left > 0 and time.monotonic() < self.deadline:
                self._sock.settimeout(CLOSE_WAIT_S)
                size = self._sock.recv_into(scratch)
                if not size:
                    return True
                self._left -= size
        except TimeoutError:
            return False
        except OSError:
            pass  # reset: there is nobody to be polite to
        return True


def say_goodbye(sock: Any) -> Farewell | None:
    """End our side of a connection. Returns: what is left to do, or None where the client is gone already."""
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        return None
    return Farewell(sock)


def answer(sock: Any, error: S3Error) -> None:
    """Send an error from below the application, where there is no response object."""
    request_id = os.urandom(8).hex().upper()
    body = xml_write.error_document(error, resource="", request_id=request_id, host_id="")
    reason = "Bad Request" if error.status < 500 else "Internal Server Error"  # noqa: PLR2004
    header = (
        f"HTTP/1.1 {error.status} {reason}\r\nServer: {SERVER_NAME}\r\nDate: {email.utils.formatdate(usegmt=True)}\r\n"
        f"Connection: close\r\nx-amz-request-id: {request_id}\r\nContent-Type: application/xml\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    try:
        send(sock, [header.encode("latin-1"), body])
    except OSError:
        return  # nobody listens any more
