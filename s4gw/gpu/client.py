"""How a gateway worker uses the GPU worker: frames in, futures of encoded frames out, and never a wait for a GPU.

Every chunk that goes to the ring has a way back to the CPU: when the ring is full, when nobody serves, when the answer
is an error or does not come in time, when the GPU worker dies, and when its result does not verify. The caller cannot
tell the difference; metrics can.

**Who owns a slot.** A slot belongs to this process until its request is sent, then to the GPU worker until it answers
or is known to be dead (the generation changes). A chunk that met its deadline is done on the CPU, but its slot is not
used again before one of these happens. A new process on a lane greets first and uses no slot before it is welcomed,
since the GPU worker may still write for the one before.

**Verification.** The first `VERIFIED_FIRST` results of each GPU worker, then one in `verify_every`, are decoded on the
CPU and compared with the original by CRC-32C. One that differs ends the engine for everybody.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Final

import msgspec

from s4gw.checksum import crc32c
from s4gw.codec import (
    SHRINK_MIN_PERCENT,
    Choice,
    CodecError,
    CodecId,
    EncodedFrame,
    FrameHeader,
    decode_frame,
    encode_frame,
    finish_cascade,
)
from s4gw.gpu.protocol import (
    CHUNK_BYTES_MAX,
    SLOT_BYTES,
    Answer,
    Operation,
    ProtocolError,
    Request,
    State,
    Status,
    pack_choice,
)
from s4gw.gpu.ring import Claim, Link
from s4gw.observability import get_logger
from s4gw.observability.gpu_metrics import GpuMetrics

DEADLINE_S: Final = 7.0
"""More than a launch may take (`config.BATCH_S_MAX`) with another one before it: the GPU worker gives up first."""
VERIFIED_FIRST: Final = 16
VERIFY_EVERY: Final = 64
LEVEL_MAX: Final = 3
"""A GPU has no levels. Whoever asks for more than the usual one wants ratio, which is the CPU's to give."""
GREETING_S: Final = 1.0
"""How often an unanswered greeting, or the claim of a lane when all are taken, is tried again."""
POLL_S: Final = 0.1
"""How soon deadlines and the death of the GPU worker are noticed."""

_FALLBACK: Final = {
    Status.FAILED: "failed",
    Status.OUT_OF_MEMORY: "out_of_memory",
    Status.UNSUPPORTED: "failed",
    Status.CORRUPT: "corrupt",
}


class _Pending(msgspec.Struct):
    """One chunk that the GPU worker has."""

    data: memoryview
    choice: Choice
    codec: CodecId
    """What the GPU worker was asked for."""
    crc32c: int
    slot: int
    generation: int
    deadline_s: float
    future: Future[EncodedFrame]
    expired: bool = False
    """The CPU has it; only the slot is waited for."""


class Client:
    """The gateway worker's end. Made after the fork; used by all threads of the process.

    Args:
        link: Inherited from the master.
        pool: Threads that compress on the CPU, and verify.
        metrics: Of this process.
        bytes_min: Smaller frames are done on the CPU.
        verify_every: See the module's text; 1 verifies everything.
        deadline_s: Seconds after which a chunk is done on the CPU.
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
    ) -> None:
        self._link = link
        self._ring = link.ring
        self._pool = pool
        self._metrics = metrics
        self.bytes_min = bytes_min
        self._verify_every = verify_every
        self._deadline_s = deadline_s
        self._epoch = int.from_bytes(os.urandom(4), "little")
        self._lock = threading.Lock()  # over everything below
        self._claim: Claim | None = None
        self._pending: dict[int, _Pending] = {}
        self._free: list[int] = []
        self._filling: set[int] = set()  # slots that a thread copies into; they outlive a generation
        self._sequence = 0
        self._generation = 0  # of the GPU worker that has welcomed us; 0: none has
        self._encodes: frozenset[int] = frozenset()
        self._results = 0
        self._greeted = 0  # generation that was greeted last, and when
        self._greeted_s = 0.0
        self._closed = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._listen, name="gpu-answers", daemon=True)
        self._thread.start()

    def submit(self, data: memoryview, choice: Choice) -> Future[EncodedFrame]:
        """Encode one frame, somewhere.

        Args:
            data: The chunk; must stay as it is until the future is done.
            choice: Codec and level.

        Returns: a future that always comes to an end; it raises what `encode_frame` raises.
        """
        size = data.nbytes
        if not self.bytes_min <= size <= CHUNK_BYTES_MAX or choice.level > LEVEL_MAX:
            return self._pool.submit(encode_frame, data, choice)
        future: Future[EncodedFrame] = Future()
        reason = self._send(data, choice, future)
        if reason is None:
            return future
        if reason:
            self._metrics.fallbacks.labels(reason).inc()
        return self._pool.submit(encode_frame, data, choice)

    @property
    def ready(self) -> bool:
        """A GPU worker has welcomed this process, so that chunks go to it."""
        with self._lock:
            return self._usable()

    def close(self) -> None:
        """Stop; what is under way is done on the CPU."""
        with self._lock:
            self._closed = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        if self._claim is not None:
            self._claim.give_back()
        os.close(self._wake)

    # -- sending, in the caller's thread ---------------------------------------------------------------------------
    def _send(self, data: memoryview, choice: Choice, future: Future[EncodedFrame]) -> str | None:
        """Give a chunk to the GPU worker. Returns: None when it has it, else why not; "" when that was to be so."""
        with self._lock:
            if not self._usable():
                self._greet()
                state = self._ring.state
                return "greeting" if state is State.READY else state.name.lower()
            asked = pack_choice(choice)
            if asked is None or asked[0] not in self._encodes:
                return ""
            if not self._free:
                return "ring_full"
            lane, slot, generation = self._lane(), self._free.pop(), self._generation
            self._filling.add(slot)
            self._sequence = (self._sequence + 1) & 0xFFFFFFFF
            sequence = self._sequence
        self._ring.slot(lane, slot)[: data.nbytes] = data  # PERF: the one copy, outside the lock
        checksum = crc32c(data)
        request = Request(
            generation=generation,
            epoch=self._epoch,
            sequence=sequence,
            operation=Operation.ENCODE,
            slot=slot,
            codec=asked[0],
            level=choice.level,
            parameters=asked[1],
            size=data.nbytes,
            crc32c=checksum,
        )
        deadline = time.monotonic() + self._deadline_s
        pending = _Pending(data, choice, asked[0], checksum, slot, generation, deadline, future)
        with self._lock:
            self._filling.remove(slot)
            if self._closed or self._generation != generation:
                self._free.append(slot)  # of the generation that has come meanwhile
                return "worker_lost"
            self._pending[sequence] = pending
            if not self._link.requests[lane].offer(request.pack()):
                del self._pending[sequence]
                self._free.append(slot)
                return "ring_full"
            if len(self._pending) == 1:
                os.eventfd_write(self._wake, 1)  # deadlines count from now on
            self._metrics.in_flight.set(len(self._pending))
        return None

    def _usable(self) -> bool:
        """The one that welcomed us is still there and sound; under the lock."""
        ring = self._ring
        return self._generation != 0 and ring.generation == self._generation and ring.state is State.READY

    def _lane(self) -> int:
        assert self._claim is not None
        return self._claim.lane

    def _greet(self) -> None:
        """Introduce ourselves to a GPU worker that is ready, now and then; under the lock."""
        now = time.monotonic()
        generation = self._ring.generation
        recent = generation == self._greeted and now - self._greeted_s < GREETING_S
        if recent or self._closed or self._ring.state is not State.READY:
            return
        self._greeted, self._greeted_s = generation, now
        if self._claim is None:
            self._claim = self._link.claim()
            if self._claim is None:
                return  # more workers than lanes, during a reload
        hello = Request(generation=generation, epoch=self._epoch, sequence=0, operation=Operation.HELLO)
        self._link.requests[self._claim.lane].offer(hello.pack())
        os.eventfd_write(self._wake, 1)

    # -- answers, in a thread of their own -------------------------------------------------------------------------
    def _listen(self) -> None:
        """Take answers, and notice what does not come."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        listening = False
        try:
            while True:
                with self._lock:
                    if self._closed:
                        return
                    busy = bool(self._pending)
                    claim = self._claim
                if claim is not None and not listening:
                    poll.register(self._link.answers[claim.lane], select.POLLIN)
                    listening = True
                for descriptor, _ in poll.poll(POLL_S * 1000 if busy else None):
                    if descriptor == self._wake:
                        os.eventfd_read(self._wake)
                if claim is not None:
                    for message in self._link.answers[claim.lane].drain():
                        self._take(message)
                self._expire()
        finally:
            with self._lock:
                self._closed = True
            self._expire()

    def _take(self, message: bytes) -> None:
        """Act on one answer."""
        try:
            answer = Answer.unpack(message)
        except ProtocolError as error:
            get_logger().error("gpu: an answer makes no sense", reason=str(error))
            return
        if answer.epoch != self._epoch:
            return  # to the process that had the lane before
        if answer.status is Status.WELCOME:
            self._welcomed(answer.generation)
            return
        with self._lock:
            pending = self._pending.get(answer.sequence)
            if pending is None or pending.generation != answer.generation:
                return
            del self._pending[answer.sequence]
            self._metrics.in_flight.set(len(self._pending))
            number = self._results = self._results + 1
        payload = b""
        if answer.status is Status.DONE and not pending.expired:
            payload = bytes(self._ring.slot(self._lane(), pending.slot)[: answer.size])
        with self._lock:
            if pending.generation == self._generation:
                self._free.append(pending.slot)
        if pending.expired:
            return
        if answer.status is Status.INCOMPRESSIBLE:
            pending.future.set_result(_plain(pending))
        elif answer.status is not Status.DONE:
            self._fall_back(pending, _FALLBACK[answer.status])
        elif crc32c(payload) != answer.crc32c or not payload:
            self._distrust(pending, "result and checksum disagree")
        elif number <= VERIFIED_FIRST or number % self._verify_every == 0:
            self._pool.submit(self._verify, pending, payload)
        else:
            self._use(pending, payload)

    def _welcomed(self, generation: int) -> None:
        with self._lock:
            if generation == self._ring.generation and generation != self._generation:
                self._generation = generation
                self._free = [slot for slot in range(self._ring.slots) if slot not in self._filling]
                self._encodes = self._ring.encodes
                self._results = 0

    def _expire(self) -> None:
        """Give the CPU what nobody is going to answer for, or not in time."""
        now = time.monotonic()
        late: list[tuple[_Pending, str]] = []
        with self._lock:
            current = 0 if self._closed else self._ring.generation
            for sequence, pending in list(self._pending.items()):
                if pending.generation != current:
                    del self._pending[sequence]
                    if not pending.expired:
                        late.append((pending, "worker_lost"))
                elif not pending.expired and now > pending.deadline_s:
                    pending.expired = True
                    late.append((pending, "deadline"))
            self._metrics.in_flight.set(len(self._pending))
        for pending, reason in late:
            self._fall_back(pending, reason)

    # -- results ---------------------------------------------------------------------------------------------------
    def _verify(self, pending: _Pending, payload: bytes) -> None:
        """Decode a result and use it if it is right; in a thread of the pool."""
        header = FrameHeader(pending.codec, pending.data.nbytes, len(payload), pending.crc32c)
        try:
            decode_frame(header, payload, original_size_max=SLOT_BYTES)
        except CodecError as error:
            self._distrust(pending, f"{type(error).__name__}: {error}")
            return
        self._metrics.verified.labels("ok").inc()
        self._use(pending, payload)

    def _use(self, pending: _Pending, payload: bytes) -> None:
        """Make the frame of a result."""
        size, codec = pending.data.nbytes, pending.codec
        if pending.choice.codec is CodecId.ZSTD_CASCADE:
            codec, payload = finish_cascade(payload, size)
        if len(payload) * 100 > size * (100 - SHRINK_MIN_PERCENT):
            pending.future.set_result(_plain(pending))
            return
        header = FrameHeader(codec, size, len(payload), pending.crc32c)
        pending.future.set_result(EncodedFrame(header.pack(), payload, codec, size, header.crc32c))

    def _distrust(self, pending: _Pending, reason: str) -> None:
        """The engine gave wrong bytes: nobody uses it any more, and the CPU does the chunk."""
        self._metrics.verified.labels("mismatch").inc()
        if self._ring.state is not State.DISABLED:
            self._ring.disable(reason)
            get_logger().error("gpu: wrong bytes; disabled until the gateway is started again", reason=reason)
        self._fall_back(pending, "mismatch")

    def _fall_back(self, pending: _Pending, reason: str) -> None:
        """Do a chunk on the CPU."""
        self._metrics.fallbacks.labels(reason).inc()
        try:
            self._pool.submit(_encode_into, pending.future, pending.data, pending.choice)
        except RuntimeError:  # the pool is shut down: the last chunks of a process that ends
            _encode_into(pending.future, pending.data, pending.choice)


def _plain(pending: _Pending) -> EncodedFrame:
    """A frame that holds the chunk as it is."""
    size = pending.data.nbytes
    header = FrameHeader(CodecId.PASSTHROUGH, size, size, pending.crc32c)
    return EncodedFrame(header.pack(), pending.data, header.codec, size, header.crc32c)


def _encode_into(future: Future[EncodedFrame], data: memoryview, choice: Choice) -> None:
    try:
        future.set_result(encode_frame(data, choice))
    except BaseException as error:  # noqa: BLE001 - handed on to whoever waits
        future.set_exception(error)


Submit = Callable[[memoryview, Choice], Future[EncodedFrame]]
"""What `Client.submit` is to those who encode."""
