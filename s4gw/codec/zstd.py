"""Codec 1: stock zstd frames, written with their content size, read with or without it.

We write the content size (1-4 bytes more in a frame of 1 MiB): one-shot decoders need it, ours compares it with the
frame header before it allocates anything, and the output then takes a single exact allocation. No zstd checksum is
written, because every S4F2 frame carries the CRC-32C of the original. S4 writes frames without a size, sometimes
several in a row: those go through the streaming decoder, which is capped by the size in the frame header.

A zstandard context must not be used by two threads at once (its C side fails with "Allocation error"), and making
one costs 12 us against 5 us for compressing 1 KiB (measured on a shared server core): each thread keeps its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final, Protocol

import zstandard

from s4gw.checksum import Buffer
from s4gw.codec.errors import CorruptFrame, FrameTooLarge, TruncatedFrame
from s4gw.codec.layout import ZSTD_MAGIC

LEVEL_MIN: Final = 1
LEVEL_MAX: Final = 22
LEVEL_DEFAULT: Final = 3
LEVEL_BETWEEN: Final = 2
"""Of our own: the strategy of level 3 with matches of 6 bytes at least and tables a quarter of the size.

Measured on frames of 1 MiB against level 3: logs, JSON and CSV 0-3 % smaller in 60-90 % of its time, source code and
programs 2-3 % larger. zstd's own level 2 has neither advantage.
"""

# A block decodes to 128 KiB at most and takes 4 bytes at least (RFC 8878, section 3.1.1.2), so that a payload bounds
# its output before anything is allocated for it.
_BLOCK_BYTES_MAX: Final = 128 * 1024
_BLOCK_STORED_MIN: Final = 4

# Level 22 uses a window of 128 MiB; a header that asks for more would make the streaming decoder allocate it.
WINDOW_BYTES_MAX: Final = 128 * 1024**2

_TIERS: Final = (16 * 1024, 128 * 1024, 256 * 1024)  # up to each of which zstd has parameters of its own

_PACK_BYTES_MIN: Final = 64  # below this zstd's own framing eats what it saves

# Input of one streaming step: at most 128 blocks' worth, which bounds its output to 16 MiB.
_STREAM_BYTES: Final = 512


_BETWEEN: Final = zstandard.ZstdCompressionParameters.from_level(
    LEVEL_DEFAULT, strategy=zstandard.STRATEGY_DFAST, hash_log=15, chain_log=14, min_match=6
)
_NUMBERS: Final = zstandard.ZstdCompressionParameters.from_level(LEVEL_MIN, hash_log=13, min_match=7)
_NUMBERS_MANY: Final = zstandard.ZstdCompressionParameters.from_level(LEVEL_MIN, hash_log=11, min_match=7)
_NUMBERS_MANY_BYTES: Final = 128 * 1024


class Readable(Protocol):
    """What `stream` reads from."""

    def read(self, size: int, /) -> bytes:
        """Up to *size* bytes; none at the end."""


class _Contexts(threading.local):
    """This thread's zstd contexts, one compressor per level in use."""

    def __init__(self) -> None:
        self.compressors: dict[int, zstandard.ZstdCompressor] = {}
        self.triers: dict[tuple[int, int], zstandard.ZstdCompressor] = {}
        self.numbers = zstandard.ZstdCompressor(compression_params=_NUMBERS)
        self.numbers_many = zstandard.ZstdCompressor(compression_params=_NUMBERS_MANY)
        self.decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX)


_CONTEXTS: Final = _Contexts()


def encode(data: Buffer, level: int) -> bytes:
    """Compress *data* into one zstd frame.

    Args:
        data: Any contiguous buffer.
        level: 1 (fast) to 22 (small).
    """
    compressor = _CONTEXTS.compressors.get(level)
    if compressor is None:
        if not LEVEL_MIN <= level <= LEVEL_MAX:
            raise ValueError(f"zstd levels go from {LEVEL_MIN} to {LEVEL_MAX}, not {level}")
        if level == LEVEL_BETWEEN:
            compressor = zstandard.ZstdCompressor(compression_params=_BETWEEN)
        else:
            compressor = zstandard.ZstdCompressor(level=level, write_content_size=True, write_checksum=False)
        _CONTEXTS.compressors[level] = compressor
    return compressor.compress(data)


def encode_numbers(data: Buffer) -> bytes:
    """Compress *data*, bytes of numbers, into one zstd frame, at less cost than level 1 does.

    What repeats there repeats at length; short matches are chance, and cost more than the bytes they stand for.
    Measured on the streams of codec 65: a quarter less time to compress, up to 45 % less to decompress, 0.2 % larger.
    Streams of more than 128 KiB are those of whole frames of narrow numbers, where a smaller table takes another tenth
    off: tensors 0.3-0.9 % smaller, sorted ids 0.4 % larger. In the short streams of columns it would lose up to 2 %.
    """
    many = memoryview(data).nbytes > _NUMBERS_MANY_BYTES
    return (_CONTEXTS.numbers_many if many else _CONTEXTS.numbers).compress(data)


def trial_size(sample: Buffer, level: int, size: int) -> int:
    """Size that *sample* takes when it is compressed as *size* bytes would be.

    zstd takes other parameters for small inputs: a sample of 128 KiB compressed as such says little about the levels
    of a frame of 1 MiB (CSV: level 3 1 % larger, where it is 5 % smaller).
    """
    if level == LEVEL_BETWEEN:
        return len(encode(sample, level))
    tier = next((tier for tier in _TIERS if size <= tier), _TIERS[-1] + 1)
    compressor = _CONTEXTS.triers.get((level, tier))
    if compressor is None:
        parameters = zstandard.ZstdCompressionParameters.from_level(level, source_size=tier)
        compressor = zstandard.ZstdCompressor(compression_params=parameters)
        _CONTEXTS.triers[level, tier] = compressor
    return len(compressor.compress(sample))


def decode(payload: Buffer, original_size: int) -> bytes:
    """Decompress one or more zstd frames that together hold *original_size* bytes.

    The caller bounds *original_size*, which is what gets allocated.

    Raises: CorruptFrame, if they hold more, fewer or no sound bytes.
    """
    return decode_with(_CONTEXTS.decompressor, payload, original_size)


def decode_with(decompressor: zstandard.ZstdDecompressor, payload: Buffer, original_size: int) -> bytes:
    """Do what `decode` does, with a context of the caller's (which may know a dictionary)."""
    check_expansion(memoryview(payload).nbytes, original_size)
    try:
        if zstandard.frame_content_size(payload) == original_size > 0:
            return decompressor.decompress(payload, allow_extra_data=False)
        reader = decompressor.stream_reader(payload, read_across_frames=True)
        decoded = reader.read(original_size)
        # read(0) of an empty original decodes nothing, so the check for more is also the check of the frame itself
        more = reader.read(1)
    except (zstandard.ZstdError, MemoryError) as error:
        raise CorruptFrame(f"zstd: {error}") from error
    if more or len(decoded) != original_size:
        held = "more" if more else str(len(decoded))
        raise CorruptFrame(f"zstd holds {held} bytes, the frame header says {original_size}")
    return decoded


def check_expansion(stored_size: int, original_size: int) -> None:
    """Refuse a size that no zstd payload of *stored_size* bytes can decode to. Raises: CorruptFrame."""
    if original_size > (stored_size // _BLOCK_STORED_MIN + 1) * _BLOCK_BYTES_MAX:
        raise CorruptFrame(f"{stored_size} bytes of zstd cannot hold {original_size}")


def pack(data: bytes) -> bytes:
    """Give *data*, or its zstd frame if that is smaller. *data* must not start with zstd's magic."""
    packed = encode(data, LEVEL_DEFAULT) if len(data) >= _PACK_BYTES_MIN else data
    return packed if len(packed) < len(data) else data


def unpack(data: Buffer, size_max: int) -> bytes:
    """Undo `pack`.

    Args:
        data: What `pack` gave.
        size_max: Most bytes to allocate.

    Raises: CorruptFrame; FrameTooLarge, if there are more than *size_max* bytes.
    """
    raw_size = memoryview(data).nbytes
    if bytes(memoryview(data)[: len(ZSTD_MAGIC)]) != ZSTD_MAGIC:
        size = raw_size
    else:
        try:
            size = zstandard.frame_content_size(data)
        except zstandard.ZstdError as error:
            raise CorruptFrame(f"zstd: {error}") from error
        if size < 0:
            raise CorruptFrame("zstd frame without a content size")
    if size > size_max:
        raise FrameTooLarge(size, size_max)
    return bytes(data) if size == raw_size else decode(data, size)


def stream(source: Readable) -> Iterator[bytes]:
    """Decompress a raw body of zstd frames of unknown size; every block given is at most 16 MiB.

    Raises: CorruptFrame, at the damage or the missing end; the blocks before it were given already.
    """
    # contexts of its own: the generator may be suspended while the thread decodes something else
    factory = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX)
    decompressor = factory.decompressobj()
    whole = True
    while piece := source.read(_STREAM_BYTES):
        try:
            while piece:
                if decompressor.eof:
                    decompressor = factory.decompressobj()
                if block := decompressor.decompress(piece):
                    yield block
                piece = decompressor.unused_data if decompressor.eof else b""
        except zstandard.ZstdError as error:
            raise CorruptFrame(f"zstd: {error}") from error
        whole = decompressor.eof
    if not whole:
        raise TruncatedFrame("the zstd body ends inside a frame")
