"""Where the frames of an upstream's objects lie, read once and kept by upstream ETag. Bounded; safe for threads.

Three ways, each checked against the object's size: our trailer (one read of the end); S4's sidecar, when it is bound to
this very object; hopping over the frame headers. Paddings between frames count to the frame before them, so that the
frames of an index always lie back to back, as in `FrameIndex`. A wrong index can refuse a read, it can never give
wrong bytes: every frame's CRC-32C is checked when it is decoded.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from s4gw.backends.remote.stored_meta import Stored
from s4gw.codec import (
    FRAME_HEADER_SIZE,
    TRAILER_TAIL_BYTES,
    CodecError,
    CodecId,
    FrameHeader,
    FrameIndex,
    HeaderWalker,
    Manifest,
    ManifestPart,
    NeedBytes,
    Sidecar,
    TrailerError,
    read_sidecar,
    read_trailer,
)
from s4gw.s3.errors import InternalError

CACHED_OBJECTS_MAX: Final = 4096
CACHED_FRAMES_MAX: Final = 1 << 20
"""16 bytes a frame: 16 MiB of indexes per process at most."""
HOPS_MAX: Final = 25_000
"""Headers that are read one by one, as many as S4 itself reads."""
WINDOW_BYTES: Final = 4096
"""Read at a time while hopping: small frames and paddings then share a request."""

Read = Callable[[int, int], bytes]
CacheKey = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """The frames of one stored body and, where it has a trailer, its manifest."""

    index: FrameIndex
    manifest: Manifest | None = None

    @property
    def main_codec(self) -> str:
        """Name of the codec that most bytes went through; empty when nobody counted."""
        codecs = self.manifest.codecs if self.manifest is not None else {}
        if not codecs:
            return ""
        number = max(codecs, key=lambda each: codecs[each].original_size)
        try:
            return CodecId(number).label
        except ValueError:
            return ""


class LayoutCache:
    """Layouts of recently read objects; the least recently used go first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[CacheKey, Layout] = OrderedDict()
        self._frames = 0

    def get(self, key: CacheKey) -> Layout | None:
        """A layout that is known already."""
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
            return known

    def add(self, key: CacheKey, layout: Layout) -> None:
        """Keep a layout."""
        with self._lock:
            if key not in self._known:
                self._known[key] = layout
                self._frames += len(layout.index)
            while self._known and (len(self._known) > CACHED_OBJECTS_MAX or self._frames > CACHED_FRAMES_MAX):
                _, dropped = self._known.popitem(last=False)
                self._frames -= len(dropped.index)

    def load(self, key: CacheKey, stored: Stored, *, read: Read, sidecar: Callable[[], bytes | None]) -> Layout:
        """Give the layout of a framed body, reading it when it is not known.

        Args:
            key: Which body: it has to change whenever the stored bytes do.
            stored: What the upstream's metadata say.
            read: Gives stored bytes ``[start, end)``.
            sidecar: Gives the bytes of S4's index object, if there is one.

        Raises: InternalError, when the body makes no sense; what *read* and *sidecar* raise.
        """
        layout = self.get(key)
        if layout is None:
            layout = find_layout(stored, read, sidecar)
            self.add(key, layout)
        return layout


def find_layout(stored: Stored, read: Read, sidecar: Callable[[], bytes | None]) -> Layout:
    """Read a body's layout; see `LayoutCache.load`."""
    layout = None if stored.foreign else _from_trailer(stored.stored_size, read)
    if layout is None and stored.foreign:
        data = sidecar()
        layout = None if data is None else _from_sidecar(data, stored)
    if layout is None:
        layout = Layout(_walk(stored.stored_size, read))
    if stored.size is not None and layout.index.original_size != stored.size:
        raise InternalError
    return Layout(layout.index, _parts(layout.index, stored)) if stored.parted else layout


def _parts(index: FrameIndex, stored: Stored) -> Manifest:
    """What S4 does not write down: its parts are a frame each."""
    parts = [
        ManifestPart(number=number, original_size=size, etag="") for number, size in enumerate(index.original_sizes, 1)
    ]
    return Manifest(original_size=index.original_size, etag=stored.etag or "", parts=parts)


def _from_trailer(stored_size: int, read: Read) -> Layout | None:
    wanted = TRAILER_TAIL_BYTES
    while True:
        try:
            found = read_trailer(read(max(0, stored_size - wanted), stored_size), stored_size)
        except TrailerError:
            return None
        if not isinstance(found, NeedBytes):
            return Layout(found.index, found.manifest)
        wanted = found.size


def _from_sidecar(data: bytes, stored: Stored) -> Layout | None:
    """The index in S4's sidecar, unless that is damaged or of another object."""
    try:
        sidecar = read_sidecar(data)
    except CodecError:
        return None
    # SECURITY: a sidecar that does not say whose it is may be as old as it likes
    if sidecar.source_etag != stored.upstream_etag or sidecar.source_size not in (None, stored.stored_size):
        return None
    if sidecar.encryption is not None or sidecar.framed_size != stored.stored_size:
        return None
    return _back_to_back(sidecar, stored.stored_size)


def _back_to_back(sidecar: Sidecar, stored_size: int) -> Layout | None:
    index = FrameIndex()
    position = 0
    for number in range(len(sidecar)):
        entry = sidecar.entry(number)
        after = sidecar.entry(number + 1).stored_start if number + 1 < len(sidecar) else stored_size
        if entry.original_start != position or (not number and entry.stored_start):
            return None
        index.append(entry.original_size, after - entry.stored_start)
        position += entry.original_size
    return Layout(index) if position == sidecar.original_size else None


def _walk(stored_size: int, read: Read) -> FrameIndex:
    """Rebuild the index from the frame headers.

    Raises: InternalError, when they make no sense, or are more than `HOPS_MAX`.
    """
    index = FrameIndex()
    walker = HeaderWalker(stored_size)
    window, window_start, leading = b"", 0, 0
    for _ in range(HOPS_MAX):
        if walker.done:
            return index
        offset = walker.offset
        if not window_start <= offset <= window_start + len(window) - walker.wanted:
            window_start = offset
            window = read(offset, min(stored_size, offset + WINDOW_BYTES))
        try:
            site = walker.accept(window[offset - window_start : offset - window_start + FRAME_HEADER_SIZE])
        except CodecError as error:
            raise InternalError from error
        if isinstance(site.header, FrameHeader):
            index.append(site.header.original_size, leading + site.header.stored_size)
            leading = 0
        elif len(index):
            index.stored_sizes[-1] += site.header.stored_size
        else:
            leading += site.header.stored_size
    raise InternalError
