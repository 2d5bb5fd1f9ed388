"""Frames that shrink to next to nothing, made one: what a frame costs by itself is then more than what it holds.

A frame's header and its place in the index take some 30 bytes, as much as a MiB of very regular numbers or of zeros,
and what repeats over several frames is found in one. So neighbours that shrink to 1/`TINY_RATIO` or less are
encoded as one frame of up to `JOINED_BYTES`, which is a usual part of an upload. What shrinks so well decodes fast: a
frame of 8 MiB takes 1 to 2.5 ms, as one of 1 MiB of pixels does, and a range still decodes only one.

Once a frame was tiny, those after it that are chosen for alike, and of which a sample shrinks well, are not encoded
until it is known how many belong together, so that nothing is compressed twice. Where that was too hopeful, they are
frames of their own after all. Ordinary bodies pay a comparison a frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from s4gw.codec import Choice, Dispatcher, EncodedFrame, Selection, encode_frame
from s4gw.objects.buffers import Buffer, BufferPool

TINY_RATIO: Final = 256
"""A frame that shrinks so much may be joined: one of 1 MiB that takes 4 KiB or less."""
JOINED_BYTES: Final = 8 * 1024**2
"""Original bytes in a joined frame: what a range decodes at most. The default part of aws-cli and boto3 makes one."""
_SAMPLE_BYTES: Final = 16 * 1024
_ALIGNMENT: Final = 64
_SAMPLE_RATIO: Final = 16  # lines that shrink 780-fold by the MiB shrink 40-fold here, ordinary ones 6-fold
_KEPT_MAX: Final = 4  # buffers that wait for reuse; a body has one, while its frames are tiny


def joining_buffers() -> BufferPool:
    """Memory to gather in, for all bodies of a process."""
    return BufferPool(JOINED_BYTES, _KEPT_MAX)


class Joining:
    """The frames of one body, in order, on their way to its writer.

    What `add` and `flush` give is to be written before the next call.

    Args:
        pool: What `joining_buffers` made.
        dispatcher: Chooses anew for frames that were expected to be tiny and are not.
    """

    __slots__ = ("_buffer", "_choice", "_dispatcher", "_frames", "_pool", "_proven", "_size", "_sizes")

    def __init__(self, pool: BufferPool, dispatcher: Dispatcher) -> None:
        self._pool = pool
        self._dispatcher = dispatcher
        self._choice: Choice | None = None
        self._proven = False
        """The last frame of the choice was tiny."""
        self._buffer: Buffer | None = None
        self._size = 0
        self._sizes: list[int] = []
        self._frames: list[EncodedFrame] = []
        """Of what is gathered, the first; fewer than sizes, where others were only expected to be tiny."""

    def expects(self, data: memoryview, choice: Choice) -> bool:
        """Whether *data*, which comes next and was chosen for like that, need not be encoded before it is added."""
        if not self._proven or choice != self._choice:
            return False
        middle = max(0, data.nbytes - _SAMPLE_BYTES) // 2 // _ALIGNMENT * _ALIGNMENT
        sample = data[middle : middle + _SAMPLE_BYTES]
        return encode_frame(sample, choice).stored_size * _SAMPLE_RATIO <= sample.nbytes

    def add(self, data: memoryview, choice: Choice, frame: EncodedFrame | None) -> Iterator[EncodedFrame]:
        """Take the next bytes, and give the frames that are complete now.

        Args:
            data: Original bytes, no more than a full frame has; copied, unless they are given back as a frame.
            choice: Made for them.
            frame: What came of it; None where it was said that it `expects` them.
        """
        if frame is not None and not self._tiny(frame):
            yield from self.flush()
            self._proven = False
            yield frame
            return
        size = data.nbytes
        if choice != self._choice or self._size + size > self._pool.size:
            yield from self.flush()
        self._choice = choice
        if frame is not None:
            self._proven = True
            if len(self._frames) == len(self._sizes):
                self._frames.append(frame)
        if self._buffer is None:
            self._buffer = self._pool.take()
        self._buffer.view[self._size : self._size + size] = data
        self._size += size
        self._sizes.append(size)

    def flush(self) -> Iterator[EncodedFrame]:
        """Give what was gathered; at the end of the body, too."""
        if self._sizes:
            yield from self._gathered()
        self.drop()

    def drop(self) -> None:
        """Give the memory back with what was gathered."""
        self._sizes, self._frames, self._size = [], [], 0
        if self._buffer is not None:
            self._buffer.give_back()
            self._buffer = None

    def _gathered(self) -> list[EncodedFrame]:
        """One frame, or as many as were gathered where that is not smaller."""
        if len(self._sizes) == len(self._frames) == 1:
            return self._frames
        assert self._buffer is not None
        assert self._choice is not None
        whole = encode_frame(self._buffer.view[: self._size], self._choice)
        if len(self._frames) == len(self._sizes):
            smaller = whole.stored_size < sum(frame.stored_size for frame in self._frames)
            return [whole] if smaller else self._frames
        if self._tiny(whole):
            return [whole]
        self._proven = False
        return self._apart(self._buffer.view)

    def _tiny(self, frame: EncodedFrame) -> bool:
        fits = frame.original_size <= self._pool.size
        return fits and frame.stored_size * TINY_RATIO <= frame.original_size

    def _apart(self, view: memoryview) -> list[EncodedFrame]:
        """Frames of their own, chosen for anew; one that does not shrink is part of *view*."""
        selection, frames, at = Selection(self._dispatcher), [], 0
        for size in self._sizes:
            data = view[at : at + size]
            frames.append(encode_frame(data, selection.choose(data, None)))
            selection.observe(frames[-1])
            at += size
        return frames
