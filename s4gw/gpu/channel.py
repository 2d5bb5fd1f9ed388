"""A gateway worker's way to the GPU worker: a lane of the ring, and who owns which slot of it when.

A slot belongs to this process until its request is sent, then to the GPU worker until it answers or is known to be dead
(the generation changes). A job that met its deadline has failed, but its slot is not used again before one of these
happens. A new process on a lane greets first and uses no slot before it is welcomed, since the GPU worker may still
write for the one before.

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
POLL_S: Final = 0.1
"""How soon deadlines and the death of the GPU worker are noticed."""

_REASONS: Final = {
    Status.FAILED: "failed",
    Status.OUT_OF_MEMORY: "out_of_memory",
    Status.CORRUPT: "corrupt",
}


class Job(ABC):
    """One chunk and what is to become of it.

    Attributes:
        data: The chunk; stays as it is until the job ends.
        operation: What to do with it.
        codec: Codec id to ask for.
        level: Of the codec.
        parameters: Of the codec.
        original_size: Decode: bytes of the original.
        crc32c: Of the chunk.
    """

    data: memoryview
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
        self._filling: set[int] = set()  # slots that a thread copies into; they outlive a generation
        self._sequence = 0
        self._generation = 0  # of the GPU worker that has welcomed us; 0: none has
        self._able: dict[Operation, frozenset[int]] = {}
        self._results = 0
        self._greeted = 0  # generation that was greeted last, and when
        self._greeted_s = 0.0
        self._closed = False
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
        if self._claim is not None:
            self._claim.give_back()
        os.close(self._wake)

    # -- sending, in the caller's thread ---------------------------------------------------------------------------
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
            if not self._free:
                return "ring_full"
            lane, slot, generation = self._lane(), self._free.pop(), self._generation
            self._filling.add(slot)
            self._sequence = (self._sequence + 1) & 0xFFFFFFFF
            sequence = self._sequence
        size = job.data.nbytes
        self.ring.slot(lane, slot)[:size] = job.data  # PERF: the one copy, outside the lock
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
        sent = _Sent(job, slot, generation, time.monotonic() + self._deadline_s)
        with self._lock:
            self._filling.remove(slot)
            if self._closed or self._generation != generation:
                self._free.append(slot)  # of the generation that has come meanwhile
                return "worker_lost"
            self._sent[sequence] = sent
            if not self._link.requests[lane].offer(request.pack()):
                del self._sent[sequence]
                self._free.append(slot)
                return "ring_full"
            if len(self._sent) == 1:
                os.eventfd_write(self._wake, 1)  # deadlines count from now on
            self._metrics.in_flight.set(len(self._sent))
        return None

    def _usable(self) -> bool:
        """The one that welcomed us is still there and sound; under the lock."""
        ring = self.ring
        return self._generation != 0 and ring.generation == self._generation and ring.state is State.READY

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
        listening = False
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
            sent = self._sent.get(answer.sequence)
            if sent is None or sent.generation != answer.generation:
                return
            del self._sent[answer.sequence]
            self._metrics.in_flight.set(len(self._sent))
            number = self._results = self._results + 1
        payload = b""
        if answer.status is Status.DONE and not sent.expired:
            payload = bytes(self.ring.slot(self._lane(), sent.slot)[: answer.size])
        with self._lock:
            if sent.generation == self._generation:
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
                self._free = [slot for slot in range(self.ring.slots) if slot not in self._filling]
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
