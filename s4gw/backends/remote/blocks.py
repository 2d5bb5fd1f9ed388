"""Bytes of a body that wait to be sent, in blocks: no buffer grows by being copied, and what is sent is not copied."""

from __future__ import annotations

from collections import deque
from typing import Final

from s4gw.backends.bodies import Buffer

BLOCK_BYTES: Final = 1024 * 1024
"""A block grows up to here: as large as a frame, so that the allocator finds room for one where the other was."""


class Blocks:
    """First in, first out. Owned by one thread at a time.

    Args:
        block_bytes: Largest size of a piece.
    """

    def __init__(self, block_bytes: int = BLOCK_BYTES) -> None:
        self._block_bytes = block_bytes
        self._blocks: deque[bytearray] = deque()
        self.size = 0
        """Bytes that wait."""

    def add(self, buffer: Buffer) -> None:
        """Keep a copy of *buffer*."""
        self.size += len(buffer)
        room = self._block_bytes - len(self._blocks[-1]) if self._blocks else 0
        with memoryview(buffer) as view:
            if room:
                self._blocks[-1] += view[:room]
            for start in range(room, len(view), self._block_bytes):
                self._blocks.append(bytearray(view[start : start + self._block_bytes]))

    def take(self, size: int | None = None) -> list[bytearray]:
        """The first *size* bytes, all when None, in pieces that belong to the caller."""
        left = self.size if size is None else min(size, self.size)
        self.size -= left
        taken: list[bytearray] = []
        while left:
            block = self._blocks.popleft()
            if len(block) > left:
                taken.append(block[:left])
                del block[:left]
                self._blocks.appendleft(block)
                break
            taken.append(block)
            left -= len(block)
        return taken

    def clear(self) -> None:
        """Give everything up."""
        self._blocks.clear()
        self.size = 0
