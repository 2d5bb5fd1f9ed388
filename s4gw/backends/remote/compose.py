"""Which upstream parts make one object of staged pieces: a plan, worked out before anything is sent.

A piece of at least `Limits.part_bytes_min` is copied by the upstream; neighbours below that are read and sent again as
one part, with the head of the next large piece where they do not suffice. The tail, which is in memory, is the end of
the last part. Nothing is padded.

A plan depends on its arguments only, so that two gateways that complete the same upload do the same, part by part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from s4gw.s3.errors import EntityTooLarge
from s4gw.s3.multipart import PART_BYTES_MAX, PART_BYTES_MIN, PARTS_MAX

PLAN_VERSION: Final = 1
"""Grows when the same arguments would give another plan: parts of two plans must never meet in one upload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an upstream takes. Source: S3 user guide, "Amazon S3 multipart upload limits"."""

    part_bytes_min: int = PART_BYTES_MIN
    """Of every part but the last."""
    part_bytes_max: int = PART_BYTES_MAX
    """Of a part, sent or copied."""
    parts_max: int = PARTS_MAX
    merged_bytes: int = 8 * 1024 * 1024
    """Aimed at where pieces are sent again: what each of the few parts under way takes of memory."""


S3_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes ``[start, end)`` of piece number `piece`, counted from 0; the tail comes after the last piece."""

    piece: int
    start: int
    end: int

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """One part of the upstream's upload; `copied` by the upstream (then of one segment), or sent by us."""

    segments: tuple[Segment, ...]
    copied: bool = False

    @property
    def size(self) -> int:
        """Its bytes."""
        return sum(segment.size for segment in self.segments)


def plan_parts(
    sizes: Sequence[int], tail_size: int, *, can_copy: bool = True, limits: Limits = S3_LIMITS
) -> list[PlannedPart]:
    """Plan the parts of an object.

    Args:
        sizes: Bytes of each staged piece, in the object's order.
        tail_size: Bytes that follow the last piece and are in memory.
        can_copy: The upstream knows UploadPartCopy; otherwise all is sent again, in parts of one size.
        limits: Of the upstream.

    Returns: Parts in order, at least one; each byte of the pieces and the tail stands in exactly one.
    Raises: EntityTooLarge, when the limits allow no such object.
    """
    if not can_copy:
        return _slices([*sizes, tail_size], limits)
    planner = _Planner(limits, len(sizes))
    for piece, size in enumerate(sizes):
        planner.add(piece, size)
    return _fitted(planner.finish(tail_size), limits)


class _Planner:
    """Walks over the pieces; `_waiting` holds segments that are to be sent, always fewer than `merged_bytes`."""

    def __init__(self, limits: Limits, tail: int) -> None:
        self._limits = limits
        self._tail = tail
        self._parts: list[PlannedPart] = []
        self._waiting: list[Segment] = []
        self._waiting_size = 0

    def add(self, piece: int, size: int) -> None:
        """Plan for the next piece."""
        smallest = self._limits.part_bytes_min
        start = 0
        if self._waiting and size >= smallest:
            start = max(0, smallest - self._waiting_size)
            if size - start >= smallest:
                self._wait(Segment(piece, 0, start))
                self._flush()
            else:
                start = 0  # what would be left is too small for a part of its own
        if size - start >= smallest and not self._waiting:
            self._parts += [PlannedPart((Segment(piece, *span),), copied=True) for span in self._spans(start, size)]
            return
        self._wait(Segment(piece, start, size))
        if self._waiting_size >= max(smallest, self._limits.merged_bytes):
            self._flush()

    def finish(self, tail_size: int) -> list[PlannedPart]:
        """Plan the end and give all parts."""
        self._wait(Segment(self._tail, 0, tail_size))
        if self._waiting or not self._parts:
            self._flush()
        return self._parts

    def _wait(self, segment: Segment) -> None:
        if segment.size:
            self._waiting.append(segment)
            self._waiting_size += segment.size

    def _flush(self) -> None:
        self._parts.append(PlannedPart(tuple(self._waiting)))
        self._waiting, self._waiting_size = [], 0

    def _spans(self, start: int, end: int) -> list[tuple[int, int]]:
        """Cut a span that is too long for one copy into equal ones."""
        count = -(-(end - start) // self._limits.part_bytes_max)
        cuts = [start + (end - start) * number // count for number in range(count + 1)]
        return list(pairwise(cuts))


def _slices(sizes: Sequence[int], limits: Limits) -> list[PlannedPart]:
    """Parts of one size, the last may be smaller: also what upstreams want that take no other (R2)."""
    total = sum(sizes)
    part_size = max(limits.part_bytes_min, limits.merged_bytes, -(-total // limits.parts_max))
    if part_size > limits.part_bytes_max:
        raise EntityTooLarge(ProposedSize=str(total))
    parts: list[PlannedPart] = []
    segments: list[Segment] = []
    room = part_size
    for piece, size in enumerate(sizes):
        start = 0
        while start < size:
            end = min(size, start + room)
            segments.append(Segment(piece, start, end))
            room -= end - start
            start = end
            if not room:
                parts.append(PlannedPart(tuple(segments)))
                segments, room = [], part_size
    if segments or not parts:
        parts.append(PlannedPart(tuple(segments)))
    return parts


def _fitted(parts: list[PlannedPart], limits: Limits) -> list[PlannedPart]:
    """Join the smallest neighbours while there are too many parts: 10,000 copies would leave none for the tail."""
    while len(parts) > limits.parts_max:
        sizes = [part.size for part in parts]
        first = min(range(len(parts) - 1), key=lambda place: sizes[place] + sizes[place + 1])
        if sizes[first] + sizes[first + 1] > limits.part_bytes_max:
            raise EntityTooLarge(ProposedSize=str(sum(sizes)))
        joined = PlannedPart(parts[first].segments + parts[first + 1].segments)
        parts[first : first + 2] = [joined]
    return parts
