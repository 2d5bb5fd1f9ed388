"""S4's object metadata: what its keys are called and how they say what a body is.

Keys stand without the `x-amz-meta-` prefix, numbers are decimal strings. A key that is missing or malformed makes
the object plain, as S4 has it: then the body is served as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

import msgspec

from s4gw.codec.frame import FrameHeader
from s4gw.codec.layout import CodecId

PREFIX: Final = "s4-"
CODEC: Final = "s4-codec"
ORIGINAL_SIZE: Final = "s4-original-size"
COMPRESSED_SIZE: Final = "s4-compressed-size"
CRC32C: Final = "s4-crc32c"
FRAMED: Final = "s4-framed"
MULTIPART: Final = "s4-multipart"
LOGICAL_ETAG: Final = "s4-logical-etag"
DICTIONARY_ID: Final = "s4-dict-id"
DICTIONARY_SHA256: Final = "s4-dict-sha256"  # on the objects that are dictionaries

_TRUE: Final = "true"
_CRC_MAX: Final = 2**32 - 1


class BodyKind(Enum):
    """What a stored body is."""

    FRAMED = "framed"
    """Frames and paddings; walk them."""
    RAW = "raw"
    """The output of one codec, unframed; the metadata stand in for the frame header."""
    PLAIN = "plain"
    """Not written by a compressing gateway, or stored as it is."""


class Body(msgspec.Struct, frozen=True):
    """Classification of a stored body; `header` is set for RAW ones and fits `decode_frame`."""

    kind: BodyKind
    header: FrameHeader | None = None


def classify(metadata: Mapping[str, str]) -> Body:
    """Say what a body is, by the rule of S4's GET: framed or multipart, else raw if all four facts are there.

    Args:
        metadata: User metadata of the stored object, lower-case names without `x-amz-meta-`.
    """
    if _TRUE in {metadata.get(FRAMED), metadata.get(MULTIPART)}:
        return Body(BodyKind.FRAMED)
    try:
        codec = CodecId.from_label(metadata[CODEC])
        original, stored, crc = (_number(metadata[key]) for key in (ORIGINAL_SIZE, COMPRESSED_SIZE, CRC32C))
    except (KeyError, ValueError):
        return Body(BodyKind.PLAIN)
    if crc > _CRC_MAX:
        return Body(BodyKind.PLAIN)
    return Body(BodyKind.RAW, FrameHeader(codec, original, stored, crc))


def split_metadata(metadata: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Part a gateway's keys from the client's: (those that start with `s4-`, all others)."""
    ours = {key: value for key, value in metadata.items() if key.startswith(PREFIX)}
    return ours, {key: value for key, value in metadata.items() if key not in ours}


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(2**64)):
        raise ValueError(f"{text!r} is no size")
    return int(text)
