"""A lean S3 client for load runs: one blocking keep-alive socket, requests signed by hand.

Bodies, their digests and their aws-chunked framing are prepared before the clock starts (`Body`), so that the
generator takes little of the processor time that it shares with the server. Only loopback endpoints are accepted.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import hashlib
import hmac
import ipaddress
import socket
import ssl
import struct
import time
import zlib
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, urlsplit

ALGORITHM: Final = "AWS4-HMAC-SHA256"
EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()
RECEIVE_BYTES: Final = 1024**2
TRANSFER_CHUNK_BYTES: Final = 128 * 1024  # what botocore sends
SMALL_BODY_BYTES: Final = 64 * 1024  # up to here headers and body leave in one call
CHUNK_SIGNATURE_OVERHEAD: Final = len(";chunk-signature=") + 64 + len("\r\n") * 2
NO_BODY: Final = (204, 304)
CONTINUE: Final = 100


class Auth(enum.StrEnum):
    """How requests are signed, in the words of the command line."""

    UNSIGNED = "unsigned"
    """Signed headers, UNSIGNED-PAYLOAD."""
    SIGNED = "signed"
    """Signed headers and body digest: what SDKs send over http."""
    STREAMING_TRAILER = "streaming-trailer"
    """aws-chunked in Transfer-Encoding chunked with a CRC32 trailer: what SDKs send over https."""
    STREAMING_SIGNED = "streaming-signed"
    """aws-chunked, every chunk signed."""
    PRESIGNED = "presigned"
    NONE = "none"


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the server listens."""

    host: str
    port: int
    tls: bool
    authority: str
    """The Host header."""

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Read ``http://127.0.0.1:8014``.

        Raises: ValueError, if the host is not this machine.
        """
        parts = urlsplit(url)
        tls, host = parts.scheme == "https", parts.hostname or ""
        port = parts.port or (443 if tls else 80)
        for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            if not ipaddress.ip_address(entry[4][0]).is_loopback:
                raise ValueError(f"load runs go to this machine only, not to {host}")
        return cls(host, port, tls, parts.netloc)


@dataclasses.dataclass(frozen=True, slots=True)
class Keys:
    """A key pair and the region it signs for."""

    access_key: str
    secret_key: str = dataclasses.field(repr=False)
    region: str = "us-east-1"


class Signer:
    """SigV4 for one host, with the signing key of the day cached."""

    def __init__(self, keys: Keys, authority: str) -> None:
        self.keys, self.authority = keys, authority
        self._cached: tuple[str, bytes] = ("", b"")

    def key(self, day: str) -> bytes:
        """Derive the signing key of *day* (``YYYYMMDD``)."""
        if self._cached[0] != day:
            key = ("AWS4" + self.keys.secret_key).encode()
            for part in (day, self.keys.region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._cached = (day, key)
        return self._cached[1]

    def sign(
        self, method: str, path: str, query: str, sha256: str, extra: Sequence[tuple[str, str]] = ()
    ) -> tuple[str, str, str, str]:
        """Sign one request.

        Args:
            method: HTTP method.
            path: Percent-encoded path.
            query: Canonical query string: sorted, encoded, without the question mark.
            sha256: Value of x-amz-content-sha256.
            extra: Lower-case names and values of further headers, which are signed too.

        Returns: the header block with line ends, the signature, the timestamp and the scope.
        """
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = sorted([("host", self.authority), ("x-amz-content-sha256", sha256), ("x-amz-date", now), *extra])
        names = ";".join([name for name, _ in headers])
        lines = "".join([f"{name}:{value}\n" for name, value in headers])
        scope = f"{now[:8]}/{self.keys.region}/s3/aws4_request"
        signature = self._signature(now, scope, f"{method}\n{path}\n{query}\n{lines}\n{names}\n{sha256}")
        block = "".join([f"{name}: {value}\r\n" for name, value in headers if name != "host"])
        credential = f"{self.keys.access_key}/{scope}"
        block += f"Authorization: {ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}\r\n"
        return block, signature, now, scope

    def presign(self, method: str, path: str, expires_s: int = 3600) -> str:
        """Give *path* with a presigned query string."""
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        scope = f"{now[:8]}/{self.keys.region}/s3/aws4_request"
        query = (
            f"X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={quote(f'{self.keys.access_key}/{scope}', safe='')}"
            f"&X-Amz-Date={now}&X-Amz-Expires={expires_s}&X-Amz-SignedHeaders=host"
        )
        canonical = f"{method}\n{path}\n{query}\nhost:{self.authority}\n\nhost\nUNSIGNED-PAYLOAD"
        return f"{path}?{query}&X-Amz-Signature={self._signature(now, scope, canonical)}"

    def _signature(self, now: str, scope: str, canonical: str) -> str:
        text = f"{ALGORITHM}\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        return hmac.digest(self.key(now[:8]), text.encode(), "sha256").hex()


class Body:
    """One prepared body: the bytes, and whatever its authentication mode needs beside them."""

    def __init__(self, data: bytes, auth: Auth = Auth.UNSIGNED, chunk_bytes: int = 1024**2) -> None:
        self.data, self.size, self.crc32 = data, len(data), zlib.crc32(data)
        self.sha256 = hashlib.sha256(data).hexdigest() if auth is Auth.SIGNED else "UNSIGNED-PAYLOAD"
        self.wire, self.chunks, self.signed_size = data, [(b"", EMPTY_SHA256)], 0
        pieces = [data[start : start + chunk_bytes] for start in range(0, len(data), chunk_bytes)]
        if auth is Auth.STREAMING_TRAILER:
            self.wire = self._with_trailer(pieces)
        elif auth is Auth.STREAMING_SIGNED:
            self.chunks = [(piece, hashlib.sha256(piece).hexdigest()) for piece in pieces] + self.chunks
            self.signed_size = sum(
                len(b"%x" % len(piece)) + CHUNK_SIGNATURE_OVERHEAD + len(piece) for piece, _ in self.chunks
            )

    def _with_trailer(self, pieces: Sequence[bytes]) -> bytes:
        trailer = b"x-amz-checksum-crc32:" + base64.b64encode(struct.pack(">I", self.crc32))
        inner = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailer + b"\r\n\r\n"
        starts = range(0, len(inner), TRANSFER_CHUNK_BYTES)
        blocks = [inner[start : start + TRANSFER_CHUNK_BYTES] for start in starts]
        return b"".join(b"%x\r\n%b\r\n" % (len(block), block) for block in blocks) + b"0\r\n\r\n"

    def chain(self, signer: Signer, seed: str, now: str, scope: str) -> bytes:
        """Give the aws-chunked body whose signatures start from *seed*, the signature of the headers."""
        key, signature, out = signer.key(now[:8]), seed, []
        for piece, sha256 in self.chunks:
            text = f"{ALGORITHM}-PAYLOAD\n{now}\n{scope}\n{signature}\n{EMPTY_SHA256}\n{sha256}"
            signature = hmac.digest(key, text.encode(), "sha256").hex()
            out += [b"%x;chunk-signature=%b\r\n" % (len(piece), signature.encode()), piece, b"\r\n"]
        return b"".join(out)


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What came back, the body counted and dropped."""

    status: int
    size: int
    crc32: int
    headers: dict[bytes, bytes]


class Connection:
    """One socket to the server, opened when needed and again after an error. Not for use by two threads."""

    def __init__(
        self, endpoint: Endpoint, keys: Keys, *, auth: Auth, timeout_s: float = 60, expect_100: bool = False
    ) -> None:
        self.endpoint, self.auth, self.timeout_s, self.expect_100 = endpoint, auth, timeout_s, expect_100
        self.signer = Signer(keys, endpoint.authority)
        self._socket: socket.socket | None = None
        self._buffer = memoryview(bytearray(RECEIVE_BYTES))

    def close(self) -> None:
        """Close the socket; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def request(  # noqa: PLR0913 - the parts of a request
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        body: Body | None = None,
        headers: Sequence[tuple[str, str]] = (),
        check: bool = False,
    ) -> Answer:
        """Send one request and drain its answer.

        Args:
            method: HTTP method.
            path: Percent-encoded path.
            query: Canonical query string.
            body: What to send, prepared for this connection's mode.
            headers: Lower-case names and values, signed with the rest.
            check: Compute the CRC-32 of what comes back.

        Raises: OSError, if the connection fails; ValueError, if the answer is not HTTP.
        """
        link = self._socket or self._connect()
        head, wire = self._prepare(method, path, query, body, headers)
        if self.expect_100 and body is not None:
            link.sendall(head)
            status, fields, rest = self._read_head(link)
            if status != CONTINUE:
                self.close()
                return Answer(status, 0, 0, fields)
            link.sendall(wire)
        elif len(wire) <= SMALL_BODY_BYTES:
            link.sendall(head + wire)
        else:
            link.sendall(head)
            link.sendall(wire)
        status, fields, rest = self._read_head(link)
        while status == CONTINUE:
            status, fields, rest = self._read_head(link)
        size, crc32 = 0, 0
        if method != "HEAD" and status not in NO_BODY:
            chunked = fields.get(b"transfer-encoding", b"").lower() == b"chunked"
            drain = self._drain_chunked if chunked else self._drain_counted
            size, crc32 = drain(link, fields, rest, check=check)
        if fields.get(b"connection", b"").lower() == b"close":
            self.close()
        return Answer(status, size, crc32, fields)

    def _connect(self) -> socket.socket:
        link = socket.create_connection((self.endpoint.host, self.endpoint.port), timeout=self.timeout_s)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.endpoint.tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            link = context.wrap_socket(link, server_hostname=self.endpoint.host)
        self._socket = link
        return link

    def _prepare(
        self, method: str, path: str, query: str, body: Body | None, headers: Sequence[tuple[str, str]]
    ) -> tuple[bytes, bytes]:
        """Give the request's head, with its empty line, and the bytes of its body."""
        target, extra, wire = f"{path}?{query}" if query else path, list(headers), body.wire if body else b""
        length: int | None = len(wire) if method in {"PUT", "POST"} else None
        block, sha256 = "", body.sha256 if body else "UNSIGNED-PAYLOAD"
        if self.auth is Auth.SIGNED and body is None:
            sha256 = EMPTY_SHA256
        if body and self.auth in {Auth.STREAMING_TRAILER, Auth.STREAMING_SIGNED}:
            extra += [("content-encoding", "aws-chunked"), ("x-amz-decoded-content-length", str(body.size))]
            sha256, length = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", body.signed_size
            if self.auth is Auth.STREAMING_TRAILER:
                extra += [("x-amz-trailer", "x-amz-checksum-crc32"), ("x-amz-sdk-checksum-algorithm", "CRC32")]
                sha256, length = "STREAMING-UNSIGNED-PAYLOAD-TRAILER", None
        if self.auth is Auth.PRESIGNED and not query:
            target = self.signer.presign(method, path)
        elif self.auth is not Auth.NONE:
            block, signature, now, scope = self.signer.sign(method, path, query, sha256, extra)
            if body and self.auth is Auth.STREAMING_SIGNED:
                wire = body.chain(self.signer, signature, now, scope)
        if length is not None:
            block += f"Content-Length: {length}\r\n"
        elif wire:
            block += "Transfer-Encoding: chunked\r\n"
        if self.expect_100 and body is not None:
            block += "Expect: 100-continue\r\n"
        return f"{method} {target} HTTP/1.1\r\nHost: {self.endpoint.authority}\r\n{block}\r\n".encode(), wire

    @staticmethod
    def _read_head(link: socket.socket) -> tuple[int, dict[bytes, bytes], bytes]:
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            more = link.recv(SMALL_BODY_BYTES)
            if not more:
                raise ConnectionError("closed before the answer")
            data += more
        lines = data[:end].split(b"\r\n")
        pairs = (line.partition(b":") for line in lines[1:])
        return int(lines[0][9:12]), {name.lower(): value.strip() for name, _, value in pairs}, data[end + 4 :]

    def _drain_counted(
        self, link: socket.socket, fields: dict[bytes, bytes], rest: bytes, *, check: bool
    ) -> tuple[int, int]:
        size = int(fields.get(b"content-length", b"0"))
        left, crc32 = size - len(rest), zlib.crc32(rest) if check else 0
        while left > 0:
            count = link.recv_into(self._buffer[: min(left, RECEIVE_BYTES)])
            if not count:
                raise ConnectionError("closed within the body")
            crc32 = zlib.crc32(self._buffer[:count], crc32) if check else 0
            left -= count
        return size, crc32

    @staticmethod
    def _drain_chunked(
        link: socket.socket, _fields: dict[bytes, bytes], rest: bytes, *, check: bool
    ) -> tuple[int, int]:
        data, size, crc32 = bytearray(rest), 0, 0

        def more() -> None:
            received = link.recv(RECEIVE_BYTES)
            if not received:
                raise ConnectionError("closed within a chunk")
            data.extend(received)

        while True:
            while (end := data.find(b"\r\n")) < 0:
                more()
            count = int(bytes(data[:end]).split(b";")[0], 16)
            del data[: end + 2]
            while len(data) < count + 2:
                more()
            crc32 = zlib.crc32(bytes(data[:count]), crc32) if check else 0
            size += count
            del data[: count + 2]
            if not count:
                return size, crc32
