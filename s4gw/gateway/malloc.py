"""glibc's allocator, told to keep what it was given.

By default every block of a few MiB is mapped, faulted in page by page and unmapped again, which costs 2-8x on
results of 4 MiB. With these values such blocks are reused; the resident set then stays at its peak, which the
bounded number of frames in flight keeps small. Other C libraries are left alone.
"""

from __future__ import annotations

import ctypes
import platform
from typing import Final

MIB: Final = 1024**2
SETTINGS: Final = (
    (-3, 32 * MIB),  # M_MMAP_THRESHOLD: the largest value that glibc takes
    (-1, 512 * MIB),  # M_TRIM_THRESHOLD
    (-2, 16 * MIB),  # M_TOP_PAD
    (-8, 2),  # M_ARENA_MAX: what one thread has freed, another may have; allocating mostly goes on under the GIL anyway
)
"""(mallopt parameter, bytes), from <malloc.h>."""


def tune() -> bool:
    """Tell the allocator of this process. Returns: it is glibc's and took every value."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    taken = [mallopt(parameter, value) for parameter, value in SETTINGS]
    return all(taken)
