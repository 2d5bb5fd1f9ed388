"""The trailer: index and manifest of an object of several frames, inside the object, at its very end.

It is one S4P1 padding, so that readers that do not know it skip it. What is read from it has been checked against
its CRC and against the object's size; a caller still holds every frame header against the index (`FrameIndex.check`).
An object of a single frame needs none. Whoever gets a `TrailerError` walks the frame headers instead.
"""

from __future__ import annotations

import msgspec

from s4gw.checksum import Buffer, crc32c
from s4gw.codec import zstd
from s4gw.codec.errors import CodecError, CorruptTrailer, NoTrailer
from s4gw.codec.frame import parse_padding_header
from s4gw.codec.index import FrameIndex
from s4gw.codec.layout import (
    FOOTER,
    FOOTER_CRC_AT,
    FOOTER_MAGIC,
    FOOTER_SIZE,
    FRAMES_MAX,
    INDEX_ENTRY_SIZE,
    MANIFEST_BYTES_MAX,
    PADDING_HEADER,
    PADDING_HEADER_SIZE,
    PADDING_MAGIC,
    TRAILER_VERSION,
)
from s4gw.codec.manifest import Manifest, decode_manifest, encode_manifest


class Trailer(msgspec.Struct, frozen=True):
    """A trailer that was read and found sound. `stored_size` is its own, padding header included."""

    index: FrameIndex
    manifest: Manifest
    stored_size: int


class NeedBytes(msgspec.Struct, frozen=True, gc=False):
    """The tail is too short: fetch the last `size` bytes of the object and ask again."""

    size: int


def encode_trailer(index: FrameIndex, manifest: Manifest) -> bytes:
    """Give the whole S4P1 frame that is to follow the last frame of *index*.

    Raises: CorruptIndex, if a frame is too large for an index; ValueError, if the original sizes differ.
    """
    if index.original_size != manifest.original_size:
        raise ValueError(f"the frames hold {index.original_size} bytes, the manifest says {manifest.original_size}")
    packed = index.pack()
    described = zstd.pack(encode_manifest(manifest))
    footer = FOOTER.pack(FOOTER_MAGIC, TRAILER_VERSION, b"\0\0\0", len(packed), len(described), len(index), 0)
    body = packed + described + footer[:FOOTER_CRC_AT]
    header = PADDING_HEADER.pack(PADDING_MAGIC, len(body) + FOOTER_SIZE - FOOTER_CRC_AT)
    return header + body + crc32c(body).to_bytes(FOOTER_SIZE - FOOTER_CRC_AT, "little")


def read_trailer(tail: Buffer, object_size: int) -> Trailer | NeedBytes:
    """Read the trailer of an object from its last bytes.

    Args:
        tail: The end of the object, `TRAILER_TAIL_BYTES` of it or all there is; any contiguous buffer.
        object_size: Size of the whole stored object in bytes.

    Returns: The trailer, or how much more of the end is needed.
    Raises: NoTrailer; CorruptTrailer.
    """
    view = memoryview(tail).cast("B")
    if len(view) < FOOTER_SIZE:
        if len(view) < object_size:
            return NeedBytes(min(object_size, FOOTER_SIZE))
        raise NoTrailer(f"an object of {object_size} bytes")
    magic, version, zeros, index_size, manifest_size, count, checksum = FOOTER.unpack_from(
        view, len(view) - FOOTER_SIZE
    )
    if magic != FOOTER_MAGIC:
        raise NoTrailer("no footer at the end")
    if version != TRAILER_VERSION or any(zeros):
        raise CorruptTrailer(f"trailer version {version}")
    # SECURITY: the object's own size and our limits bound what a forged footer can make us fetch
    if index_size > INDEX_ENTRY_SIZE * FRAMES_MAX or manifest_size > MANIFEST_BYTES_MAX or count > FRAMES_MAX:
        raise CorruptTrailer("the footer's sizes are out of bounds")
    size = PADDING_HEADER_SIZE + index_size + manifest_size + FOOTER_SIZE
    if size > object_size:
        raise CorruptTrailer("the footer's sizes do not fit into the object")
    if size > len(view):
        return NeedBytes(size)
    trailer = view[len(view) - size :]
    body = trailer[PADDING_HEADER_SIZE : size - (FOOTER_SIZE - FOOTER_CRC_AT)]
    if crc32c(body) != checksum:
        raise CorruptTrailer("the checksum of the trailer is wrong")
    return _open(trailer, body[:index_size], body[index_size : index_size + manifest_size], count, object_size)


def _open(trailer: memoryview, packed: memoryview, described: memoryview, count: int, object_size: int) -> Trailer:
    """Unpack a trailer whose checksum is right, and hold it against the object it ends."""
    size = len(trailer)
    try:
        padding = parse_padding_header(trailer)
        index = FrameIndex.unpack(packed)
        manifest = decode_manifest(zstd.unpack(described, MANIFEST_BYTES_MAX))
    except CodecError as error:
        raise CorruptTrailer(str(error)) from error
    if padding.stored_size != size:
        raise CorruptTrailer("padding header and footer disagree")
    if len(index) != count or index.stored_size != object_size - size:
        raise CorruptTrailer("the index is not that of this object")
    if index.original_size != manifest.original_size:
        raise CorruptTrailer("index and manifest disagree")
    return Trailer(index, manifest, size)
