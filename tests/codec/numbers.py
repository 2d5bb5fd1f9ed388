"""Numbers and regular text for the codecs that know them, and a second, slow reader of what they write.

The reader follows docs/format.md alone: plain Python and zstd, nothing of the library's own code.
"""

from __future__ import annotations

import random
import struct
from itertools import accumulate
from typing import Final

import zstandard

from s4gw.codec import CodecId
from s4gw.codec.choice import Choice, Filter
from s4gw.codec.layout import TypedFilter

TIMES: Final = b"".join((1_700_000_000_000 + 1000 * n + n * n % 97).to_bytes(8, "little") for n in range(500)) + b"odd"
RECORDS: Final = b"".join(
    n.to_bytes(4, "little") + bytes([n % 7]) + (n * 40503 % 65536).to_bytes(2, "little") for n in range(400)
)
LINES: Final = b"".join(b"GET /api/v1/users/123 HTTP/1.1 200 4521 id=%016x\n" % n for n in range(2000))

PRICES: Final = b"".join(struct.pack("<d", (n * n * 7919 % 49_999) / 100) for n in range(500)) + b"odd"
_GRID: Final = 256 * 1024
MIXED: Final = b"".join(
    (
        b"".join((10**15 + 1000 * n + n * n % 97).to_bytes(8, "little") for n in range(_GRID // 8)),
        (LINES * 3)[:_GRID],
        random.Random(7).randbytes(_GRID),
        b"".join((5 * n + n * n % 4).to_bytes(4, "little") for n in range(_GRID // 4)),
    )
)
"""A frame of numbers, lines, noise and other numbers."""

FILTERS: Final = (
    *(Filter(kind, width, big) for kind in TypedFilter for width in (2, 4, 8) for big in (False, True) if kind != 2),
    *(
        Filter(TypedFilter.PLANES, width, mask=mask)
        for width, mask in ((2, 0), (3, 5), (7, 1), (8, 255), (64, 1 << 63))
    ),
)


MIXED_CHOICE: Final = Choice(
    CodecId.SEGMENTS,
    1,
    (
        Choice(CodecId.PASSTHROUGH),
        Choice(CodecId.ZSTD_CASCADE, 1),
        Choice(CodecId.TYPED, 1, Filter(TypedFilter.PACK, 8)),
        Choice(CodecId.TYPED, 1, Filter(TypedFilter.PACK, 4)),
    ),
)


def typed(kind: TypedFilter, width: int, *, big_endian: bool = False, mask: int = 0) -> Choice:
    """A choice of codec 65."""
    return Choice(CodecId.TYPED, 1, Filter(kind, width, big_endian, mask))


def swapped(data: bytes) -> bytes:
    """The same u64, each with its highest byte first."""
    return b"".join(data[at : at + 8][::-1] for at in range(0, len(data), 8))


def _sums(plane: bytes) -> bytes:
    return bytes(value % 256 for value in accumulate(plane))


def read_typed(payload: bytes, size: int) -> bytes:
    """Decode a payload of codec 65, byte by byte."""
    version, kind, width, flags = payload[:4]
    assert version == 1
    at, count, tail = 4, size // width, size % width
    mask, bits, first, least = 0, 0, 0, 0
    if kind == TypedFilter.PLANES:
        mask, at = int.from_bytes(payload[4 : 4 + (width + 7) // 8], "little"), 4 + (width + 7) // 8
    if kind == TypedFilter.PACK:
        bits, at = payload[4], 5 + 2 * width
        first = int.from_bytes(payload[5 : 5 + width], "little")
        least = int.from_bytes(payload[5 + width : at], "little")
    odd, at = payload[at : at + tail], at + tail
    modulus, order = 1 << 8 * width, "big" if flags & 1 else "little"

    def streams(sizes: list[int]) -> list[bytes]:
        entries, place = [], at
        for _ in sizes:
            entry, shift = 0, 0
            while True:
                byte = payload[place]
                entry, shift, place = entry | (byte & 127) << shift, shift + 7, place + 1
                if byte < 128:
                    break
            entries.append(entry)
        found = []
        for entry, wanted in zip(entries, sizes, strict=True):
            stored, place = payload[place : place + (entry >> 2)], place + (entry >> 2)
            for _ in range((0, 1, 2, 0)[entry & 3]):
                stored = zstandard.ZstdDecompressor().decompress(stored)
            found.append((stored * wanted)[:wanted] if entry & 3 == 3 else stored)
        assert place == len(payload)
        return found

    if kind == TypedFilter.PLANES:
        planes = streams([count] * width)
        planes = [_sums(p) if mask >> i & 1 else p for i, p in enumerate(planes)]
        return bytes(planes[n % width][n // width] for n in range(count * width)) + odd
    if kind == TypedFilter.DELTA:
        (stream,) = streams([count * width])
        steps = [int.from_bytes(stream[n * width : (n + 1) * width], "little") for n in range(count)]
    elif kind == TypedFilter.DELTA_PLANES:
        planes = streams([count] * width)
        folded = [sum(planes[i][n] << 8 * i for i in range(width)) for n in range(count)]
        steps = [value // 2 if value % 2 == 0 else -(value + 1) // 2 for value in folded]
    else:
        whole, over = divmod(bits, 8)
        row = (count + 7) // 8
        planes = streams([count] * whole + ([over * row] if over else []))
        rest = [sum(planes[i][n] << 8 * i for i in range(whole)) for n in range(count)]
        for bit in range(over):
            rest = [v | (planes[whole][bit * row + n // 8] >> n % 8 & 1) << 8 * whole + bit for n, v in enumerate(rest)]
        steps = [first, *(least + value for value in rest[1:])][:count]
    values = accumulate(steps, lambda a, b: (a + b) % modulus)
    return b"".join((value % modulus).to_bytes(width, order) for value in values) + odd
