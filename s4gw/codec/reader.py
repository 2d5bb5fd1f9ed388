"""A stored framed object as a file: seekable, reading and decoding only the frames that are asked for.

Where the frames lie is told by the trailer (one read of the object's end), else by S4's sidecar if the caller has it,
else by a walk over the frame headers. Every frame's header is held against that, and its size and CRC-32C are checked
before a byte of it is given. The caller gives a way to read stored bytes; nothing here opens anything. A reader is not
to be shared by threads.
"""

from __future__ import annotations

import io
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from s4gw.checksum import Buffer
from s4gw.codec.errors import CorruptFrame, CorruptSidecar, NotFramed, TrailerError, TruncatedFrame, UnsupportedSidecar
from s4gw.codec.frame import FrameHeader, decode_frame, parse_frame_header
from s4gw.codec.index import FrameEntry, FrameIndex
from s4gw.codec.layout import FRAME_HEADER_SIZE, TRAILER_TAIL_BYTES
from s4gw.codec.pipeline import is_framed
from s4gw.codec.registry import Dictionaries
from s4gw.codec.sidecar import Sidecar, read_sidecar
from s4gw.codec.trailer import NeedBytes, read_trailer
from s4gw.codec.walk import HeaderWalker, Site

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

FRAME_ORIGINAL_MAX: Final = 1024**3
"""Most bytes that one frame may declare unless told otherwise: ours hold 1 MiB, S4's one part of an upload each."""
KEPT_BYTES_MAX: Final = 8 * 1024**2
"""Decoded frames that are kept for the next read, together; the newest is kept whatever its size."""
RUN_BYTES_MAX: Final = 4 * 1024**2
"""Stored bytes of neighbouring frames that are read at once."""

ReadRange = Callable[[int, int], bytes]
"""Gives stored bytes from start to end, half-open; fewer only where the object ends."""


class Seekable(Protocol):
    """What `open_reader` takes as a file: open for reading in binary mode."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As of any file."""

    def read(self, size: int = -1, /) -> bytes:
        """As of any file."""


class Layout:
    """Where each frame lies, in the original and in the stored object.

    Args:
        index: Frames and offsets, from a trailer, a sidecar or a walk.
    """

    __slots__ = ("_index", "original_size", "starts")

    def __init__(self, index: FrameIndex | Sidecar) -> None:
        self._index = index
        self.original_size = index.original_size
        self.starts = array("Q", (self.entry(number).original_start for number in range(len(index))))

    def __len__(self) -> int:
        return len(self.starts)

    def entry(self, number: int) -> FrameEntry:
        """Give frame *number*, counted from 0."""
        return self._index.frame(number) if isinstance(self._index, FrameIndex) else self._index.entry(number)

    def at(self, position: int) -> int:
        """Find the frame that holds byte *position* of the original. Raises: CorruptSidecar, if none does."""
        number = bisect_right(self.starts, position) - 1
        if number >= 0:
            entry = self.entry(number)
            if entry.original_start <= position < entry.original_start + entry.original_size:
                return number
        raise CorruptSidecar(f"no frame holds byte {position}")


class Reader(io.RawIOBase):
    """The original of a framed object, as a file open for reading. Make one with `open_reader`."""

    def __init__(  # noqa: PLR0913 - one argument per choice of the caller
        self,
        read_range: ReadRange,
        layout: Layout,
        *,
        dictionaries: Dictionaries | None,
        frame_bytes_max: int,
        ahead_bytes: int,
        name: str,
    ) -> None:
        super().__init__()
        self._read_range = read_range
        self._layout = layout
        self._dictionaries = dictionaries
        self._frame_bytes_max = frame_bytes_max
        self._ahead_bytes = ahead_bytes
        self._at = 0
        self._decoded: OrderedDict[int, Buffer] = OrderedDict()
        self._stored: dict[int, memoryview] = {}
        self._last = -1
        self.name = name
        """What errors and other libraries call it; may be empty."""

    @property
    def size(self) -> int:
        """Bytes of the original."""
        return self._layout.original_size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        self._check_open()
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a byte of the original; past the end is allowed and reads nothing."""
        self._check_open()
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}
        if whence not in bases:
            raise ValueError(f"no such whence: {whence}")
        if bases[whence] + offset < 0:
            raise ValueError("a position before the first byte")
        self._at = bases[whence] + offset
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill *buffer* as far as the original reaches. Raises: CodecError, and nothing of the damaged frame."""
        self._check_open()
        with memoryview(buffer) as given, given.cast("B") as view:
            end = min(self.size, self._at + len(view))
            filled = 0
            while self._at < end:
                piece = self._piece(end)
                view[filled : filled + len(piece)] = piece
                filled += len(piece)
                self._at += len(piece)
        return filled

    def read(self, size: int | None = -1, /) -> bytes:
        """Give the next *size* bytes, all that are left if it is negative; fewer at the end only.

        Raises: CodecError, and the position stays at the damaged frame.
        """
        self._check_open()
        left = max(0, self.size - self._at)
        end = self._at + (left if size is None or size < 0 else min(size, left))
        pieces = []
        while self._at < end:
            piece = self._piece(end)
            pieces.append(piece)
            self._at += len(piece)
        return bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)

    def readall(self) -> bytes:
        return self.read()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("the reader is closed")

    def _piece(self, end: int) -> memoryview:
        """Bytes from the position to *end* or to the end of the frame that it is in."""
        number = self._layout.at(self._at)
        entry = self._layout.entry(number)
        decoded = self._decoded.get(number)
        if decoded is None:
            decoded = self._decode(number, entry, end)
        else:
            self._decoded.move_to_end(number)
        return memoryview(decoded)[self._at - entry.original_start : end - entry.original_start]

    def _decode(self, number: int, entry: FrameEntry, end: int) -> Buffer:
        stored = self._stored.pop(number, None)
        if stored is None:
            self._fetch(number, end)
            stored = self._stored.pop(number)
        header = parse_frame_header(stored)
        if (header.original_size, header.stored_size) != (entry.original_size, entry.stored_size):
            raise CorruptFrame(f"the header of frame {number} and the index disagree")
        decoded = decode_frame(
            header,
            stored[FRAME_HEADER_SIZE:],
            dictionaries=self._dictionaries,
            original_size_max=self._frame_bytes_max,
        )
        self._last = number
        self._decoded[number] = decoded
        while len(self._decoded) > 1 and sum(map(len, self._decoded.values())) > KEPT_BYTES_MAX:
            self._decoded.popitem(last=False)
        return decoded

    def _fetch(self, number: int, end: int) -> None:
        """Read frame *number*, and with it those up to *end*; further ahead where reading goes on in order."""
        first = self._layout.entry(number)
        ahead = self._ahead_bytes if number == self._last + 1 else 0
        until, stop = number, first.stored_start
        while until < len(self._layout):
            entry = self._layout.entry(until)
            size = entry.stored_start + entry.stored_size - first.stored_start
            wanted = entry.original_start < end and size <= RUN_BYTES_MAX
            if until > number and not wanted and size > ahead:
                break
            stop, until = entry.stored_start + entry.stored_size, until + 1
        run = memoryview(self._read_range(first.stored_start, stop))
        if len(run) != stop - first.stored_start:
            raise TruncatedFrame(f"{len(run)} stored bytes where {stop - first.stored_start} should be")
        self._stored = {}
        for each in range(number, until):
            entry = self._layout.entry(each)
            at = entry.stored_start - first.stored_start
            self._stored[each] = run[at : at + entry.stored_size]


def open_reader(  # noqa: PLR0913 - one argument per choice of the caller
    source: Seekable | ReadRange,
    *,
    size: int | None = None,
    sidecar: Callable[[], Buffer | None] | Buffer | None = None,
    dictionaries: Dictionaries | None = None,
    frame_bytes_max: int = FRAME_ORIGINAL_MAX,
    ahead_bytes: int = 0,
    name: str = "",
) -> Reader:
    """Open a stored framed object, of ours or of S4, for reading its original.

    Args:
        source: A binary file that can seek (the caller closes it), or a function of start and end, half-open, that
            gives stored bytes.
        size: Bytes of the stored object; needed with a function.
        sidecar: S4's index object (`<key>.s4index`), or what gives it or None; used where several frames have no
            trailer. The caller has compared its ETag with the object's; its size is compared here, and one that does
            not fit is not used.
        dictionaries: Gives zstd dictionaries by number, for frames of `CodecId.CPU_ZSTD_DICT`.
        frame_bytes_max: Most bytes that a single frame may decode to.
        ahead_bytes: Stored bytes to read at once while reading goes on in order (0: only the frames asked for). Worth
            it where each read is a request.
        name: What to call it.

    Returns: The reader; closing it does not close *source*.
    Raises: NotFramed; CorruptFrame and its kin, where trailer and headers make no sense; ValueError.
    """
    read_range = source if callable(source) else _ranges_of(source)
    if size is None:
        if callable(source):
            raise ValueError("a function of ranges needs the stored size beside it")
        size = source.seek(0, io.SEEK_END)
    tail = _Tail(read_range, size)
    return Reader(
        tail.read,
        Layout(_locate(tail, sidecar)),
        dictionaries=dictionaries,
        frame_bytes_max=frame_bytes_max,
        ahead_bytes=ahead_bytes,
        name=name,
    )


class _Tail:
    """Stored bytes whose end is read first and kept, which is all of a small object."""

    def __init__(self, read_range: ReadRange, size: int) -> None:
        self._read_range = read_range
        self.size = size
        self.start = size
        self._bytes = b""

    def extend(self, size: int) -> bytes:
        """Give the last *size* bytes."""
        self.start = max(0, self.size - size)
        self._bytes = self._read_range(self.start, self.size) if self.size else b""
        return self._bytes

    def read(self, start: int, end: int) -> bytes:
        """Give a range, out of what is kept where that holds it."""
        if start >= self.start:
            return self._bytes[start - self.start : end - self.start]
        return self._read_range(start, end)


def _ranges_of(file: Seekable) -> ReadRange:
    def read_range(start: int, end: int) -> bytes:
        file.seek(start)
        pieces, left = [], end - start
        while left and (piece := file.read(left)):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    return read_range


def _locate(tail: _Tail, sidecar: Callable[[], Buffer | None] | Buffer | None) -> FrameIndex | Sidecar:
    wanted = TRAILER_TAIL_BYTES
    while True:
        try:
            found = read_trailer(tail.extend(wanted), tail.size)
        except TrailerError:
            break
        if not isinstance(found, NeedBytes):
            return found.index
        wanted = found.size
    walker = HeaderWalker(tail.size)
    head = tail.read(0, walker.wanted)
    if not is_framed(head):
        raise NotFramed
    sites = [walker.accept(head)]
    if not walker.done and sidecar is not None:
        data = sidecar() if callable(sidecar) else sidecar
        if data is not None and (known := _usable(data, tail.size)) is not None:
            return known
    while not walker.done:
        sites.append(walker.accept(tail.read(walker.offset, walker.offset + walker.wanted)))
    return _walked(sites, tail.size)


def _usable(data: Buffer, size: int) -> Sidecar | None:
    """The sidecar, if it can be of an object of *size* bytes that is not encrypted."""
    try:
        sidecar = read_sidecar(data)
    except (CorruptSidecar, UnsupportedSidecar):
        return None
    fits = sidecar.source_size in {None, size} and sidecar.framed_size == size
    return sidecar if fits and sidecar.encryption is None else None


def _walked(sites: Sequence[Site], size: int) -> Sidecar:
    """An index of the frames that a walk found; paddings between them are left out."""
    entries, original = array("Q"), 0
    for site in sites:
        if isinstance(site.header, FrameHeader):
            entries.extend((original, site.header.original_size, site.offset, site.header.stored_size))
            original += site.header.original_size
    if not entries:
        raise TruncatedFrame("an object without a frame")
    return Sidecar(original_size=original, framed_size=size, entries=entries)
