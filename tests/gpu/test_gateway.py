"""A real gateway with a GPU worker: 16 concurrent PUTs through sound and broken engines, and through its death."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest

from tests.gpu import faults
from tests.gpu.kit import text
from tests.live import gateway as live
from tests.live.gateway import Gateway, wait_until

MIB = 1024 * 1024
ROOT = Path(__file__).parents[2]
WORKERS = 2
BODIES: Final[list[bytes]] = [text(300_000 if seed % 2 else MIB + MIB // 2, seed) for seed in range(16)]
"""One frame, and two."""


def put_all(gateway: Gateway, bodies: list[bytes], prefix: str = "") -> None:
    """Put every body, 16 at a time, then read it back, whole; raises when one PUT or GET fails."""
    s3 = gateway.client()

    def put(number: int) -> None:
        s3.put_object(Bucket="gpu", Key=f"{prefix}{number}", Body=bodies[number])

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(put, range(len(bodies))))
    got = [s3.get_object(Bucket="gpu", Key=f"{prefix}{number}")["Body"].read() for number in range(len(bodies))]
    assert bodies == got


def gpu_worker(gateway: Gateway) -> int | None:
    """Process id of the gateway's GPU worker."""
    for pid in live._descendants(gateway.process.pid):
        if b"s4gw.gpu.process" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return None


def warm(gateway: Gateway) -> bool:
    """Put frames until the GPU worker does some."""
    s3 = gateway.client()

    def used() -> bool:
        before = gateway.metric("s4_gpu_compress_seconds_count")
        for _ in range(4):
            s3.put_object(Bucket="gpu", Key="warm", Body=text(300_000))
        return gateway.metric("s4_gpu_compress_seconds_count") > before

    return wait_until(used)


@pytest.fixture
def sound(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway with the CPU engine in a process of its own."""
    with live.running(tmp_path, "--gpu", "cpu", "--workers", str(WORKERS)) as gateway:
        gateway.client().create_bucket(Bucket="gpu")
        yield gateway


def test_it_serves_dies_and_comes_back(sound: Gateway) -> None:
    """Frames of all workers go through it; kill -9 under load loses nothing; it ends with the gateway."""
    assert warm(sound)
    put_all(sound, BODIES)
    assert sound.metric("s4_gpu_compress_seconds_sum") > 0
    assert (2.0, 1.0) == (sound.metric("s4_gpu_engine_state"), sound.metric("s4_gpu_worker_starts_total"))
    first = gpu_worker(sound)
    assert first is not None
    with ThreadPoolExecutor(1) as pool:
        putting = pool.submit(put_all, sound, BODIES, "second/")
        os.kill(first, signal.SIGKILL)
        putting.result()
    assert wait_until(lambda: gpu_worker(sound) not in {first, None})
    assert warm(sound)
    assert 2.0 == sound.metric("s4_gpu_worker_starts_total")
    assert 1 == len(list((sound.folder / "data" / "run" / "metrics").glob("counter_gpu*.db")))  # however often it dies
    before = sound.workers()
    sound.process.send_signal(signal.SIGHUP)
    assert wait_until(lambda: len(now := sound.workers()) == WORKERS and not set(now) & set(before))
    assert warm(sound)  # the lanes of the workers of before have gone over to their successors
    put_all(sound, BODIES[:4], "third/")
    last = gpu_worker(sound)
    assert 0 == sound.stop()
    assert not Path(f"/proc/{last}").exists()


def test_a_broken_engine_harms_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """16 concurrent PUTs succeed and read back right; metrics tell why. `test_faults` has the other kinds."""
    monkeypatch.setenv(faults.VARIABLE, faults.plan(tmp_path, "raise", ""))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    program: list[Any] = [sys.executable, "-m", "tests.gpu.faulty_gateway"]
    with live.running(tmp_path, "--gpu", "cpu", "--workers", str(WORKERS), program=program) as gateway:
        gateway.client().create_bucket(Bucket="gpu")
        assert wait_until(lambda: gateway.metric("s4_gpu_engine_state") == 2)
        # one after another in one gateway; wrong bytes end the engine, so they come last
        for kind in ("out-of-memory", "hang", "segv", "wrong"):
            assert warm(gateway)
            fallbacks = gateway.metric("s4_gpu_fallback_total")
            starts = gateway.metric("s4_gpu_worker_starts_total")
            faults.plan(tmp_path, kind, "xx")
            put_all(gateway, BODIES, f"{kind}/")
            assert gateway.metric("s4_gpu_fallback_total") > fallbacks
            if kind == "out-of-memory":
                assert gateway.metric("s4_gpu_oom_total") > 0
            elif kind == "wrong":
                assert gateway.metric('s4_gpu_verified_total{result="mismatch"}') > 0
                assert wait_until(lambda: gateway.metric("s4_gpu_engine_state") == 3)
                assert "wrong bytes" in gateway.log
            else:
                assert wait_until(lambda: gateway.metric("s4_gpu_worker_starts_total") > starts)  # noqa: B023 - at once
