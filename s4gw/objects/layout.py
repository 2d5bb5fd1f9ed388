"""Where the frames of a stored object lie: its index, from the trailer, from the only header or by walking.

An object's `ObjectMeta` says whether it is framed. One frame needs no index; more have a trailer, whose index and
manifest are kept in a bounded cache. A trailer that is missing or damaged is replaced by a walk over the frame
headers, and the sizes found must add up to what the object's metadata says: a wrong index can refuse a read, it can
never give wrong bytes, since every frame is checked again when it is decoded.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from s4gw.backends.base import Backend, StoredObject
from s4gw.codec import (
    TRAILER_TAIL_BYTES,
    CodecError,
    FrameHeader,
    FrameIndex,
    HeaderWalker,
    Manifest,
    NeedBytes,
    read_trailer,
)
from s4gw.objects.errors import DamagedObject
from s4gw.s3.errors import InternalError

CACHED_OBJECTS_MAX: Final = 4096
CACHED_FRAMES_MAX: Final = 1 << 20
"""8 bytes a frame: 8 MiB of indexes per process at most."""


@dataclass(frozen=True, slots=True)
class ObjectLayout:
    """The frames of one stored object and, where it has a trailer, its manifest."""

    index: FrameIndex
    manifest: Manifest | None


class LayoutCache:
    """Layouts of recently read objects; least recently used go first. Safe for threads."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, ...], ObjectLayout] = OrderedDict()
        self._frames = 0

    def load(self, bucket: str, obj: StoredObject) -> ObjectLayout:
        """Give the layout of a framed object.

        Raises: DamagedObject, when neither trailer nor headers make sense of the stored bytes.
        """
        if obj.meta.frames == 1 and not obj.meta.parts:
            index = FrameIndex()
            index.append(obj.size, obj.stored_size)
            return ObjectLayout(index, None)
        found = self._backend.frames_of(obj)
        if found is not None:
            return ObjectLayout(*found)
        key = (bucket, obj.key, obj.version_id, obj.etag, str(obj.modified_ms), str(obj.stored_size))
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
                return known
        layout = self._read(obj)
        with self._lock:
            if key not in self._known:
                self._known[key] = layout
                self._frames += len(layout.index)
            while self._known and (len(self._known) > CACHED_OBJECTS_MAX or self._frames > CACHED_FRAMES_MAX):
                _, dropped = self._known.popitem(last=False)
                self._frames -= len(dropped.index)
        return layout

    def _read(self, obj: StoredObject) -> ObjectLayout:
        try:
            layout = self._from_trailer(obj)
        except (CodecError, InternalError):  # the codec's checks, or the store's: its record does not hold
            layout = ObjectLayout(self._walk(obj), None)
        if layout.index.original_size != obj.size:
            raise DamagedObject(obj.key, "frame index does not match the object")
        return layout

    def _from_trailer(self, obj: StoredObject) -> ObjectLayout:
        wanted = TRAILER_TAIL_BYTES
        while True:
            start = max(0, obj.stored_size - wanted)
            found = read_trailer(self._backend.read(obj, start, obj.stored_size), obj.stored_size)
            if not isinstance(found, NeedBytes):
                return ObjectLayout(found.index, found.manifest)
            wanted = found.size

    def _walk(self, obj: StoredObject) -> FrameIndex:
        """Rebuild the index from frame headers, one small read each."""
        index = FrameIndex()
        walker = HeaderWalker(obj.stored_size)
        try:
            while not walker.done and index.original_size < obj.size:
                offset = walker.offset
                site = walker.accept(self._backend.read(obj, offset, offset + walker.wanted))
                if isinstance(site.header, FrameHeader):
                    index.append(site.header.original_size, site.header.stored_size)
        except CodecError as error:
            raise DamagedObject(obj.key, "frame headers") from error
        return index
