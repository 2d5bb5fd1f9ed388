"""Chunked bodies: Transfer-Encoding, and aws-chunked inside it or inside a Content-Length, in one pass.

The decoders of `s4gw.s3.chunked` read the framing; here the payload is moved past them, from the layer below straight
into the caller's buffer. SHA-256 runs only where chunks are signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from s4gw.auth import PayloadMode, PayloadPlan
from s4gw.s3.chunked import AwsChunkedDecoder, Event, HttpChunkedDecoder
from s4gw.s3.errors import IncompleteBody

if TYPE_CHECKING:
    from s4gw.gateway.wire import Wire


class Lower(Protocol):
    """What a framing reads from: a `Wire` or another framing."""

    def readinto(self, view: memoryview, /) -> int:
        """Fill some of *view*, which is not empty; 0 at the end."""

    def peek(self) -> memoryview:
        """Some of the bytes that come next; empty at the end."""

    def skip(self, size: int, /) -> None:
        """Take *size* bytes that `peek` has shown."""


class HttpChunkedFraming:
    """``Transfer-Encoding: chunked``."""

    __slots__ = ("_decoder", "_lower")

    def __init__(self, wire: Wire) -> None:
        self._lower: Lower = wire
        self._decoder = HttpChunkedDecoder()

    @property
    def trailers(self) -> Mapping[str, str]:
        return self._decoder.trailers

    def readinto(self, view: memoryview, /) -> int:
        if not _advance(self._lower, self._decoder, None):
            return 0
        size = _payload(self._lower, self._decoder, view)
        self._decoder.advance(size)
        return size

    def peek(self) -> memoryview:
        if not _advance(self._lower, self._decoder, None):
            return memoryview(b"")
        data = self._lower.peek()[: self._decoder.payload_left]
        if not data:
            self._decoder.end_of_input()
        return data

    def skip(self, size: int, /) -> None:
        self._lower.skip(size)
        self._decoder.advance(size)


class AwsChunkedFraming:
    """``aws-chunked`` over another framing, with chunk and trailer signatures where the plan has them.

    Args:
        lower: The framing that carries it.
        length: ``x-amz-decoded-content-length``.
        plan: From authentication.
        announced: Trailer names of ``x-amz-trailer``, lower case.
    """

    __slots__ = ("_decoder", "_lower", "_sha256")

    def __init__(self, lower: Lower, length: int, plan: PayloadPlan, announced: frozenset[str]) -> None:
        self._lower = lower
        signer = plan.signer
        trailer = plan.mode is not PayloadMode.STREAMING_SIGNED
        self._decoder = AwsChunkedDecoder(
            decoded_length=length,
            check_chunk=None if signer is None else signer.check_chunk,
            trailer=trailer,
            trailer_names=announced if trailer else frozenset(),
            check_trailer=signer.check_trailer if signer is not None and trailer else None,
        )
        self._sha256 = None if signer is None else hashlib.sha256()

    @property
    def trailers(self) -> Mapping[str, str]:
        return self._decoder.trailers

    def readinto(self, view: memoryview, /) -> int:
        if not _advance(self._lower, self._decoder, self._end_chunk):
            if self._lower.peek():
                raise IncompleteBody("The request body goes on after its last chunk.")
            return 0
        size = _payload(self._lower, self._decoder, view)
        if self._sha256 is not None:
            self._sha256.update(view[:size])
        self._decoder.advance(size)
        return size

    def peek(self) -> memoryview:
        """Nothing is framed inside aws-chunked."""
        raise NotImplementedError

    def skip(self, size: int, /) -> None:
        """Nothing is framed inside aws-chunked."""
        raise NotImplementedError

    def _end_chunk(self) -> None:
        if self._sha256 is not None:
            self._decoder.end_chunk(self._sha256.hexdigest())
            self._sha256 = hashlib.sha256()


def _advance(
    lower: Lower, decoder: HttpChunkedDecoder | AwsChunkedDecoder, end_chunk: Callable[[], None] | None
) -> bool:
    """Read framing up to the next payload byte. Returns: False at the end of the body."""
    while True:
        event = decoder.next_event()
        if event is Event.PAYLOAD:
            return True
        if event is Event.END:
            return False
        if event is Event.CHUNK_END and end_chunk is not None:
            end_chunk()
            continue
        data = lower.peek()
        if data:
            lower.skip(decoder.feed(data))
        else:
            decoder.end_of_input()


def _payload(lower: Lower, decoder: HttpChunkedDecoder | AwsChunkedDecoder, view: memoryview) -> int:
    """Move payload; there is some. Raises: IncompleteBody."""
    size = lower.readinto(view[: decoder.payload_left])
    if not size:
        decoder.end_of_input()
    return size
