"""How a gateway worker uses the GPU worker: frames in, futures of encoded frames out, and never a wait for a GPU.

Every chunk that goes to the ring has a way back to the CPU: when the ring is full, when nobody serves, when the answer
is an error or does not come in time, when the GPU worker dies, and when its result does not verify. The caller cannot
tell the difference; metrics can. Decoding has no such way: it is asked for only where the CPU cannot.

**Verification.** The first `VERIFIED_FIRST` results of each GPU worker, then one in `verify_every`, are decoded on the
CPU and compared with the original by CRC-32C. One that differs ends the engine for everybody. What no CPU decodes has
been decoded by the engine itself, every time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from typing import Final, TypeVar

from s4gw.checksum import Buffer, crc32c
from s4gw.codec import (
    SHRINK_MIN_PERCENT,
    ChecksumMismatch,
    Choice,
    CodecError,
    CodecId,
    CodecUnavailable,
    Container,
    CorruptFrame,
    EncodedFrame,
    FrameHeader,
    decode_frame,
    encode_frame,
    finish_cascade,
    parse_container,
)
from s4gw.gpu.channel import Channel
from s4gw.gpu.job import Job, Slot
from s4gw.gpu.protocol import CHUNK_BYTES_MAX, SLOT_BYTES, Operation, pack_choice
from s4gw.gpu.ring import Link
from s4gw.observability.gpu_metrics import GpuMetrics

DEADLINE_S: Final = 7.0
"""More than a launch may take (`config.BATCH_S_MAX`) with another one before it: the GPU worker gives up first."""
VERIFIED_FIRST: Final = 16
VERIFY_EVERY: Final = 64
LEVEL_MAX: Final = 3
"""A GPU has no levels. Whoever asks for more than the usual one wants ratio, which is the CPU's to give."""
RETRY_S: Final = 0.01
"""How often a decode that finds the ring full tries again, until its deadline."""
CONTAINERS: Final = frozenset({CodecId.NVCOMP_BITCOMP, CodecId.NVCOMP_GDEFLATE})
"""Codecs that are written when they are asked for by name, and that no CPU decodes."""
CONTAINER_HEAD: Final = 4096
"""Room in a slot for the header and the table of a container's part."""


_Result = TypeVar("_Result")


class Client:
    """The gateway worker's end. Made after the fork; used by all threads of the process.

    Args:
        link: Inherited from the master.
        pool: Threads that compress on the CPU, and verify.
        metrics: Of this process.
        bytes_min: Smaller frames are done on the CPU.
        verify_every: See the module's text; 1 verifies everything.
        deadline_s: Seconds after which a chunk is done on the CPU.
        prefer: One of `CONTAINERS`, to write everything with that shrinks; None: what was chosen.
    """

    def __init__(  # noqa: PLR0913 - settings, each by name
        self,
        link: Link,
        pool: Executor,
        metrics: GpuMetrics,
        *,
        bytes_min: int,
        verify_every: int = VERIFY_EVERY,
        deadline_s: float = DEADLINE_S,
        prefer: CodecId | None = None,
    ) -> None:
        assert prefer is None or prefer in CONTAINERS
        self.channel = Channel(link, metrics, deadline_s=deadline_s)
        self.pool = pool
        self.metrics = metrics
        self.bytes_min = bytes_min
        self.verify_every = verify_every
        self._deadline_s = deadline_s
        self._prefer = prefer

    @property
    def ready(self) -> bool:
        """A GPU worker has welcomed this process, so that chunks go to it."""
        return self.channel.ready

    def close(self) -> None:
        """Stop; what is under way is done on the CPU."""
        self.channel.close()

    def reserve(self, size: int) -> Slot | None:
        """Give memory of the ring to receive a frame of up to *size* bytes into; None: it is to go elsewhere."""
        return self.channel.reserve(size) if self.bytes_min <= size <= CHUNK_BYTES_MAX else None

    def submit(self, data: memoryview, choice: Choice, slot: object = None) -> Future[EncodedFrame]:
        """Encode one frame, somewhere.

        Args:
            data: The chunk; must stay as it is until the future is done.
            choice: Codec, level and parameters.
            slot: What `reserve` gave, if *data* lies there; the caller gives it back, after the future is done.

        Returns: a future that always comes to an end; it raises what `encode_frame` raises.
        """
        asked = pack_choice(choice, self._prefer)
        if asked is None or not self.bytes_min <= data.nbytes <= CHUNK_BYTES_MAX or choice.level > LEVEL_MAX:
            return self.pool.submit(encode_frame, data, choice)
        job = _Encode(self, data, choice, *asked)
        job.slot = slot if isinstance(slot, Slot) else None
        reason = self.channel.send(job)
        if reason is None:
            return job.future
        if reason != "unable":
            self.metrics.fallbacks.labels(reason).inc()
        return self.pool.submit(encode_frame, data, choice)

    def decode(self, header: FrameHeader, payload: Buffer) -> bytes:
        """Decode a frame of a codec that only a GPU decodes; waits for it.

        Raises: CodecUnavailable, CorruptFrame, ChecksumMismatch.
        """
        container = parse_container(payload, header.original_size)
        parts = [self._decode_part(header.codec, part) for part in _parts(header.codec, container)]
        decoded = b"".join(parts)
        actual = crc32c(decoded)
        if actual != header.crc32c:
            raise ChecksumMismatch(header.crc32c, actual)
        return decoded

    def _decode_part(self, codec: CodecId, part: Container) -> bytes:
        deadline = time.monotonic() + self._deadline_s
        job = _Decode(self.channel, codec, memoryview(part.pack()), part.original_size)
        while (reason := self.channel.send(job)) is not None:
            if reason not in {"greeting", "ring_full", "worker_lost"} or time.monotonic() > deadline:
                raise CodecUnavailable(codec.label, reason)
            time.sleep(RETRY_S)
        return job.future.result()


class _Awaited(Future[_Result]):
    """The future of a job: who waits for it, or asks for it, takes answers meanwhile."""

    def __init__(self, channel: Channel, job: Job) -> None:
        super().__init__()
        self._channel = channel
        self._job = job

    def done(self) -> bool:
        if not super().done():
            self._channel.glance()
        return super().done()

    def result(self, timeout: float | None = None) -> _Result:
        self._channel.attend(self._job)
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self._channel.attend(self._job)
        return super().exception(timeout)


class _Encode(Job):
    """A frame to be."""

    operation = Operation.ENCODE

    def __init__(self, client: Client, data: memoryview, choice: Choice, codec: CodecId, parameters: bytes) -> None:
        self.data = data
        self.codec = codec
        self.level = choice.level
        self.parameters = parameters
        self.future: Future[EncodedFrame] = _Awaited(client.channel, self)
        self._client = client
        self._choice = choice

    def done(self, payload: bytes, number: int) -> None:
        client = self._client
        checked = self.codec in CONTAINERS or (number > VERIFIED_FIRST and number % client.verify_every)
        if checked:
            self._use(payload)
        else:
            try:
                client.pool.submit(self._verify, payload)
            except RuntimeError:  # as below
                self._verify(payload)

    def incompressible(self) -> None:
        size = self.data.nbytes
        try:
            if self.slot is not None:
                self._compare(crc32c(self.data))
        except ChecksumMismatch as error:
            self.future.set_exception(error)
            return
        header = FrameHeader(CodecId.PASSTHROUGH, size, size, self.crc32c)
        self.future.set_result(EncodedFrame(header.pack(), self.data, header.codec, size, header.crc32c))

    def failed(self, reason: str) -> None:
        """Do it on the CPU."""
        self._client.metrics.fallbacks.labels(reason).inc()
        try:
            self._client.pool.submit(self._encode_here)
        except RuntimeError:  # the pool is shut down: the last chunks of a process that ends
            self._encode_here()

    def _encode_here(self) -> None:
        try:
            frame = encode_frame(self.data, self._choice)
            self._compare(frame.crc32c)
            self.future.set_result(frame)
        except BaseException as error:  # noqa: BLE001 - handed on to whoever waits
            self.future.set_exception(error)

    def _compare(self, actual: int) -> None:
        """Make sure that what is used of the chunk now is what was sent. Raises: ChecksumMismatch.

        SECURITY: the GPU worker has no business in a chunk's half of the slot, but it has the memory.
        """
        if actual != self.crc32c:
            self._client.channel.distrust("a chunk has changed")
            raise ChecksumMismatch(self.crc32c, actual)

    def _verify(self, payload: bytes) -> None:
        """Decode a result and use it if it is right; in a thread of the pool."""
        header = FrameHeader(CodecId(self.codec), self.data.nbytes, len(payload), self.crc32c)
        try:
            decode_frame(header, payload, original_size_max=SLOT_BYTES)
        except CodecError as error:
            self._client.channel.distrust(f"{type(error).__name__}: {error}")
            self.failed("mismatch")
            return
        self._client.metrics.verified.labels("ok").inc()
        self._use(payload)

    def _use(self, payload: bytes) -> None:
        """Make the frame of a result, unless that is hardly smaller."""
        size, codec = self.data.nbytes, CodecId(self.codec)
        if self._choice.codec is CodecId.ZSTD_CASCADE and codec is CodecId.CPU_ZSTD:
            codec, payload = finish_cascade(payload, size)
        if len(payload) * 100 > size * (100 - SHRINK_MIN_PERCENT):
            self.incompressible()
            return
        header = FrameHeader(codec, size, len(payload), self.crc32c)
        self.future.set_result(EncodedFrame(header.pack(), payload, codec, size, header.crc32c))


class _Decode(Job):
    """A part of a frame that only a GPU decodes."""

    operation = Operation.DECODE

    def __init__(self, channel: Channel, codec: CodecId, payload: memoryview, original_size: int) -> None:
        self.data = payload
        self.codec = codec
        self.original_size = original_size
        self.future: Future[bytes] = _Awaited(channel, self)

    def done(self, payload: bytes, number: int) -> None:  # noqa: ARG002 - the frame's checksum verifies it
        self.future.set_result(payload)

    def incompressible(self) -> None:
        self.failed("failed")

    def failed(self, reason: str) -> None:
        label = CodecId(self.codec).label
        damaged = reason == "corrupt"
        self.future.set_exception(CorruptFrame(f"{label} payload") if damaged else CodecUnavailable(label, reason))


def _parts(codec: CodecId, container: Container) -> Iterator[Container]:
    """Cut a container into such that fit into a slot, before and after decoding. Raises: CodecUnavailable."""
    sizes, room = container.sizes(), SLOT_BYTES - CONTAINER_HEAD
    start = 0
    while start < len(sizes):
        end, stored, decoded = start, 0, 0
        while end < len(sizes):
            more = memoryview(container.chunks[end]).nbytes + 4
            if max(stored + more, decoded + sizes[end]) > room:
                break
            stored, decoded, end = stored + more, decoded + sizes[end], end + 1
        if end == start:
            raise CodecUnavailable(codec.label, f"chunks of {container.chunk_bytes} bytes")
        chunks = container.chunks[start:end]
        yield Container(container.algorithm, container.data_type, decoded, container.chunk_bytes, chunks)
        start = end
