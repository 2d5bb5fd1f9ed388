"""Numbers that change with what they stand for, in memory that storaged and all workers share.

Every request asks for its bucket, and most ask for an object. With these numbers a worker knows, without asking the
index, that what it remembers is still so: one number stands for all buckets, one for each slot of keys (a hash of
bucket and key), one for everything. storaged counts up after the index has been committed and before anybody is
answered, so nobody who has seen an answer can be served from what was before.

The file is an array of native unsigned 64-bit integers: [buckets, everything, slot 0, slot 1 ...].
"""

from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

FILE_NAME: Final = "generations"
SLOTS: Final = 8192
"""A write makes workers forget the keys of one slot; 64 KiB in all."""

_NUMBER_BYTES: Final = 8
_BUCKETS: Final = 0
_EVERYTHING: Final = 1
_FIRST_SLOT: Final = 2
_FILE_BYTES: Final = _NUMBER_BYTES * (_FIRST_SLOT + SLOTS)


class Generations:
    """The numbers of one data directory, in a file that is mapped.

    Args:
        data_dir: The data directory.
        writable: The committer's; makes the file when it is missing.

    Raises: OSError, when there is no such file to read.
    """

    def __init__(self, data_dir: Path, *, writable: bool = False) -> None:
        flags = os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY
        descriptor = os.open(data_dir / FILE_NAME, flags | os.O_CLOEXEC, 0o600)
        try:
            if writable:
                # Not as a file with holes: to fill one on a full disk is SIGBUS.
                os.posix_fallocate(descriptor, 0, _FILE_BYTES)
            self._memory = mmap.mmap(
                descriptor, _FILE_BYTES, prot=mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
            )
        except ValueError as error:  # an empty file cannot be mapped
            raise OSError(str(error)) from error
        finally:
            os.close(descriptor)
        self._numbers = memoryview(self._memory).cast("Q")

    def buckets(self) -> int:
        """Changes with every change to a bucket."""
        return self._numbers[_BUCKETS]

    def key(self, bucket: str, key: bytes) -> int:
        """Changes with every change to what is stored under *key*, and now and then without one."""
        return self._numbers[_EVERYTHING] + self._numbers[_slot(bucket, key)]  # neither ever gets smaller

    def buckets_changed(self) -> None:
        """Make every reader look at its bucket again."""
        self._numbers[_BUCKETS] += 1

    def keys_changed(self, changed: Iterable[tuple[str, bytes]]) -> None:
        """Make every reader look at these keys again."""
        for bucket, key in changed:
            self._numbers[_slot(bucket, key)] += 1

    def everything_changed(self) -> None:
        """Make every reader look at everything again."""
        self._numbers[_BUCKETS] += 1
        self._numbers[_EVERYTHING] += 1

    def close(self) -> None:
        """Unmap the file."""
        self._numbers.release()
        self._memory.close()


def _slot(bucket: str, key: bytes) -> int:
    """Place of the number for this key; the same in every process."""
    return _FIRST_SLOT + zlib.crc32(key, zlib.crc32(bucket.encode())) % SLOTS
