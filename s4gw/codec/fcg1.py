"""FCG1 containers, which a GPU writes: taken apart, put together, and decoded where the chunks are zstd.

Chunks are independent; every one but the last decodes to exactly the chunk size. Other algorithms than zstd are
nvCOMP's own and need a GPU, or its library.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import msgspec

from s4gw.checksum import Buffer
from s4gw.codec import zstd
from s4gw.codec.errors import CodecUnavailable, CorruptFrame, TruncatedFrame
from s4gw.codec.layout import FCG1_CHUNK_BYTES_MAX, FCG1_HEADER, FCG1_HEADER_SIZE, FCG1_MAGIC, FcgAlgorithm


class Container(msgspec.Struct, frozen=True):
    """What a container holds.

    Attributes:
        algorithm: Of the chunks.
        data_type: For bitcomp: number of the type of the elements, as nvCOMP counts them; else 0.
        original_size: Bytes of the whole, decoded.
        chunk_bytes: Decoded bytes of every chunk but the last.
        chunks: As stored.
    """

    algorithm: FcgAlgorithm
    data_type: int
    original_size: int
    chunk_bytes: int
    chunks: Sequence[Buffer]

    def sizes(self) -> list[int]:
        """Decoded bytes of each chunk."""
        rest = range(self.original_size, 0, -self.chunk_bytes)
        return [min(self.chunk_bytes, left) for left in rest]

    def pack(self) -> bytes:
        """Give the bytes of the container."""
        head = FCG1_HEADER.pack(
            FCG1_MAGIC,
            self.algorithm,
            bytes((self.data_type, 0, 0)),
            self.original_size,
            self.chunk_bytes,
            len(self.chunks),
        )
        sizes = [memoryview(chunk).nbytes for chunk in self.chunks]
        return b"".join([head, struct.pack(f"<{len(sizes)}I", *sizes), *self.chunks])


def decode(payload: Buffer, original_size: int) -> bytes:
    """Decompress a container of *original_size* bytes, which the caller has bounded.

    Raises: CodecUnavailable, for other algorithms than zstd; CorruptFrame.
    """
    container = parse(payload, original_size)
    if container.algorithm is not FcgAlgorithm.ZSTD:
        raise CodecUnavailable(f"FCG1 {container.algorithm.name.lower()}", "there is none")
    pairs = zip(container.chunks, container.sizes(), strict=True)
    return b"".join([zstd.decode(chunk, size) for chunk, size in pairs])


def parse(payload: Buffer, original_size: int) -> Container:
    """Take a container apart; chunks are views of *payload*. Raises: CorruptFrame."""
    view = memoryview(payload).cast("B")
    if len(view) < FCG1_HEADER_SIZE:
        raise TruncatedFrame("FCG1 header is cut")
    magic, number, reserved, declared_size, chunk_bytes, count = FCG1_HEADER.unpack_from(view)
    if magic != FCG1_MAGIC:
        raise CorruptFrame("no FCG1 magic")
    if declared_size != original_size:
        raise CorruptFrame(f"FCG1 declares {declared_size} bytes, the frame header {original_size}")
    try:
        algorithm = FcgAlgorithm(number)
    except ValueError:
        raise CorruptFrame(f"unknown FCG1 algorithm {number}") from None
    if not 0 < chunk_bytes <= FCG1_CHUNK_BYTES_MAX:
        raise CorruptFrame(f"FCG1 chunk size {chunk_bytes}")
    if count != -(-original_size // chunk_bytes):
        raise CorruptFrame(f"{count} FCG1 chunks of {chunk_bytes} bytes cannot hold {original_size}")
    chunks = _chunks(view, count)
    return Container(algorithm, reserved[0], original_size, chunk_bytes, chunks)


def _chunks(view: memoryview, count: int) -> list[memoryview]:
    start = FCG1_HEADER_SIZE + 4 * count
    if len(view) < start:
        raise TruncatedFrame("FCG1 chunk table is cut")
    sizes = struct.unpack_from(f"<{count}I", view, FCG1_HEADER_SIZE)
    if len(view) != start + sum(sizes):
        raise CorruptFrame("FCG1 chunk sizes do not add up to the payload")
    chunks = []
    for size in sizes:
        chunks.append(view[start : start + size])
        start += size
    return chunks
