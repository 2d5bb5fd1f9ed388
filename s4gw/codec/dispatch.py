"""Choose codec and level from a sample, before anything is compressed.

A wrong choice costs ratio or time, never bytes: `encode_frame` stores what does not shrink as it is. Choosing is
deterministic, so that equal objects are stored equally.
"""

from __future__ import annotations

from typing import Final, Protocol

from s4gw.checksum import Buffer
from s4gw.codec import registry, zstd
from s4gw.codec.choice import Choice
from s4gw.codec.errors import UnsupportedCodec
from s4gw.codec.frame import EncodedFrame
from s4gw.codec.layout import CodecId

SMALL_BYTES: Final = 16 * 1024
"""Up to here a trial would cost as much as compressing: level 3 at once."""

_PIECE_BYTES: Final = 8 * 1024
_PIECES: Final = 4
_INCOMPRESSIBLE_PERMILLE: Final = 985  # four pieces that shrink by less than this are not worth a codec

_CLEARLY_PERMILLE: Final = 900  # a piece that shrinks by this much settles it: no more pieces are tried

_TRIAL_BYTES: Final = 128 * 1024
_TRIAL_BYTES_MIN: Final = 8 * 1024
_TRIAL_SHARE: Final = 16  # smaller objects get a trial of this part of them, so that choosing stays far below writing
_TRIAL_LEVELS: Final = (1, 3)
_TRIAL_GAIN_PERCENT: Final = 97  # level 3 takes 1.5-2x the time of level 1; measured: right on 14 of 16 data sets

_DRIFT_PERCENT: Final = 6

# Formats that are compressed already. Their headers often are not, so a match makes the choice look past the first
# piece; it does not decide by itself, since any file may begin with these bytes.
_COMPRESSED_MAGICS: Final = (
    b"\x1f\x8b",  # gzip
    b"\x28\xb5\x2f\xfd",  # zstd
    b"\xfd7zXZ\x00",
    b"BZh",
    b"7z\xbc\xaf\x27\x1c",
    b"\x04\x22\x4d\x18",  # lz4
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"GIF8",
    b"OggS",
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"PK\x03\x04",  # zip
    b"Rar!",
)


class Dispatcher(Protocol):
    """Decides how frames are written."""

    def choose(self, sample: Buffer, size: int | None) -> Choice:
        """Choose for the bytes that *sample* begins.

        Args:
            sample: The first bytes, ideally a whole frame; may be empty.
            size: Bytes of the whole object, None when nobody knows.
        """


class AlwaysDispatcher:
    """Gives one choice, whatever the bytes are.

    Raises: UnsupportedCodec, for a codec that is only read.
    """

    __slots__ = ("_choice",)

    def __init__(self, choice: Choice) -> None:
        if choice.codec not in registry.WRITTEN:
            raise UnsupportedCodec(choice.codec.label)
        self._choice = choice

    def choose(self, sample: Buffer, size: int | None) -> Choice:  # noqa: ARG002 - the port's signature
        return self._choice


class SamplingDispatcher:
    """Looks at the bytes: passthrough for what is compressed already, else *default* at a level that pays.

    Args:
        default: Codec for whatever shrinks.
        level: Its level; None: zstd 1 or 3 by a trial, other codecs as usual for them.

    Raises: UnsupportedCodec, for a codec that is only read.
    """

    __slots__ = ("_default", "_level")

    def __init__(self, default: CodecId = CodecId.CPU_ZSTD, level: int | None = None) -> None:
        if default not in registry.LEVEL_DEFAULT:
            raise UnsupportedCodec(default.label)
        self._default = default
        self._level = level if level is not None or default is CodecId.CPU_ZSTD else registry.LEVEL_DEFAULT[default]

    def choose(self, sample: Buffer, size: int | None) -> Choice:
        view = memoryview(sample).cast("B")
        known = len(view) if size is None else size
        if not view or self._default is CodecId.PASSTHROUGH:
            return Choice(CodecId.PASSTHROUGH, 0)
        if known <= SMALL_BYTES:
            return Choice(self._default, registry.LEVEL_DEFAULT[self._default] if self._level is None else self._level)
        if _incompressible(view):
            return Choice(CodecId.PASSTHROUGH, 0)
        return Choice(self._default, _trial_level(view, known) if self._level is None else self._level)


class Selection:
    """Chooses once, then trusts the choice while the ratio stays: selection costs up to half of compressing a frame.

    One of these belongs to one object. Ask `choose` for every frame and tell `observe` what came of it; the choice
    is made anew after *every_bytes*, and after a frame whose ratio drifted by more than 6 % from the first one's.
    """

    __slots__ = ("_choice", "_dispatcher", "_every_bytes", "_left", "_ratio")

    def __init__(self, dispatcher: Dispatcher, *, every_bytes: int = 4 * 1024**2) -> None:
        self._dispatcher = dispatcher
        self._every_bytes = every_bytes
        self._choice: Choice | None = None
        self._left = 0
        self._ratio: float | None = None

    def choose(self, frame: Buffer, size: int | None) -> Choice:
        """Choose for *frame*, the next bytes of an object of *size* bytes (None: unknown)."""
        if self._choice is None or self._left <= 0:
            self._choice = self._dispatcher.choose(frame, size)
            self._left = self._every_bytes
            self._ratio = None
        self._left -= memoryview(frame).nbytes
        return self._choice

    def observe(self, frame: EncodedFrame) -> None:
        """Learn how well the last choice did."""
        ratio = frame.stored_size / max(frame.original_size, 1)
        if self._ratio is None:
            self._ratio = ratio
        elif abs(ratio - self._ratio) * 100 > self._ratio * _DRIFT_PERCENT:
            self._left = 0


def _incompressible(view: memoryview) -> bool:
    """Whether zstd 1 gets less than 1.5 % out of pieces spread over the sample."""
    pieces = _spread(view)
    if len(pieces) > 1 and bytes(view[:8]).startswith(_COMPRESSED_MAGICS):
        pieces = pieces[1:]
    original = stored = 0
    for piece in reversed(pieces):  # the first one last: headers shrink where the rest does not
        size = len(zstd.encode(piece, _TRIAL_LEVELS[0]))
        if size * 1000 < len(piece) * _CLEARLY_PERMILLE:
            return False
        original += len(piece)
        stored += size
    return stored * 1000 >= original * _INCOMPRESSIBLE_PERMILLE


def _spread(view: memoryview) -> list[memoryview]:
    """Cut pieces evenly out of the sample, the first at its start, the last at its end."""
    if len(view) <= _PIECES * _PIECE_BYTES:
        return [view[start : start + _PIECE_BYTES] for start in range(0, len(view), _PIECE_BYTES)]
    stride = (len(view) - _PIECE_BYTES) // (_PIECES - 1)
    return [view[start : start + _PIECE_BYTES] for start in range(0, stride * _PIECES, stride)]


def _trial_level(view: memoryview, size: int) -> int:
    """Level 3 where it saves 3 % over level 1 on the middle of the sample, else level 1."""
    wanted = min(_TRIAL_BYTES, max(_TRIAL_BYTES_MIN, size // _TRIAL_SHARE))
    start = max(0, (len(view) - wanted) // 2)
    middle = view[start : start + wanted]
    fast, small = (len(zstd.encode(middle, level)) for level in _TRIAL_LEVELS)
    return _TRIAL_LEVELS[1] if small * 100 < fast * _TRIAL_GAIN_PERCENT else _TRIAL_LEVELS[0]
