"""Flushes in a thread of its own, so that whoever waits can see to other things meanwhile."""

from __future__ import annotations

import os
import queue
import threading


class Flusher:
    """One flush at a time.

    Attributes:
        done: An event descriptor that becomes readable when the flush that was begun has ended; `end` reads it.
    """

    def __init__(self) -> None:
        self.done = os.eventfd(0, os.EFD_CLOEXEC)
        self._begun: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._error: OSError | None = None
        threading.Thread(target=self._work, name="flusher", daemon=True).start()

    def begin(self, fd: int) -> None:
        """Start to flush what was written to *fd*, which stays open until `end`."""
        self._begun.put(fd)

    def end(self) -> None:
        """Wait until the flush has ended. Raises: OSError, if it failed."""
        os.eventfd_read(self.done)
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _work(self) -> None:
        while True:
            fd = self._begun.get()
            try:
                os.fdatasync(fd)
            except OSError as error:
                self._error = error
            os.eventfd_write(self.done, 1)
