"""A number that changes with every change to a bucket, in memory that storaged and all workers share.

Every request asks for its bucket. With this number a worker knows, without asking the index, that what it remembers
of a bucket is still so. storaged counts up after the index has been committed and before anybody is answered, so
nobody who has seen an answer can be served from what was before.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import Final

FILE_NAME: Final = "buckets.generation"
_NUMBER: Final = struct.Struct("=Q")


class Generation:
    """The number of one data directory, in a file that is mapped.

    Args:
        data_dir: The data directory.
        writable: The committer's; makes the file when it is missing.

    Raises: OSError, when there is no such file to read.
    """

    def __init__(self, data_dir: Path, *, writable: bool = False) -> None:
        flags = os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY
        descriptor = os.open(data_dir / FILE_NAME, flags | os.O_CLOEXEC, 0o600)
        try:
            if writable and os.fstat(descriptor).st_size < _NUMBER.size:
                os.ftruncate(descriptor, _NUMBER.size)
            self._memory = mmap.mmap(
                descriptor, _NUMBER.size, prot=mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
            )
        except ValueError as error:  # an empty file cannot be mapped
            raise OSError(str(error)) from error
        finally:
            os.close(descriptor)

    def read(self) -> int:
        """The number now."""
        number: int = _NUMBER.unpack_from(self._memory)[0]
        return number

    def advance(self) -> None:
        """Make every reader look again."""
        _NUMBER.pack_into(self._memory, 0, (self.read() + 1) % 2**64)

    def close(self) -> None:
        """Unmap the file."""
        self._memory.close()
