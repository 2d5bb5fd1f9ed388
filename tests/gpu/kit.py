"""Real worker processes, clients and data for the tests of this package."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from s4gw.codec import FRAME_HEADER_SIZE, Choice, CodecId, EncodedFrame, decode_frame, parse_frame_header
from s4gw.gpu import Client, Link, Supervisor, Wanted
from s4gw.gpu.supervisor import CPU_ENGINE
from s4gw.observability import Metrics

FAULT_ENGINE: Final = "tests.gpu.faults:make"
ZSTD: Final = Choice(CodecId.CPU_ZSTD, 1)
WAIT_S: Final = 20.0
KIB: Final = 1024


def text(size: int, seed: int = 1) -> bytes:
    """Letters at random that compress about twice; always the same for a seed."""
    return random.Random(seed).randbytes(size).translate(b"abcdefghijklmnop" * 16)


def decoded(frame: EncodedFrame) -> bytes:
    """Read a frame as any reader does, its checksum included."""
    header = parse_frame_header(frame.header)
    assert len(frame.header) == FRAME_HEADER_SIZE
    return bytes(decode_frame(header, bytes(frame.payload)))


def until(condition: Callable[[], bool], seconds: float = WAIT_S) -> bool:
    """Poll *condition*; its last answer."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@dataclasses.dataclass
class Running:
    """A supervised worker, and a client of it in this process."""

    supervisor: Supervisor
    client: Client
    metrics: Metrics
    link: Link

    def ready(self) -> bool:
        """Send frames until the worker has welcomed the client."""

        def welcomed() -> bool:
            if not self.client.ready:
                self.client.submit(memoryview(bytes(KIB)), ZSTD).result(WAIT_S)
            return self.client.ready

        return until(welcomed)

    def fallbacks(self, reason: str) -> float:
        """Chunks that fell back for *reason*."""
        return sample(self.metrics, "s4_gpu_fallback_total", reason=reason)


def sample(metrics: Metrics, name: str, **labels: str) -> float:
    """A metric of this process."""
    return metrics.registry.get_sample_value(name, labels) or 0.0


@contextlib.contextmanager
def running(
    folder: Path,
    *,
    engine: str = CPU_ENGINE,
    lanes: int = 2,
    slots: int = 8,
    verify_every: int = 64,
    deadline_s: float = 3.0,
    batch_s_max: float = 1.0,
    prefer: CodecId | None = None,
) -> Iterator[Running]:
    """A worker process, supervised by this one, and a client."""
    link = Link.make(lanes, slots, folder / "gpu.lock")
    wanted = Wanted(engine=engine, batch_s_max=batch_s_max, beat_s_max=1.5)
    supervisor = Supervisor(link, wanted, log_format="pretty", gone=lambda _pid: None)
    supervisor.start()
    pool = ThreadPoolExecutor(2)
    metrics = Metrics()
    stop = threading.Event()
    ticking = threading.Thread(target=_tick, args=(supervisor, stop))
    ticking.start()
    client = Client(
        link,
        pool,
        metrics.gpu,
        bytes_min=KIB,
        verify_every=verify_every,
        deadline_s=deadline_s,
        prefer=prefer,
    )
    try:
        yield Running(supervisor, client, metrics, link)
    finally:
        client.close()
        stop.set()
        ticking.join()
        supervisor.stop()
        pool.shutdown()


def _tick(supervisor: Supervisor, stop: threading.Event) -> None:
    """What gunicorn's master does."""
    while not stop.wait(0.05):
        supervisor.tick()
