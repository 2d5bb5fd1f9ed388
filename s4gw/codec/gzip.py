"""Codec 7: one RFC 1952 member, so that a raw body can be read by gunzip.

The member carries no name and no time: equal input gives equal bytes. Trailing data and further members, which no
writer of ours or S4's makes, are damage.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from s4gw.checksum import Buffer
from s4gw.codec.errors import CorruptFrame, TruncatedFrame
from s4gw.codec.zstd import Readable

LEVEL_MIN: Final = 1
LEVEL_MAX: Final = 9
LEVEL_DEFAULT: Final = 6

_WBITS: Final = 16 + zlib.MAX_WBITS  # gzip wrapper, largest window
_EXPANSION_MAX: Final = 1032  # deflate's bound: 258 bytes from 2 bits
_STREAM_BYTES: Final = 64 * 1024


def encode(data: Buffer, level: int) -> bytes:
    """Compress *data* into one gzip member at *level* 1-9."""
    if not LEVEL_MIN <= level <= LEVEL_MAX:
        raise ValueError(f"gzip levels go from {LEVEL_MIN} to {LEVEL_MAX}, not {level}")
    compressor = zlib.compressobj(level, zlib.DEFLATED, _WBITS)
    return compressor.compress(data) + compressor.flush()


def decode(payload: Buffer, original_size: int) -> bytes:
    """Decompress one gzip member of *original_size* bytes, which the caller has bounded.

    Raises: CorruptFrame, if it holds more, fewer or no sound bytes, or if something follows it.
    """
    stored_size = memoryview(payload).nbytes
    if original_size > stored_size * _EXPANSION_MAX:
        raise CorruptFrame(f"{stored_size} bytes of gzip cannot hold {original_size}")
    decompressor = zlib.decompressobj(_WBITS)
    try:
        # one byte more than declared shows a member that holds more; max_length 0 would mean "no limit"
        decoded = decompressor.decompress(payload, original_size + 1)
    except zlib.error as error:
        raise CorruptFrame(f"gzip: {error}") from error
    if len(decoded) != original_size or not decompressor.eof:
        raise CorruptFrame(f"gzip holds another size than the {original_size} bytes of the frame header, or is cut")
    if decompressor.unused_data:
        raise CorruptFrame("data after the gzip member")
    return decoded


def stream(source: Readable) -> Iterator[bytes]:
    """Decompress a raw body of unknown size, in blocks of at most 64 KiB.

    Raises: CorruptFrame, at the damage or the missing end; the blocks before it were given already.
    """
    decompressor = zlib.decompressobj(_WBITS)
    try:
        while not decompressor.eof:
            piece = decompressor.unconsumed_tail or source.read(_STREAM_BYTES)
            if not piece:
                raise TruncatedFrame("the gzip body ends early")
            if block := decompressor.decompress(piece, _STREAM_BYTES):
                yield block
    except zlib.error as error:
        raise CorruptFrame(f"gzip: {error}") from error
    if decompressor.unused_data or source.read(1):
        raise CorruptFrame("data after the gzip member")
