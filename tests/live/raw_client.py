"""A signing client that sends what SDKs will not: bytes as given, signatures of anything, bodies cut or drawn out.

One request, one socket. Signing follows the SigV4 pages of the S3 API reference and shares no code with the server.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import re
import socket
import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from tests.live.gateway import MAIN, REGION, Gateway, User

EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()
STREAMING: Final = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_TRAILER: Final = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER: Final = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
TIMEOUT_S: Final = 30
ANSWER_BYTES_MAX: Final = 64 * 1024**2


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    """What came back on the socket."""

    status: int
    """0, if the server closed without an answer."""
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The S3 error code, or an empty string."""
        found = re.search(rb"<Code>(\w+)</Code>", self.body)
        return found[1].decode() if found else ""


@dataclasses.dataclass(frozen=True, slots=True)
class Signed:
    """A signed request head, and what a chunked body's signatures go on from."""

    head: bytes
    """Request line and headers, without the empty line."""
    signature: str
    timestamp: str
    scope: str
    key: bytes = dataclasses.field(repr=False)

    def chunk(self, before: str, data: bytes) -> tuple[str, bytes]:
        """Sign one chunk. Returns its signature and its bytes on the wire."""
        sha256 = hashlib.sha256(data).hexdigest()
        text = f"AWS4-HMAC-SHA256-PAYLOAD\n{self.timestamp}\n{self.scope}\n{before}\n{EMPTY_SHA256}\n{sha256}"
        signature = hmac.digest(self.key, text.encode(), "sha256").hex()
        return signature, b"%x;chunk-signature=%b\r\n%b\r\n" % (len(data), signature.encode(), data)

    def chunks(self, pieces: Sequence[bytes]) -> bytes:
        """Give *pieces* and the empty last chunk as an aws-chunked body."""
        signature, wire = self.signature, []
        for piece in (*pieces, b""):
            signature, block = self.chunk(signature, piece)
            wire.append(block)
        return b"".join(wire)

    def chunks_and_trailer(self, pieces: Sequence[bytes], name: str, value: str) -> bytes:
        """The same with a signed trailer."""
        signature, wire = self.signature, []
        for piece in (*pieces, b""):
            signature, block = self.chunk(signature, piece)
            wire.append(block if piece else block[:-2])
        trailer = hashlib.sha256(f"{name}:{value}\n".encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256-TRAILER\n{self.timestamp}\n{self.scope}\n{signature}\n{trailer}"
        signature = hmac.digest(self.key, text.encode(), "sha256").hex()
        return b"".join(wire) + f"{name}:{value}\r\nx-amz-trailer-signature:{signature}\r\n\r\n".encode()


def unsigned_chunks(pieces: Sequence[bytes], trailer: Mapping[str, str]) -> bytes:
    """An aws-chunked body without signatures."""
    blocks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    lines = "".join(f"{name}:{value}\r\n" for name, value in trailer.items())
    return blocks + b"0\r\n" + lines.encode() + b"\r\n"


def crc32(data: bytes) -> str:
    """The CRC-32 as S3 writes it."""
    return base64.b64encode(zlib.crc32(data).to_bytes(4)).decode()


@dataclasses.dataclass(frozen=True, slots=True)
class Raw:
    """Makes and sends requests as *user*."""

    gateway: Gateway
    user: User = MAIN

    def sign(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        sha256: str = "UNSIGNED-PAYLOAD",
        at: float | None = None,
    ) -> Signed:
        """Sign a request.

        Args:
            method: HTTP method.
            path: As it is to be sent, percent-encoded.
            query: Parameters, not encoded.
            headers: Lower-case names; all are signed.
            sha256: Value of x-amz-content-sha256.
            at: Time of signing in seconds since the epoch, now if left out.
        """
        timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
        fields = dict(headers or {}) | {"host": self.gateway.address, "x-amz-content-sha256": sha256}
        ordered = sorted((fields | {"x-amz-date": timestamp}).items())
        pairs = sorted((quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in (query or {}).items())
        parameters = "&".join(f"{name}={value}" for name, value in pairs)
        names = ";".join(name for name, _ in ordered)
        lines = "".join(f"{name}:{' '.join(value.split())}\n" for name, value in ordered)
        canonical = f"{method}\n{path}\n{parameters}\n{lines}\n{names}\n{sha256}"
        scope = f"{timestamp[:8]}/{REGION}/s3/aws4_request"
        key = self.key(timestamp[:8])
        text = f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        target = f"{path}?{parameters}" if parameters else path
        credential = f"Credential={self.user.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
        head = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in ordered)]
        head.append(f"authorization: AWS4-HMAC-SHA256 {credential}")
        return Signed("\r\n".join(head).encode() + b"\r\n", signature, timestamp, scope, key)

    def key(self, day: str) -> bytes:
        """The signing key of *day*."""
        key = ("AWS4" + self.user.secret_key).encode()
        for part in (day, REGION, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return key

    def put(self, path: str, body: bytes, **headers: str) -> Reply:
        """PUT *body* in the plain way, with further headers (``_`` stands for ``-``)."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sha256 = named.pop("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
        signed = self.sign("PUT", path, headers=named, sha256=sha256)
        return self.send(signed.head + b"content-length: %d\r\n\r\n%b" % (len(body), body))

    def put_chunked(self, wire: bytes, signed: Signed) -> Reply:
        """Send a prepared aws-chunked body behind its head, whose signature covers everything but the length."""
        return self.send(signed.head + b"content-length: %d\r\n\r\n%b" % (len(wire), wire))

    def exists(self, path: str) -> bool:
        """Tell whether there is an object at *path*."""
        return self.send(self.sign("HEAD", path).head + b"\r\n", head=True).status == 200

    def send(self, data: bytes, *, head: bool = False, finish: bool = False) -> Reply:
        """Send bytes as they are and read one answer.

        Args:
            data: The whole request.
            head: The answer has no body.
            finish: Shut our side down after sending, as a client that dies.
        """
        with socket.create_connection(("127.0.0.1", self.gateway.port), timeout=TIMEOUT_S) as link:
            try:
                link.sendall(data)
                if finish:
                    link.shutdown(socket.SHUT_WR)
            except OSError:  # the server may refuse before it has read all, and close
                pass
            return _read(link, head=head)


def _read(link: socket.socket, *, head: bool) -> Reply:
    data = b""
    while len(data) < ANSWER_BYTES_MAX:
        top, found, body = data.partition(b"\r\n\r\n")
        if found:
            if top.startswith(b"HTTP/1.1 100"):
                data = body
                continue
            reply = _parse(top, body)
            if head or _complete(reply):
                return reply
        try:
            more = link.recv(65536)
        except OSError:
            more = b""
        if not more:
            return _parse(top, body) if found else Reply(0, {}, b"")
        data += more
    raise AssertionError("an answer without end")


def _parse(top: bytes, body: bytes) -> Reply:
    first, *lines = top.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return Reply(int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}, body)


def _complete(reply: Reply) -> bool:
    if reply.status in {204, 304}:
        return True
    if "content-length" in reply.headers:
        return len(reply.body) >= int(reply.headers["content-length"])
    return reply.headers.get("transfer-encoding") == "chunked" and reply.body.endswith(b"0\r\n\r\n")
