"""Reading from backends whose bytes are near: nothing is gained by remembering, or by asking for much at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from s4gw.backends.base import (
    Backend,
    StoredObject,
)
from s4gw.backends.bodies import Span
from s4gw.codec import FrameIndex, Manifest


class SteppedSpan:
    """A span whose bytes are asked for one `Backend.read` at a time."""

    __slots__ = ("_obj", "_position", "_read")

    step_bytes = 0

    def __init__(
        self, read: Callable[[StoredObject, int, int], bytes | memoryview], obj: StoredObject, start: int
    ) -> None:
        self._read = read
        self._obj = obj
        self._position = start

    def read(self, size: int) -> bytes | memoryview:
        start = self._position
        self._position += size
        return self._read(self._obj, start, self._position)

    def close(self) -> None:
        pass


class NearBackend:
    """Reading where every byte is near: nothing is gained by remembering, or by asking for much at once."""

    def open_object(
        self, bucket: str, key: str, version_id: str | None = None, *, checksums: bool = False
    ) -> StoredObject:
        del checksums
        return self.head_object(bucket, key, version_id)

    def frames_of(self, obj: StoredObject) -> tuple[FrameIndex, Manifest | None] | None:
        del obj
        return None

    def open_span(self, obj: StoredObject, start: int, end: int) -> Span:
        del end
        return SteppedSpan(self.read, obj, start)

    if TYPE_CHECKING:

        def head_object(self, bucket: str, key: str, version_id: str | None = None) -> StoredObject: ...

        def read(self, obj: StoredObject, start: int, end: int) -> bytes | memoryview: ...


def read_all(backend: Backend, obj: StoredObject, block_bytes: int) -> Iterator[bytes | memoryview]:
    """Give the whole stored body of *obj* in blocks of *block_bytes*."""
    for start in range(0, obj.stored_size, block_bytes):
        yield backend.read(obj, start, min(start + block_bytes, obj.stored_size))
