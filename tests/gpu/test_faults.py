"""Whatever an engine does, frames come out right: real worker processes with the fault engine, and real clients."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from s4gw.gpu.client import VERIFIED_FIRST
from s4gw.gpu.protocol import State
from tests.gpu import faults
from tests.gpu.kit import FAULT_ENGINE, KIB, WAIT_S, ZSTD, Running, decoded, running, sample, text, until

DISABLING = ("short", "wrong", "long", "empty", "garbage")
FAILING = ("fewer", "huge", "out-of-memory", "raise")
DYING = ("hang", "hang-holding-the-lock", "exit", "segv")
CHUNK = 96 * KIB


@pytest.fixture(autouse=True)
def _tests_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker process loads its engine from this folder."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def put(gpu: Running, chunk: bytes, times: int) -> list[tuple[bytes, bytes]]:
    """Send *chunk* some times, one after another. Gives pairs of what went in and what a reader gets."""
    frames = [gpu.client.submit(memoryview(chunk), ZSTD).result(WAIT_S) for _ in range(times)]
    return [(chunk, decoded(frame)) for frame in frames]


def put_all(gpu: Running, chunks: list[bytes], times: int) -> list[tuple[bytes, bytes]]:
    """The same from a thread per chunk."""
    with ThreadPoolExecutor(len(chunks)) as threads:
        futures = [threads.submit(put, gpu, chunk, times) for chunk in chunks]
        return [pair for future in futures for pair in future.result()]


@pytest.mark.parametrize("kind", faults.KINDS)
def test_nothing_wrong_comes_out(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """16 at once: every frame decodes to its chunk, metrics tell why, and the worker is back where it may be."""
    monkeypatch.setenv(faults.VARIABLE, faults.plan(tmp_path, kind, "x"))
    with running(tmp_path, engine=FAULT_ENGINE) as gpu:
        assert gpu.ready()
        before = gpu.supervisor.pid
        pairs = put_all(gpu, [text(CHUNK, seed) for seed in range(16)], 3)
        assert [chunk for chunk, _ in pairs] == [read for _, read in pairs]
        counted = dict.fromkeys(DISABLING, ("mismatch",)) | dict.fromkeys(DYING, ("worker_lost", "deadline"))
        reasons = counted.get(kind, ("out_of_memory",) if kind == "out-of-memory" else ("failed",))
        assert sum(gpu.fallbacks(reason) for reason in reasons) > 0
        if kind in DISABLING:
            assert (State.DISABLED, False) == (gpu.link.ring.state, gpu.client.ready)
        else:
            assert gpu.ready()
            assert (before != gpu.supervisor.pid) == (kind in DYING)


def test_a_rare_fault_is_met_when_everything_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --gpu-verify 1 a result is never used unseen."""
    monkeypatch.setenv(faults.VARIABLE, faults.plan(tmp_path, "wrong", "." * 40 + "x"))
    with running(tmp_path, engine=FAULT_ENGINE, verify_every=1) as gpu:
        assert gpu.ready()
        chunk = text(8 * KIB)
        pairs = put(gpu, chunk, 60)
        assert [chunk] * 60 == [read for _, read in pairs]
        assert (State.DISABLED, 1.0) == (gpu.link.ring.state, gpu.fallbacks("mismatch"))


def test_verification_is_a_sample(tmp_path: Path) -> None:
    """The first results are all verified, later ones now and then."""
    with running(tmp_path, verify_every=10) as gpu:
        assert gpu.ready()
        put(gpu, text(8 * KIB), VERIFIED_FIRST + 40)
        assert VERIFIED_FIRST + 4 == sample(gpu.metrics, "s4_gpu_verified_total", result="ok")


def test_no_engine(tmp_path: Path) -> None:
    """A worker that finds no device ends, says why, and is not tried again; the CPU does the work."""
    with running(tmp_path, engine="tests.gpu.faults:none") as gpu:
        assert until(lambda: gpu.supervisor.pid is None)
        assert (State.UNAVAILABLE, "no device") == (gpu.link.ring.state, gpu.link.ring.reason)
        ((chunk, read),) = put(gpu, text(CHUNK), 1)
        assert (chunk, 1.0) == (read, gpu.fallbacks("unavailable"))


def test_an_engine_that_cannot_be_loaded(tmp_path: Path) -> None:
    """Whatever its libraries do at import."""
    with running(tmp_path, engine="tests.gpu.no_such_module:make") as gpu:
        assert until(lambda: gpu.supervisor.pid is None)
        assert gpu.link.ring.reason.startswith("ModuleNotFoundError")
