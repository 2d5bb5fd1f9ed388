"""Tests of s4gw.gpu.worker: what it launches together, whom it answers, and when somebody new may use a lane."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from s4gw.checksum import crc32c
from s4gw.codec import CodecId
from s4gw.gpu import Link
from s4gw.gpu.batch import Plan
from s4gw.gpu.engine import DeviceOutOfMemory, EngineError, Incompressible, Task
from s4gw.gpu.protocol import SLOT_BYTES, Answer, Operation, Request, Status
from s4gw.gpu.worker import Worker
from s4gw.observability import Metrics
from tests.gpu.kit import sample, until

CHUNK = b"0123456789" * 20
GENERATION = 3


class Recorder:
    """An engine that notes its batches, answers what it is told to, and can be held back."""

    name = "recorder"
    encodes = decodes = frozenset({int(CodecId.CPU_ZSTD)})

    def __init__(self, linger_s: float) -> None:
        self.plan = Plan(batch_bytes_max=10 * len(CHUNK), linger_s=linger_s, streams=1)
        self.batches: list[tuple[int, list[bytes]]] = []
        self.results: list[bytes | EngineError] = []
        self.go = threading.Event()
        self.go.set()

    def adopt(self, ring: memoryview) -> None:
        """Nothing to register."""

    def encode_batch(self, task: Task, chunks: Sequence[memoryview]) -> Sequence[bytes | EngineError]:
        self.batches.append((task.codec, [bytes(chunk) for chunk in chunks]))
        self.go.wait(20)
        return self.results or [b"!" + bytes(chunk[:3]) for chunk in chunks]

    def decode_batch(
        self, task: Task, payloads: Sequence[memoryview], sizes: Sequence[int]
    ) -> Sequence[bytes | EngineError]:
        self.batches.append((task.codec, [bytes(payload) for payload in payloads]))
        return self.results or [bytes(size) for size in sizes]


class Bench:
    """A worker in a thread of this process, and the other ends of its lanes."""

    def __init__(self, folder: Path, linger_s: float) -> None:
        self.link = Link.make(3, 4, folder / "locks")
        self.engine = Recorder(linger_s)
        self.metrics = Metrics()
        self.worker = Worker(
            self.link.ring,
            self.link.requests,
            self.link.answers,
            self.engine,
            self.metrics,
            generation=GENERATION,
            batch_s_max=20,
        )
        self.thread = threading.Thread(target=self.worker.serve)
        self.thread.start()

    def stop(self) -> None:
        self.engine.go.set()
        self.worker.stop()
        self.thread.join()

    def hello(self, lane: int, epoch: int) -> None:
        self.send(lane, epoch, 0, Operation.HELLO)

    def send(self, lane: int, epoch: int, sequence: int, operation: Operation, **changes: int) -> None:
        slot = sequence % self.link.ring.slots
        self.link.ring.slot(lane, slot)[: len(CHUNK)] = CHUNK
        request = Request(
            generation=GENERATION,
            epoch=epoch,
            sequence=sequence,
            operation=operation,
            slot=slot,
            codec=CodecId.CPU_ZSTD,
            size=len(CHUNK),
            crc32c=crc32c(CHUNK),
        )
        self.link.requests[lane].put(msgspec.structs.replace(request, **changes).pack())

    def hold(self, lane: int, epoch: int) -> None:
        """Occupy the only stream with one chunk, so that all others wait together."""
        before = len(self.engine.batches)
        self.engine.go.clear()
        self.send(lane, epoch, 0, Operation.ENCODE)
        assert until(lambda: len(self.engine.batches) > before)

    def release(self) -> None:
        """Let it go, once the worker has read all requests."""
        assert until(lambda: all(queue.empty() for queue in self.link.requests))
        self.engine.go.set()

    def answers(self, lane: int, count: int) -> list[Answer]:
        """The next *count* answers of a lane."""
        found: list[Answer] = []

        def arrived() -> bool:
            found.extend(Answer.unpack(message) for message in self.link.answers[lane].drain())
            return len(found) >= count

        assert until(arrived)
        return found

    def welcomed(self, lane: int, epoch: int) -> None:
        self.hello(lane, epoch)
        (answer,) = self.answers(lane, 1)
        assert (Status.WELCOME, epoch, GENERATION) == (answer.status, answer.epoch, answer.generation)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, linger_s=0.2)
    yield made
    made.stop()


def test_chunks_of_all_lanes_go_into_one_launch(bench: Bench) -> None:
    """Requests of several gateway workers, one batch, an answer for each with its result in its slot."""
    for lane in range(3):
        bench.welcomed(lane, lane + 10)
    bench.hold(0, 10)
    for lane in range(3):
        bench.send(lane, lane + 10, 1, Operation.ENCODE)
        bench.send(lane, lane + 10, 2, Operation.ENCODE)
    bench.release()
    for lane in range(3):
        answers = bench.answers(lane, 2 if lane else 3)[-2:]
        assert [(Status.DONE, 1), (Status.DONE, 2)] == [(answer.status, answer.sequence) for answer in answers]
        results = [bytes(bench.link.ring.result(lane, answer.sequence)[: answer.size]) for answer in answers]
        assert ([b"!012"] * 2, [crc32c(b"!012")] * 2) == (results, [answer.crc32c for answer in answers])
    assert (int(CodecId.CPU_ZSTD), [CHUNK] * 6) == bench.engine.batches[1]
    assert until(lambda: 2 == sample(bench.metrics, "s4_gpu_batch_total", result="ok"))


def test_a_full_batch_does_not_linger(bench: Bench) -> None:
    """Ten chunks are a launch; the eleventh goes with the next."""
    for lane in range(3):
        bench.welcomed(lane, 1)
    bench.hold(0, 1)
    for lane in range(3):
        for sequence in range(4):
            bench.send(lane, 1, sequence, Operation.ENCODE)
    bench.release()
    assert until(lambda: len(bench.engine.batches) == 3)
    assert [1, 10, 2] == [len(chunks) for _, chunks in bench.engine.batches]


def test_what_nobody_may_ask_for_is_dropped(bench: Bench) -> None:
    """Before a greeting, for another generation, of another epoch: no launch, no answer."""
    bench.send(0, 1, 1, Operation.ENCODE)
    bench.welcomed(0, 1)
    bench.send(0, 1, 2, Operation.ENCODE, generation=GENERATION - 1)
    bench.send(0, 2, 3, Operation.ENCODE)
    bench.send(0, 1, 4, Operation.ENCODE)
    (answer,) = bench.answers(0, 1)
    assert (4, 1) == (answer.sequence, len(bench.engine.batches))


def test_a_successor_waits_for_what_is_under_way(bench: Bench) -> None:
    """The holder of a lane has died with a chunk in a launch and one in the queue: welcome comes after the first."""
    bench.welcomed(0, 1)
    bench.engine.go.clear()
    bench.send(0, 1, 1, Operation.ENCODE)
    assert until(lambda: len(bench.engine.batches) == 1)
    bench.send(0, 1, 2, Operation.ENCODE)
    bench.hello(0, 2)
    bench.welcomed(1, 5)  # everybody else is served meanwhile
    assert bench.link.answers[0].empty()
    bench.engine.go.set()
    answers = bench.answers(0, 2)
    assert [(1, Status.DONE), (2, Status.WELCOME)] == [(answer.epoch, answer.status) for answer in answers]
    bench.send(0, 2, 9, Operation.ENCODE)
    assert [9] == [answer.sequence for answer in bench.answers(0, 1)]
    assert [1, 1] == [len(chunks) for _, chunks in bench.engine.batches]  # the queued chunk of the dead was dropped


def test_every_kind_of_result(bench: Bench) -> None:
    """Errors and results that do not fit are told apart, and counted."""
    bench.welcomed(0, 1)
    bench.welcomed(1, 1)
    bench.hold(1, 1)
    for sequence in range(4):
        bench.send(0, 1, sequence, Operation.ENCODE)
    bench.engine.results = [Incompressible(), EngineError("broken"), CHUNK, b"x"]
    bench.release()
    assert [Status.FAILED] == [answer.status for answer in bench.answers(1, 1)]  # four results for one chunk
    expected = [Status.INCOMPRESSIBLE, Status.FAILED, Status.INCOMPRESSIBLE, Status.DONE]
    assert expected == [answer.status for answer in bench.answers(0, 4)]
    assert until(lambda: 1 == sample(bench.metrics, "s4_gpu_batch_total", result="partial"))
    bench.engine.results = [bytes(SLOT_BYTES + 1)]
    bench.send(0, 1, 5, Operation.ENCODE)
    assert [Status.FAILED] == [answer.status for answer in bench.answers(0, 1)]


def test_damaged_bytes_never_get_to_a_decoder(bench: Bench) -> None:
    """What is in the slot must be what was announced; what comes out must have the announced size."""
    bench.welcomed(0, 1)
    bench.send(0, 1, 1, Operation.DECODE, original_size=500, crc32c=1)
    assert ([Status.CORRUPT], []) == ([answer.status for answer in bench.answers(0, 1)], bench.engine.batches)
    bench.send(0, 1, 2, Operation.DECODE, original_size=500)
    (answer,) = bench.answers(0, 1)
    assert (Status.DONE, 500) == (answer.status, answer.size)
    bench.engine.results = [bytes(499)]
    bench.send(0, 1, 3, Operation.DECODE, original_size=500)
    assert [Status.CORRUPT] == [answer.status for answer in bench.answers(0, 1)]


def test_want_of_memory_makes_batches_smaller(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch fails, its chunks go to the CPU, the next ones are half as large."""

    def full(*_: object) -> None:
        raise DeviceOutOfMemory("full")

    bench.welcomed(0, 1)
    with monkeypatch.context() as patched:
        patched.setattr(bench.engine, "encode_batch", full)
        bench.send(0, 1, 1, Operation.ENCODE)
        assert [Status.OUT_OF_MEMORY] == [answer.status for answer in bench.answers(0, 1)]
    assert 1 == sample(bench.metrics, "s4_gpu_oom_total")
    bench.hold(0, 1)
    for lane in (1, 2):
        bench.welcomed(lane, 1)
        for sequence in range(4):
            bench.send(lane, 1, sequence, Operation.ENCODE)
    bench.release()
    assert until(lambda: len(bench.engine.batches) == 3)
    assert [1, 5, 3] == [len(chunks) for _, chunks in bench.engine.batches]
