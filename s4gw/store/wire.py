"""How workers and storaged talk: messages over a stream socket in the data directory.

A message is its size (u32, little-endian) and msgpack: a `Request` to storaged, a `Reply` back. A connection carries
one request at a time. The socket's path may be longer than the 107 bytes that a socket address holds, so it is
reached through ``/proc/self/fd``.
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import Final

import msgspec

from s4gw.store.ops import Reply, Request

LENGTH: Final = struct.Struct("<I")
SOCKET_NAME: Final = "storaged.sock"
REPLY_BYTES_MAX: Final = 16 * 1024**2

_REQUEST: Final = msgspec.msgpack.Decoder(Request)
_REPLY: Final = msgspec.msgpack.Decoder(Reply)
_ENCODER: Final = msgspec.msgpack.Encoder()


def encode(message: Request | Reply) -> bytes:
    """The message with its size in front."""
    body = _ENCODER.encode(message)
    return LENGTH.pack(len(body)) + body


def decode_request(body: bytes | memoryview) -> Request:
    """Raises: msgspec.DecodeError."""
    request: Request = _REQUEST.decode(body)
    return request


def decode_reply(body: bytes | memoryview) -> Reply:
    """Raises: msgspec.DecodeError."""
    reply: Reply = _REPLY.decode(body)
    return reply


def connect(data_dir: Path, timeout_s: float) -> socket.socket:
    """Connect to storaged. Raises: OSError."""
    directory = os.open(data_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        # PERF: the kernel keeps the time; Python's own timeout polls before each call.
        limit = struct.pack("@ll", int(timeout_s), 0)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        client.connect(f"/proc/self/fd/{directory}/{SOCKET_NAME}")
    except OSError:
        client.close()
        raise
    finally:
        os.close(directory)
    return client


def listen(data_dir: Path, backlog: int) -> socket.socket:
    """Listen in *data_dir*; the caller holds ``storaged.lock``, so a socket found there is a dead one's."""
    (data_dir / SOCKET_NAME).unlink(missing_ok=True)
    directory = os.open(data_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    mask = os.umask(0o177)
    try:
        server.bind(f"/proc/self/fd/{directory}/{SOCKET_NAME}")
    finally:
        os.umask(mask)
        os.close(directory)
    server.listen(backlog)
    server.setblocking(False)
    return server
