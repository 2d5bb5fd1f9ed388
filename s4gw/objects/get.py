"""Giving an original back: find the frames of a range, read them in runs, decode, check and cut.

Every frame's CRC-32C is checked before a byte of it leaves. The frames of a range are one span of the backend. A longer
body that nobody else's reading stands beside is decoded ahead by the pool, `FRAMES_AHEAD` or `AHEAD_BYTES` at a time,
so that a slow client holds no more than that. Where several bodies are read, each stays in its thread: every core has
work then, and handing it to another costs more than it gives. A frame that was stored as it is leaves as it was read.

Bodies of another writer may be the bare output of one codec (its size and CRC-32C stand in the metadata), have paddings
around frames, or need a dictionary that lies beside them in the bucket.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final, Protocol

from s4gw import checksum
from s4gw.backends.base import (
    Backend,
    StoredObject,
)
from s4gw.backends.bodies import Buffer, Span
from s4gw.codec import (
    FRAME_HEADER_SIZE,
    PADDING_MAGIC,
    CodecError,
    CodecId,
    CodecUnavailable,
    FrameHeader,
    FrameIndex,
    checked_original,
    decode_frame,
    parse_frame_header,
    stream_raw,
)
from s4gw.codec.frame import parse_padding_header
from s4gw.objects.crowd import Crowd
from s4gw.objects.dictionaries import Dictionaries, DictionaryOf
from s4gw.objects.errors import DamagedObject
from s4gw.objects.layout import LayoutCache

WHOLE_BYTES: Final = 4 * 1024 * 1024
"""A body stored as it is, up to this size, is checked as a whole before its first byte leaves."""
FRAMES_AHEAD: Final = 3
AHEAD_BYTES: Final = 16 * 1024 * 1024
"""Decoded bytes that wait; one frame may be more."""
ORIGINAL_FRAME_MAX: Final = 256 * 1024 * 1024
"""We write 1 MiB frames; S4 makes one of each part, and clients' parts have 5 to 64 MiB unless an object is huge."""
CODED_MAX: Final = 64 * 1024 * 1024
"""Unframed output of a codec that is decoded in memory."""
RAW_BLOCK_BYTES: Final = 1024 * 1024

_PASSTHROUGH: Final = CodecId.PASSTHROUGH.label


class Decoder(Protocol):
    """Decodes frames that need a GPU: `s4gw.gpu.Client`."""

    def decode(self, header: FrameHeader, payload: memoryview, /) -> bytes:
        """Give the original, checked. Raises: CodecUnavailable, other CodecErrors."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads originals through one backend. Shared by all requests of a process."""

    backend: Backend
    layouts: LayoutCache
    dictionaries: Dictionaries
    pool: Executor
    elsewhere: Decoder | None = None
    """Decodes what this process cannot."""
    crowd: Crowd = field(default_factory=Crowd)

    def read(self, bucket: str, obj: StoredObject, start: int, end: int) -> Iterator[Buffer]:
        """Give bytes ``[start, end)`` of the original in blocks, the first of them checked before this returns.

        The blocks stay as they are for as long as the caller has them.

        Raises: DamagedObject when stored bytes are damaged, ObjectChanged; once blocks have left, the iterator raises
            it instead, and the connection has to be cut.
        """
        if start >= end:
            return iter(())
        meta = obj.meta
        dictionary = self.dictionaries.of(bucket, obj) if meta.dictionary else None
        if not meta.framed and meta.codec != _PASSTHROUGH:
            blocks = self._coded(obj, start, end)
        elif not meta.framed:
            if meta.crc32c is not None and obj.size <= WHOLE_BYTES:
                return iter((self._checked(obj, start, end),))
            blocks = self._raw(obj, start, end)
        elif meta.frames == 1 and not meta.parts:
            # PERF: most objects are one frame; no index, no generator, no thread.
            frame = _Frame(obj.key, self._whole(obj), obj.size)
            return iter((_cut(frame.decode(dictionary, self.elsewhere), 0, start, end),))
        else:
            index = self.layouts.load(bucket, obj).index
            blocks = self._framed(obj, index, start, end, dictionary)
        return _primed(blocks)

    def _whole(self, obj: StoredObject) -> memoryview:
        """The stored bytes of an object that is small enough."""
        return memoryview(self.backend.read(obj, 0, obj.stored_size))

    def _checked(self, obj: StoredObject, start: int, end: int) -> Buffer:
        """Some of a small stored original, which is read whole, so that its checksum can be checked."""
        body = self._whole(obj)
        if checksum.crc32c(body) != obj.meta.crc32c:
            raise DamagedObject(obj.key, "checksum of the whole")
        return body if end - start == obj.size else body[start:end]

    def _raw(self, obj: StoredObject, start: int, end: int) -> Iterator[Buffer]:
        """A stored original."""
        with closing(self.backend.open_span(obj, start, end)) as span:
            for offset in range(start, end, RAW_BLOCK_BYTES):
                yield span.read(min(RAW_BLOCK_BYTES, end - offset))

    def _coded(self, obj: StoredObject, start: int, end: int) -> Iterator[Buffer]:
        """The bare output of one codec. What is too large to be held is decoded twice: to check, then to give."""
        try:
            codec = CodecId.from_label(obj.meta.codec)
            if obj.size <= CODED_MAX and obj.stored_size <= CODED_MAX:
                header = FrameHeader(codec, obj.size, obj.stored_size, obj.meta.crc32c or 0)
                with closing(self.backend.open_span(obj, 0, obj.stored_size)) as span:
                    stored = span.read(obj.stored_size)
                body = memoryview(decode_frame(header, stored, original_size_max=CODED_MAX))
                for offset in range(start, end, RAW_BLOCK_BYTES):
                    yield bytes(body[offset : min(offset + RAW_BLOCK_BYTES, end)])
                return
            size = crc32c = 0
            for block in self._stream(codec, obj):
                size, crc32c = size + len(block), checksum.crc32c(block, crc32c)
            if (size, crc32c) != (obj.size, obj.meta.crc32c):
                raise DamagedObject(obj.key, "checksum of the whole")
            position = 0
            for block in self._stream(codec, obj):
                if position < end and position + len(block) > start:
                    yield _cut(block, position, start, end)
                position += len(block)
        except (CodecError, ValueError) as error:
            raise DamagedObject(obj.key, type(error).__name__) from error

    def _stream(self, codec: CodecId, obj: StoredObject) -> Iterator[bytes]:
        with closing(self.backend.open_span(obj, 0, obj.stored_size)) as span:
            yield from stream_raw(codec, _SpanFile(span, obj.stored_size))

    def _framed(
        self, obj: StoredObject, index: FrameIndex, start: int, end: int, dictionary: DictionaryOf | None
    ) -> Iterator[Buffer]:
        found = index.covering(start, end)
        position = found.original_start
        pending: deque[tuple[int, Future[Buffer]]] = deque()
        held = 0
        with (
            self.crowd,
            closing(self.backend.open_span(obj, found.stored_start, found.stored_end)) as span,
        ):
            for number, stored in _frames(span, index, found.first, found.last):
                frame = _Frame(obj.key, stored, index.original_sizes[number])
                last = number + 1 == found.last
                if not pending and (last or frame.as_it_is or not self.crowd.alone):
                    yield _cut(frame.decode(dictionary, self.elsewhere), position, start, end)
                    position += frame.original_size
                    continue
                pending.append((frame.original_size, self.pool.submit(frame.decode, dictionary, self.elsewhere)))
                held += frame.original_size
                while pending and (
                    last
                    or len(pending) > FRAMES_AHEAD
                    or (held > AHEAD_BYTES and len(pending) > 1)
                    or not self.crowd.alone
                ):
                    size = pending[0][0]
                    yield _cut(pending.popleft()[1].result(), position, start, end)  # nor by a name here
                    position += size
                    held -= size


def _frames(span: Span, index: FrameIndex, first: int, last: int) -> Iterator[tuple[int, memoryview]]:
    """Stored frames *first* to *last* of a *span* that begins with the first: (number, bytes)."""
    number = first
    while number < last:
        size, until = 0, number
        while until < last and (until == number or size + index.stored_sizes[until] <= span.step_bytes):
            size, until = size + index.stored_sizes[until], until + 1
        run = memoryview(span.read(size))
        offset = 0
        for each in range(number, until):
            stored_size = index.stored_sizes[each]
            yield each, run[offset : offset + stored_size]
            offset += stored_size
        number = until


class _SpanFile:
    """A span as a file."""

    def __init__(self, span: Span, size: int) -> None:
        self._span = span
        self._left = size

    def read(self, size: int, /) -> bytes:
        """Up to *size* bytes; none at the end."""
        size = min(size, self._left)
        self._left -= size
        return bytes(self._span.read(size)) if size else b""


class _Frame:
    """One stored frame, which may have paddings before and after it.

    Args:
        key: Of its object, for errors.
        stored: Its bytes.
        original_size: What the index says.

    Raises: DamagedObject.
    """

    __slots__ = ("_header", "_key", "_payload", "as_it_is", "original_size")

    def __init__(self, key: str, stored: memoryview, original_size: int) -> None:
        try:
            offset = 0
            while bytes(stored[offset : offset + 4]) == PADDING_MAGIC:
                offset += parse_padding_header(stored, offset).stored_size
            self._header = header = parse_frame_header(stored, offset)
        except CodecError as error:
            raise DamagedObject(key, type(error).__name__) from error
        end = offset + header.stored_size
        if end < len(stored) and bytes(stored[end : end + 4]) != PADDING_MAGIC:
            raise DamagedObject(key, "something stands after a frame")
        if header.original_size != original_size:
            raise DamagedObject(key, "frame size differs from the index")
        self._key = key
        self._payload = stored[offset + FRAME_HEADER_SIZE : end]
        self.original_size = original_size
        self.as_it_is = header.codec is CodecId.PASSTHROUGH
        """There is nothing to decode, only to check."""

    def decode(self, dictionary: DictionaryOf | None, elsewhere: Decoder | None) -> Buffer:
        """Give the original, checked; a part of what was read where it was stored as it is.

        Raises: DamagedObject; CodecUnavailable, for frames that need a GPU where there is none.
        """
        header, payload = self._header, self._payload
        try:
            if self.as_it_is:
                return checked_original(header, payload)
            try:
                return decode_frame(header, payload, dictionaries=dictionary, original_size_max=ORIGINAL_FRAME_MAX)
            except CodecUnavailable:
                if elsewhere is None:
                    raise
                return elsewhere.decode(header, payload)
        except CodecUnavailable:
            raise
        except CodecError as error:
            raise DamagedObject(self._key, type(error).__name__) from error


def _cut(body: Buffer, position: int, start: int, end: int) -> Buffer:
    """The part of a frame, which starts at *position*, that lies in ``[start, end)``."""
    low, high = max(0, start - position), min(len(body), end - position)
    return body if high - low == len(body) else body[low:high]


def _primed(blocks: Iterator[Buffer]) -> Iterator[Buffer]:
    """Decode the first block now, so that damage there is still an error response."""
    first = [next(blocks)]

    def resume() -> Iterator[Buffer]:
        yield first.pop()  # a block that has left is held by nobody: a slow client has one, not two
        yield from blocks

    return resume()


class ObjectSource:
    """An original, or a range of it, as the source of another write (UploadPartCopy, re-framing copies)."""

    def __init__(self, blocks: Iterator[Buffer], length: int) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")
        self.length = length

    @property
    def trailers(self) -> Mapping[str, str]:
        """An object has no trailing headers."""
        return {}

    def readinto(self, view: memoryview, /) -> int:
        """Fill *view* as far as the object reaches."""
        filled = 0
        while filled < len(view):
            if not self._rest:
                block = next(self._blocks, None)
                if block is None:
                    break
                self._rest = memoryview(block)
            count = min(len(self._rest), len(view) - filled)
            view[filled : filled + count] = self._rest[:count]
            self._rest = self._rest[count:]
            filled += count
        return filled
