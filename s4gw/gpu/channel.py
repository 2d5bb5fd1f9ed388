"""A gateway worker's way to the GPU worker: a lane of the ring, and who owns which slot of it when.

A slot is *held* while a thread of this process receives into it, copies into it, or still needs the chunk that lies in
it; it is *lent* from its request on until the GPU worker answers or is known to be dead (the generation changes). It is
free when it is neither. A job that met its deadline has failed, but its slot stays lent. A new process on a lane greets
first and uses no slot before it is welcomed, since the GPU worker may still be busy for the one before; and a process
that ends keeps its lane as long as it holds a slot.

Sending never waits. Every job that was sent comes to an end: done, or failed for a reason.

Answers are taken by whoever waits for one (see `attention`), by those who find no slot, and every `POLL_S` by a thread
of the channel, which also ends what is not answered.
"""

from __future__ import annotations

import os
import select
import threading
import time
from typing import Final

import msgspec

from s4gw.checksum import crc32c
from s4gw.gpu.attention import Attention
from s4gw.gpu.job import Job, Slot
from s4gw.gpu.protocol import Answer, Operation, ProtocolError, Request, State, Status
from s4gw.gpu.ring import Claim, Link
from s4gw.observability import get_logger
from s4gw.observability.gpu_metrics import GpuMetrics

GREETING_S: Final = 1.0
"""How often an unanswered greeting, or the claim of a lane when all are taken, is tried again."""
UNRESERVED_PART: Final = 4
"""One in so many slots of a lane is left to chunks that are there: see `Channel.reserve`."""
WELCOME_S: Final = 0.01
"""How often an answer to the greeting is looked for."""
POLL_S: Final = 0.1
"""How soon deadlines and the death of the GPU worker are noticed."""

_REASONS: Final = {Status.FAILED: "failed", Status.OUT_OF_MEMORY: "out_of_memory", Status.CORRUPT: "corrupt"}


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
        self._attention = Attention(self._receive, POLL_S)
        self._poll = select.poll()  # over the answers; of the one who leads
        self._greeted = 0  # generation that was greeted last, and when
        self._greeted_s = 0.0
        self._closed = self._left = False
        self._dozing = False  # the thread waits to be woken
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._watch, name="gpu-answers", daemon=True)
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
        unreserved = self.ring.slots // UNRESERVED_PART
        if len(self._free) <= unreserved and self._sent:
            self._attention.glance()
        with self._lock:
            if not self._usable():
                self._greet()
                return None
            if len(self._free) <= unreserved:
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
        if not self._usable():
            with self._lock:
                self._greet()
            return self._refusal(job) or "greeting"
        job.crc32c = crc32c(job.data)
        if job.slot is not None:
            with self._lock:
                return self._refusal(job) or self._lend(job, job.slot.number)
        if not self._free and self._sent:
            self._attention.glance()
        with self._lock:
            refused = self._refusal(job) or (None if self._free else "ring_full")
            if refused is not None:
                return refused
            slot, generation = self._free.pop(), self._generation
            self._held.add(slot)
        self.ring.slot(self._lane(), slot)[: job.data.nbytes] = job.data  # PERF: outside the lock
        with self._lock:
            refused = self._lend(job, slot) if self._generation == generation else "worker_lost"
        self.release(slot)
        return refused

    def _refusal(self, job: Job) -> str | None:
        """Why the GPU worker is not to be asked, if it is not."""
        if not self._usable():
            state = self.ring.state
            return "greeting" if state is State.READY else state.name.lower()
        return None if job.codec in self._able[job.operation] else "unable"

    def _lend(self, job: Job, slot: int) -> str | None:
        """Send the request for a slot that is filled; under the lock. Returns: why not, if it cannot be."""
        if self._closed:
            return "worker_lost"
        sequence = self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        request = Request(
            generation=self._generation,
            epoch=self._epoch,
            sequence=sequence,
            operation=job.operation,
            slot=slot,
            codec=job.codec,
            level=job.level,
            parameters=job.parameters,
            size=job.data.nbytes,
            crc32c=job.crc32c,
            original_size=job.original_size,
        )
        # Before it is sent: the answer may be taken before this thread goes on.
        self._sent[sequence] = _Sent(job, slot, self._generation, time.monotonic() + self._deadline_s)
        self._lent.add(slot)
        if not self._link.requests[self._lane()].offer(request.pack()):
            del self._sent[sequence]
            self._lent.discard(slot)
            return "ring_full"
        if self._dozing:
            os.eventfd_write(self._wake, 1)  # deadlines count from now on
        return None

    def _leave(self) -> None:
        """Let somebody else have the lane, unless a thread still holds a slot of it; under the lock, when closed."""
        if self._claim is not None and not self._held and not self._left:
            self._left = True
            self._claim.give_back()

    def _usable(self) -> bool:
        """The one that welcomed us is still there and sound."""
        return self._generation != 0 and self.ring.serving == self._generation and not self._closed

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

    # -- answers ---------------------------------------------------------------------------------------------------
    def attend(self, job: Job) -> None:
        """Wait for the answer to *job*, which was sent, or for its deadline; see `attention`."""
        self._attention.attend(job)

    def glance(self) -> None:
        """Take the answers that have come, if nobody does."""
        self._attention.glance()

    def _receive(self, wait_s: float) -> None:
        """Take what has come, or comes in time; one thread at a time."""
        claim = self._claim
        if claim is None:
            return
        if wait_s:
            self._poll.register(self._link.answers[claim.lane], select.POLLIN)
            self._poll.poll(wait_s * 1000)
        for message in self._link.answers[claim.lane].drain():
            self._take(message)

    def _watch(self) -> None:
        """Take answers that nobody waits for, greetings among them, and notice what does not come."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        before = -1
        try:
            while True:
                with self._lock:
                    if self._closed:
                        return
                    greeting = self._greeting()
                    self._dozing = not (greeting or self._sent or before != self._sequence)
                    wait_s = None if self._dozing else WELCOME_S if greeting else POLL_S
                    before = self._sequence
                if poll.poll(None if wait_s is None else wait_s * 1000):
                    os.eventfd_read(self._wake)
                self._attention.glance()
                self._expire()
        finally:
            with self._lock:
                self._closed = True
            self._expire()

    def _greeting(self) -> bool:
        """A welcome may come; under the lock."""
        ring = self.ring
        claimed = self._claim is not None
        return claimed and self._greeted == ring.generation != self._generation and ring.state is State.READY

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
        sent = self._sent.get(answer.sequence)
        if sent is None or sent.generation != answer.generation:
            return
        payload = b""
        if answer.status is Status.DONE and not sent.expired:
            payload = bytes(self.ring.result(self._lane(), sent.slot)[: answer.size])
        with self._lock:
            if self._sent.pop(answer.sequence, None) is None:
                return  # given up meanwhile
            number = self._results = self._results + 1
            if sent.generation == self._generation:
                self._lent.discard(sent.slot)
                if sent.slot not in self._held:
                    self._free.append(sent.slot)
        if sent.expired:
            return
        try:
            self._finish(sent.job, answer, payload, number)
        finally:
            self._attention.answered(sent.job)

    def _finish(self, job: Job, answer: Answer, payload: bytes, number: int) -> None:
        """Tell the job what became of it."""
        if answer.status is Status.INCOMPRESSIBLE:
            job.incompressible()
        elif answer.status is not Status.DONE:
            job.failed(_REASONS[answer.status])
        elif crc32c(payload) != answer.crc32c or not payload:
            self.distrust("result and checksum disagree")
            job.failed("mismatch")
        else:
            job.done(payload, number)

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
            self._attention.answered(job)
