"""FCG1 containers, which a GPU writes: read on the CPU where the chunks are stock zstd frames.

Chunks are independent; every one but the last decodes to exactly the chunk size. Other algorithms than zstd are
nvCOMP's own and need a GPU, or its library.
"""

from __future__ import annotations

import struct

from s4gw.checksum import Buffer
from s4gw.codec import zstd
from s4gw.codec.errors import CorruptFrame, TruncatedFrame, UnsupportedCodec
from s4gw.codec.layout import FCG1_CHUNK_BYTES_MAX, FCG1_HEADER, FCG1_HEADER_SIZE, FCG1_MAGIC, FcgAlgorithm


def decode(payload: Buffer, original_size: int) -> bytes:
    """Decompress a container of *original_size* bytes, which the caller has bounded.

    Raises: UnsupportedCodec, for other algorithms than zstd; CorruptFrame.
    """
    view = memoryview(payload).cast("B")
    if len(view) < FCG1_HEADER_SIZE:
        raise TruncatedFrame("FCG1 header is cut")
    magic, number, _, declared_size, chunk_bytes, count = FCG1_HEADER.unpack_from(view)
    if magic != FCG1_MAGIC:
        raise CorruptFrame("no FCG1 magic")
    if declared_size != original_size:
        raise CorruptFrame(f"FCG1 declares {declared_size} bytes, the frame header {original_size}")
    try:
        algorithm = FcgAlgorithm(number)
    except ValueError:
        raise CorruptFrame(f"unknown FCG1 algorithm {number}") from None
    if algorithm is not FcgAlgorithm.ZSTD:
        raise UnsupportedCodec(f"FCG1 {algorithm.name.lower()}")
    if not 0 < chunk_bytes <= FCG1_CHUNK_BYTES_MAX:
        raise CorruptFrame(f"FCG1 chunk size {chunk_bytes}")
    if count != -(-original_size // chunk_bytes):
        raise CorruptFrame(f"{count} FCG1 chunks of {chunk_bytes} bytes cannot hold {original_size}")
    return b"".join(_chunks(view, original_size, chunk_bytes, count))


def _chunks(view: memoryview, original_size: int, chunk_bytes: int, count: int) -> list[bytes]:
    start = FCG1_HEADER_SIZE + 4 * count
    if len(view) < start:
        raise TruncatedFrame("FCG1 chunk table is cut")
    sizes = struct.unpack_from(f"<{count}I", view, FCG1_HEADER_SIZE)
    if len(view) != start + sum(sizes):
        raise CorruptFrame("FCG1 chunk sizes do not add up to the payload")
    chunks = []
    remaining = original_size
    for size in sizes:
        chunks.append(zstd.decode(view[start : start + size], min(chunk_bytes, remaining)))
        start += size
        remaining -= chunk_bytes
    return chunks
