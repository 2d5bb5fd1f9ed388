"""The body of a request: decoded, counted and, where its chunks are signed, verified.

Layers of framing lie over one `Wire`: Content-Length or Transfer-Encoding, and inside it aws-chunked where the client
says so. A layer hands the caller's buffer down, so payload goes from the socket to where it is wanted in one step.

Invariants: the bytes counted are compared with what was declared, in both layers (`IncompleteBody`); the end of the
body is met only after the last chunk and trailer have been verified; the parser's own reader is told how far the body
was read, so that a kept-alive connection goes on at the right byte and one with an unread body is closed.

Left to readers of the body: comparing the SHA-256 of a payload signed as a whole (`Body.plan`), which only
`Body.read_all` does itself.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final, Protocol

from s4gw.auth import PayloadMode, PayloadPlan
from s4gw.gateway.chunked import AwsChunkedFraming, HttpChunkedFraming
from s4gw.gateway.wire import StreamChannel, Wire
from s4gw.s3.errors import (
    IncompleteBody,
    InvalidArgument,
    MaxMessageLengthExceeded,
    MissingContentLength,
    XAmzContentSHA256Mismatch,
)

STREAMING: Final = frozenset(
    {PayloadMode.STREAMING_SIGNED, PayloadMode.STREAMING_SIGNED_TRAILER, PayloadMode.STREAMING_UNSIGNED_TRAILER}
)
READ_ALL_STEP: Final = 64 * 1024
NO_TRAILERS: Final[Mapping[str, str]] = {}


class Framing(Protocol):
    """One layer of a body; `readinto` gives 0 only after the end has been verified."""

    @property
    def trailers(self) -> Mapping[str, str]:
        """Trailing headers, complete after the end."""

    def readinto(self, view: memoryview, /) -> int:
        """Fill some of *view*, which is not empty."""

    def peek(self) -> memoryview:
        """Some of the payload bytes that come next; empty at the end."""

    def skip(self, size: int, /) -> None:
        """Take *size* bytes that `peek` has shown."""


class LengthFraming:
    """A body of known length."""

    __slots__ = ("_left", "_wire")

    trailers = NO_TRAILERS

    def __init__(self, wire: Wire, length: int) -> None:
        self._wire = wire
        self._left = length

    def readinto(self, view: memoryview, /) -> int:
        if not self._left:
            return 0
        size = self._wire.readinto(view[: self._left], self._left)
        if not size:
            raise IncompleteBody
        self._left -= size
        return size

    def peek(self) -> memoryview:
        if not self._left:
            return memoryview(b"")
        view = self._wire.peek(self._left)
        if not view:
            raise IncompleteBody
        return view

    def skip(self, size: int, /) -> None:
        self._wire.skip(size)
        self._left -= size


class StreamFraming:
    """A body that ends where the stream ends: a chunked one whose chunks the WSGI server has taken off."""

    __slots__ = ("_wire",)

    trailers = NO_TRAILERS

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def readinto(self, view: memoryview, /) -> int:
        return self._wire.readinto(view)

    def peek(self) -> memoryview:
        return self._wire.peek()

    def skip(self, size: int, /) -> None:
        self._wire.skip(size)


class Body:
    """One request body; read it once, from one thread.

    Attributes:
        length: Decoded bytes that it will have, or None when the client did not say.
        plan: How it is bound to the signature of the request.
        received: Decoded bytes given so far.
    """

    __slots__ = ("_ended", "_framing", "_parsed", "_wire", "length", "plan", "received")

    def __init__(
        self, framing: Framing, wire: Wire | None, length: int | None, plan: PayloadPlan, parsed: Any = None
    ) -> None:
        self._framing = framing
        self._wire = wire
        self._parsed = parsed
        self._ended = False
        self.length = length
        self.plan = plan
        self.received = 0

    @property
    def trailers(self) -> Mapping[str, str]:
        """Trailing headers, lower-case names; complete after the end."""
        return self._framing.trailers

    def readinto(self, view: memoryview, /) -> int:
        """Fill *view* as far as the body reaches; less than its length only at the end, where all has been verified.

        Raises: IncompleteBody, SignatureDoesNotMatch, MalformedTrailerError, InvalidChunkSizeError, RequestTimeout,
            ClientDisconnectedError.
        """
        filled = 0
        while filled < len(view) and not self._ended:
            size = self._framing.readinto(view[filled:])
            if not size:
                self._end()
                break
            filled += size
            self.received += size
        if self.received == self.length and not self._ended and filled:
            # The caller may never ask again: meet the end with the last byte.
            self.finish()
        return filled

    def finish(self) -> None:
        """Verify that nothing follows the declared length. Raises as `readinto`."""
        probe = bytearray(1)
        if not self._ended and self._framing.readinto(memoryview(probe)):
            raise IncompleteBody("The request body is longer than its declared length.")
        self._end()

    def read_all(self, limit: int) -> bytes:
        """Read the whole body, at most *limit* bytes, and compare its SHA-256 where that was signed.

        Raises: MaxMessageLengthExceeded, XAmzContentSHA256Mismatch, and as `readinto`.
        """
        if self.length is not None and self.length > limit:
            raise MaxMessageLengthExceeded
        content = bytearray()
        step = bytearray(min(READ_ALL_STEP, (limit if self.length is None else self.length) + 1))
        with memoryview(step) as view:
            while size := self.readinto(view):
                content += view[:size]
                if len(content) > limit:
                    raise MaxMessageLengthExceeded
        if self.plan.mode is PayloadMode.SIGNED:
            # SECURITY: the signature covers the declared digest only; the bytes have to match it.
            actual = hashlib.sha256(content).hexdigest()
            if not hmac.compare_digest(actual, self.plan.sha256 or ""):
                raise XAmzContentSHA256Mismatch
        return bytes(content)

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        if self.length is not None and self.received != self.length:
            raise IncompleteBody
        if self._wire is not None and self._parsed is not None:
            _release(self._parsed, self._wire.rest())


class HeldBody(Body):
    """A body of known length that came with the headers, as small ones do.

    PERF: there is nothing to wait for and nothing to decode: 3 us less than through a framing.
    """

    __slots__ = ("_data",)

    trailers = NO_TRAILERS

    def __init__(self, data: bytes, plan: PayloadPlan) -> None:
        self._data = data
        self.length = len(data)
        self.plan = plan
        self.received = 0

    def readinto(self, view: memoryview, /) -> int:
        start = self.received
        some = self._data[start : start + len(view)] if start or len(view) < len(self._data) else self._data
        size = len(some)
        view[:size] = some
        self.received = start + size
        return size

    def finish(self) -> None:
        """Nothing follows what is held."""


def open_body(env: Mapping[str, Any], headers: Mapping[str, str], plan: PayloadPlan, *, required: bool = False) -> Body:
    """Open the body of a request.

    Args:
        env: WSGI environment; with ``s4gw.request`` in it the body is read from the socket.
        headers: Lower-case names.
        plan: From authentication.
        required: The operation stores a body, so that a request that says nothing of one is refused.

    Raises: MissingContentLength, InvalidArgument (a decoded length that is no number).
    """
    declared = headers.get("content-length", "")
    chunked = "transfer-encoding" in headers and "chunked" in headers["transfer-encoding"].lower()
    if required and not declared and not chunked:
        raise MissingContentLength
    wire_length = None if chunked else _length(declared or "0", "Content-Length")
    parsed = env.get("s4gw.request")
    framing: Framing
    wire: Wire | None = None
    if parsed is None:
        wire = Wire(StreamChannel(env), b"")
        framing = StreamFraming(wire) if wire_length is None else LengthFraming(wire, wire_length)
    else:
        if wire_length is not None and plan.mode not in STREAMING:
            held = parsed.unreader.take(wire_length)
            if held is not None:
                parsed.body.reader.length = 0  # for the parser it has been read
                return HeldBody(held, plan)
        ahead = _take_over(parsed)
        wire = Wire(env["gunicorn.socket"], ahead, env.get("s4gw.expectation"))
        framing = HttpChunkedFraming(wire) if wire_length is None else LengthFraming(wire, wire_length)
    length = wire_length
    if plan.mode in STREAMING:
        decoded = headers.get("x-amz-decoded-content-length")
        if decoded is None:
            raise MissingContentLength
        length = _length(decoded, "x-amz-decoded-content-length")
        announced = frozenset(name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",")) - {""}
        framing = AwsChunkedFraming(framing, length, plan, announced)
    return Body(framing, wire, length, plan, parsed)


def _length(value: str, name: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 20):  # noqa: PLR2004 - 2**63 has 19 digits
        raise InvalidArgument(f"{name} is not a length.", ArgumentName=name, ArgumentValue=value)
    return int(value)


def _take_over(parsed: Any) -> bytes:
    """Take the connection from the parser; until `_release` it may not be used for another request."""
    parsed.body.failed = True
    return bytes(parsed.unreader.take_buffered())


def _release(parsed: Any, rest: bytes) -> None:
    """Give the connection back to the parser at the end of the body."""
    reader = parsed.body.reader
    if hasattr(reader, "length"):
        reader.length = 0
    else:
        reader.parser = None
    if rest:
        parsed.unreader.unread(rest)
    parsed.body.failed = False
