"""Giving an original back: find the frames of a range, read them in runs, decode, check and cut.

Every frame's CRC-32C is checked before a byte of it leaves. A run of frames is read with one backend call of at most
`RUN_BYTES` stored bytes; frames of a longer body are decoded ahead by the pool, `FRAMES_AHEAD` at a time, so that a
slow client holds no more than that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Final

from s4gw import checksum
from s4gw.backends.base import Backend, StoredObject
from s4gw.codec import FRAME_HEADER_SIZE, CodecError, FrameIndex, decode_frame, parse_frame_header
from s4gw.objects.errors import DamagedObject
from s4gw.objects.layout import LayoutCache

RUN_BYTES: Final = 4 * 1024 * 1024
FRAMES_AHEAD: Final = 3
ORIGINAL_FRAME_MAX: Final = 64 * 1024 * 1024
"""We write 1 MiB frames; larger ones come from other writers and are bounded here."""
RAW_BLOCK_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads originals through one backend. Shared by all requests of a process."""

    backend: Backend
    layouts: LayoutCache
    pool: Executor

    def read(self, bucket: str, obj: StoredObject, start: int, end: int) -> Iterator[bytes]:
        """Give bytes ``[start, end)`` of the original in blocks, the first of them checked before this returns.

        Raises: DamagedObject when stored bytes are damaged; once blocks have left, the iterator raises it instead,
            and the connection has to be cut.
        """
        if start >= end:
            return iter(())
        if not obj.meta.framed:
            blocks = self._raw(obj, start, end)
        elif obj.meta.frames == 1 and not obj.meta.parts:
            # PERF: most objects are one frame; no index, no generator, no thread.
            stored = memoryview(self.backend.read(obj, 0, obj.stored_size))
            return iter((_cut(_decode(obj.key, stored, obj.size), 0, start, end),))
        else:
            index = self.layouts.load(bucket, obj).index
            blocks = self._framed(obj, index, start, end)
        return _primed(blocks)

    def _raw(self, obj: StoredObject, start: int, end: int) -> Iterator[bytes]:
        """A stored original. Small ones are read whole, so that their checksum can be checked."""
        crc32c = obj.meta.crc32c
        if crc32c is not None and obj.size <= RUN_BYTES:
            body = self.backend.read(obj, 0, obj.size)
            if checksum.crc32c(body) != crc32c:
                raise DamagedObject(obj.key, "checksum of the whole")
            yield body if end - start == obj.size else body[start:end]
            return
        for offset in range(start, end, RAW_BLOCK_BYTES):
            yield self.backend.read(obj, offset, min(offset + RAW_BLOCK_BYTES, end))

    def _framed(self, obj: StoredObject, index: FrameIndex, start: int, end: int) -> Iterator[bytes]:
        span = index.covering(start, end)
        position = span.original_start
        ahead = span.last - span.first > 1
        pending: deque[tuple[int, Future[bytes]]] = deque()
        for payload, original_size in self._frames(obj, index, span.first, span.last):
            if not ahead:
                yield _cut(_decode(obj.key, payload, original_size), position, start, end)
                position += original_size
                continue
            pending.append((original_size, self.pool.submit(_decode, obj.key, payload, original_size)))
            if len(pending) > FRAMES_AHEAD:
                size, future = pending.popleft()
                yield _cut(future.result(), position, start, end)
                position += size
        while pending:
            size, future = pending.popleft()
            yield _cut(future.result(), position, start, end)
            position += size

    def _frames(self, obj: StoredObject, index: FrameIndex, first: int, last: int) -> Iterator[tuple[memoryview, int]]:
        """Stored frames *first* to *last*, read in runs: (header and payload, original size)."""
        number = first
        while number < last:
            start = index.frame(number).stored_start
            end, until = start, number
            while until < last and (until == number or end + index.stored_sizes[until] - start <= RUN_BYTES):
                end, until = end + index.stored_sizes[until], until + 1
            run = memoryview(self.backend.read(obj, start, end))
            offset = 0
            for each in range(number, until):
                size = index.stored_sizes[each]
                yield run[offset : offset + size], index.original_sizes[each]
                offset += size
            number = until


def _decode(key: str, stored: memoryview, original_size: int) -> bytes:
    """Decode and check one stored frame."""
    try:
        header = parse_frame_header(stored)
        body = decode_frame(header, stored[FRAME_HEADER_SIZE:], original_size_max=ORIGINAL_FRAME_MAX)
    except CodecError as error:
        raise DamagedObject(key, type(error).__name__) from error
    if len(body) != original_size:
        raise DamagedObject(key, "frame size differs from the index")
    return body


def _cut(body: bytes, position: int, start: int, end: int) -> bytes:
    """The part of a frame, which starts at *position*, that lies in ``[start, end)``."""
    low, high = max(0, start - position), min(len(body), end - position)
    return body if high - low == len(body) else body[low:high]


def _primed(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Decode the first block now, so that damage there is still an error response."""
    first = next(blocks)

    def resume() -> Iterator[bytes]:
        yield first
        yield from blocks

    return resume()


class ObjectSource:
    """An original, or a range of it, as the source of another write (UploadPartCopy, re-framing copies)."""

    def __init__(self, blocks: Iterator[bytes], length: int) -> None:
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
