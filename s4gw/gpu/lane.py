"""The queues between gateway workers and the GPU worker: multiprocessing's, without what a kill -9 breaks for ever.

A `multiprocessing.Queue` or `SimpleQueue` is a pipe and semaphores that all processes share. Whoever is killed while
holding one keeps it, and everybody else waits for ever; and whoever is killed between reading a message's length and
reading the message leaves a pipe that nobody can read (`tests/gpu/test_lane.py` shows both). Here one process at a time
writes and one reads, so that the semaphores are ordinary locks between the threads of each process. All messages of a
queue have one size, which a pipe takes and gives in one piece (at most PIPE_BUF): a message is there entirely or not
at all, whenever anybody dies.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.queues import SimpleQueue
from typing import Any, Final

DRAINED_MAX: Final = 64
"""Messages that one read takes; a lane has fewer slots than that in use at once."""


class LaneQueue(SimpleQueue[bytes]):
    """One direction of a lane. Made before the fork or of inherited descriptors; never pickled.

    Args:
        size: Bytes of every message, at most `select.PIPE_BUF`.
        reading: Descriptor of the pipe's end to read from; the queue owns it.
        writing: The other end; the queue owns it.
    """

    def __init__(self, size: int, reading: int, writing: int) -> None:
        # Not the base class's: it would make semaphores.
        assert size <= select.PIPE_BUF
        self.size = size
        self._reader: Any = Connection(reading, writable=False)
        self._writer: Any = Connection(writing, readable=False)
        self._rlock: Any = threading.Lock()
        self._wlock: Any = threading.Lock()
        # PERF: every call to the system lets another thread have the interpreter, and waits to have it back.
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)

    @classmethod
    def make(cls, size: int) -> LaneQueue:
        """A queue over a new pipe."""
        return cls(size, *os.pipe())

    @property
    def descriptors(self) -> tuple[int, int]:
        """The reading and the writing end, to be handed to a child."""
        return self._reader.fileno(), self._writer.fileno()

    def fileno(self) -> int:
        """The reading end, for a selector."""
        return int(self._reader.fileno())

    def put(self, obj: bytes) -> None:
        """Add a message; waits while the pipe is full."""
        while not self.offer(obj):
            select.select((), (self._writer,), ())

    def get(self) -> bytes:
        """Take the next message; waits for it."""
        while True:
            with self._rlock:
                try:
                    return os.read(self._reader.fileno(), self.size)
                except BlockingIOError:
                    select.select((self._reader,), (), ())

    def empty(self) -> bool:
        """No message has arrived."""
        return not select.select((self._reader,), (), (), 0)[0]

    def offer(self, message: bytes) -> bool:
        """Put *message* if there is room for it at once. Returns: it was put.

        Up to PIPE_BUF bytes are written in one piece or, where nothing may block, not at all (POSIX, write).
        """
        assert len(message) == self.size
        with self._wlock:
            try:
                return os.write(self._writer.fileno(), message) == self.size
            except BlockingIOError:
                return False

    def drain(self) -> Iterator[bytes]:
        """Take what has arrived, without waiting."""
        size, wanted = self.size, self.size * DRAINED_MAX
        while True:
            with self._rlock:
                try:
                    data = os.read(self._reader.fileno(), wanted)
                except BlockingIOError:
                    return
            yield from (data[start : start + size] for start in range(0, len(data), size))
            if len(data) < wanted:
                return
