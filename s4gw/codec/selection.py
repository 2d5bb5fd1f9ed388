"""Choose once, then trust: selection costs as much as compressing a frame, and most objects are of one kind."""

from __future__ import annotations

from typing import Final

from s4gw.checksum import Buffer
from s4gw.codec.choice import Choice, joined, rotated
from s4gw.codec.dispatch import Dispatcher
from s4gw.codec.frame import EncodedFrame
from s4gw.codec.layout import CodecId

TRUSTED_BYTES: Final = 64 * 1024**2
"""However well a choice does, it is made anew after this much; glances and ratios see changes before."""
DRIFT_PERCENT: Final = 6
"""A frame whose ratio differs by more from the first one's asks for a new choice."""
GLANCE_PERCENT: Final = 40
"""Samples of a few KiB vary by themselves; what differs by more is something else."""
GLANCE_SLACK: Final = 20
"""And by so many permille of the sample: what is nearly nothing varies more."""
GLANCE_PATIENCE: Final = 8
"""Glances wait too, for this part of the time that a drift would wait: in an archive every other frame looks new."""
DOUBTED_BYTES_MIN: Final = 64 * 1024
"""The end of a body may be a few bytes, which are not worth a choice and look like nothing."""


class Selection:
    """The choices of one object.

    Ask `choose` for every frame, in order, and tell `observe` what came of it, when it is known. A choice is made
    anew when a glance at the next frame says that it is of another kind, when the ratio drifts, and now and then. If
    the same choice comes out again, the next drift has to wait for four times as many bytes, else for half as many.
    """

    __slots__ = ("_choice", "_dispatcher", "_doubt", "_glance", "_made_at", "_patience", "_ratio", "_seen")

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._choice: Choice | None = None
        self._seen = self._made_at = 0
        self._patience = 0
        self._glance = 0
        self._doubt = False
        self._ratio: float | None = None

    def choose(self, frame: Buffer, size: int | None) -> Choice:
        """Choose for *frame*, the next bytes of an object of *size* bytes (None: unknown)."""
        since = self._seen - self._made_at
        if self._choice is None or since >= TRUSTED_BYTES:
            self._make(self._dispatcher.choose(frame, size), frame, patience=0)
            since = 0
        elif self._doubts(self._choice, frame, since):
            before = rotated(self._choice, since)
            made = joined(before, self._dispatcher.choose(frame, size))
            confirmed = made == before or made.codec is before.codec is CodecId.SEGMENTS
            self._make(made, frame, patience=4 * max(self._patience, since) if confirmed else since // 2)
            since = 0
        assert self._choice is not None
        self._seen += memoryview(frame).nbytes
        return rotated(self._choice, since)

    def observe(self, frame: EncodedFrame) -> None:
        """Learn how well a choice did."""
        ratio = frame.stored_size / max(frame.original_size, 1)
        if self._ratio is None:
            self._ratio = ratio
        elif abs(ratio - self._ratio) * 100 > self._ratio * DRIFT_PERCENT:
            self._doubt = True

    def _make(self, choice: Choice, frame: Buffer, *, patience: int) -> None:
        self._choice, self._glance = choice, self._dispatcher.glance(choice, frame)
        self._made_at, self._patience = self._seen, min(patience, TRUSTED_BYTES)
        self._doubt, self._ratio = False, None

    def _doubts(self, choice: Choice, frame: Buffer, since: int) -> bool:
        if memoryview(frame).nbytes < DOUBTED_BYTES_MIN:
            return False
        if self._doubt and since >= self._patience:
            return True
        if since < self._patience // GLANCE_PATIENCE:
            return False
        now = self._dispatcher.glance(choice, frame)
        return abs(now - self._glance) * 100 > self._glance * GLANCE_PERCENT + 100 * GLANCE_SLACK
