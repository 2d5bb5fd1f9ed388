"""A gateway worker's way to the GPU worker: a lane of the ring, and who owns which slot of it when.

A slot is *held* while a thread of this process receives into it, copies into it, or still needs the chunk that lies in
it; it is *lent* from its request on until the GPU worker answers or is known to be dead (the generation changes). It is
free when it is neither. A job that met its deadline has failed, but its slot stays lent. A new process on a lane greets
first and uses no slot before it is welcomed, since the GPU worker may still be busy for the one before; and a process
that ends keeps its lane as long as it holds a slot.

Sending never waits. Every job that was sent comes to an end: done, or failed for a reason.
"""

from __future__ import annotations

import os
import select
import threading
import time
from abc import ABC, abstractmethod
from typing import Final

import msgspec

from s4gw.checksum import crc32c
from s4gw.gpu.protocol import Answer, Operation, ProtocolError, Request, State, Status
from s4gw.gpu.ring import Claim, Link
from s4gw.observability import get_logger
from s4gw.observability.gpu_metrics import GpuMetrics

GREETING_S: Final = 1.0
"""How often an unanswered greeting, or the claim of a lane when all are taken, is tried again."""
UNRESERVED_PART: Final = 4
"""One in so many slots of a lane is left to chunks that are there: see `Channel.reserve`."""
POLL_S: Final = 0.1
"""How soon deadlines and the death of the GPU worker are noticed."""

_REASONS: Final = {
    Status.FAILED: "failed",
    Status.OUT_OF_MEMORY: "out_of_memory",
    Status.CORRUPT: "corrupt",
}


class Slot:
    """Memory of the ring to receive a chunk into, held until it is given back.

    Attributes:
        view: Writable; nobody uses it after `give_back`.
        number: Of the slot in this process's lane.
    """

    __slots__ = ("_channel", "number", "view")

    def __init__(self, channel: Channel, number: int, view: memoryview) -> None:
        self._channel = channel
        self.number = number
        self.view = view

    def give_back(self) -> None:
        """Nobody of this process needs the chunk any more; once only."""
        self._channel.release(self.number)


class Job(ABC):
    """One chunk and what is to become of it.

    Attributes:
        data: The chunk; stays as it is until the job ends.
        slot: Where it lies, if in the ring already; held until the job has ended.
        operation: What to do with it.
        codec: Codec id to ask for.
        level: Of the codec.
        parameters: Of the codec.
        original_size: Decode: bytes of the original.
        crc32c: Of the chunk.
    """

    data: memoryview
    slot: Slot | None = None
    operation: Operation
    codec: int
    level: int = 0
    parameters: bytes = b""
    original_size: int = 0
    crc32c: int = 0

    @abstractmethod
    def done(self, payload: bytes, number: int) -> None:
        """The GPU worker's result, as it put it into the slot; *number* counts the results of this GPU worker."""

    @abstractmethod
    def incompressible(self) -> None:
        """A result would not be smaller than the chunk."""

    @abstractmethod
    def failed(self, reason: str) -> None:
        """There is no result."""


class _Sent(msgspec.Struct):
    """A job that the GPU worker has."""

    job: Job
    slot: int
    generation: int
    deadline_s: float
    expired: bool = False
    """It has failed; only the slot is waited for."""


class Channel:
    """Made after the fork; used by all threads of the process.

    Args:
        link: Inherited from the master.
        metrics: Of this process.
        deadline_s: Seconds after which a job has failed.
    """

    def __init__(self, link: Link, metrics: GpuMetrics, *, deadline_s: float) -> None:
        self._link = link
        self.ring = link.ring
        self._metrics = metrics
        self._deadline_s = deadline_s
        self._epoch = int.from_bytes(os.urandom(4), "little")
        self._lock = threading.Lock()  # over everything below
        self._claim: Claim | None = None
        self._sent: dict[int, _Sent] = {}
        self._free: list[int] = []
        self._held: set[int] = set()  # outlives a generation, as its threads do
        self._lent: set[int] = set()
        self._sequence = 0
        self._generation = 0  # of the GPU worker that has welcomed us; 0: none has
        self._able: dict[Operation, frozenset[int]] = {}
        self._results = 0
        self._greeted = 0  # generation that was greeted last, and when
        self._greeted_s = 0.0
        self._closed = self._left = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._listen, name="gpu-answers", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """A GPU worker has welcomed this process, so that jobs go to it."""
        with self._lock:
            return self._usable()

    def close(self) -> None:
        """Stop; what is under way fails."""
        with self._lock:
            self._closed = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        with self._lock:
            self._leave()
        os.close(self._wake)

    # -- sending, in the caller's thread ---------------------------------------------------------------------------
    def reserve(self, size: int) -> Slot | None:
        """Hold a slot to receive up to *size* bytes into, at most `protocol.SLOT_BYTES`.

        Returns: None when nobody serves, or when few slots are left: clients that send slowly must not keep those from
            the GPU worker that have their chunks together.
        """
        with self._lock:
            if not self._usable():
                self._greet()
                return None
            if len(self._free) <= self.ring.slots // UNRESERVED_PART:
                return None
            number = self._free.pop()
            self._held.add(number)
            return Slot(self, number, self.ring.slot(self._lane(), number)[:size])

    def release(self, number: int) -> None:
        """A thread of this process is done with a slot; see `Slot.give_back`."""
        with self._lock:
            self._held.remove(number)
            if number not in self._lent:
                self._free.append(number)  # also of the generation that has come meanwhile
            if self._closed:
                self._leave()

    def send(self, job: Job) -> str | None:
        """Give a job to the GPU worker.

        Returns: None when it has it; else why not, and the job is as if never sent: the state of the engine,
            "greeting", "unable" (it does not have the codec), "ring_full", "worker_lost".
        """
        with self._lock:
            if not self._usable():
                self._greet()
                state = self.ring.state
                return "greeting" if state is State.READY else state.name.lower()
            if job.codec not in self._able[job.operation]:
                return "unable"
            if job.slot is None and not self._free:
                return "ring_full"
            lane, generation = self._lane(), self._generation
            slot = self._free.pop() if job.slot is None else job.slot.number
            self._held.add(slot)
            self._sequence = (self._sequence + 1) & 0xFFFFFFFF
            sequence = self._sequence
        size = job.data.nbytes
        if job.slot is None:
            self.ring.slot(lane, slot)[:size] = job.data  # PERF: outside the lock
        job.crc32c = crc32c(job.data)
        request = Request(
            generation=generation,
            epoch=self._epoch,
            sequence=sequence,
            operation=job.operation,
            slot=slot,
            codec=job.codec,
            level=job.level,
            parameters=job.parameters,
            size=size,
            crc32c=job.crc32c,
            original_size=job.original_size,
        )
        refused = self._lend(sequence, _Sent(job, slot, generation, time.monotonic() + self._deadline_s), request)
        if job.slot is None:
            self.release(slot)
        return refused

    def _lend(self, sequence: int, sent: _Sent, request: Request) -> str | None:
        """Send the request for a slot that is filled. Returns: why not, if it cannot be."""
        with self._lock:
            if self._closed or self._generation != sent.generation:
                return "worker_lost"
            if not self._link.requests[self._lane()].offer(request.pack()):
                return "ring_full"
            self._lent.add(sent.slot)
            self._sent[sequence] = sent
            if len(self._sent) == 1:
                os.eventfd_write(self._wake, 1)  # deadlines count from now on
        return None

    def _leave(self) -> None:
        """Let somebody else have the lane, unless a thread still holds a slot of it; under the lock, when closed."""
        if self._claim is not None and not self._held and not self._left:
            self._left = True
            self._claim.give_back()

    def _usable(self) -> bool:
        """The one that welcomed us is still there and sound; under the lock."""
        ring, generation = self.ring, self._generation
        return generation != 0 and ring.generation == generation and ring.state is State.READY and not self._closed

    def _lane(self) -> int:
        assert self._claim is not None
        return self._claim.lane

    def _greet(self) -> None:
        """Introduce ourselves to a GPU worker that is ready, now and then; under the lock."""
        now = time.monotonic()
        generation = self.ring.generation
        recent = generation == self._greeted and now - self._greeted_s < GREETING_S
        if recent or self._closed or self.ring.state is not State.READY:
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
        listening, look_s = False, 0.0
        try:
            while True:
                with self._lock:
                    if self._closed:
                        return
                    busy = bool(self._sent)
                    claim = self._claim
                if claim is not None and not listening:
                    poll.register(self._link.answers[claim.lane], select.POLLIN)
                    listening = True
                for descriptor, _ in poll.poll(POLL_S * 1000 if busy else None):
                    if descriptor == self._wake:
                        os.eventfd_read(self._wake)
                    elif claim is not None:
                        for message in self._link.answers[claim.lane].drain():
                            self._take(message)
                now = time.monotonic()
                if now >= look_s or not self._sent:
                    look_s = now + POLL_S
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
            sent = self._sent.get(answer.sequence)
            if sent is None or sent.generation != answer.generation:
                return
            del self._sent[answer.sequence]
            number = self._results = self._results + 1
        payload = b""
        if answer.status is Status.DONE and not sent.expired:
            payload = bytes(self.ring.result(self._lane(), sent.slot)[: answer.size])
        with self._lock:
            if sent.generation == self._generation:
                self._lent.discard(sent.slot)
                if sent.slot not in self._held:
                    self._free.append(sent.slot)
        if sent.expired:
            return
        if answer.status is Status.INCOMPRESSIBLE:
            sent.job.incompressible()
        elif answer.status is not Status.DONE:
            sent.job.failed(_REASONS[answer.status])
        elif crc32c(payload) != answer.crc32c or not payload:
            self.distrust("result and checksum disagree")
            sent.job.failed("mismatch")
        else:
            sent.job.done(payload, number)

    def distrust(self, reason: str) -> None:
        """The engine gave wrong bytes: nobody uses it any more."""
        self._metrics.verified.labels("mismatch").inc()
        if self.ring.state is not State.DISABLED:
            self.ring.disable(reason)
            get_logger().error("gpu: wrong bytes; disabled until the gateway is started again", reason=reason)

    def _welcomed(self, generation: int) -> None:
        with self._lock:
            if generation == self.ring.generation and generation != self._generation:
                self._generation = generation
                self._lent.clear()
                self._free = [slot for slot in range(self.ring.slots) if slot not in self._held]
                self._able = {Operation.ENCODE: self.ring.encodes, Operation.DECODE: self.ring.decodes}
                self._results = 0

    def _expire(self) -> None:
        """End what nobody is going to answer for, or not in time."""
        now = time.monotonic()
        late: list[tuple[Job, str]] = []
        with self._lock:
            current = 0 if self._closed else self.ring.generation
            for sequence, sent in list(self._sent.items()):
                if sent.generation != current:
                    del self._sent[sequence]
                    if not sent.expired:
                        late.append((sent.job, "worker_lost"))
                elif not sent.expired and now > sent.deadline_s:
                    sent.expired = True
                    late.append((sent.job, "deadline"))
            self._metrics.in_flight.set(len(self._sent))
        for job, reason in late:
            job.failed(reason)
