"""Streams: the pieces that codec 65 stores side by side, each in whichever form is smallest.

A payload has a table with an entry per stream, then the streams themselves, back to back; their decoded sizes follow
from the transform. The layout is in `s4gw.codec.layout`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from s4gw.checksum import Buffer
from s4gw.codec import zstd
from s4gw.codec.errors import CorruptFrame, TruncatedFrame
from s4gw.codec.layout import STREAM_VARINT_BYTES_MAX, StreamKind

_RAW_PERCENT: Final = 99  # a stream that does not shrink by this is stored as it is, like a frame

CASCADE_SHARE: Final = 16
"""What zstd shrank to less than this part of itself may still repeat: a second pass is tried."""
CASCADE_PERCENT: Final = 97
"""The second pass must save 3 %, or reading it would cost more than it is worth."""
_CASCADE_BYTES: Final = 16  # what is less than that would cost more to read than it saves: 2 us of each stream
CASCADE_LEVEL: Final = 6
"""Measured on 1 MiB of S4's log data: level 1 1441 bytes in 30 us, 6 1341 in 50 us, 19 1273 in 2.2 ms."""

_KINDS: Final = tuple(StreamKind)
_ZERO: Final = b"\0"
_MORE: Final = 0x80  # in LEB128, the bit that says that another byte follows
_NEEDLE_BYTES: Final = 16
_PERIODS_TRIED_MAX: Final = 16
_WHOLE_TRIED_MAX: Final = 2
_GLANCE_BYTES: Final = 4096  # PERF: the end of most streams shows already that a period is none


def squeeze(data: Buffer, level: int) -> tuple[StreamKind, Buffer]:
    """Find the smallest form of *data*; RAW gives *data* itself."""
    size = memoryview(data).nbytes
    if not size:
        return StreamKind.RAW, b""
    if _is_one_byte(data):
        return StreamKind.REPEAT, bytes(memoryview(data)[:1])
    packed = zstd.encode_numbers(data) if level == zstd.LEVEL_MIN else zstd.encode(data, level)
    if len(packed) * CASCADE_SHARE < size:
        pattern = _pattern(data, len(packed))
        if pattern:
            return StreamKind.REPEAT, pattern
    return finish(packed, size) or (StreamKind.RAW, data)


def finish(packed: bytes, size: int) -> tuple[StreamKind, Buffer] | None:
    """Go on from what zstd, on whatever device, made of a stream of *size* bytes; None: that does not pay."""
    if len(packed) * 100 > size * _RAW_PERCENT:
        return None
    if len(packed) * CASCADE_SHARE >= size:
        return StreamKind.ZSTD, packed
    again = zstd.encode(packed, CASCADE_LEVEL)
    if len(again) * 100 <= len(packed) * CASCADE_PERCENT and len(again) + _CASCADE_BYTES <= len(packed):
        return StreamKind.CASCADE, again
    return StreamKind.ZSTD, packed


def expand(kind: StreamKind, stored: Buffer, size: int) -> Buffer:
    """Undo `squeeze` for a stream of *size* bytes, which the caller has bounded.

    Returns: Exactly *size* bytes; for RAW *stored* itself.
    Raises: CorruptFrame.
    """
    if kind is StreamKind.RAW:
        if memoryview(stored).nbytes != size:
            raise CorruptFrame(f"a raw stream of {memoryview(stored).nbytes} bytes, {size} are due")
        return stored
    if kind is StreamKind.ZSTD:
        return zstd.decode(stored, size)
    if kind is StreamKind.CASCADE:
        return expand_cascade(stored, size)
    pattern = bytes(stored)
    if not 0 < len(pattern) <= size:
        raise CorruptFrame(f"a pattern of {len(pattern)} bytes for {size}")
    return (pattern * -(-size // len(pattern)))[:size]


def is_zero(kind: StreamKind, stored: Buffer) -> bool:
    """Whether a stream is known, without decoding it, to hold zeros alone. Others may hold nothing else as well."""
    return kind is StreamKind.REPEAT and bytes(stored) == _ZERO


def expand_cascade(stored: Buffer, size: int) -> bytes:
    """Decode zstd within zstd to *size* bytes. Raises: CorruptFrame."""
    try:
        inner_size = zstandard.frame_content_size(stored)
    except zstandard.ZstdError as error:
        raise CorruptFrame(f"zstd: {error}") from error
    # SECURITY: the inner frame is what expands; one that is larger than the data it stands for was never written
    if not 0 < inner_size <= size:
        raise CorruptFrame(f"an inner zstd frame of {inner_size} bytes for {size}")
    return zstd.decode(zstd.decode(stored, inner_size), size)


def join(streams: Sequence[tuple[StreamKind, Buffer]]) -> list[Buffer]:
    """Give table and streams as pieces to be joined."""
    table = bytearray()
    for kind, stored in streams:
        entry = memoryview(stored).nbytes << 2 | kind
        while entry >= _MORE:
            table.append(entry & _MORE - 1 | _MORE)
            entry >>= 7
        table.append(entry)
    return [table, *(stored for _, stored in streams)]


def split(view: memoryview, count: int) -> list[tuple[StreamKind, memoryview]]:
    """Undo `join`: the *count* streams that fill *view* to its end.

    Raises: TruncatedFrame; CorruptFrame, if they do not fill it exactly.
    """
    entries, start = [], 0
    for _ in range(count):
        entry, start = _varint(view, start)
        entries.append(entry)
    found = []
    for entry in entries:
        end = start + (entry >> 2)
        found.append((_KINDS[entry & 3], view[start:end]))
        start = end
    if start != len(view):
        raise CorruptFrame("the streams do not add up to the payload")
    return found


def _varint(view: memoryview, start: int) -> tuple[int, int]:
    value = 0
    try:
        for place in range(STREAM_VARINT_BYTES_MAX):
            byte = view[start + place]
            value |= (byte & _MORE - 1) << 7 * place
            if byte < _MORE:
                return value, start + place + 1
    except IndexError:
        raise TruncatedFrame("the stream table is cut") from None
    raise CorruptFrame("a size in the stream table is too long")


def _is_one_byte(data: Buffer) -> bool:
    """Whether all bytes are the same. PERF: the first few of most streams show that they are not."""
    array = np.frombuffer(data, np.uint8)
    return all((array[:size] == array[0]).all() for size in (_NEEDLE_BYTES, _GLANCE_BYTES, len(array)))


def _pattern(data: Buffer, limit: int) -> bytes:
    """Give the shortest piece of at most *limit* bytes that makes *data* when repeated, if one is found soon."""
    array = np.frombuffer(data, np.uint8)
    head = array[: limit + 2 * _NEEDLE_BYTES].tobytes()
    needle = head[:_NEEDLE_BYTES]
    if head.count(needle[:1]) == len(head):
        return b""  # PERF: the usual plane of hardly anything; a pattern would have all of one byte, which it has not
    period = failed = 0
    for _ in range(_PERIODS_TRIED_MAX):
        period = head.find(needle, period + 1, limit + len(needle))
        if period < 0 or failed == _WHOLE_TRIED_MAX:
            break
        if _repeats(array[-_GLANCE_BYTES:], period):
            if _repeats(array, period):
                return head[:period]
            failed += 1  # something deviates in between, and will from multiples of the period too
    return b""


def _repeats(array: NDArray[np.uint8], period: int) -> bool:
    return bool((array[period:] == array[:-period]).all())
