"""How many long bodies a process moves at this moment, which decides whether their work is spread over threads.

A lone body gains from the pool: one core hashes while another compresses. Beside others each body has a core at most,
and handing every frame to another thread costs what it would give (PUT of 64 MiB of noise, 4 clients on 2 cores: a
quarter of the CPU), so there each stays in the thread of its request, where its frames are in the cache.
"""

from __future__ import annotations

import threading


class Crowd:
    """Counts bodies; a context manager around each of them. Safe for threads."""

    __slots__ = ("_lock", "_size")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._size = 0

    @property
    def alone(self) -> bool:
        """No more than one is being moved."""
        return self._size <= 1

    def __enter__(self) -> None:
        with self._lock:
            self._size += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._size -= 1
