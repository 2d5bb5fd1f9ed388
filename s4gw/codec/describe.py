"""What a payload of one of our own codecs says about itself, for people: filter, type, pieces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from s4gw.codec import pco, segments, typed
from s4gw.codec.layout import (
    SEGMENT_ENTRY_SIZE,
    SEGMENTS_HEADER,
    SEGMENTS_HEADER_SIZE,
    TYPED_HEADER_SIZE,
    CodecId,
    TypedFilter,
)

_HEAD_BYTES: Final = 16  # header and the longest mask

Read = Callable[[int, int], bytes]
"""Gives bytes of the payload, half-open; fewer at its end."""


def describe(codec: CodecId, read: Read) -> str:
    """Say how a payload is encoded, e.g. "pack u64, 8 bits"; nothing for codecs without parameters.

    Args:
        codec: Codec of the payload.
        read: Reads a few bytes of it.

    Raises: CorruptFrame, if they make no sense.
    """
    if codec is CodecId.TYPED:
        head = memoryview(read(0, _HEAD_BYTES))
        wanted, _ = typed.read_filter(head)
        bits = f", {head[TYPED_HEADER_SIZE]} bits" if wanted.kind is TypedFilter.PACK else ""
        return wanted.label + bits
    if codec is CodecId.PCO:
        return pco.read_column(memoryview(read(0, _HEAD_BYTES))).label
    if codec is CodecId.SEGMENTS:
        return _pieces(read)
    return ""


def _pieces(read: Read) -> str:
    head = read(0, SEGMENTS_HEADER_SIZE)
    count = SEGMENTS_HEADER.unpack(head)[1] if len(head) == SEGMENTS_HEADER_SIZE else 0
    at = SEGMENTS_HEADER_SIZE + count * SEGMENT_ENTRY_SIZE
    found = []
    for codec, size, stored in segments.read_table(memoryview(read(0, at))):
        said = describe(codec, _part(read, at, stored))
        found.append(f"{size} {codec.label}{f' {said}' if said else ''}")
        at += stored
    return "; ".join(found)


def _part(read: Read, base: int, size: int) -> Read:
    return lambda start, end: read(base + start, base + min(end, size))
