"""Everything that can be wrong with stored bytes, as one small tree of errors.

Facts are attributes; nothing here knows HTTP. Whoever meets one of these refuses the read.
"""

from __future__ import annotations


class CodecError(Exception):
    """Base of all errors of this library."""


class CorruptFrame(CodecError):
    """A frame, or the bytes where one should be, is damaged: never give any of its bytes away."""


class TruncatedFrame(CorruptFrame):
    """The input ended inside a frame."""


class NotFramed(CorruptFrame):
    """The body begins neither with a frame nor with a padding: it may well be an original that was stored as it is."""

    def __init__(self) -> None:
        super().__init__("not a framed object")


class ChecksumMismatch(CorruptFrame):
    """The decoded bytes have another CRC-32C than the frame header says.

    Args:
        expected: CRC-32C in the header.
        actual: CRC-32C of the decoded bytes.
    """

    def __init__(self, expected: int, actual: int) -> None:
        self.expected = expected
        self.actual = actual
        super().__init__(f"CRC-32C is {actual:08x}, the frame header says {expected:08x}")


class UnknownCodec(CorruptFrame):
    """A codec id that no released version wrote.

    Args:
        codec_id: The id in the frame header.
    """

    def __init__(self, codec_id: int) -> None:
        self.codec_id = codec_id
        super().__init__(f"unknown codec id {codec_id}")


class UnsupportedCodec(CodecError):
    """A known codec that this build cannot decode (or encode): the bytes may well be sound.

    Args:
        name: Codec or container algorithm.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{name} is not supported by this build")


class CodecUnavailable(UnsupportedCodec):
    """A codec that needs a device, or its worker, which is not there now: the bytes may well be sound.

    Args:
        name: Codec or container algorithm.
        reason: Why not now.
    """

    def __init__(self, name: str, reason: str) -> None:
        self.reason = reason
        CodecError.__init__(self, f"{name} needs a GPU: {reason}")
        self.name = name


class FrameTooLarge(CodecError):
    """A frame declares more bytes than the caller is ready to hold.

    Args:
        size: Declared bytes.
        limit: What the caller allows, in bytes.
    """

    def __init__(self, size: int, limit: int) -> None:
        self.size = size
        self.limit = limit
        super().__init__(f"a frame declares {size} bytes, more than the {limit} allowed")


class DictionaryMissing(CodecError):
    """A frame needs a zstd dictionary that the caller does not have.

    Args:
        dictionary_id: Number in the zstd frame header, 0 for a raw-content dictionary.
    """

    def __init__(self, dictionary_id: int) -> None:
        self.dictionary_id = dictionary_id
        super().__init__(f"zstd dictionary {dictionary_id} is not at hand")


class TooFewSamples(CodecError):
    """There is too little to train a dictionary from, or nothing that repeats.

    Args:
        reason: What zstd says.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"no dictionary can be made of these samples: {reason}")


class CorruptIndex(CodecError):
    """A packed frame index is damaged, or its counts disagree."""


class RangeOutsideObject(CodecError):
    """A range starts at or past the last byte, or is empty.

    Args:
        start: First wanted byte.
        size: Bytes of the original.
    """

    def __init__(self, start: int, size: int) -> None:
        self.start = start
        self.size = size
        super().__init__(f"no byte at {start} in an object of {size}")


class TrailerError(CodecError):
    """There is no trailer to rely on; walking the frame headers still gives the index."""


class NoTrailer(TrailerError):
    """The object does not end with a trailer."""


class CorruptTrailer(TrailerError):
    """The object ends with a trailer that is damaged or belongs to other bytes."""


class CorruptSidecar(CodecError):
    """An S4IX index object breaks its own format."""


class UnsupportedSidecar(CodecError):
    """An S4IX index object of a version that was never released.

    Args:
        version: Version in its header.
    """

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__(f"S4IX version {version} is unknown")
