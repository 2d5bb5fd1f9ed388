"""The GPU worker: one process, one engine, the chunks of all gateway workers.

A thread per stream reads requests, forms batches and carries them out: no chunk waits for another thread to wake up.
The first thread only watches. It trusts nobody: requests are checked, results that do not fit are errors, a batch that
outlives its deadline ends the process, and so does the end of its parent. `process` is the program around it.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from s4gw.checksum import crc32c
from s4gw.codec import CodecId
from s4gw.gpu.batch import Batch, Batcher
from s4gw.gpu.engine import DamagedPayload, DeviceLost, DeviceOutOfMemory, Engine, EngineError, Incompressible, Task
from s4gw.gpu.lane import LaneQueue
from s4gw.gpu.protocol import SLOT_BYTES, Answer, Operation, ProtocolError, Request, State, Status
from s4gw.gpu.ring import Ring
from s4gw.observability import Metrics, get_logger

BEAT_S: Final = 0.25
EXIT_HUNG: Final = 70
EXIT_LOST: Final = 73


class Job(msgspec.Struct, frozen=True, gc=False):
    """One chunk of one lane."""

    lane: int
    request: Request


class Key(msgspec.Struct, frozen=True, gc=False):
    """What the chunks of a batch have in common."""

    operation: Operation
    task: Task


class _Launched(msgspec.Struct, frozen=True, gc=False):
    """A launch that went well, for the metrics."""

    key: Key
    seconds: float
    size: int
    failed: bool
    """For some of its chunks."""


class Worker:
    """Serves the lanes of a ring.

    Args:
        ring: Attached.
        requests: Queues to read, one per lane.
        answers: Queues to write, one per lane.
        engine: Does the work.
        metrics: Of this process.
        generation: Its own number; requests for another one are dropped.
        parent: A pidfd that becomes readable when the process served has ended, or None.
        batch_s_max: Seconds that a launch may take.
    """

    def __init__(  # noqa: PLR0913 - what a process is made of
        self,
        ring: Ring,
        requests: Sequence[LaneQueue],
        answers: Sequence[LaneQueue],
        engine: Engine,
        metrics: Metrics,
        *,
        generation: int,
        parent: int | None = None,
        batch_s_max: float,
    ) -> None:
        self._ring = ring
        self._requests = requests
        self._answers = answers
        self._engine = engine
        self._metrics = metrics.gpu
        self._generation = generation
        self._batch_s_max = batch_s_max
        self._batcher: Batcher[Job] = Batcher(engine.plan)
        self._lock = threading.Lock()  # over the batcher and what follows, down to _idle
        self._running: dict[int, float] = {}  # launch -> when it began
        self._under_way = [0] * ring.lanes  # chunks of each lane that a launch works on
        self._welcomes: dict[int, Request] = {}  # lane -> greeting to be answered
        self._epochs: dict[int, int] = {}
        self._launches = 0
        self._launched: deque[_Launched] = deque()
        self._idle = 0  # threads that wait for something to do
        # Edges, each of which wakes one thread.
        self._lanes = {queue.fileno(): lane for lane, queue in enumerate(requests)}
        self._more = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll = select.epoll()
        for descriptor in (*self._lanes, self._more):
            self._epoll.register(descriptor, select.EPOLLIN | select.EPOLLET)
        self._parent = parent
        self._stop = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stopping = False

    def stop(self) -> None:
        """Make `serve` return soon; may be called by a signal handler."""
        self._stopping = True
        os.eventfd_write(self._stop, 1)

    def serve(self) -> None:
        """Run until told to stop, until the parent is gone, or until the engine has been disabled."""
        plan = self._engine.plan
        # Where chunks wait for others, somebody has to see them come while all streams work.
        for number in range(plan.streams + (plan.linger_s > 0)):
            threading.Thread(target=self._work, name=f"stream-{number}", daemon=True).start()
        poll = select.poll()
        poll.register(self._stop, select.POLLIN)
        if self._parent is not None:
            poll.register(self._parent, select.POLLIN)
        while not self._stopping:
            if poll.poll(BEAT_S * 1000):
                self._stopping = True
            self._watch()
        os.eventfd_write(self._more, 1)

    def _watch(self) -> None:
        """Show that this process lives, unless a launch does not end."""
        with self._lock:
            began = min(self._running.values(), default=None)
        if began is not None and time.monotonic() - began > self._batch_s_max:
            self._metrics.batches.labels("deadline").inc()
            get_logger().error("gpu worker: a launch does not end; giving up", seconds=self._batch_s_max)
            os._exit(EXIT_HUNG)  # not exit(): threads that hang would be waited for
        if self._ring.state is State.DISABLED:
            self._stopping = True
        self._ring.beat()
        self._count()

    # -- what each thread does -------------------------------------------------------------------------------------
    def _work(self) -> None:
        """Carry out what is due, else wait for requests."""
        try:
            while not self._stopping:
                launch = self._next()
                if launch is None:
                    self._wait()
                else:
                    self._carry_out(*launch)
                if self._welcomes:
                    self._welcome()
        except BaseException:  # noqa: BLE001 - the worker's loop, see the next line
            # Without answers its chunks would wait for their deadlines, and their slots for ever.
            get_logger().exception("gpu worker: a launch failed outside the engine; giving up")
            os._exit(EXIT_HUNG)
        os.eventfd_write(self._more, 1)  # the next one is to end as well

    def _wait(self) -> None:
        """Read requests when there are some; come back when something may be due."""
        with self._lock:
            wait = self._batcher.wait_s(time.monotonic(), len(self._running))
            self._idle += 1
        try:
            events = self._epoll.poll(wait, 1)
        finally:
            with self._lock:
                self._idle -= 1
        for descriptor, _ in events:
            lane = self._lanes.get(descriptor)
            if lane is not None:
                self._read(lane)

    # -- requests --------------------------------------------------------------------------------------------------
    def _read(self, lane: int) -> None:
        """Take the requests of one lane, all of them."""
        now = time.monotonic()
        for message in self._requests[lane].drain():
            try:
                request = Request.unpack(message, self._ring.slots)
            except ProtocolError as error:
                get_logger().error("gpu worker: a request makes no sense", lane=lane, reason=str(error))
                continue
            if request.generation != self._generation:
                continue  # meant for a worker that is dead; its sender knows
            with self._lock:
                if request.operation is Operation.HELLO:
                    self._epochs[lane] = request.epoch
                    self._welcomes[lane] = request
                    self._batcher.drop(lambda job: job.lane == lane)
                elif request.epoch == self._epochs.get(lane):
                    key = Key(request.operation, Task(request.codec, request.level, request.parameters))
                    self._batcher.add(key, Job(lane, request), request.size, now)

    def _welcome(self) -> None:
        """Answer greetings of lanes on which nothing of an earlier holder is under way."""
        with self._lock:
            due = [(lane, request) for lane, request in self._welcomes.items() if not self._under_way[lane]]
            for lane, _ in due:
                del self._welcomes[lane]
        for lane, request in due:
            self._answer(lane, request, Status.WELCOME)

    def _answer(self, lane: int, request: Request, status: Status, size: int = 0, checksum: int = 0) -> None:
        """Tell the sender; one that does not read its answers meets its own deadline."""
        answer = Answer(
            generation=self._generation,
            epoch=request.epoch,
            sequence=request.sequence,
            status=status,
            size=size,
            crc32c=checksum,
        )
        self._answers[lane].offer(answer.pack())

    # -- launches --------------------------------------------------------------------------------------------------
    def _next(self) -> tuple[int, Batch[Job]] | None:
        """Take what is due and count it as running: (number of the launch, batch)."""
        now = time.monotonic()
        with self._lock:
            batch = None if self._stopping else self._batcher.take(now, len(self._running))
            if batch is None:
                return None
            self._launches += 1
            self._running[self._launches] = now
            for job in batch.items:
                self._under_way[job.lane] += 1
            launch = self._launches, batch
            others = self._idle and len(self._batcher)
        if others:
            os.eventfd_write(self._more, 1)
        return launch

    def _carry_out(self, number: int, batch: Batch[Job]) -> None:
        """Run one batch and answer for each of its chunks."""
        sound = []
        for job in batch.items:
            chunk = self._ring.slot(job.lane, job.request.slot)[: job.request.size].toreadonly()
            decoding = job.request.operation is Operation.DECODE
            if not decoding or crc32c(chunk) == job.request.crc32c:
                sound.append((job, chunk))
            else:  # SECURITY: decoders of a GPU trust their input; damaged bytes never get to them
                self._answer(job.lane, job.request, Status.CORRUPT)
        results = self._results(batch.key, sound)
        for (job, _), result in zip(sound, results, strict=True):
            self._answer(job.lane, job.request, *self._put(job, result))
        if any(isinstance(result, DeviceLost) for result in results):
            os._exit(EXIT_LOST)
        with self._lock:
            del self._running[number]
            for job in batch.items:
                self._under_way[job.lane] -= 1

    def _results(self, key: object, work: Sequence[tuple[Job, memoryview]]) -> Sequence[bytes | EngineError]:
        """Ask the engine, and count how that went."""
        assert isinstance(key, Key)
        if not work:
            return []
        encoding = key.operation is Operation.ENCODE
        chunks = [chunk for _, chunk in work]
        began = time.monotonic()
        try:
            if encoding:
                results = self._engine.encode_batch(key.task, chunks)
            else:
                sizes = [job.request.original_size for job, _ in work]
                results = self._engine.decode_batch(key.task, chunks, sizes)
            _check_count(results, chunks)
        except DeviceOutOfMemory as error:
            with self._lock:
                self._batcher.out_of_memory()
            self._metrics.batches.labels("out_of_memory").inc()
            self._metrics.out_of_memory.inc()
            return [error] * len(chunks)
        except DeviceLost as error:
            get_logger().error("gpu worker: the device is lost; giving up", reason=str(error)[:200])
            self._metrics.batches.labels("failed").inc()
            return [error] * len(chunks)
        except Exception as error:  # noqa: BLE001 - an engine may break in any way; the CPU does its work then
            get_logger().warning("gpu worker: a batch failed", reason=f"{type(error).__name__}: {error}"[:200])
            self._metrics.batches.labels("failed").inc()
            return [EngineError(str(error))] * len(chunks)
        failed = any(isinstance(each, EngineError) and not isinstance(each, Incompressible) for each in results)
        self._launched.append(_Launched(key, time.monotonic() - began, sum(map(len, chunks)), failed))
        return results

    def _count(self) -> None:
        """Put launches into the metrics. PERF: all of some time at once, when no chunk waits for it."""
        while self._launched:
            each = self._launched.popleft()
            with self._lock:
                self._batcher.sound()
            self._metrics.batches.labels("partial" if each.failed else "ok").inc()
            self._metrics.launched(
                codec=CodecId(each.key.task.codec).label,
                encoding=each.key.operation is Operation.ENCODE,
                seconds=each.seconds,
                size=each.size,
            )

    def _put(self, job: Job, result: object) -> tuple[Status, int, int]:
        """Put a result into its slot. Returns: status, size and checksum for the answer."""
        if isinstance(result, EngineError):
            return _status(result), 0, 0
        if not isinstance(result, bytes) or len(result) > SLOT_BYTES:
            return Status.FAILED, 0, 0
        if job.request.operation is Operation.ENCODE and len(result) >= job.request.size:
            return Status.INCOMPRESSIBLE, 0, 0
        if job.request.operation is Operation.DECODE and len(result) != job.request.original_size:
            return Status.CORRUPT, 0, 0
        self._ring.result(job.lane, job.request.slot)[: len(result)] = result
        return Status.DONE, len(result), crc32c(result)


def _check_count(results: Sequence[object], chunks: Sequence[object]) -> None:
    if len(results) != len(chunks):
        raise EngineError(f"{len(results)} results for {len(chunks)} chunks")


def _status(error: EngineError) -> Status:
    if isinstance(error, Incompressible):
        return Status.INCOMPRESSIBLE
    if isinstance(error, DamagedPayload):
        return Status.CORRUPT
    return Status.OUT_OF_MEMORY if isinstance(error, DeviceOutOfMemory) else Status.FAILED
