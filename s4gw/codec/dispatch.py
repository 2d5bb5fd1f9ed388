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
from s4gw.codec.estimate import INCOMPRESSIBLE_PERMILLE
from s4gw.codec.layout import CodecId

SMALL_BYTES: Final = 16 * 1024
"""Up to here a trial would cost as much as compressing: the better level at once."""

_PIECE_BYTES: Final = 8 * 1024
_PIECES: Final = 4
_CLEARLY_PERMILLE: Final = 900  # a piece that shrinks by this much settles it: no more pieces are tried

_TRIAL_BYTES: Final = 128 * 1024
_TRIAL_BYTES_MIN: Final = 8 * 1024
_TRIAL_SHARE: Final = 16  # objects get a trial of this part of them, so that choosing stays far below writing
_TRIAL_LEVELS: Final = (1, 3)
_TRIED: Final = frozenset({CodecId.CPU_ZSTD, CodecId.ZSTD_CASCADE})
_SLOWER_PERMILLE: Final = 990
"""The slower level must save 1 % on the sample. It gains more on the whole, where there is history to find."""

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

    def glance(self, choice: Choice, frame: Buffer) -> int:
        """Give a number, 0 to 1000, for *frame*, cheaply, that stays about the same while *choice* suits what comes."""

    def hinted(self, hint: str) -> Dispatcher:
        """Give a dispatcher that tries first what a client says its bytes are, see `s4gw.codec.hint`."""


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

    def glance(self, choice: Choice, frame: Buffer) -> int:  # noqa: ARG002
        return 0

    def hinted(self, hint: str) -> Dispatcher:  # noqa: ARG002 - told what to write already
        return self


class SamplingDispatcher:
    """Looks at the bytes: passthrough for what is compressed already, else *default* at a level that pays.

    Args:
        default: Codec for whatever shrinks.
        level: Its level; None: for zstd one of *levels* by a trial, other codecs as usual for them.
        levels: Two zstd levels: the fast one, and the one to take where it saves something.

    Raises: UnsupportedCodec, for a codec that is only read.
    """

    __slots__ = ("_default", "_level", "_levels", "_small")

    def __init__(
        self,
        default: CodecId = CodecId.CPU_ZSTD,
        level: int | None = None,
        *,
        levels: tuple[int, int] = _TRIAL_LEVELS,
    ) -> None:
        if default not in registry.LEVEL_DEFAULT:
            raise UnsupportedCodec(default.label)
        self._default = default
        self._levels = levels
        self._level = level if level is not None or default in _TRIED else registry.LEVEL_DEFAULT[default]
        self._small = Choice(default, levels[1] if self._level is None else self._level)

    def choose(self, sample: Buffer, size: int | None) -> Choice:
        view = memoryview(sample).cast("B")
        known = len(view) if size is None else size
        if not view or self._default is CodecId.PASSTHROUGH:
            return Choice(CodecId.PASSTHROUGH, 0)
        if known <= SMALL_BYTES:
            return self._small
        if _incompressible(view):
            return Choice(CodecId.PASSTHROUGH, 0)
        return Choice(self._default, trial_level(view, known, self._levels) if self._level is None else self._level)

    def glance(self, choice: Choice, frame: Buffer) -> int:
        """Tell whether the middle of *frame* shrinks."""
        del choice
        view = memoryview(frame).cast("B")
        middle = view[len(view) // 2 : len(view) // 2 + _PIECE_BYTES]
        return 1000 * (len(zstd.encode(middle, _TRIAL_LEVELS[0])) * 1000 < len(middle) * INCOMPRESSIBLE_PERMILLE)

    def hinted(self, hint: str) -> Dispatcher:  # noqa: ARG002 - knows one codec only
        return self


def _incompressible(view: memoryview) -> bool:
    """Whether zstd 1 gets less than 1.5 % out of pieces spread over the sample."""
    pieces = spread(view, _PIECES, _PIECE_BYTES)
    if len(pieces) > 1 and bytes(view[:8]).startswith(_COMPRESSED_MAGICS):
        pieces = pieces[1:]
    original = stored = 0
    for piece in reversed(pieces):  # the first one last: headers shrink where the rest does not
        size = len(zstd.encode(piece, _TRIAL_LEVELS[0]))
        if size * 1000 < len(piece) * _CLEARLY_PERMILLE:
            return False
        original += len(piece)
        stored += size
    return stored * 1000 >= original * INCOMPRESSIBLE_PERMILLE


def spread(view: memoryview, count: int, piece_bytes: int, *, alignment: int = 1) -> list[memoryview]:
    """Cut *count* pieces evenly out of *view*, the first at its start, the last at its end; fewer if it is short.

    Each starts at a multiple of *alignment* bytes.
    """
    if len(view) <= count * piece_bytes:
        return [view[start : start + piece_bytes] for start in range(0, len(view), piece_bytes)]
    stride = (len(view) - piece_bytes) // (count - 1)
    starts = (place - place % alignment for place in range(0, stride * count, stride))
    return [view[start : start + piece_bytes] for start in starts]


def trial_level(view: memoryview, size: int, levels: tuple[int, int] = _TRIAL_LEVELS) -> int:
    """One of *levels*, or the one between the usual two, by what each makes of the middle of the sample."""
    fast, slow = levels
    if fast == slow:
        return fast
    middle = trial_sample(view, size)
    small = zstd.trial_size(middle, fast, len(view))
    if levels != _TRIAL_LEVELS:
        return slow if zstd.trial_size(middle, slow, len(view)) <= small else fast
    between = zstd.trial_size(middle, zstd.LEVEL_BETWEEN, len(view))
    if between >= small:
        return fast
    if between * 1000 >= small * _SLOWER_PERMILLE:
        return zstd.LEVEL_BETWEEN  # PERF: what level 1 is near to, level 3 does not beat
    slowest = zstd.trial_size(middle, slow, len(view))
    return slow if slowest * 1000 < between * _SLOWER_PERMILLE else zstd.LEVEL_BETWEEN


def trial_sample(view: memoryview, size: int) -> memoryview:
    """The middle of *view*, large enough to compare levels, small beside the *size* bytes of the whole."""
    wanted = min(_TRIAL_BYTES, max(_TRIAL_BYTES_MIN, size // _TRIAL_SHARE))
    start = max(0, (len(view) - wanted) // 2)
    return view[start : start + wanted]
