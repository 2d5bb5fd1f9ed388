"""glibc's allocator, told to keep what it was given.

By default every block of a few MiB is mapped, faulted in page by page and unmapped again, which costs 2-8x on
results of 4 MiB. With these values such blocks are reused; what a rush has left behind is given back within a minute.
Other C libraries are left alone.
"""

from __future__ import annotations

import ctypes
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

MIB: Final = 1024**2
SETTINGS: Final = (
    (-3, 32 * MIB),  # M_MMAP_THRESHOLD: the largest value that glibc takes
    (-1, 512 * MIB),  # M_TRIM_THRESHOLD
    (-2, 16 * MIB),  # M_TOP_PAD
    (-8, 2),  # M_ARENA_MAX: what one thread has freed, another may have; allocating mostly goes on under the GIL anyway
)
"""(mallopt parameter, bytes), from <malloc.h>."""


KEPT_BYTES: Final = 192 * MIB
"""A resident set up to this is left as it is: what a worker needs under a usual load."""
TRIM_S: Final = 60.0
"""Between looks: to give 500 MiB back takes 30 ms, and to fault them in again 100 ms."""


def is_glibc() -> bool:
    """Whether this process has the allocator that is spoken of here."""
    return platform.libc_ver()[0] == "glibc"


def resident_bytes() -> int:
    """Of this process, now. Source: proc(5), statm."""
    return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def trim() -> None:
    """Give back what nobody uses: many slow clients, once, would otherwise cost their memory for ever."""
    ctypes.CDLL(None).malloc_trim(0)


class Trimmer:
    """Looks now and then whether there is much to give back, when it is called.

    Args:
        clock: Seconds, monotonic.
        resident: Size of the resident set in bytes.
        give_back: What is done.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        resident: Callable[[], int] = resident_bytes,
        give_back: Callable[[], None] = trim,
    ) -> None:
        self._clock = clock
        self._resident = resident
        self._give_back = give_back
        self._due = clock() + TRIM_S

    def __call__(self) -> None:
        """Called often; does something once in `TRIM_S`."""
        now = self._clock()
        if now < self._due:
            return
        self._due = now + TRIM_S
        if self._resident() > KEPT_BYTES:
            self._give_back()


def tune() -> bool:
    """Tell the allocator of this process. Returns: it is glibc's and took every value."""
    if not is_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    taken = [mallopt(parameter, value) for parameter, value in SETTINGS]
    return all(taken)
