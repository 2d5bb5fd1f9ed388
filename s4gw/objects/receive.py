"""Squishing a body on its way in: read, hash, choose a codec, compress and append, overlapped.

A body of one frame is handled where it is, without a thread switch. A longer one that is alone runs as a pipeline:
while frame n+1 is read from the socket, frame n is hashed and compressed by the pool, and frames leave in order. Beside
others (`s4gw.objects.crowd`) each frame is done with before the next one is read. At most `FRAMES_IN_FLIGHT` frames of
original bytes exist per request, whatever the size of the body.

Raw or framed: a body of a single frame that does not shrink is stored as it is; everything else is S4F2 frames.
Longer incompressible bodies keep their frames (28 bytes per MiB), since those carry the checksum and the index that
a ranged read verifies and seeks by.

Where equal frames are stored once, the content says where a frame ends (`s4gw.codec.cutting`), and what of a buffer
belongs to the next frame is copied: a quarter of it on average, 18 us. Elsewhere a frame is a buffer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar

from s4gw import checksum
from s4gw.backends.bodies import Writer
from s4gw.checksum import Algorithm
from s4gw.codec import (
    Choice,
    CodecId,
    Dispatcher,
    EncodedFrame,
    FrameIndex,
    Selection,
    cut,
    encode_frame,
)
from s4gw.objects.buffers import BufferPool, Room
from s4gw.objects.crowd import Crowd
from s4gw.objects.dictionaries import OBJECT_BYTES_MAX, Dictionary, dictionary_choice
from s4gw.objects.digests import DigestPlan, Digests
from s4gw.objects.encoder import Encoder
from s4gw.objects.joining import Joining, joining_buffers
from s4gw.objects.received import Received, Statistics

FRAMES_IN_FLIGHT: Final = 4
CUT_RATIO_MAX: Final = 64
"""What shrinks by more is not cut by content: a third more frames would cost 18 % of a ratio of 775, and sharing what
takes next to nothing saves nothing. At this ratio they cost about 1 %."""
INLINE_HASH_BYTES: Final = 256 * 1024  # below, a thread switch costs more than the MD5 beside the compressor saves


_NOBODY: Final = nullcontext()
_NO_FRAMES: Final = FrameIndex()
"""Of bodies that are stored as they are; never added to."""

_Result = TypeVar("_Result")
_Given_co = TypeVar("_Given_co", covariant=True)


class Source(Protocol):
    """A body to read: `gateway.body.Body`, a decoded object, a form file."""

    @property
    def length(self) -> int | None:
        """Bytes that the body will have, if that is known."""

    @property
    def trailers(self) -> Mapping[str, str]:
        """Trailing headers, lower-case names, complete after the last byte."""

    def readinto(self, view: memoryview, /) -> int:
        """Fill *view* as far as the body reaches; less than its length only at the end. Raises S3 errors."""


class Work(Protocol[_Given_co]):
    """Work under way: a future, as far as it is used here."""

    def result(self) -> _Given_co:
        """Wait for it. Raises what it raised."""

    def exception(self) -> BaseException | None:
        """Wait for it."""

    def done(self) -> bool:
        """There is nothing to wait for."""


class _Done(Generic[_Result]):
    """Work that was done at once. PERF: three futures with their locks take 10 us of each frame, warm."""

    __slots__ = ("_result",)

    def __init__(self, result: _Result) -> None:
        self._result = result

    def result(self) -> _Result:
        return self._result

    def exception(self) -> None:
        return None

    def done(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Squisher:
    """How this process squishes: codec chooser, frame size, threads and buffers. Shared by all requests."""

    dispatcher: Dispatcher
    pool: Executor
    buffers: BufferPool
    encoder: Encoder | None = None
    """None: the pool encodes."""
    crowd: Crowd = field(default_factory=Crowd)
    joined: BufferPool = field(default_factory=joining_buffers)

    def submit(self, function: Callable[..., _Result], /, *arguments: Any) -> Work[_Result]:
        """Begin some work of a long body: in the pool, or here and now where there are others."""
        if self.crowd.alone:
            return self.pool.submit(function, *arguments)
        return _Done(function(*arguments))

    def room(self, wanted: int) -> Room:
        """Memory for the next frame, of which *wanted* bytes or more are expected."""
        if self.encoder is not None and wanted >= self.encoder.bytes_min:
            room = self.encoder.reserve(self.buffers.size)
            if room is not None:
                return room
        return self.buffers.take()

    def encode(self, data: memoryview, choice: Choice, room: Room) -> Work[EncodedFrame]:
        """Begin to encode a frame of a long body, which lies in *room*."""
        if self.encoder is not None:
            return self.encoder.submit(data, choice, room)
        return self.submit(encode_frame, data, choice)

    def encode_here(self, data: memoryview, choice: Choice, room: Room) -> EncodedFrame:
        """Encode the only frame of a body; a small one without a thread switch."""
        if self.encoder is not None and data.nbytes >= self.encoder.bytes_min:
            return self.encoder.submit(data, choice, room).result()
        return encode_frame(data, choice)

    @property
    def frame_bytes(self) -> int:
        """Original bytes of a full frame."""
        return self.buffers.size

    def receive(
        self,
        source: Source,
        writer: Writer,
        plan: DigestPlan,
        *,
        raw_allowed: bool,
        dictionary: Dictionary | None = None,
    ) -> Received:
        """Read *source* to its end into *writer*.

        Args:
            source: The body; read to the end, which also makes it verify lengths and signatures.
            writer: Staging area of the backend; the caller commits or aborts it.
            plan: Digests to compute and check.
            raw_allowed: A single incompressible frame may be stored without its header.
            dictionary: Tried as well on a body of up to 64 KiB; the smaller result is stored.

        Raises: S3 errors of the source, the digests and the backend. Nothing is visible to clients yet.
        """
        # A body of unknown length begins in memory of this process: it may be short, or never come.
        room = self.room(source.length or 0)
        goes_on = False
        try:
            wanted = self.frame_bytes if source.length is None else min(self.frame_bytes, source.length + 1)
            size = source.readinto(room.view[:wanted])
            goes_on = size == wanted and source.length != size
            if not goes_on:
                with self.crowd if size >= INLINE_HASH_BYTES else _NOBODY:
                    return self._receive_one(
                        source, writer, plan, room, size, raw_allowed=raw_allowed, dictionary=dictionary
                    )
        finally:
            if not goes_on:
                room.give_back()
        with self.crowd:
            return _Pipeline(self, source, writer, Digests(plan)).run(room, size)

    def _receive_one(  # noqa: PLR0913 - one body's state
        self,
        source: Source,
        writer: Writer,
        plan: DigestPlan,
        room: Room,
        size: int,
        *,
        raw_allowed: bool,
        dictionary: Dictionary | None,
    ) -> Received:
        index, by_codec = _NO_FRAMES, {}
        crc32c, framed, needs = 0, False, ""
        with room.view[:size] as view:
            if size:
                beside = size >= INLINE_HASH_BYTES and self.crowd.alone
                hashing = self.pool.submit(plan.of_whole, view) if beside else None
                try:
                    frame = self.encode_here(view, self.dispatcher.choose(view, size), room)
                finally:
                    if hashing is not None:
                        hashing.result()
                digests = plan.of_whole(view) if hashing is None else hashing.result()
                if dictionary is not None and size <= OBJECT_BYTES_MAX:
                    frame, needs = _smaller(frame, view, dictionary)
                crc32c = frame.crc32c
                framed = not (raw_allowed and frame.codec is CodecId.PASSTHROUGH)
                stored = _write_frame(writer, frame, framed=framed)
                if framed:
                    index = FrameIndex()
                    index.append(size, stored)
                by_codec = {frame.codec: (1, size, stored)}
            else:
                digests = plan.of_whole(b"")
            _drain(source)
            plan.check(digests, source.trailers)
            return Received(
                size=size,
                digests=digests,
                crc32c=crc32c,
                framed=framed,
                index=index,
                statistics=Statistics(by_codec),
                dictionary=needs,
            )


def _smaller(frame: EncodedFrame, data: memoryview, dictionary: Dictionary) -> tuple[EncodedFrame, str]:
    """*frame*, or what the dictionary makes of *data* if that is smaller; and the name of what it needs."""
    other = encode_frame(data, dictionary_choice(data.nbytes), dictionary=dictionary.data)
    if other.codec is CodecId.CPU_ZSTD_DICT and other.stored_size < frame.stored_size:
        return other, dictionary.name
    return frame, ""


def _write_frame(writer: Writer, frame: EncodedFrame, *, framed: bool) -> int:
    if framed:
        writer.write(frame.header, frame.payload)
        return len(frame.header) + len(frame.payload)
    writer.write(frame.payload)
    return len(frame.payload)


def _drain(source: Source) -> None:
    """Meet the end of the body, so that its length, signatures and trailers have been checked."""
    probe = bytearray(1)
    if source.readinto(memoryview(probe)):
        raise AssertionError("a source gave more bytes than its length")


@dataclass(slots=True)
class _Block:
    """One frame's worth of original bytes and the work under way on it."""

    room: Room
    size: int
    apart: bool
    selection: Selection
    choice: Choice
    hashed: list[Work[None]]
    encoded: Work[EncodedFrame] | None
    """None: it is expected to be one of several tiny ones, which are encoded together."""

    @property
    def done(self) -> bool:
        """Finishing it would wait for nobody."""
        return (self.encoded is None or self.encoded.done()) and all(future.done() for future in self.hashed)


class _Pipeline:
    """The way of one long body; lives for one call of `run`."""

    def __init__(self, squisher: Squisher, source: Source, writer: Writer, digests: Digests) -> None:
        self._squisher = squisher
        self._source = source
        self._writer = writer
        self._digests = digests
        self._blocks: deque[_Block] = deque()
        self._hashing: list[Work[None]] = []
        self._index = FrameIndex()
        self._statistics = Statistics()
        self._joining = Joining(squisher.joined, squisher.dispatcher)
        self._selection = Selection(squisher.dispatcher)
        self._crc32c = bytes(4)
        self._size = 0
        self._cuts: bool | None = None if writer.shares else False
        """Whether content ends frames; None until it is known what became of the first one, which is a full one."""
        self._room: Room | None = None
        """Being received into."""

    def run(self, room: Room, size: int) -> Received:
        """Squish the body whose first *size* bytes already lie in *room*."""
        squisher = self._squisher
        self._room = room
        try:
            size += self._source.readinto(room.view[size:]) if size < squisher.frame_bytes else 0
            while size:
                rest = self._start(room, size)
                if len(self._blocks) >= FRAMES_IN_FLIGHT:
                    self._finish_oldest()
                self._room = room = squisher.room(squisher.frame_bytes)
                size = len(rest)
                room.view[:size] = rest  # its room is that of the newest block, which therefore is not finished yet
                rest.release()
                while self._blocks and self._blocks[0].done:
                    self._finish_oldest()
                size += self._source.readinto(room.view[size:])
            while self._blocks:
                self._finish_oldest()
            self._write(self._joining.flush())
        finally:
            self._settle()
        return Received(
            size=self._size,
            digests=self._digests.finish(self._source.trailers),
            crc32c=int.from_bytes(self._crc32c, "big"),
            framed=True,
            index=self._index,
            statistics=self._statistics,
        )

    def _start(self, room: Room, size: int) -> memoryview:
        """Hand one block to the pool, hashing in order, compression in any order; give what of it is the next's."""
        view, selection, taken, apart = room.view, self._selection, size, False
        if self._cuts is None and self._blocks and (first := self._blocks[0].encoded):
            self._judge(first.result())
        if self._cuts and size == self._squisher.frame_bytes:
            taken, apart, anew = cut(view)
            if anew:
                self._selection = Selection(self._squisher.dispatcher)
        data = view[:taken]
        for future in self._hashing:  # a digest takes its blocks one after another
            future.result()
        submit = self._squisher.submit
        self._hashing = [submit(self._digests.update_md5, data), submit(self._digests.update_others, data)]
        choice = selection.choose(data, None)
        encoded = None
        if self._cuts or not self._joining.expects(data, choice):
            encoded = self._squisher.encode(data, choice, room)
        self._blocks.append(_Block(room, taken, apart, selection, choice, self._hashing, encoded))
        self._room = None
        return view[taken:size]

    def _finish_oldest(self) -> None:
        """Append the oldest frame and give its room back."""
        block = self._blocks.popleft()
        try:
            frame = None if block.encoded is None else block.encoded.result()
            self._write(self._joining.add(block.room.view[: block.size], block.choice, frame))
            if block.apart:
                self._write(self._joining.flush())
                self._writer.divide()
            if frame is not None:
                self._judge(frame)
                block.selection.observe(frame)
        finally:
            try:
                for future in block.hashed:
                    future.result()
            finally:
                block.room.give_back()

    def _write(self, frames: Iterable[EncodedFrame]) -> None:
        """Append them."""
        for frame in frames:
            size, stored = frame.original_size, _write_frame(self._writer, frame, framed=True)
            self._index.append(size, stored)
            self._statistics.count(frame.codec, size, stored)
            self._crc32c = checksum.combine(Algorithm.CRC32C, self._crc32c, frame.crc32c.to_bytes(4, "big"), size)
            self._size += size

    def _judge(self, frame: EncodedFrame) -> None:
        """Let a frame tell whether the next ones are worth being cut by content."""
        self._cuts = self._writer.shares and frame.stored_size * CUT_RATIO_MAX >= frame.original_size

    def _settle(self) -> None:
        """Give all memory back; after a failure, when the pool has let go of it."""
        for future in self._hashing:
            future.exception()
        for block in self._blocks:
            if block.encoded is not None:
                block.encoded.exception()
            for future in block.hashed:
                future.exception()
            block.room.give_back()
        self._blocks.clear()
        self._joining.drop()
        if self._room is not None:
            self._room.give_back()
            self._room = None
