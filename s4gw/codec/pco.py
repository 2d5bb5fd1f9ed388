"""Codec 66: numbers whose size and spread pcodec models better than byte planes can: decimal floats, skewed integers.

A reader needs pcodec (format 1.x). It gives back every bit, NaN payloads and denormals included, and refuses damage
with an error of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from pcodec import ChunkConfig, standalone

from s4gw.checksum import Buffer
from s4gw.codec import transform
from s4gw.codec.choice import Column
from s4gw.codec.errors import CorruptFrame, TruncatedFrame
from s4gw.codec.layout import (
    NUMBERS_BYTES_MAX,
    PAYLOAD_VERSION,
    PCO_BIG_ENDIAN,
    PCO_HEADER,
    PCO_HEADER_SIZE,
    PcoType,
)

TYPES: Final[Mapping[PcoType, np.dtype[Any]]] = {
    PcoType.U16: np.dtype("<u2"),
    PcoType.U32: np.dtype("<u4"),
    PcoType.U64: np.dtype("<u8"),
    PcoType.F32: np.dtype("<f4"),
    PcoType.F64: np.dtype("<f8"),
}
LEVEL: Final = 8
"""Of 0-12; measured on decimal floats: level 8 8.5x, 4 8.1x, 2 7.5x, at nearly the same speed."""
LEVEL_SAMPLE: Final = 6
"""For samples of 16 KiB: within 1 % of level 8, which takes 2-4 times as long on so few numbers."""


def encode(data: Buffer, column: Column, *, level: int = LEVEL) -> bytes:
    """Compress *data*, at most `NUMBERS_BYTES_MAX` bytes, as numbers of the column's type."""
    whole = transform.to_bytes(data)
    kind = TYPES[column.kind]
    size = len(whole) - len(whole) % kind.itemsize
    values = transform.to_elements(whole[:size], kind.itemsize, big_endian=column.big_endian).view(kind)
    if not values.flags.aligned:
        values = values.copy()  # pcodec takes no others; a caller's buffer may begin anywhere
    head = PCO_HEADER.pack(PAYLOAD_VERSION, column.kind, PCO_BIG_ENDIAN if column.big_endian else 0)
    packed = standalone.simple_compress(values, ChunkConfig(compression_level=level)) if len(values) else b""
    return b"".join([head, whole[size:].data, packed])


def decode(payload: Buffer, original_size: int) -> memoryview:
    """Decompress to *original_size* bytes of their own.

    Raises: CorruptFrame, if the payload holds more, fewer or no sound numbers, or more than `NUMBERS_BYTES_MAX`.
    """
    view = memoryview(payload).cast("B")
    if original_size > NUMBERS_BYTES_MAX:
        raise CorruptFrame(f"a pco frame cannot hold {original_size} bytes")
    column = read_column(view)
    width = TYPES[column.kind].itemsize
    count, tail_size = divmod(original_size, width)
    body = PCO_HEADER_SIZE + tail_size
    if len(view) < body:
        raise TruncatedFrame("the pco header is cut")
    out = np.empty(original_size, np.uint8)
    elements = out[: count * width]
    if count:
        try:
            progress = standalone.simple_decompress_into(bytes(view[body:]), elements.view(TYPES[column.kind]))
        except (RuntimeError, TypeError) as error:
            raise CorruptFrame(f"pco: {error}") from error
        if progress.n_processed != count or not progress.finished:
            raise CorruptFrame(f"pco holds another number of elements than {count}")
    if column.big_endian:
        elements.view(transform.UNSIGNED[width]).byteswap(inplace=True)
    out[len(elements) :] = transform.to_bytes(view[PCO_HEADER_SIZE:body])
    return out.data


def read_column(view: memoryview) -> Column:
    """Read the header. Raises: TruncatedFrame, CorruptFrame."""
    if len(view) < PCO_HEADER_SIZE:
        raise TruncatedFrame("the pco header is cut")
    version, kind, flags = PCO_HEADER.unpack_from(view)
    if version != PAYLOAD_VERSION or flags & ~PCO_BIG_ENDIAN:
        raise CorruptFrame(f"version {version}, flags {flags} of a pco payload")
    try:
        return Column(PcoType(kind), bool(flags))
    except ValueError as error:
        raise CorruptFrame(f"pco: {error}") from error
