"""Tests of s4gw.gpu.client against a real worker process, against none, and against one that makes no sense."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from s4gw.checksum import crc32c
from s4gw.codec import (
    ChecksumMismatch,
    Choice,
    CodecId,
    CodecUnavailable,
    Container,
    CorruptFrame,
    EncodedFrame,
    FcgAlgorithm,
    Filter,
    FrameHeader,
    TypedFilter,
    encode_frame,
    zstd,
)
from s4gw.gpu import Client, Link
from s4gw.gpu.protocol import SLOT_BYTES, Answer, Operation, Request, State, Status
from s4gw.observability import Metrics
from tests.gpu.kit import KIB, WAIT_S, ZSTD, decoded, running, sample, text, until


def test_frames_are_what_the_cpu_would_write(tmp_path: Path) -> None:
    """Same codec, same bytes: a reader cannot tell who compressed."""
    chunk = text(256 * KIB)
    numbers = b"".join((10**12 + 7 * number).to_bytes(8, "big") for number in range(20_000)) + b"odd"
    with running(tmp_path) as gpu:
        assert gpu.ready()
        for choice, data in (
            (ZSTD, chunk),
            (Choice(CodecId.CPU_ZSTD, 3), chunk),
            (Choice(CodecId.CPU_GZIP, 2), chunk),
            (Choice(CodecId.TYPED, 1, Filter(TypedFilter.DELTA, 8, big_endian=True)), numbers),
            (Choice(CodecId.TYPED, 1, Filter(TypedFilter.PLANES, 21, mask=5)), numbers),
            (Choice(CodecId.ZSTD_CASCADE, 1), chunk),  # once is enough: it is plain zstd
            (Choice(CodecId.ZSTD_CASCADE, 1), b"the same line again and again" * 5000),
        ):
            sent = sample(gpu.metrics, "s4_gpu_verified_total", result="ok")
            frame = gpu.client.submit(memoryview(data), choice).result(WAIT_S)
            here = encode_frame(data, choice)
            assert (here.codec, here.header, here.payload) == (frame.codec, frame.header, frame.payload)
            assert data == decoded(frame)
            assert sample(gpu.metrics, "s4_gpu_verified_total", result="ok") == sent + 1


def test_what_does_not_shrink_is_stored_as_it_is(tmp_path: Path) -> None:
    """The worker says so, and the frame holds the chunk itself."""
    chunk = os.urandom(64 * KIB)
    with running(tmp_path) as gpu:
        assert gpu.ready()
        frame = gpu.client.submit(memoryview(chunk), ZSTD).result(WAIT_S)
        assert (CodecId.PASSTHROUGH, chunk) == (frame.codec, decoded(frame))
        assert 0 == sum(gpu.fallbacks(reason) for reason in ("failed", "corrupt", "mismatch"))


def test_what_is_not_for_the_ring(tmp_path: Path) -> None:
    """Small frames, high levels and codecs that the engine does not have stay on the CPU, and are no fallback."""
    with running(tmp_path) as gpu:
        assert gpu.ready()
        for size, choice in (
            (KIB - 1, ZSTD),
            (KIB, Choice(CodecId.CPU_ZSTD, 19)),
            (KIB, Choice(CodecId.PASSTHROUGH, 0)),
            (2 * KIB * KIB, ZSTD),
        ):
            chunk = text(size)
            assert chunk == decoded(gpu.client.submit(memoryview(chunk), choice).result(WAIT_S))
        assert 0 == sample(gpu.metrics, "s4_gpu_verified_total", result="ok")
        assert 0 == sum(gpu.fallbacks(reason) for reason in ("ring_full", "failed", "worker_lost"))


def test_a_full_ring_is_no_reason_to_wait(tmp_path: Path) -> None:
    """More chunks than slots: the rest is compressed on the CPU, at once."""
    with running(tmp_path, slots=2) as gpu:
        assert gpu.ready()
        chunks = [text(512 * KIB, seed) for seed in range(12)]
        futures = [gpu.client.submit(memoryview(chunk), ZSTD) for chunk in chunks]
        assert chunks == [decoded(future.result(WAIT_S)) for future in futures]
        assert gpu.fallbacks("ring_full") > 0


def test_a_killed_process_gives_its_lane_up(tmp_path: Path) -> None:
    """Kill -9 with chunks under way: the next one on the lane is welcomed and gets right results."""
    with running(tmp_path, lanes=1, slots=4) as gpu:
        child = os.fork()
        if child == 0:  # a gateway worker: holds the only lane and keeps it busy until it is killed
            client = Client(gpu.link, ThreadPoolExecutor(2), Metrics().gpu, bytes_min=KIB)
            chunk = text(512 * KIB)
            while True:
                futures = [client.submit(memoryview(chunk), ZSTD) for _ in range(8)]
                if client.ready:
                    (tmp_path / "busy").touch()
                [future.result() for future in futures]
        assert until((tmp_path / "busy").exists)
        chunk = text(64 * KIB)
        gpu.client.submit(memoryview(chunk), ZSTD).result(WAIT_S)
        assert not gpu.client.ready  # the lane is taken: this process does without
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert gpu.ready()
        frames = [gpu.client.submit(memoryview(chunk), ZSTD).result(WAIT_S) for _ in range(20)]
        assert [chunk] * 20 == [decoded(frame) for frame in frames]
        assert 0 == gpu.fallbacks("mismatch") + gpu.fallbacks("corrupt")


def test_a_container_is_decoded_in_parts(tmp_path: Path) -> None:
    """Frames of other writers are larger than a slot: their chunks go there in as many parts as it takes."""
    data = text(5 * KIB * KIB + 17)
    chunks = [zstd.encode(data[start : start + 64 * KIB], 1) for start in range(0, len(data), 64 * KIB)]
    payload = Container(FcgAlgorithm.ZSTD, 0, len(data), 64 * KIB, chunks).pack()
    header = FrameHeader(CodecId.NVCOMP_ZSTD, len(data), len(payload), crc32c(data))
    with running(tmp_path) as gpu:
        assert gpu.ready()
        assert data == gpu.client.decode(header, payload)
        wrong = FrameHeader(CodecId.NVCOMP_ZSTD, len(data), len(payload), crc32c(data) ^ 1)
        with pytest.raises(ChecksumMismatch):
            gpu.client.decode(wrong, payload)
        damaged = bytearray(payload)
        damaged[-100] ^= 0xFF
        with pytest.raises(CorruptFrame):
            gpu.client.decode(header, damaged)


def test_a_codec_that_nobody_has(tmp_path: Path) -> None:
    """The CPU engine has no bitcomp: the error names the codec; asked for by name, frames are the CPU's."""
    data = text(64 * KIB)
    payload = Container(FcgAlgorithm.BITCOMP, 0, len(data), 64 * KIB, [data]).pack()
    header = FrameHeader(CodecId.NVCOMP_BITCOMP, len(data), len(payload), crc32c(data))
    with running(tmp_path, prefer=CodecId.NVCOMP_BITCOMP) as gpu:
        assert gpu.ready()
        with pytest.raises(CodecUnavailable, match="nvcomp-bitcomp needs a GPU"):
            gpu.client.decode(header, payload)
        frame = gpu.client.submit(memoryview(data), ZSTD).result(WAIT_S)
        assert (CodecId.CPU_ZSTD, data) == (frame.codec, decoded(frame))


class Rogue:
    """A hand-made GPU worker: answers as a test wants."""

    def __init__(self, folder: Path) -> None:
        self.link = Link.make(1, 2, folder / "gpu.lock")
        self.metrics = Metrics()
        self.pool = ThreadPoolExecutor(2)
        self.link.ring.describe("rogue", frozenset({CodecId.CPU_ZSTD}), frozenset())
        self.link.ring.set_generation(1)
        self.link.ring.set_state(State.READY)
        self.client = Client(self.link, self.pool, self.metrics.gpu, bytes_min=KIB, deadline_s=0.3)
        self.chunk = text(8 * KIB)
        self.submit().result(WAIT_S)
        hello = self.request()
        assert Operation.HELLO is hello.operation
        self.answer(hello, Status.WELCOME)
        assert until(lambda: self.client.ready)

    def submit(self) -> Future[EncodedFrame]:
        return self.client.submit(memoryview(self.chunk), ZSTD)

    def request(self) -> Request:
        (message,) = self.link.requests[0].drain()
        return Request.unpack(message, self.link.ring.slots)

    def answer(self, request: Request, status: Status, size: int = 0, checksum: int = 0, generation: int = 1) -> None:
        answer = Answer(
            generation=generation,
            epoch=request.epoch,
            sequence=request.sequence,
            status=status,
            size=size,
            crc32c=checksum,
        )
        self.link.answers[0].offer(answer.pack())

    def fallbacks(self, reason: str) -> float:
        return sample(self.metrics, "s4_gpu_fallback_total", reason=reason)


def test_a_deadline_frees_the_caller_and_keeps_the_slot(tmp_path: Path) -> None:
    """No answer: the CPU does it; the slot comes back with the answer, which then changes nothing."""
    gpu = Rogue(tmp_path)
    futures = [gpu.submit() for _ in range(3)]
    assert [gpu.chunk] * 3 == [decoded(future.result(WAIT_S)) for future in futures]
    assert (1, 2) == (gpu.fallbacks("ring_full"), gpu.fallbacks("deadline"))
    requests = [Request.unpack(message, 2) for message in gpu.link.requests[0].drain()]
    gpu.submit().result(WAIT_S)
    assert 2 == gpu.fallbacks("ring_full")  # both slots may still be written to
    gpu.answer(requests[0], Status.DONE, 100, 0)
    assert until(lambda: gpu.submit().result(WAIT_S) is not None and gpu.fallbacks("deadline") == 3)
    assert State.READY is gpu.link.ring.state
    gpu.client.close()


def test_an_answer_may_be_there_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread takes it before the one that sent the request has gone on."""
    gpu = Rogue(tmp_path)
    offer = gpu.link.requests[0].offer

    def answered(message: bytes) -> bool:
        sent = offer(message)
        gpu.answer(gpu.request(), Status.FAILED)
        threads.submit(gpu.client.channel.glance)
        time.sleep(0.05)  # it gets as far as it can
        return sent

    with ThreadPoolExecutor(1) as threads, monkeypatch.context() as patched:
        patched.setattr(gpu.link.requests[0], "offer", answered)
        assert gpu.chunk == decoded(gpu.submit().result(WAIT_S))
    assert (1, 0) == (gpu.fallbacks("failed"), gpu.fallbacks("deadline"))
    gpu.client.close()


def test_lies_about_sizes_are_met(tmp_path: Path) -> None:
    """A result that its checksum does not fit is as bad as wrong bytes: nothing is used from then on."""
    gpu = Rogue(tmp_path)
    future = gpu.submit()
    gpu.answer(gpu.request(), Status.DONE, SLOT_BYTES, crc32c(b"something else"))
    assert gpu.chunk == decoded(future.result(WAIT_S))
    assert (State.DISABLED, 1) == (gpu.link.ring.state, gpu.fallbacks("mismatch"))
    gpu.client.close()


def test_nonsense_is_not_acted_upon(tmp_path: Path) -> None:
    """Messages of other lengths, numbers, epochs and generations change nothing."""
    gpu = Rogue(tmp_path)
    future = gpu.submit()
    request = gpu.request()
    gpu.link.answers[0].offer(b"\xff" * 24)
    gpu.answer(request, Status.DONE, generation=7)
    other = Request(generation=1, epoch=request.epoch ^ 1, sequence=request.sequence, operation=Operation.ENCODE)
    gpu.answer(other, Status.DONE, 5, 5)
    unknown = Request(generation=1, epoch=request.epoch, sequence=99, operation=Operation.ENCODE)
    gpu.answer(unknown, Status.DONE, 5, 5)
    time.sleep(0.05)
    assert not future.done()
    gpu.answer(request, Status.FAILED)
    assert (gpu.chunk, 1) == (decoded(future.result(WAIT_S)), gpu.fallbacks("failed"))
    gpu.client.close()


def test_a_new_generation_frees_everything(tmp_path: Path) -> None:
    """The GPU worker has died: its chunks are done on the CPU at once, and its successor is greeted."""
    gpu = Rogue(tmp_path)
    future = gpu.submit()
    gpu.request()
    gpu.link.ring.set_generation(2)
    assert (gpu.chunk, 1) == (decoded(future.result(WAIT_S)), gpu.fallbacks("worker_lost"))
    gpu.submit().result(WAIT_S)
    hello = gpu.request()
    assert (Operation.HELLO, 2) == (hello.operation, hello.generation)
    gpu.client.close()


def test_closing_ends_what_is_under_way(tmp_path: Path) -> None:
    """No future stays open."""
    gpu = Rogue(tmp_path)
    future = gpu.submit()
    gpu.client.close()
    assert gpu.chunk == decoded(future.result(WAIT_S))
    assert gpu.chunk == decoded(gpu.submit().result(WAIT_S))
