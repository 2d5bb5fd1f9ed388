"""Sources and data for the tests of the squishing layer."""

from __future__ import annotations

import random
from collections.abc import Mapping

from s4gw.s3.errors import IncompleteBody


class BytesSource:
    """A body in memory that arrives in pieces of *step* bytes at most per call of a real socket."""

    def __init__(self, data: bytes, *, known: bool = True, trailers: Mapping[str, str] | None = None) -> None:
        self._rest = memoryview(data)
        self.length = len(data) if known else None
        self.trailers: Mapping[str, str] = trailers or {}

    def readinto(self, view: memoryview, /) -> int:
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


class CutSource(BytesSource):
    """A body whose sender hangs up after *data*."""

    def __init__(self, data: bytes, promised: int) -> None:
        super().__init__(data)
        self.length = promised

    def readinto(self, view: memoryview, /) -> int:
        count = super().readinto(view)
        if count < len(view):
            raise IncompleteBody
        return count


def mixed(size: int, seed: int = 1) -> bytes:
    """Text, noise and zeros in turns, *size* bytes, always the same for a seed."""
    rnd = random.Random(seed)
    pieces: list[bytes] = []
    have = 0
    while have < size:
        kind = rnd.randrange(3)
        length = rnd.randrange(1, 40_000)
        if kind == 0:
            piece = (b"GET /api/v1/users/%d HTTP/1.1 200\n" % rnd.randrange(10**6)) * (length // 30 + 1)
        elif kind == 1:
            piece = rnd.randbytes(length)
        else:
            piece = bytes(length)
        pieces.append(piece)
        have += len(piece)
    return b"".join(pieces)[:size]
