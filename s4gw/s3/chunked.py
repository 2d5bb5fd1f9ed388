"""Framing of chunked bodies: aws-chunked (signed, unsigned, with trailer) and HTTP's own Transfer-Encoding.

The decoders parse framing only. Payload never passes through them: they say how many payload bytes follow, the shell
moves those straight from the socket into the caller's buffer. Both have one interface, so the shell can run aws-chunked
inside HTTP chunks in a single pass:

    event = decoder.next_event()
    NEED_DATA  call ``used = decoder.feed(view)``; the first *used* bytes are done with, the rest is payload or unread
    PAYLOAD    up to ``decoder.payload_left`` payload bytes follow; take *n* of them, then ``decoder.advance(n)``
    CHUNK_END  (aws-chunked, signed) call ``decoder.end_chunk(sha256_hex)`` with the digest of the chunk's payload
    END        the body is complete; `trailers` and `decoded` are final; bytes not used belong to the next request

Whenever the source ends, ``decoder.end_of_input()`` tells whether it was allowed to. The loop of a shell whose source
has ``peek() -> memoryview`` (empty at the end), ``skip(n)`` and ``readinto(view) -> int``:

    while filled < len(view):
        event = decoder.next_event()
        if event is Event.PAYLOAD:
            n = source.readinto(view[filled : filled + decoder.payload_left])
            if n == 0:
                decoder.end_of_input()                        # raises IncompleteBody
            sha256.update(view[filled : filled + n])          # signed modes only
            decoder.advance(n)
            filled += n
        elif event is Event.NEED_DATA:
            data = source.peek()
            if not data:
                decoder.end_of_input()                        # returns where a final CRLF may be missing
            else:
                source.skip(decoder.feed(data))
        elif event is Event.CHUNK_END:
            decoder.end_chunk(sha256.hexdigest())
            sha256 = hashlib.sha256()
        else:
            break

Any split of the input gives the same events. At most `LINE_BYTES_MAX` bytes are buffered, plus the trailer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from s4gw.s3.errors import (
    IncompleteBody,
    InvalidChunkSizeError,
    InvalidRequest,
    MalformedTrailerError,
    SignatureDoesNotMatch,
)

Buffer = bytes | bytearray | memoryview

LINE_BYTES_MAX: Final = 4096
"""A chunk header has 16 + 17 + 64 bytes with SigV4; SigV4A signatures take up to 144."""
TRAILER_BYTES_MAX: Final = 8192
TRAILER_LINES_MAX: Final = 32
CHUNK_BYTES_MIN: Final = 8192
"""Of every chunk but the last. Source: S3 API reference, "Signature calculations ... (chunked upload)"."""
EMPTY_SHA256: Final = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
TRAILER_SIGNATURE: Final = "x-amz-trailer-signature"

_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,16}")
_SIGNED_EXTENSION: Final = re.compile(rb"chunk-signature=([0-9a-f]{64,256}\*{0,144})")
_TRAILER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")


class Event(Enum):
    """What a decoder wants next; see the module's docstring."""

    NEED_DATA = auto()
    PAYLOAD = auto()
    CHUNK_END = auto()
    END = auto()


class _State(Enum):
    HEADER = auto()
    PAYLOAD = auto()
    DIGEST = auto()
    PAYLOAD_CRLF = auto()
    TRAILER = auto()
    END = auto()


_EVENT: Final[Mapping[_State, Event]] = MappingProxyType(
    {
        _State.HEADER: Event.NEED_DATA,
        _State.PAYLOAD: Event.PAYLOAD,
        _State.DIGEST: Event.CHUNK_END,
        _State.PAYLOAD_CRLF: Event.NEED_DATA,
        _State.TRAILER: Event.NEED_DATA,
        _State.END: Event.END,
    }
)


class _ChunkedDecoder:
    """What both framings share: lines, payload counting, the end of the input."""

    def __init__(self) -> None:
        self.payload_left = 0
        """Payload bytes of the current chunk that are still to come."""
        self.decoded = 0
        """Payload bytes that were taken."""
        self._state = _State.HEADER
        self._line = bytearray()
        self._trailers: dict[str, str] = {}

    @property
    def trailers(self) -> Mapping[str, str]:
        """Lower-case name -> value; complete at END."""
        return self._trailers

    def next_event(self) -> Event:
        """Tell what is to be done next."""
        return _EVENT[self._state]

    def feed(self, data: Buffer) -> int:
        """Take framing from the start of *data*, up to where payload begins or the body ends.

        Returns: Number of bytes taken; the others are untouched.
        """
        view = memoryview(data)
        used = 0
        while used < len(view) and _EVENT[self._state] is Event.NEED_DATA:
            room = LINE_BYTES_MAX - len(self._line)
            piece = bytes(view[used : used + room])
            end = piece.find(b"\n")
            if end < 0:
                self._line += piece
                used += len(piece)
                if len(self._line) >= LINE_BYTES_MAX:
                    raise self._malformed("line too long")
                continue
            self._line += piece[: end + 1]
            used += end + 1
            line = bytes(self._line)
            self._line.clear()
            self._take_line(line)
        return used

    def advance(self, size: int) -> None:
        """Note that *size* payload bytes were taken, at most `payload_left`."""
        assert 0 < size <= self.payload_left, (size, self.payload_left)
        self.payload_left -= size
        self.decoded += size
        if not self.payload_left:
            self._payload_done()

    def end_of_input(self) -> None:
        """Note that the source has no more bytes. Raises: IncompleteBody when more must come."""
        if self._state is not _State.END:
            raise IncompleteBody

    def _payload_done(self) -> None:
        self._state = _State.PAYLOAD_CRLF

    def _take_line(self, line: bytes) -> None:
        raise NotImplementedError

    def _malformed(self, what: str) -> Exception:
        return InvalidRequest(f"The chunked body is malformed: {what}.")

    def _size(self, line: bytes) -> tuple[int, bytes]:
        """Split a chunk header into size and extension."""
        # SECURITY: a bare LF or a stray CR is refused, or a proxy in front might see other chunks than we do
        if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
            raise self._malformed("bad line end")
        size, _, extension = line[:-2].partition(b";")
        size = size.strip(b" \t")
        if _SIZE.fullmatch(size) is None:
            raise self._malformed("bad chunk size")
        return int(size, 16), extension.strip(b" \t")

    def _take_payload_end(self, line: bytes) -> None:
        if line != b"\r\n":
            raise self._malformed("chunk does not end where its size says")
        self._state = _State.HEADER

    def _start_payload(self, size: int) -> None:
        self.payload_left = size
        self._state = _State.PAYLOAD


class HttpChunkedDecoder(_ChunkedDecoder):
    """``Transfer-Encoding: chunked``. Extensions are skipped, trailer fields bounded and dropped.

    Source: RFC 9112, section 7.1.
    """

    def __init__(self) -> None:
        super().__init__()
        self._trailer_bytes = 0

    def _take_line(self, line: bytes) -> None:
        if self._state is _State.HEADER:
            size, _ = self._size(line)
            if size:
                self._start_payload(size)
            else:
                self._state = _State.TRAILER
        elif self._state is _State.PAYLOAD_CRLF:
            self._take_payload_end(line)
        elif line == b"\r\n":
            self._state = _State.END
        else:
            self._trailer_bytes += len(line)
            if self._trailer_bytes > TRAILER_BYTES_MAX:
                raise self._malformed("trailer too long")


class AwsChunkedDecoder(_ChunkedDecoder):
    r"""S3's own ``Content-Encoding: aws-chunked``.

    Args:
        decoded_length: ``x-amz-decoded-content-length``; the body must have exactly so many payload bytes.
        check_chunk: Signed modes: called with each chunk's signature and the SHA-256 (hexadecimal) of its payload, in
            order, the empty last chunk included; raises SignatureDoesNotMatch. None: chunks are not signed.
        trailer: The mode has a trailer (``-TRAILER``).
        trailer_names: Lower-case names that ``x-amz-trailer`` announced; just these must come.
        check_trailer: Signed trailer: called with its signature and the canonical trailer (``name:value\n`` lines).
        chunk_bytes_min: For every chunk but the last.

    Source: S3 API reference, "Signature calculations for the authorization header: transferring payload in multiple
    chunks", with and without trailing headers.
    """

    def __init__(  # noqa: PLR0913 - one argument per property of the mode
        self,
        *,
        decoded_length: int,
        check_chunk: Callable[[str, str], None] | None = None,
        trailer: bool = False,
        trailer_names: Collection[str] = (),
        check_trailer: Callable[[str, bytes], None] | None = None,
        chunk_bytes_min: int = CHUNK_BYTES_MIN,
    ) -> None:
        super().__init__()
        self._decoded_length = decoded_length
        self._check_chunk = check_chunk
        self._trailer = trailer
        self._trailer_names = frozenset(trailer_names)
        self._check_trailer = check_trailer
        self._chunk_bytes_min = chunk_bytes_min
        self._announced = 0
        self._short_chunk = False
        self._signature = ""
        self._trailer_lines: list[bytes] = []
        self._trailer_bytes = 0
        self._blank_line = False

    def end_chunk(self, sha256_hex: str) -> None:
        """Check the chunk whose payload has the digest *sha256_hex*. Raises: SignatureDoesNotMatch."""
        assert self._state is _State.DIGEST
        assert self._check_chunk is not None
        self._check_chunk(self._signature, sha256_hex)
        self._state = _State.PAYLOAD_CRLF

    def end_of_input(self) -> None:
        """Note that the source has no more bytes; the CRLF after an untrailed last chunk may be missing.

        Raises: IncompleteBody, MalformedTrailerError.
        """
        if self._state is _State.TRAILER and not self._line:
            if not self._trailer:
                self._state = _State.END
                return
            # With a signature to come, only an empty line tells a trailer that ended without it from one that was cut.
            whole = self._trailers.keys() == self._trailer_names and (self._check_trailer is None or self._blank_line)
            if self._signature or whole:
                self._finish()
                return
        super().end_of_input()

    def _payload_done(self) -> None:
        self._state = _State.PAYLOAD_CRLF if self._check_chunk is None else _State.DIGEST

    def _take_line(self, line: bytes) -> None:
        if self._state is _State.HEADER:
            self._take_header(line)
        elif self._state is _State.PAYLOAD_CRLF:
            self._take_payload_end(line)
        elif not self._trailer:
            if line != b"\r\n":
                raise self._malformed("bytes after the last chunk")
            self._state = _State.END
        else:
            self._take_trailer_line(line)

    def _take_header(self, line: bytes) -> None:
        size, extension = self._size(line)
        if self._check_chunk is not None:
            signature = _SIGNED_EXTENSION.fullmatch(extension)
            if signature is None:
                raise SignatureDoesNotMatch
            self._signature = signature[1].decode()
        if size:
            self._announced += size
            if self._announced > self._decoded_length:
                raise IncompleteBody("The chunks hold more bytes than x-amz-decoded-content-length says.")
            if self._short_chunk:
                raise InvalidChunkSizeError
            self._short_chunk = size < self._chunk_bytes_min
            self._start_payload(size)
            return
        if self._announced != self._decoded_length:
            raise IncompleteBody("The chunks hold fewer bytes than x-amz-decoded-content-length says.")
        if self._check_chunk is not None:
            self._check_chunk(self._signature, EMPTY_SHA256)
        self._signature = ""
        self._state = _State.TRAILER

    def _take_trailer_line(self, line: bytes) -> None:
        text = line.rstrip(b"\r\n")
        if not text:
            # between the trailer and its signature an empty line may stand, in S3's own examples
            self._blank_line = True
            if self._check_trailer is None or self._signature:
                self._finish()
            return
        self._trailer_bytes += len(line)
        if self._trailer_bytes > TRAILER_BYTES_MAX or len(self._trailer_lines) >= TRAILER_LINES_MAX:
            raise MalformedTrailerError
        try:
            name, colon, value = text.decode("ascii").partition(":")
        except UnicodeDecodeError as broken:
            raise MalformedTrailerError from broken
        name, value = name.strip().lower(), value.strip()
        if not colon or _TRAILER_NAME.fullmatch(name) is None or self._signature or name in self._trailers:
            raise MalformedTrailerError
        if name == TRAILER_SIGNATURE:
            self._signature = value
            return
        self._trailers[name] = value
        self._trailer_lines.append(f"{name}:{value}\n".encode())

    def _finish(self) -> None:
        if self._trailers.keys() != self._trailer_names:
            raise MalformedTrailerError
        if self._check_trailer is not None:
            if not self._signature:
                raise MalformedTrailerError
            self._check_trailer(self._signature, b"".join(self._trailer_lines))
        self._state = _State.END
