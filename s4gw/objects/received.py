"""What is known of a body once it was squished: sizes, digests, frames, and what each codec made of it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from s4gw.checksum import Algorithm
from s4gw.codec import CodecId, FrameIndex


class Statistics(msgspec.Struct):
    """Frames and bytes by codec of one body."""

    by_codec: dict[CodecId, tuple[int, int, int]] = {}
    """Codec -> (frames, original bytes, stored bytes)."""

    def count(self, codec: CodecId, original: int, stored: int) -> None:
        """Add one frame."""
        frames, before, after = self.by_codec.get(codec, (0, 0, 0))
        self.by_codec[codec] = (frames + 1, before + original, after + stored)

    def main_codec(self) -> CodecId:
        """The codec that most original bytes went through."""
        if len(self.by_codec) <= 1:
            return next(iter(self.by_codec), CodecId.PASSTHROUGH)
        return max(self.by_codec, key=lambda codec: self.by_codec[codec][1])


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A body that lies, complete and checked, in a writer."""

    size: int
    digests: Mapping[Algorithm, bytes]
    crc32c: int
    framed: bool
    index: FrameIndex
    statistics: Statistics
    dictionary: str = ""
    """Name of the dictionary that it needs; empty for none."""

    @property
    def md5_hex(self) -> str:
        """The ETag of the body."""
        return self.digests[Algorithm.MD5].hex()
