"""Rounds of load in which workers, storaged, compaction and lifecycle passes are killed at random, and the judgement
afterwards.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from s4gw.backends import EmbeddedBackend
from s4gw.backends.lifecycle import Pass
from s4gw.s3.errors import S3Error
from s4gw.store import Refused, Store, Unavailable, ops, rebuild_index, unpack_runs, upkeeping
from s4gw.store.lock import COMMITTER_LOCK, FileLock
from tests.crash.ageing import CONFIGS, FACTS, META, OLD, upload_document
from tests.crash.workload import disagree, essence
from tests.store.kit import BUCKET, nonce

VOLUME_BYTES = 400_000
WRITERS = 2
KEYS = 10
GONE = -1
DAY_MS = 400
"""After which objects under `OLD` may go, so that some do in each round."""
PAUSES_S = (0.02, 0.25)
SETTLE_S = 120.0


def body_of(key: str, number: int) -> bytes:
    """Content that follows from key and attempt."""
    rng = random.Random(f"{key}#{number}")
    return rng.randbytes(rng.choice([10, 3000, 20_000, 90_000]))


def kill_round(data_dir: Path, seed: int, *, seconds: float) -> dict[str, int]:
    """Load and kill for some seconds, then judge; every other seed has a bucket with versions.

    Returns: how often what was killed, and how much was answered.
    """
    rng = random.Random(seed)
    with closing(Store(data_dir, volume_bytes=VOLUME_BYTES)) as store:
        with suppress(Refused):
            store.submit(ops.CreateBucket(BUCKET, "o", 1, "", "Enabled" if seed % 2 else "", CONFIGS))
        reports = [data_dir.parent / f"report{number}" for number in range(WRITERS)]
        writers = [_fork(lambda n=n: _write(data_dir, reports[n], n, rng.random())) for n in range(WRITERS)]  # type: ignore[misc] # mypy has no types for defaults of lambdas
        compactor = _compact(data_dir)
        lifecycle = _fork(lambda: _expire(data_dir))
        counts = {"storaged": 0, "writer": 0, "compactor": 0, "lifecycle": 0}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(rng.uniform(*PAUSES_S))
            what = rng.choice(list(counts))
            counts[what] += 1
            if what == "storaged":
                with suppress(ProcessLookupError, ValueError):
                    os.kill(int((data_dir / COMMITTER_LOCK).read_text()), signal.SIGKILL)
            elif what == "writer":
                number = rng.randrange(WRITERS)
                _kill(writers[number])
                writers[number] = _fork(lambda n=number: _write(data_dir, reports[n], n, rng.random()))  # type: ignore[misc] # as above
            elif what == "lifecycle":
                _kill(lifecycle)
                lifecycle = _fork(lambda: _expire(data_dir))
            elif compactor.poll() is not None or rng.random() < 0.5:
                compactor.kill()
                compactor.wait()
                compactor = _compact(data_dir)
        for child in (*writers, lifecycle):
            _kill(child)
        compactor.kill()
        compactor.wait()
        with suppress(ProcessLookupError, ValueError):
            os.kill(int((data_dir / COMMITTER_LOCK).read_text()), signal.SIGKILL)
    _wait_until_unnamed(data_dir)
    counts["answered"] = _judge(data_dir, reports)
    return counts


def _wait_until_unnamed(data_dir: Path) -> None:
    """A storaged that was being started for a process killed by now ends by itself, however late it gets its turn."""
    name, end = os.fsencode(data_dir), time.monotonic() + SETTLE_S
    while any(name in _words(process) for process in Path("/proc").glob("[0-9]*")):
        assert time.monotonic() < end, "a process of the round does not end"
        time.sleep(0.05)
    FileLock(data_dir / COMMITTER_LOCK, wait=True).release()  # a killed process loses its words before its locks


def _words(process: Path) -> list[bytes]:
    with suppress(OSError):  # it has just ended
        return (process / "cmdline").read_bytes().split(b"\0")
    return []


def _fork(work: Callable[[], None]) -> int:
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    return child


def _kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _compact(data_dir: Path) -> subprocess.Popen[bytes]:
    """Compaction again and again, full, without a grace."""
    code = "import sys, time\nfrom s4gw.tools.cli import main\nwhile True: main(sys.argv[1:]); time.sleep(0.01)"
    words = ["store", "compact", "--full", "--grace-s", "0", "--data-dir", str(data_dir)]
    words += ["--volume-bytes", str(VOLUME_BYTES)]
    return subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _expire(data_dir: Path) -> None:
    """Lifecycle passes for ever."""
    store = Store(data_dir, parent_pid=os.getppid(), volume_bytes=VOLUME_BYTES)
    backend = EmbeddedBackend(data_dir, store=store)
    while True:
        with suppress(S3Error):
            Pass(backend, now_ms=int(time.time() * 1000), day_ms=DAY_MS).run()
        time.sleep(0.01)


def _write(data_dir: Path, report: Path, number: int, seed: float) -> None:
    """Put, replace, delete and leave uploads behind, for ever.

    Each attempt and each answer is a line, written before the next step.
    """
    rng = random.Random(seed)
    lines = os.open(report, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    store = Store(data_dir, parent_pid=os.getppid(), volume_bytes=VOLUME_BYTES)
    while True:
        key, attempt = f"{rng.choice(['', OLD])}{number}/{rng.randrange(KEYS)}", rng.randrange(2**40)
        if rng.random() < 0.25:
            attempt = GONE
        os.write(lines, f"try {key} {attempt}\n".encode())
        try:
            if attempt == GONE:
                store.submit(ops.Delete(BUCKET, key.encode(), None, nonce()))
            else:
                data = body_of(key, attempt)
                body = store.stage(rng.choice([None, b"b"]))
                body.write(data)
                store.put(ops.Put(BUCKET, key.encode(), [], len(data), "e", META, FACTS, nonce()), body)
                if rng.random() < 0.1:
                    upload = f"{os.getpid()}/{attempt}"
                    document = upload_document(key, upload, 1)
                    store.submit(ops.CreateUpload(BUCKET, key.encode(), upload, 1, document))
        except (Unavailable, Refused):
            continue
        os.write(lines, f"ack {key} {attempt}\n".encode())


def _judge(data_dir: Path, reports: list[Path]) -> int:
    """Every key holds what was answered last, or something tried since; one under `OLD` may hold nothing any more.

    Returns: number of answers.
    """
    allowed: dict[str, set[int]] = {}
    answered = 0
    for report in reports:
        for line in report.read_text().splitlines():
            what, key, attempt = line.split()
            if what == "ack":
                allowed[key] = {int(attempt)}
                answered += 1
            else:
                allowed.setdefault(key, {GONE}).add(int(attempt))
    for _ in range(2):
        with closing(Store(data_dir, in_process=True, volume_bytes=VOLUME_BYTES)) as store:
            found = {row.key.decode() for row in store.index.list_current(
                BUCKET, prefix=b"", delimiter=b"", after=b"", limit=10_000)[0]}  # fmt: skip
            assert set() == found - set(allowed)
            for key, attempts in allowed.items():
                if key not in found:
                    assert GONE in attempts or key.startswith(OLD), f"{key} is lost"
                    continue
                version = store.index.current(BUCKET, key.encode())
                body = store.read(unpack_runs(version.extents or b""), 0, version.stored_size)
                assert body in [body_of(key, attempt) for attempt in attempts if attempt != GONE], f"{key} is wrong"
        assert [] == disagree(data_dir)
        checked = upkeeping.check(data_dir, pace=upkeeping.Pace(data_dir, 0), read=True)
        assert [] == checked.lines
        before = essence(data_dir)
        assert rebuild_index(data_dir).whole
        assert before == essence(data_dir)
    return answered
