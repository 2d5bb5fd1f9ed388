"""What a dispatcher decides about a frame: codec, level, and what else the codec has to know.

Values only; the modules of the codecs say what the parameters mean.
"""

from __future__ import annotations

from typing import Final

import msgspec

from s4gw.codec.layout import CodecId, PcoType, TypedFilter

_JOINED_MAX: Final = 8  # choosing takes a sample's time for each
_JOINED_FIRST: Final = 2  # nothing and zstd stay


class Filter(msgspec.Struct, frozen=True, gc=False):
    """Parameters of `CodecId.TYPED`: how bytes are made of numbers. The layout says what each filter does."""

    kind: TypedFilter
    width: int
    """Bytes of an element: 2, 4 or 8; for PLANES of a record: 2 to 64."""
    big_endian: bool = False
    """Elements are stored with their highest byte first; never for PLANES."""
    mask: int = 0
    """PLANES only: bit i is set where plane i is stored as differences."""

    @property
    def label(self) -> str:
        """For logs and people, e.g. "pack u64" or "planes 21"."""
        if self.kind is TypedFilter.PLANES:
            return f"planes {self.width}{f' delta {self.mask:x}' if self.mask else ''}"
        name = self.kind.name.lower().replace("_", "-")
        return f"{name} u{self.width * 8}{' big-endian' if self.big_endian else ''}"


class Column(msgspec.Struct, frozen=True, gc=False):
    """Parameters of `CodecId.PCO`: the type of the numbers."""

    kind: PcoType
    big_endian: bool = False

    @property
    def label(self) -> str:
        """For logs and people, e.g. "f64"."""
        return f"{self.kind.name.lower()}{' big-endian' if self.big_endian else ''}"


class Choice(msgspec.Struct, frozen=True, gc=False):
    """How to write a frame."""

    codec: CodecId
    level: int = 0
    """Level of the codec, or of the zstd within it; 0 where there is none."""
    parameters: Filter | Column | tuple[Choice, ...] | None = None
    """A `Filter` for TYPED, a `Column` for PCO, for SEGMENTS the choices that its pieces choose among."""

    @property
    def label(self) -> str:
        """For logs and people, e.g. "typed pack u64"."""
        if isinstance(self.parameters, Filter | Column):
            return f"{self.codec.label} {self.parameters.label}"
        if isinstance(self.parameters, tuple):
            return f"{self.codec.label} of {', '.join(each.label for each in self.parameters)}"
        return f"{self.codec.label} {self.level}" if self.level else self.codec.label


def rotated(choice: Choice, distance: int) -> Choice:
    """Give *choice* for bytes that begin *distance* bytes further on: records may be cut at another place there."""
    parameters = choice.parameters
    if isinstance(parameters, tuple):
        moved = tuple(rotated(each, distance) for each in parameters)
        return choice if moved == parameters else msgspec.structs.replace(choice, parameters=moved)
    if not isinstance(parameters, Filter) or not parameters.mask or distance % parameters.width == 0:
        return choice
    width = parameters.width
    shift = distance % width
    mask = (parameters.mask >> shift | parameters.mask << width - shift) & (1 << width) - 1
    return msgspec.structs.replace(choice, parameters=msgspec.structs.replace(parameters, mask=mask))


def joined(before: Choice, now: Choice) -> Choice:
    """Give *now*, made in doubt about segments, with what their pieces chose among before.

    A filter or type for one frame of a mixture is one more thing to choose from; text or noise end the mixture.
    """
    if not isinstance(before.parameters, tuple):
        return now
    if isinstance(now.parameters, tuple):
        choices = (*now.parameters, *before.parameters)
    elif now.parameters is not None:
        choices = (*before.parameters[:_JOINED_FIRST], now, *before.parameters[_JOINED_FIRST:])
    else:
        return now
    return msgspec.structs.replace(before, parameters=tuple(dict.fromkeys(choices))[:_JOINED_MAX])
