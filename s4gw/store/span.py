"""Reading one body in order: its extents one after another, each checked, looked up again if compaction moved it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Final

from s4gw.store.errors import RecordDamaged
from s4gw.store.volume import Extent, VolumeReader

_LOOK_UPS_MAX: Final = 4
"""How often a read looks up extents that compaction moves away meanwhile; it moves each once in hours."""

_AHEAD: Final = 16
"""Extents looked up at once."""

_KNOWN_MAX: Final = 2
"""Extents that are remembered of a body. PERF: most have one, and looking it up is a tenth of a GET of 64 KiB."""

LookUp = Callable[[int, int], list[Extent]]
"""Gives the extents with ids from the first on, as many as are named; fewer when some are gone."""

Known = MutableMapping[int, Extent]
"""Extents by id, as they lay when they were looked up last."""


def blocks(  # noqa: PLR0913 - one read
    look_up: LookUp,
    reader: VolumeReader,
    runs: Sequence[tuple[int, int, int]],
    start: int,
    end: int,
    known: Known | None = None,
) -> Iterator[memoryview]:
    """Bytes ``[start, end)`` of a body made of *runs* of extents (first id, count, size of each), extent by extent.

    Args:
        look_up: See `LookUp`.
        reader: Reads them.
        runs: The body.
        start: Of the bytes.
        end: Of the bytes.
        known: What earlier reads of the same body found, and this one adds to; it may be out of date.

    Raises: RecordDamaged.
    """
    if known is None:
        known = {}
    at = 0
    for first, count, size in runs:
        if at >= end:
            return
        skip = max(0, (start - at) // size)
        stop = min(count, -(-(end - at) // size))
        for number in range(skip, stop, _AHEAD):
            wanted = min(_AHEAD, stop - number)
            found = _found(look_up, known, first + number, wanted)
            if len(found) != wanted:
                raise RecordDamaged(
                    0, 0, f"extents {first + number} to {first + number + wanted - 1} are not all there"
                )
            for index, extent in enumerate(found, number):
                low = at + index * size
                since, until = max(start - low, 0), min(end - low, extent.size)
                yield _checked(look_up, reader, known, first + index, extent, since, until)
        at += count * size


def _found(look_up: LookUp, known: Known, first: int, count: int) -> list[Extent]:
    """As *look_up*, out of *known* where that holds the only one."""
    if count == 1:
        extent = known.get(first)
        if extent is not None:
            return [extent]
    found = look_up(first, count)
    if count == len(found) == 1 and len(known) < _KNOWN_MAX:
        known[first] = found[0]
    return found


def _checked(  # noqa: PLR0913 - one read
    look_up: LookUp, reader: VolumeReader, known: Known, number: int, extent: Extent, start: int, end: int
) -> memoryview:
    for _ in range(_LOOK_UPS_MAX):
        try:
            return reader.view(extent, start, end)
        except RecordDamaged:  # moved by compaction between the look-up and the read?
            known.pop(number, None)
            again = look_up(number, 1)
            if not again or again[0] == extent:
                raise
            extent = again[0]
    return reader.view(extent, start, end)


class BodySpan:
    """Part of a body that is read in order; what is read stays valid for as long as it is kept.

    Args:
        pieces: Its bytes, see `blocks`.
    """

    __slots__ = ("_pieces", "_rest")

    def __init__(self, pieces: Iterator[memoryview]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def read(self, size: int) -> memoryview:
        """The next *size* bytes, without a copy where one extent holds them.

        Raises: RecordDamaged, also when there are fewer.
        """
        taken: list[memoryview] = []
        missing = size
        while True:
            if not self._rest and missing:
                piece = next(self._pieces, None)
                if piece is None:
                    raise RecordDamaged(0, 0, f"a body lacks {missing} bytes")
                self._rest = piece
            taken.append(self._rest[:missing])
            self._rest = self._rest[missing:]
            missing -= len(taken[-1])
            if not missing:
                return taken[0] if len(taken) == 1 else memoryview(b"".join(taken))
