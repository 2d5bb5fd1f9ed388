"""The queues between gateway workers and the GPU worker: multiprocessing's, without what a kill -9 would lock for ever.

A `multiprocessing.Queue` or `SimpleQueue` is a pipe and semaphores that all processes share. Whoever is killed while
holding one keeps it: every other process then waits for ever (`tests/gpu/test_lane.py` shows it). Here one process at
a time writes and one reads, so that the semaphores are ordinary locks between the threads of each process, and a
message is one `write` of fewer bytes than a pipe keeps whole (PIPE_BUF): it arrives entirely or not at all.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.queues import SimpleQueue
from typing import Any, Final

MESSAGE_BYTES_MAX: Final = 1024
"""Far below PIPE_BUF (4096), pickling and length included."""


class LaneQueue(SimpleQueue[bytes]):
    """One direction of a lane. Made before the fork or of inherited descriptors; never pickled.

    Args:
        reading: Descriptor of the pipe's end to read from; the queue owns it.
        writing: The other end; the queue owns it.
    """

    def __init__(self, reading: int, writing: int) -> None:
        # Not the base class's: it would make semaphores.
        self._reader: Any = Connection(reading, writable=False)
        self._writer: Any = Connection(writing, readable=False)
        self._rlock: Any = threading.Lock()
        self._wlock: Any = threading.Lock()
        self._writable = select.poll()
        self._writable.register(writing, select.POLLOUT)

    @classmethod
    def make(cls) -> LaneQueue:
        """A queue over a new pipe."""
        return cls(*os.pipe())

    @property
    def descriptors(self) -> tuple[int, int]:
        """The reading and the writing end, to be handed to a child."""
        return self._reader.fileno(), self._writer.fileno()

    def offer(self, message: bytes) -> bool:
        """Put *message* if there is room for it at once. Returns: it was put.

        A pipe that can be written to has room for PIPE_BUF bytes, and nobody else writes to it.
        """
        with self._wlock:
            if not self._writable.poll(0):
                return False
            self._writer.send_bytes(message)
            return True

    def drain(self) -> Iterator[bytes]:
        """Take what has arrived, without waiting."""
        while self._reader.poll(0):
            yield self._reader.recv_bytes(MESSAGE_BYTES_MAX)

    def fileno(self) -> int:
        """The reading end, for a selector."""
        return int(self._reader.fileno())
