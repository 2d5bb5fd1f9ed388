"""Locks of a data directory, held as ``flock`` on files in it; the kernel releases them when the holder dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from s4gw.store.errors import DataDirError, StoreLocked

COMMITTER_LOCK: Final = "storaged.lock"
SPAWN_LOCK: Final = "spawn.lock"


class FileLock:
    """An exclusive lock, from construction until `release` or the end of the process.

    Args:
        path: The lock file; made when missing, holds the process id of the last holder.
        wait: Wait for the holder instead of raising.

    Raises: StoreLocked, DataDirError (the file cannot be opened).
    """

    def __init__(self, path: Path, *, wait: bool = False) -> None:
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DataDirError(f"{path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._fd)
            raise StoreLocked(f"{path.parent} is served by another process") from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the lock up."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
