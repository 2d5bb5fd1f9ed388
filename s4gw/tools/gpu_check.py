"""What `s4gw gpu check` does: round trips, faults and throughput, through a real GPU worker process."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from s4gw.codec import (
    FRAME_BYTES,
    Choice,
    CodecId,
    EncodedFrame,
    Filter,
    TypedFilter,
    decode_frame,
    encode_frame,
    parse_frame_header,
    stream_raw,
)
from s4gw.gpu import GPU_CONTAINERS, SLOTS_PER_LANE, Client, Link, State, Supervisor, Unavailable, Wanted
from s4gw.objects.buffers import BufferPool, Room
from s4gw.observability import Metrics
from s4gw.tools import bench_data

START_S_MAX: Final = 120.0
WAIT_S: Final = 60.0
TICK_S: Final = 0.05
KIB: Final = 1024
SIZES: Final = (KIB, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, FRAME_BYTES - 7, FRAME_BYTES)
DATA: Final = ("json", "timestamps", "doc_values")
"""Of `bench_data`: text, numbers that are nearly a line, numbers whose low bytes repeat."""
TYPED: Final = (
    Filter(TypedFilter.DELTA, 8),
    Filter(TypedFilter.DELTA_PLANES, 4),
    Filter(TypedFilter.PACK, 8),
    Filter(TypedFilter.PLANES, 8),
)
BUSY: Final = frozenset({"ring_full", "greeting"})
"""Reasons to be done on the CPU that are no failures."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One line of the report."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Speed:
    """One way of compressing."""

    ratio: float
    mb_per_s: float
    cpu_s_per_gb: float


@dataclass(frozen=True, slots=True)
class Figure:
    """Two ways of compressing the same."""

    data: str
    codec: str
    direct: Speed
    ring: Speed
    share: float
    """Of the frames, those that did not fall back to the CPU."""


@dataclass(slots=True)
class Rig:
    """A GPU worker, kept running, and clients of it, one per codec that has to be asked for by name."""

    link: Link
    supervisor: Supervisor
    pool: ThreadPoolExecutor
    clients: dict[CodecId | None, Client] = field(default_factory=dict)
    metrics: dict[CodecId | None, Metrics] = field(default_factory=dict)

    def client(self, prefer: CodecId | None = None) -> Client:
        """A client that has been welcomed. Raises: Unavailable."""
        if prefer not in self.clients:
            metrics = self.metrics[prefer] = Metrics()
            self.clients[prefer] = Client(self.link, self.pool, metrics.gpu, bytes_min=KIB, prefer=prefer)
        client = self.clients[prefer]
        until = time.monotonic() + START_S_MAX
        while not client.ready:
            if self.link.ring.state in {State.UNAVAILABLE, State.DISABLED} or time.monotonic() > until:
                raise Unavailable(self.link.ring.reason or "the worker does not start")
            client.submit(memoryview(bytes(KIB)), Choice(CodecId.CPU_ZSTD, 1)).result(WAIT_S)
            time.sleep(TICK_S)
        return client

    def fallbacks(self, prefer: CodecId | None = None, but: frozenset[str] = frozenset()) -> dict[str, int]:
        """Frames that the CPU did, by reason."""
        found = {}
        for family in self.metrics[prefer].registry.collect():
            for sample in family.samples:
                if sample.name == "s4_gpu_fallback_total" and sample.labels["reason"] not in but:
                    found[sample.labels["reason"]] = int(sample.value)
        return found


@contextlib.contextmanager
def rig(what: Wanted) -> Iterator[Rig]:
    """Start a worker and wait for it. Raises: Unavailable."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        link = Link.make(1 + len(GPU_CONTAINERS), SLOTS_PER_LANE, Path(folder) / "lanes")
        supervisor = Supervisor(link, what, log_format="pretty", gone=lambda _pid: None)
        stop = threading.Event()
        supervisor.start()
        ticking = threading.Thread(target=_tick, args=(supervisor, stop))
        ticking.start()
        made = Rig(link, supervisor, pool)
        try:
            made.client()
            yield made
        finally:
            for client in made.clients.values():
                client.close()
            stop.set()
            ticking.join()
            supervisor.stop()


def _tick(supervisor: Supervisor, stop: threading.Event) -> None:
    while not stop.wait(TICK_S):
        supervisor.tick()


# -- round trips -------------------------------------------------------------------------------------------------------
def round_trips(gpu: Rig) -> Iterator[Outcome]:
    """Every codec of the engine on every kind of data: what comes back, who reads it, and whether the engine did it."""
    chunks = [bench_data.make(name, size) for name in DATA for size in SIZES]
    for number in sorted(gpu.link.ring.encodes):
        codec = CodecId(number)
        prefer = codec if codec in GPU_CONTAINERS else None
        client = gpu.client(prefer)
        before = gpu.fallbacks(prefer)
        frames = [
            (chunk, client.submit(memoryview(bytearray(chunk)), choice).result(WAIT_S))
            for choice in _choices(codec)
            for chunk in chunks
        ]
        wrong = sum(_read(client, frame) != chunk for chunk, frame in frames)
        stock = sum(_stock(frame) not in {None, chunk} for chunk, frame in frames)
        fell = {reason: count - before.get(reason, 0) for reason, count in gpu.fallbacks(prefer).items()}
        fell = {reason: count for reason, count in fell.items() if count}
        detail = f"{len(frames)} frames, read by {_reader(codec)}"
        problems = [
            f"{wrong} come back wrong" if wrong else "",
            f"{stock} are read otherwise by the stock library" if stock else "",
            f"done on the CPU: {fell}" if fell else "",
        ]
        text = "; ".join(filter(None, problems))
        yield Outcome(f"round trip {codec.label}", not text, text or detail)


def _choices(codec: CodecId) -> Sequence[Choice]:
    if codec is CodecId.TYPED:
        return [Choice(codec, 1, wanted) for wanted in TYPED]
    if codec is CodecId.NVCOMP_BITCOMP:
        return [Choice(CodecId.CPU_ZSTD, 1), Choice(CodecId.TYPED, 1, TYPED[0])]  # bytes, and the width of a type
    return [Choice(CodecId.CPU_ZSTD if codec in GPU_CONTAINERS else codec, 1)]


def _read(client: Client, frame: EncodedFrame) -> bytes:
    """The frame as a gateway reads it."""
    header, payload = parse_frame_header(frame.header), bytes(frame.payload)
    if header.codec in GPU_CONTAINERS:
        return client.decode(header, payload)
    return bytes(decode_frame(header, payload))


def _stock(frame: EncodedFrame) -> bytes | None:
    """The payload as a stock library reads it, without anything of ours around it; None where there is none."""
    if frame.codec is CodecId.CPU_ZSTD:
        return b"".join(stream_raw(CodecId.CPU_ZSTD, io.BytesIO(frame.payload)))
    return gzip.decompress(frame.payload) if frame.codec is CodecId.CPU_GZIP else None


def _reader(codec: CodecId) -> str:
    if codec in GPU_CONTAINERS:
        return "the same device"
    stock = {CodecId.CPU_ZSTD: "libzstd", CodecId.CPU_GZIP: "gzip"}
    return f"our CPU decoder{' and ' + stock[codec] if codec in stock else ''}"


# -- faults ------------------------------------------------------------------------------------------------------------
def faults(gpu: Rig) -> Iterator[Outcome]:
    """The worker is killed and frozen under load: every frame comes out right, and another worker serves."""
    yield _fault(gpu, "worker killed under load", signal.SIGKILL)
    yield _fault(gpu, "worker frozen under load", signal.SIGSTOP)
    yield _full(gpu)


def _fault(gpu: Rig, name: str, number: signal.Signals) -> Outcome:
    client = gpu.client()
    chunk = bench_data.make(DATA[0], FRAME_BYTES)
    first = gpu.supervisor.pid
    if first is None:
        return Outcome(name, False, "there is no worker")
    futures = [client.submit(memoryview(bytearray(chunk)), Choice(CodecId.CPU_ZSTD, 1)) for _ in range(SLOTS_PER_LANE)]
    os.kill(first, number)
    began = time.monotonic()
    wrong = sum(_read(client, future.result(WAIT_S)) != chunk for future in futures)
    done_s = time.monotonic() - began
    gpu.client()
    back_s = time.monotonic() - began
    detail = f"{len(futures)} frames right after {done_s:.1f} s, another worker serves after {back_s:.1f} s"
    sound = not wrong and gpu.supervisor.pid not in {first, None}
    return Outcome(name, sound, detail if sound else f"{wrong} frames wrong")


def _full(gpu: Rig) -> Outcome:
    """More frames than slots at once: none waits, none is lost."""
    client = gpu.client()
    chunk = bench_data.make(DATA[0], FRAME_BYTES)
    data = memoryview(bytearray(chunk))
    futures = [client.submit(data, Choice(CodecId.CPU_ZSTD, 3)) for _ in range(4 * SLOTS_PER_LANE)]
    wrong = sum(_read(client, future.result(WAIT_S)) != chunk for future in futures)
    full = gpu.fallbacks().get("ring_full", 0)
    return Outcome(
        "ring full", not wrong, f"{wrong} frames wrong" if wrong else f"{full} frames done on the CPU at once"
    )


# -- throughput --------------------------------------------------------------------------------------------------------
def throughput(gpu: Rig, size: int, rounds: int) -> list[Figure]:
    """Compress *size* bytes of each kind of data, directly and through the ring, in turns."""
    figures = []
    for name in DATA:
        data = bench_data.make(name, SLOTS_PER_LANE * FRAME_BYTES)
        buffers = [memoryview(data)[start : start + FRAME_BYTES] for start in range(0, len(data), FRAME_BYTES)]
        frames = [buffers[number % len(buffers)] for number in range(-(-size // FRAME_BYTES))]
        for number in sorted(gpu.link.ring.encodes):
            codec = CodecId(number)
            prefer = codec if codec in GPU_CONTAINERS else None
            choice = _choices(codec)[-1]
            client = gpu.client(prefer)
            _timed(gpu, frames[:SLOTS_PER_LANE], choice, client)  # the first results are all verified
            before = sum(gpu.fallbacks(prefer, BUSY).values())
            direct, ring = [], []
            for _ in range(rounds):
                direct.append(_timed(gpu, frames, choice, None))
                ring.append(_timed(gpu, frames, choice, client))
            fell = sum(gpu.fallbacks(prefer, BUSY).values()) - before
            share = 1 - fell / (rounds * len(frames))
            figures.append(Figure(name, codec.label, _best(direct), _best(ring), share))
    return figures


def _best(speeds: Sequence[Speed]) -> Speed:
    return max(speeds, key=lambda speed: speed.mb_per_s)


def _timed(gpu: Rig, frames: Sequence[memoryview], choice: Choice, client: Client | None) -> Speed:
    """Compress with as many frames under way as the lane has slots, as gateway workers do.

    Each is copied first into a slot that is lent, or into a buffer that was used before, as a body would be received.
    """
    buffers = BufferPool(FRAME_BYTES)
    pending: deque[tuple[Future[EncodedFrame], Room]] = deque()
    stored = 0
    cpu = _cpu_s(gpu)
    began = time.monotonic()

    def finish() -> int:
        future, room = pending.popleft()
        size = future.result(WAIT_S).stored_size
        room.give_back()
        return size

    for frame in frames:
        if len(pending) >= SLOTS_PER_LANE:
            stored += finish()
        room: Room = (client.reserve(FRAME_BYTES) if client is not None else None) or buffers.take()
        data = room.view[: len(frame)]
        data[:] = frame
        submitted = gpu.pool.submit(encode_frame, data, choice) if client is None else client.submit(data, choice, room)
        pending.append((submitted, room))
    while pending:
        stored += finish()
    wall = time.monotonic() - began
    size = sum(map(len, frames))
    return Speed(size / stored, size / wall / 1e6, (_cpu_s(gpu) - cpu) / (size / 1e9))


def _cpu_s(gpu: Rig) -> float:
    """CPU seconds of this process and of the worker."""
    fields = Path(f"/proc/{gpu.supervisor.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    worker = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return time.process_time() + worker
