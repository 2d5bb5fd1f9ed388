"""S4F2 frames: encode, decode, read a stream of them, or hop over their headers.

Invariants: a decoded frame has exactly its declared size and CRC-32C, or an error is raised and no byte of it is
given; sizes are bounded before anything is allocated; after an error a reader stays in it. The layout is in
`s4gw.codec.layout`. Compressing and decompressing release the GIL.
"""

from __future__ import annotations

from struct import error as struct_error
from typing import Final

import msgspec

from s4gw.checksum import Buffer, crc32c
from s4gw.codec import registry
from s4gw.codec.choice import Choice
from s4gw.codec.errors import (
    ChecksumMismatch,
    CodecError,
    CorruptFrame,
    FrameTooLarge,
    TruncatedFrame,
    UnknownCodec,
)
from s4gw.codec.layout import (
    FRAME_HEADER,
    FRAME_HEADER_SIZE,
    FRAME_MAGIC,
    MAGIC_SIZE,
    ORIGINAL_BYTES_MAX,
    PADDING_HEADER,
    PADDING_HEADER_SIZE,
    PADDING_MAGIC,
    CodecId,
)

_HEADER_SIZES: Final = {FRAME_MAGIC: FRAME_HEADER_SIZE, PADDING_MAGIC: PADDING_HEADER_SIZE}


class FrameHeader(msgspec.Struct, frozen=True, gc=False):
    """What stands before a payload. Sizes in bytes; `crc32c` is that of the decoded bytes."""

    codec: CodecId
    original_size: int
    payload_size: int
    crc32c: int

    @property
    def stored_size(self) -> int:
        """Header and payload together."""
        return FRAME_HEADER_SIZE + self.payload_size

    def pack(self) -> bytes:
        """Give the 28 bytes of the header."""
        return FRAME_HEADER.pack(FRAME_MAGIC, self.codec, self.original_size, self.payload_size, self.crc32c)


class EncodedFrame(msgspec.Struct, frozen=True):
    """A frame ready to be written: `header`, then `payload`.

    A passthrough payload is the caller's own buffer, so write it before the buffer is used again.
    """

    header: bytes
    payload: Buffer
    codec: CodecId
    original_size: int
    crc32c: int

    @property
    def stored_size(self) -> int:
        """Header and payload together."""
        return FRAME_HEADER_SIZE + memoryview(self.payload).nbytes


class Frame(msgspec.Struct, frozen=True):
    """A frame as read: not decoded yet."""

    header: FrameHeader
    payload: bytes


class Padding(msgspec.Struct, frozen=True, gc=False):
    """A padding, which a trailer is to those who do not look into it. `size` counts what follows its header."""

    size: int

    @property
    def stored_size(self) -> int:
        """Header and filling together."""
        return PADDING_HEADER_SIZE + self.size


def encode_frame(data: Buffer, choice: Choice, *, dictionary: bytes | None = None) -> EncodedFrame:
    """Compress *data* into one frame, or store it as it is when that does not save 1 %.

    Args:
        data: Any contiguous buffer, at most 5 GiB.
        choice: Codec, level and parameters.
        dictionary: For `CodecId.CPU_ZSTD_DICT` only.

    Returns: The frame; a passthrough payload is *data* itself, everything else is new bytes.
    Raises: FrameTooLarge; UnsupportedCodec; DictionaryMissing; ValueError, for a level out of range.
    """
    original_size = memoryview(data).nbytes
    if original_size > ORIGINAL_BYTES_MAX:
        raise FrameTooLarge(original_size, ORIGINAL_BYTES_MAX)
    codec, payload = registry.encode_shrunk(choice, data, dictionary)
    payload_size = memoryview(payload).nbytes
    checksum = crc32c(data)
    header = FRAME_HEADER.pack(FRAME_MAGIC, codec, original_size, payload_size, checksum)
    return EncodedFrame(header, payload, codec, original_size, checksum)


def encode_padding(stored_size: int) -> bytes:
    """Give a padding of zeros that takes *stored_size* bytes, header included; readers skip it."""
    if stored_size < PADDING_HEADER_SIZE:
        raise ValueError(f"a padding takes at least {PADDING_HEADER_SIZE} bytes")
    size = stored_size - PADDING_HEADER_SIZE
    return PADDING_HEADER.pack(PADDING_MAGIC, size) + bytes(size)


def parse_frame_header(buffer: Buffer, offset: int = 0) -> FrameHeader:
    """Read the frame header at *offset* of *buffer*.

    Raises: TruncatedFrame, CorruptFrame (another magic, or sizes that no frame has), UnknownCodec.
    """
    try:
        magic, codec_id, original_size, payload_size, checksum = FRAME_HEADER.unpack_from(buffer, offset)
    except struct_error:
        raise TruncatedFrame("frame header is cut") from None
    if magic != FRAME_MAGIC:
        raise CorruptFrame(f"no frame magic but {magic.hex()}")
    try:
        codec = CodecId(codec_id)
    except ValueError:
        raise UnknownCodec(codec_id) from None
    if original_size > ORIGINAL_BYTES_MAX:
        raise CorruptFrame(f"a frame cannot hold {original_size} bytes")
    return FrameHeader(codec, original_size, payload_size, checksum)


def decode_frame(
    header: FrameHeader,
    payload: Buffer,
    *,
    dictionaries: registry.Dictionaries | None = None,
    original_size_max: int = ORIGINAL_BYTES_MAX,
) -> Buffer:
    """Decompress and verify one frame.

    Args:
        header: From `parse_frame_header`, or made of an S4 object's metadata for a raw body.
        payload: The payload alone; any contiguous buffer.
        dictionaries: Gives zstd dictionaries by number, for `CodecId.CPU_ZSTD_DICT`.
        original_size_max: Most bytes that the caller is ready to hold; checked before anything is allocated.

    Returns: The original bytes, in a buffer of their own; *payload* itself, if it is bytes and passthrough.
    Raises: FrameTooLarge, CorruptFrame, ChecksumMismatch, UnsupportedCodec, DictionaryMissing.
    """
    # SECURITY: sizes first, so that no header can make us allocate what it does not hold
    if header.original_size > original_size_max:
        raise FrameTooLarge(header.original_size, original_size_max)
    payload_size = memoryview(payload).nbytes
    if payload_size != header.payload_size:
        raise TruncatedFrame(f"a payload of {payload_size} bytes, the frame header says {header.payload_size}")
    decoded = registry.decode(header.codec, payload, header.original_size, dictionaries)
    actual = crc32c(decoded)
    if actual != header.crc32c:
        raise ChecksumMismatch(header.crc32c, actual)
    return decoded


def checked_original(header: FrameHeader, payload: Buffer) -> Buffer:
    """Do what `decode_frame` does for a passthrough frame, without a copy: gives *payload* itself."""
    size = memoryview(payload).nbytes
    if size != header.payload_size:
        raise TruncatedFrame(f"a payload of {size} bytes, the frame header says {header.payload_size}")
    if size != header.original_size:
        raise CorruptFrame(f"a passthrough frame of {header.original_size} bytes holds {size}")
    actual = crc32c(payload)
    if actual != header.crc32c:
        raise ChecksumMismatch(header.crc32c, actual)
    return payload


def parse_padding_header(buffer: Buffer, offset: int = 0) -> Padding:
    """Read the padding header at *offset* of *buffer*. Raises: TruncatedFrame, CorruptFrame."""
    try:
        magic, size = PADDING_HEADER.unpack_from(buffer, offset)
    except struct_error:
        raise TruncatedFrame("padding header is cut") from None
    if magic != PADDING_MAGIC:
        raise CorruptFrame(f"no padding magic but {magic.hex()}")
    return Padding(size)


def parse_header(buffer: Buffer, offset: int = 0) -> FrameHeader | Padding:
    """Read whichever header stands at *offset*; 28 bytes are always enough, the last of an object may be fewer.

    Raises: TruncatedFrame, CorruptFrame, UnknownCodec.
    """
    magic = bytes(memoryview(buffer)[offset : offset + MAGIC_SIZE])
    if magic == PADDING_MAGIC:
        return parse_padding_header(buffer, offset)
    if magic == FRAME_MAGIC:
        return parse_frame_header(buffer, offset)
    if len(magic) < MAGIC_SIZE:
        raise TruncatedFrame(f"{len(magic)} stray bytes at the end")
    raise CorruptFrame(f"neither frame nor padding: {magic.hex()}")


class FrameReader:
    """Takes a stored object in pieces of any size and gives its frames and paddings, in order.

    Usage: `feed` bytes, call `next_event` until it gives None, feed more; at the end call `finish`. It buffers one
    payload plus what was fed beyond it; paddings are skipped without being kept.

    Args:
        payload_bytes_max: Largest payload to buffer, in bytes.
    """

    __slots__ = ("_buffer", "_failure", "_header", "_padding", "_payload_bytes_max", "_skip")

    def __init__(self, *, payload_bytes_max: int = 64 * 1024**2) -> None:
        self._buffer = bytearray()
        self._payload_bytes_max = payload_bytes_max
        self._header: FrameHeader | None = None
        self._padding: Padding | None = None
        self._skip = 0
        self._failure: CodecError | None = None

    def feed(self, data: Buffer) -> None:
        """Take the next bytes of the object; *data* is copied."""
        self._buffer += data

    def next_event(self) -> Frame | Padding | None:
        """Give the next frame or padding, or None when more bytes are needed.

        Raises: CorruptFrame, UnknownCodec, FrameTooLarge; the same again at every later call.
        """
        if self._failure is not None:
            raise self._failure
        try:
            return self._advance()
        except CodecError as error:
            self._failure = error
            raise

    def finish(self) -> None:
        """Say that the object ends here; call it when `next_event` gave None.

        Raises: TruncatedFrame, unless the end falls on a boundary; an earlier failure.
        """
        if self._failure is not None:
            raise self._failure
        if self._buffer or self._header is not None or self._padding is not None:
            self._failure = TruncatedFrame("the object ends inside a frame or padding")
            raise self._failure

    def _advance(self) -> Frame | Padding | None:
        if self._header is None and self._padding is None and not self._read_header():
            return None
        if self._padding is not None:
            return self._skip_padding(self._padding)
        header = self._header
        if header is None or len(self._buffer) < header.payload_size:
            return None
        with memoryview(self._buffer) as view:
            payload = bytes(view[: header.payload_size])
        del self._buffer[: header.payload_size]
        self._header = None
        return Frame(header, payload)

    def _read_header(self) -> bool:
        """Take a header off the buffer, or say that it is not whole yet."""
        if len(self._buffer) < MAGIC_SIZE:
            return False
        size = _HEADER_SIZES.get(bytes(self._buffer[:MAGIC_SIZE]), MAGIC_SIZE)
        if len(self._buffer) < size:
            return False
        header = parse_header(self._buffer)
        del self._buffer[:size]
        if isinstance(header, Padding):
            self._padding, self._skip = header, header.size
            return True
        if header.payload_size > self._payload_bytes_max:
            raise FrameTooLarge(header.payload_size, self._payload_bytes_max)
        self._header = header
        return True

    def _skip_padding(self, padding: Padding) -> Padding | None:
        taken = min(self._skip, len(self._buffer))
        del self._buffer[:taken]
        self._skip -= taken
        if self._skip:
            return None
        self._padding = None
        return padding
