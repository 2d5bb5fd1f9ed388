"""How many connections each worker has, in memory that all of them see.

All workers listen on one socket, and the kernel wakes whichever it likes: with a few kept-alive connections one
worker may get them all, and its core with them. A worker that has more than another therefore lets that one go
first, for a moment. The numbers are hints: they are read and written without a lock, and a stale one costs a
millisecond, never a connection.
"""

from __future__ import annotations

import mmap
import struct
from typing import Final

_COUNT: Final = struct.Struct("=I")
UNUSED: Final = 0xFFFFFFFF


class Shares:
    """One counter per worker. Made by the master before it forks; anonymous shared memory, no file.

    Args:
        slots: Most workers at a time, those included that are on their way out.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._memory = mmap.mmap(-1, slots * _COUNT.size)
        for slot in range(slots):
            self.set(slot, UNUSED)

    def claim(self) -> int:
        """A slot for a new worker; the last one is shared when there are too many."""
        free = (slot for slot in range(self._slots) if self._get(slot) == UNUSED)
        slot = next(free, self._slots - 1)
        self.set(slot, 0)
        return slot

    def release(self, slot: int) -> None:
        """The worker of *slot* is gone."""
        self.set(slot, UNUSED)

    def set(self, slot: int, connections: int) -> None:
        """Tell how many connections the worker of *slot* has."""
        _COUNT.pack_into(self._memory, slot * _COUNT.size, connections)

    def has_more(self, slot: int) -> bool:
        """Whether the worker of *slot* has more connections than some other one."""
        mine = self._get(slot)
        return any(count < mine for count in struct.unpack(f"={self._slots}I", self._memory[:]))

    def _get(self, slot: int) -> int:
        count: int = _COUNT.unpack_from(self._memory, slot * _COUNT.size)[0]
        return count
