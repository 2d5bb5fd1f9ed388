"""What several codec tests need: vectors, and objects made of frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from s4gw.codec import (
    Choice,
    CodecId,
    CodecTotals,
    Frame,
    FrameIndex,
    FrameReader,
    Manifest,
    Padding,
    decode_frame,
    encode_frame,
    encode_trailer,
)

VECTORS: Final = Path(__file__).parent.parent / "vectors" / "codec"
ORIGINAL: Final = (VECTORS / "original.txt").read_bytes()
CHOICES: Final = (Choice(CodecId.PASSTHROUGH), Choice(CodecId.CPU_ZSTD, 1), Choice(CodecId.CPU_GZIP, 6))


def vector(name: str) -> bytes:
    """Bytes of a stored vector."""
    return (VECTORS / name).read_bytes()


def build(pieces: Sequence[tuple[bytes, Choice]], *, trailer: bool = True) -> tuple[bytes, FrameIndex]:
    """Make a stored object of one frame per piece, and its index."""
    index, body = FrameIndex(), bytearray()
    for data, choice in pieces:
        frame = encode_frame(data, choice)
        body += frame.header
        body += frame.payload
        index.append(frame.original_size, frame.stored_size)
    if trailer:
        totals = {0: CodecTotals(len(index), index.original_size, index.stored_size)}
        body += encode_trailer(index, Manifest(original_size=index.original_size, etag="0" * 32, codecs=totals))
    return bytes(body), index


def events(pieces: Sequence[bytes]) -> list[Frame | Padding]:
    """Everything that a reader finds in *pieces*; the object must end after them."""
    reader, found = FrameReader(), []
    for piece in pieces:
        reader.feed(piece)
        while (event := reader.next_event()) is not None:
            found.append(event)
    reader.finish()
    return found


def decode_all(stored: bytes) -> bytes:
    """The original of a stored object, by reading it from front to back."""
    return b"".join(decode_frame(event.header, event.payload) for event in events([stored]) if isinstance(event, Frame))
