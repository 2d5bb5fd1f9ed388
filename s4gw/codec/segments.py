"""Codec 67: a frame of pieces, each with a codec of its own, for columns, archives and whatever else changes inside.

The pieces are cut on a grid of 256 KiB and equal neighbours joined. A piece never holds pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Final

from s4gw.checksum import Buffer
from s4gw.codec.choice import Choice, rotated
from s4gw.codec.errors import CorruptFrame, TruncatedFrame
from s4gw.codec.layout import (
    NUMBERS_BYTES_MAX,
    PAYLOAD_VERSION,
    SEGMENT_BYTES,
    SEGMENT_ENTRY,
    SEGMENT_ENTRY_SIZE,
    SEGMENTS_HEADER,
    SEGMENTS_HEADER_SIZE,
    CodecId,
)

PIECE_CODECS: Final = frozenset(
    {CodecId.PASSTHROUGH, CodecId.CPU_ZSTD, CodecId.ZSTD_CASCADE, CodecId.TYPED, CodecId.PCO}
)
"""What a piece may be stored with: nothing that needs a dictionary, a GPU or pieces of its own."""

Encode = Callable[[Choice, Buffer], tuple[CodecId, Buffer]]
Decode = Callable[[CodecId, Buffer, int], Buffer]


def cut(data: Buffer, choose: Callable[[memoryview, int], Choice]) -> list[tuple[int, int, Choice]]:
    """Ask for the choice of each piece of the grid: (start, end, choice) of runs of equal ones.

    Choices are made for the start of *data*; `encode` moves them to where a run begins.

    Args:
        data: What is to be cut.
        choose: Gives the choice for a piece and its place in *data*.
    """
    view = memoryview(data).cast("B")
    starts = range(0, len(view), SEGMENT_BYTES)
    chosen = [(start, choose(view[start : start + SEGMENT_BYTES], start)) for start in starts]
    runs = []
    for choice, group in groupby(chosen, key=lambda each: each[1]):
        places = [start for start, _ in group]
        runs.append((places[0], min(places[-1] + SEGMENT_BYTES, len(view)), choice))
    return runs


def encode(data: Buffer, runs: list[tuple[int, int, Choice]], encode_piece: Encode) -> bytes:
    """Compress each run of *data*, at most `NUMBERS_BYTES_MAX` bytes, as it was chosen."""
    view = memoryview(data).cast("B")
    head = [SEGMENTS_HEADER.pack(PAYLOAD_VERSION, len(runs))]
    bodies = []
    for start, end, choice in runs:
        codec, stored = encode_piece(rotated(choice, start), view[start:end])
        head.append(SEGMENT_ENTRY.pack(codec, end - start, memoryview(stored).nbytes))
        bodies.append(stored)
    return b"".join([*head, *bodies])


def decode(payload: Buffer, original_size: int, decode_piece: Decode) -> bytes:
    """Decompress to *original_size* bytes.

    Raises: CorruptFrame, if the pieces do not make exactly that, or it is more than `NUMBERS_BYTES_MAX`.
    """
    view = memoryview(payload).cast("B")
    if original_size > NUMBERS_BYTES_MAX:
        raise CorruptFrame(f"a segmented frame cannot hold {original_size} bytes")
    pieces = list(read_pieces(view))
    if sum(size for _, size, _ in pieces) != original_size:
        raise CorruptFrame(f"segments that do not add up to the {original_size} bytes of the frame header")
    return b"".join([decode_piece(codec, stored, size) for codec, size, stored in pieces])


def read_pieces(view: memoryview) -> Iterator[tuple[CodecId, int, memoryview]]:
    """Read the table: (codec, original size, payload) of each piece.

    Raises: TruncatedFrame; CorruptFrame, also if the payloads do not fill *view* exactly.
    """
    entries = read_table(view)
    at = SEGMENTS_HEADER_SIZE + len(entries) * SEGMENT_ENTRY_SIZE
    if sum(stored for _, _, stored in entries) != len(view) - at:
        raise CorruptFrame("segments do not add up to the payload")
    for codec, size, stored in entries:
        yield codec, size, view[at : at + stored]
        at += stored


def read_table(view: memoryview) -> list[tuple[CodecId, int, int]]:
    """Read header and table: (codec, original size, stored size) of each piece.

    Raises: TruncatedFrame; CorruptFrame; UnsupportedCodec, for a codec that no piece is stored with.
    """
    if len(view) < SEGMENTS_HEADER_SIZE:
        raise TruncatedFrame("the header of segments is cut")
    version, count = SEGMENTS_HEADER.unpack_from(view)
    if version != PAYLOAD_VERSION:
        raise CorruptFrame(f"version {version} of segments")
    if len(view) < SEGMENTS_HEADER_SIZE + count * SEGMENT_ENTRY_SIZE:
        raise TruncatedFrame("the table of segments is cut")
    entries = []
    for number in range(count):
        codec_id, size, stored = SEGMENT_ENTRY.unpack_from(view, SEGMENTS_HEADER_SIZE + number * SEGMENT_ENTRY_SIZE)
        # SECURITY: no segments within segments, so that the depth of a payload is bounded
        if codec_id not in PIECE_CODECS:
            raise CorruptFrame(f"codec id {codec_id} in a segment")
        entries.append((CodecId(codec_id), size, stored))
    return entries
