"""Moving the write-ahead log into the index beside the commits, so that no batch waits for the bulk of it.

A checkpoint that runs while commits go on never reaches the end of the log; the committer does the short rest itself
between two batches, after which the log starts over.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

import apsw


class Checkpointer:
    """A thread with a connection of its own that moves the log when asked to.

    Args:
        index: The index file.
    """

    def __init__(self, index: Path) -> None:
        self._index = index
        self._wanted = threading.Event()
        self._finished = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
        self._thread.start()

    def request(self) -> bool:
        """Ask for a checkpoint, unless one is running or its end was not taken note of.

        Returns: whether one begins now.
        """
        if self._finished or self._wanted.is_set():
            return False
        self._wanted.set()
        return True

    def finished(self) -> bool:
        """Whether one has ended since the last call that said so."""
        if not self._finished:
            return False
        self._finished = False
        return True

    def close(self) -> None:
        """End the thread, after a last checkpoint."""
        self._closing = True
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        connection = apsw.Connection(str(self._index))
        with suppress(apsw.Error):  # before it has read, it sees no log and moves none
            connection.execute("SELECT schema FROM state").fetchall()
        while not self._closing:
            self._wanted.wait()
            with suppress(apsw.Error):  # the log stays longer; a disk that fails shows in the next commit
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._finished = True
            self._wanted.clear()
        connection.close()
