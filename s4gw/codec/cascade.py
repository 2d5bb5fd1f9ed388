"""Codec 64: zstd of zstd, for what is so regular that zstd's own output repeats.

Log lines of which only a counter changes shrink to 1/150 in one pass and to 1/780 in two; ordinary text does not get
there, and then plain zstd is written, at no cost: the second pass runs only on what is small already.
"""

from __future__ import annotations

from typing import Final

from s4gw.checksum import Buffer
from s4gw.codec import streams, zstd
from s4gw.codec.errors import CorruptFrame, TruncatedFrame
from s4gw.codec.layout import PAYLOAD_VERSION, CodecId

_VERSION: Final = bytes([PAYLOAD_VERSION])


def encode(data: Buffer, level: int) -> tuple[CodecId, bytes]:
    """Compress *data* once, or twice where that pays: (the codec that came of it, its payload)."""
    return finish(zstd.encode(data, level), memoryview(data).nbytes)


def finish(packed: bytes, original_size: int) -> tuple[CodecId, bytes]:
    """Compress once more what zstd, on whatever device, made of *original_size* bytes, where that pays."""
    if len(packed) * streams.CASCADE_SHARE < original_size:
        again = zstd.encode(packed, streams.CASCADE_LEVEL)
        if len(again) * 100 <= len(packed) * streams.CASCADE_PERCENT:
            return CodecId.ZSTD_CASCADE, _VERSION + again
    return CodecId.CPU_ZSTD, packed


def decode(payload: Buffer, original_size: int) -> bytes:
    """Decompress to *original_size* bytes, which the caller has bounded. Raises: CorruptFrame."""
    view = memoryview(payload).cast("B")
    if not view:
        raise TruncatedFrame("the cascade's payload is empty")
    if view[0] != PAYLOAD_VERSION:
        raise CorruptFrame(f"version {view[0]} of a cascade")
    return streams.expand_cascade(view[1:], original_size)
