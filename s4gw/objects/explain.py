"""Tells the log what was chosen for an object and why: the chooser of codecs of ``--log-level debug``."""

from __future__ import annotations

from s4gw.checksum import Buffer
from s4gw.codec import Choice, Dispatcher, explain
from s4gw.objects.hints import Hint
from s4gw.observability import log


class ExplainingDispatcher:
    """Chooses as *inner* does, and writes a line for each choice.

    Args:
        inner: What chooses.
        bucket: Bucket of the object, for the line.
        key: Key of the object, for the line.
        hint: What *inner* was told, for the line.
    """

    def __init__(self, inner: Dispatcher, bucket: str, key: str, hint: Hint | None = None) -> None:
        self._inner = inner
        self._bucket = bucket
        self._key = key
        self._hint = hint

    def choose(self, sample: Buffer, size: int | None) -> Choice:
        choice = self._inner.choose(sample, size)
        log.get_logger().debug(
            "codec chosen",
            bucket=self._bucket,
            key=log.shorten(self._key),
            choice=choice.label,
            why=explain(choice, sample),
            **({} if self._hint is None else {"hint": str(self._hint)}),
        )
        return choice

    def glance(self, choice: Choice, frame: Buffer) -> int:
        return self._inner.glance(choice, frame)

    def hinted(self, hint: str) -> Dispatcher:
        return ExplainingDispatcher(self._inner.hinted(hint), self._bucket, self._key, Hint(hint, "caller"))
