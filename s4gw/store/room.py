"""Whether the disk has room for new data: the last of it is kept for deletes, compaction and the index.

On a disk that is full to the last byte not even a delete could be journalled, and nothing would ever come back.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

RESERVE_BYTES: Final = 64 * 1024**2
"""Enough for the journal and index of many deletes, and for copying what is alive in a volume that is mostly dead."""

RESERVE_SHARE: Final = 10  # of a small disk it is one part in so many
WRITERS_RESERVES: Final = 2
"""Whoever appends bodies stops this many reserves before the end: all look at the same time, before any has written."""

_LOOK_S: Final = 0.1
"""A system call for each batch would cost as much as a small one; in a second a disk takes gigabytes."""


def disk_room(place: int | Path) -> tuple[int, int]:
    """Bytes that this user may still write to the file system, and all bytes of it. Raises: OSError."""
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def reserve_of(total: int) -> int:
    """Bytes that new data leaves free of a disk of *total* bytes."""
    return min(RESERVE_BYTES, total // RESERVE_SHARE)


def takes(place: int | Path, size: int) -> bool:
    """Whether the disk of an open file, or of a path, takes *size* bytes of a body; one that fails to answer does not.

    A body may be as large as the disk, and its writer hears from the committer only when it is complete: so it looks
    for itself, before each extent. PERF: 1 us.
    """
    try:
        free, total = disk_room(place)
    except OSError:
        return False
    return free - size > WRITERS_RESERVES * reserve_of(total)


class Room:
    """Looks at the disk now and then.

    Args:
        data_dir: The data directory.
        look: Free and all bytes.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        look: Callable[[Path], tuple[int, int]] = disk_room,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._data_dir = data_dir
        self._look = look
        self._clock = clock
        self._due = float("-inf")
        self._left = True

    def left(self) -> bool:
        """Whether new data may come."""
        now = self._clock()
        if now >= self._due:
            self._due = now + _LOOK_S
            free, total = self._look(self._data_dir)
            self._left = free > reserve_of(total)
        return self._left
