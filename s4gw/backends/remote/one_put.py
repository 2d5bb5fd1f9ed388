"""A body that goes up in one PutObject: what of it stands in its metadata, and what in the body itself.

All of it in the metadata where S3's 2 KiB take it; else a trailer says what decoding needs; else, where a client's own
metadata take all the room, the original goes up as it is.
"""

from __future__ import annotations

from typing import Any

import msgspec

from s4gw.backends.base import ObjectMeta
from s4gw.backends.remote import stored_meta
from s4gw.backends.remote.stored_meta import Facts
from s4gw.codec import (
    FRAME_HEADER_SIZE,
    CodecId,
    FrameHeader,
    FrameIndex,
    Manifest,
    decode_frame,
    encode_trailer,
    parse_frame_header,
)
from s4gw.s3.errors import MetadataTooLarge


def in_one_put(pieces: list[bytearray], meta: ObjectMeta, facts: Facts, mark: str) -> tuple[dict[str, Any], ObjectMeta]:
    """Parameters of the PutObject that stores a small body, and its metadata as stored. Raises: MetadataTooLarge."""
    if stored_meta.fits(meta, facts, mark=mark):
        return stored_meta.parameters(meta, facts, mark=mark) | {"Body": pieces}, meta
    data = b"".join(pieces)
    body, described = with_trailer(data, facts, meta)
    try:
        params = stored_meta.parameters(described, msgspec.structs.replace(facts, stored_size=len(body)), mark=mark)
    except MetadataTooLarge:
        body, described = as_plain(data, meta)
        params = stored_meta.parameters(described, plain=True)
        params |= {f"Checksum{name}": value for name, value in meta.checksums.items()}
    return params | {"Body": [body]}, described


def as_plain(data: bytes, meta: ObjectMeta) -> tuple[bytes, ObjectMeta]:
    """Give the original of a small body, as what no gateway has touched. Returns: body, metadata.

    A client's metadata may then take all of S3's 2 KiB; the upstream keeps size, ETag and checksums by itself.

    Raises: MetadataTooLarge, for bodies of several frames and those that need a dictionary.
    """
    if meta.frames > 1 or meta.parts or meta.dictionary:
        raise MetadataTooLarge
    if meta.framed:
        data = bytes(decode_frame(parse_frame_header(data), memoryview(data)[FRAME_HEADER_SIZE:]))
    return data, msgspec.structs.replace(meta, framed=False, frames=0, codec=CodecId.PASSTHROUGH.label)


def with_trailer(data: bytes, facts: Facts, meta: ObjectMeta) -> tuple[bytes, ObjectMeta]:
    """Give a body of one frame, or an original without one, a trailer. Returns: body, metadata.

    A body of several frames has one already.
    """
    if meta.frames > 1 or meta.parts:
        return data, meta
    if not meta.framed:
        if meta.crc32c is None:
            return data, meta
        data = FrameHeader(CodecId.PASSTHROUGH, len(data), len(data), meta.crc32c).pack() + data
        meta = msgspec.structs.replace(meta, framed=True, frames=1)
    index = FrameIndex()
    index.append(facts.size, len(data))
    manifest = Manifest(
        original_size=facts.size,
        crc32c=meta.crc32c,
        etag=facts.etag,
        checksums=meta.checksums,
        checksum_type=meta.checksum_type,
    )
    return data + encode_trailer(index, manifest), meta
