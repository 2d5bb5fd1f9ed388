"""Find the frames of an object by hopping over its headers: the way when there is no trailer to rely on.

Pure planning: the walker says where the next header stands, the caller reads up to 28 bytes there. As strict as S4's
own walker: stray bytes, another magic, an unknown codec or a payload that is cut end the walk for good.
"""

from __future__ import annotations

import msgspec

from s4gw.checksum import Buffer
from s4gw.codec.errors import CodecError, TruncatedFrame
from s4gw.codec.frame import FrameHeader, Padding, parse_header
from s4gw.codec.layout import FRAME_HEADER_SIZE


class Site(msgspec.Struct, frozen=True):
    """A frame or padding and where it stands, in bytes from the start of the object."""

    offset: int
    header: FrameHeader | Padding


class HeaderWalker:
    """Plans the reads that find every frame of an object.

    Usage: until `done`, read `wanted` bytes at `offset` and hand them to `accept`.

    Args:
        object_size: Bytes of the stored object.
    """

    __slots__ = ("_failure", "_object_size", "offset")

    def __init__(self, object_size: int) -> None:
        self._object_size = object_size
        self._failure: CodecError | None = None
        self.offset = 0
        """Where the next header stands."""

    @property
    def done(self) -> bool:
        """Nothing stands after the last header that was accepted."""
        return self.offset >= self._object_size

    @property
    def wanted(self) -> int:
        """Bytes to read at `offset`: 28, or what is left of the object."""
        return min(FRAME_HEADER_SIZE, self._object_size - self.offset)

    def accept(self, data: Buffer) -> Site:
        """Take the bytes at `offset` (more than `wanted` are fine) and move on to the next header.

        Raises: TruncatedFrame, CorruptFrame, UnknownCodec; the same again at every later call.
        """
        if self._failure is not None:
            raise self._failure
        try:
            header = parse_header(data)
            end = self.offset + header.stored_size
            if end > self._object_size:
                raise TruncatedFrame(f"at {self.offset}: {end - self._object_size} bytes are missing")
        except CodecError as error:
            self._failure = error
            raise
        site = Site(self.offset, header)
        self.offset = end
        return site
