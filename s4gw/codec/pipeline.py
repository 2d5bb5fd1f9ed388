"""Bytes in, a framed object out, and back: this library for programs that have no gateway in between.

What `compress` gives is what a gateway stores, frames, and a trailer when there is more than one; but a gateway joins
frames that shrink to next to nothing. Whole bodies are handled in memory here; `s4gw.codec.reader` reads ranges of
stored ones.
"""

from __future__ import annotations

from typing import Final

from s4gw.checksum import Buffer, crc32c
from s4gw.codec.auto import AutoDispatcher
from s4gw.codec.choice import Choice
from s4gw.codec.dispatch import Dispatcher
from s4gw.codec.errors import CodecError, FrameTooLarge, NotFramed, NoTrailer
from s4gw.codec.frame import FrameHeader, Padding, decode_frame, encode_frame
from s4gw.codec.index import FrameIndex
from s4gw.codec.layout import FRAME_BYTES, FRAME_HEADER_SIZE, FRAME_MAGIC, PADDING_MAGIC, CodecId
from s4gw.codec.manifest import CodecTotals, Manifest
from s4gw.codec.registry import Dictionaries
from s4gw.codec.selection import Selection
from s4gw.codec.trailer import NeedBytes, encode_trailer, read_trailer
from s4gw.codec.walk import HeaderWalker

FRAME_BYTES_MIN: Final = 4096
"""Smaller frames would spend more on headers than ranges could save."""


class Compressor:
    """Makes a framed object of bytes that come in pieces of any size.

    Usage: write what `feed` gives, each time, then what `finish` gives. It keeps less than one frame of the original.

    Args:
        dispatcher: Chooses the codec of each frame from its bytes; None: as the gateway does by default.
        frame_bytes: Original bytes per frame, at least 4096: a range decodes this much at least.
    """

    __slots__ = (
        "_choices", "_codecs", "_crc32c", "_dispatcher", "_frame_bytes", "_index", "_pending", "_selection",
    )  # fmt: skip

    def __init__(self, *, dispatcher: Dispatcher | None = None, frame_bytes: int = FRAME_BYTES) -> None:
        if frame_bytes < FRAME_BYTES_MIN:
            raise ValueError(f"frames have at least {FRAME_BYTES_MIN} bytes, not {frame_bytes}")
        self._dispatcher = dispatcher or AutoDispatcher()
        self._selection = Selection(self._dispatcher)
        self._frame_bytes = frame_bytes
        self._pending = bytearray()
        self._index = FrameIndex()
        self._codecs: dict[int, CodecTotals] = {}
        self._crc32c = 0

    def feed(self, data: Buffer) -> bytes:
        """Take the next bytes of the original. Returns: stored bytes, often none. Raises: CodecError."""
        with memoryview(data) as given, given.cast("B") as view:
            made, at = [], 0
            while len(self._pending) + len(view) - at > self._frame_bytes:
                room = self._frame_bytes - len(self._pending)
                if self._pending:
                    self._pending += view[at : at + room]
                    made += self._frame(self._pending, None)
                    self._pending = bytearray()
                else:
                    made += self._frame(view[at : at + room], None)
                at += room
            self._pending += view[at:]
        return b"".join(made)

    def finish(self) -> bytes:
        """Say that the original ends here. Returns: the last stored bytes; an object has one frame at least."""
        size = None if len(self._index) else len(self._pending)
        made = self._frame(self._pending, size) if self._pending or size == 0 else []
        self._pending = bytearray()
        if len(self._index) > 1:
            manifest = Manifest(original_size=self._index.original_size, crc32c=self._crc32c, codecs=dict(self._codecs))
            made.append(encode_trailer(self._index, manifest))
        return b"".join(made)

    def _frame(self, data: Buffer, size: int | None) -> list[Buffer]:
        """One frame; copied, since a passthrough payload is the caller's own buffer."""
        choice = self._selection.choose(data, size) if len(data) else Choice(CodecId.PASSTHROUGH)
        frame = encode_frame(data, choice)
        self._selection.observe(frame)
        self._index.append(frame.original_size, frame.stored_size)
        self._crc32c = crc32c(data, self._crc32c)
        have = self._codecs.get(frame.codec, CodecTotals(0, 0, 0))
        self._codecs[frame.codec] = CodecTotals(
            have.frames + 1, have.original_size + frame.original_size, have.stored_size + frame.stored_size
        )
        return [frame.header, bytes(frame.payload)]


def compress(data: Buffer, *, dispatcher: Dispatcher | None = None, frame_bytes: int = FRAME_BYTES) -> bytes:
    """Give the framed object that holds *data*, as a gateway would store it.

    Args:
        data: Any contiguous buffer.
        dispatcher: Chooses the codec of each frame from its bytes; None: as the gateway does by default;
            `AlwaysDispatcher(Choice(CodecId.CPU_ZSTD, 19))` takes one codec for everything.
        frame_bytes: Original bytes per frame, at least 4096.

    Returns: Frames, and a trailer when there is more than one; never larger than *data* by more than 0.1 % and 256 B.
    Raises: UnsupportedCodec, for a codec that is only read; ValueError.
    """
    compressor = Compressor(dispatcher=dispatcher, frame_bytes=frame_bytes)
    return b"".join((compressor.feed(data), compressor.finish()))


def decompress(data: Buffer, *, dictionaries: Dictionaries | None = None, size_max: int | None = None) -> bytes:
    """Give the original of a framed object, all of it checked.

    Args:
        data: The stored object: frames and paddings of ours or of S4, in any contiguous buffer.
        dictionaries: Gives zstd dictionaries by number, for frames of `CodecId.CPU_ZSTD_DICT`.
        size_max: Most bytes that the caller is ready to hold; None: as many as the frames declare.

    Raises: NotFramed; CorruptFrame and its kin for damage; FrameTooLarge, past *size_max*; UnsupportedCodec;
        DictionaryMissing.
    """
    view = memoryview(data).cast("B")
    if not is_framed(view):
        raise NotFramed
    walker, headers, last = HeaderWalker(len(view)), [], None
    while not walker.done:
        site = walker.accept(view[walker.offset : walker.offset + walker.wanted])
        last = site.header
        if isinstance(last, FrameHeader):
            headers.append((site.offset + FRAME_HEADER_SIZE, last))
    size = sum(header.original_size for _, header in headers)
    # SECURITY: the declared sizes are added up before anything is decoded
    if size_max is not None and size > size_max:
        raise FrameTooLarge(size, size_max)
    blocks = [
        decode_frame(header, view[at : at + header.payload_size], dictionaries=dictionaries) for at, header in headers
    ]
    whole = b"".join(blocks)
    if isinstance(last, Padding):
        _check_whole(view, whole)
    return whole


def is_framed(head: Buffer) -> bool:
    """Whether a body that begins with *head*, four bytes or more, is framed; nothing else says so in the body."""
    return bytes(memoryview(head)[: len(FRAME_MAGIC)]) in {FRAME_MAGIC, PADDING_MAGIC}


def _check_whole(view: memoryview, whole: bytes) -> None:
    """Hold the original against the trailer, where the last padding is one; S4's paddings are zeros."""
    try:
        trailer = read_trailer(view, len(view))
    except NoTrailer:
        return
    assert not isinstance(trailer, NeedBytes)
    expected, actual = trailer.manifest.crc32c, crc32c(whole)
    if trailer.manifest.original_size != len(whole) or expected not in {None, actual}:
        raise CodecError("the frames do not add up to what the trailer says")
