"""SIGKILL of the committer, of writers, and at each step: acknowledged means there, the rest is all or nothing."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import apsw
import pytest

from s4gw.backends import EmbeddedBackend
from s4gw.s3.errors import ServiceUnavailable
from s4gw.store import Store
from s4gw.store.committer import Committer
from s4gw.store.lock import COMMITTER_LOCK, FileLock
from s4gw.store.rebuild import rebuild_index
from s4gw.store.record import Buffer
from s4gw.store.recovery import prepare, recover
from tests.crash.kit import check, make_bucket, put
from tests.store.kit import check_references, contents

COMMITTER_KILLS = 8
WRITER_KILLS = 5
ACKS_BETWEEN = 15


def wait_for_end(data_dir: Path) -> None:
    FileLock(data_dir / COMMITTER_LOCK, wait=True).release()


def verify(data_dir: Path, acknowledged: Sequence[str], tried: Sequence[str]) -> None:
    """Everything holds now, and in an index made anew from the volumes."""
    for _ in range(2):
        backend = EmbeddedBackend(data_dir, in_process=True)
        check(backend, acknowledged, tried)
        backend.close()
        check_references(data_dir)
        before = contents(data_dir)
        rebuild_index(data_dir)
        assert before == contents(data_dir)


def test_killing_the_committer_under_load(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    backend = EmbeddedBackend(data_dir, volume_bytes=3_000_000)
    make_bucket(backend)
    acknowledged: list[str] = []
    tried: list[str] = []
    progress = threading.Semaphore(0)
    stop = threading.Event()

    def work(number: int) -> None:
        count = 0
        while not stop.is_set():
            key = f"{number}/{count}"
            count += 1
            tried.append(key)
            try:
                put(backend, key)
            except ServiceUnavailable:
                continue
            acknowledged.append(key)
            progress.release()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(COMMITTER_KILLS):
        for _ in range(ACKS_BETWEEN):
            assert progress.acquire(timeout=60)
        os.kill(int((data_dir / COMMITTER_LOCK).read_text()), signal.SIGKILL)
    for _ in range(ACKS_BETWEEN):
        assert progress.acquire(timeout=60)
    stop.set()
    for thread in threads:
        thread.join()
    check(backend, acknowledged, tried)
    os.kill(int((data_dir / COMMITTER_LOCK).read_text()), signal.SIGKILL)
    backend.close()
    wait_for_end(data_dir)
    verify(data_dir, acknowledged, tried)


def void(_: int) -> None:
    """Make a call an expression without a value."""


def in_child(work: Callable[[Callable[[str], None]], None]) -> list[str]:
    """Run *work* in a forked process until it ends or is killed. Returns: what it reported, one line each."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        try:
            work(lambda line: void(os.write(writing, f"{line}\n".encode())))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        lines = pipe.read().decode().splitlines()
    os.waitpid(child, 0)
    return lines


def test_killing_writers(tmp_path: Path) -> None:
    """A writer is killed in the middle of its work; another one and the committer go on."""
    data_dir = tmp_path / "data"
    backend = EmbeddedBackend(data_dir)
    make_bucket(backend)
    acknowledged: list[str] = []
    tried: list[str] = []
    for round_number in range(WRITER_KILLS):

        def work(report: Callable[[str], None], round_number: int = round_number) -> None:
            writes = 0

            def writev(fd: int, buffers: Sequence[Buffer]) -> int:
                nonlocal writes
                writes += 1
                if writes == 4 + round_number:
                    os.write(fd, b"".join(buffers)[: 10 + 37 * round_number])
                    os.kill(os.getpid(), signal.SIGKILL)
                return os.writev(fd, buffers)

            mine = EmbeddedBackend(data_dir, store=Store(data_dir, parent_pid=os.getppid(), writev=writev))
            for count in range(20):
                report(f"tried {round_number}/{count}")
                put(mine, f"{round_number}/{count}")
                report(f"acked {round_number}/{count}")

        lines = in_child(work)
        acknowledged += [line.split()[1] for line in lines if line.startswith("acked")]
        tried += [line.split()[1] for line in lines if line.startswith("tried")]
        assert len(lines) % 2, "the writer was killed between a try and its answer"
        put(backend, f"between/{round_number}")
        acknowledged.append(f"between/{round_number}")
    check(backend, acknowledged, [*tried, *acknowledged])
    backend.close()


STEPS = {
    "torn data": "large",
    "torn payload": "small",
    "torn journal": "large",
    "before flush": "any",
    "after flush": "any",
    "at commit": "any",
}
"""Where the process dies, and what kind of body is on its way then."""
COMMITTERS = ("torn payload", "torn journal")


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_each_step_of_a_commit(tmp_path: Path, step: str) -> None:
    data_dir = tmp_path / "data"
    rounds = 3
    acknowledged: list[str] = []
    tried: list[str] = []
    backend = EmbeddedBackend(data_dir, in_process=True)
    make_bucket(backend)
    backend.close()
    for round_number in range(rounds):

        def work(report: Callable[[str], None], round_number: int = round_number) -> None:
            armed = False

            def die() -> None:
                if armed:
                    os.kill(os.getpid(), signal.SIGKILL)

            def torn(fd: int, buffers: Sequence[Buffer]) -> int:
                if armed:
                    os.write(fd, b"".join(buffers)[: 25 + round_number])
                die()
                return os.writev(fd, buffers)

            def flush(fd: int) -> None:
                if step == "before flush":
                    die()
                os.fdatasync(fd)
                if step == "after flush":
                    die()

            def at_commit() -> bool:
                if step == "at commit":
                    die()
                return False

            prepare(data_dir)
            recover(data_dir)
            committer = Committer(data_dir, flush=flush, writev=torn if step in COMMITTERS else os.writev)
            committer._connection.set_commit_hook(at_commit)
            store = Store(data_dir, committer=committer, writev=torn if step == "torn data" else os.writev)
            mine = EmbeddedBackend(data_dir, store=store)
            for count in range(4):
                armed = count == 3
                key = f"{STEPS[step]}/{round_number}/{count}"
                report(f"tried {key}")
                put(mine, key)
                report(f"acked {key}")

        lines = in_child(work)
        acknowledged += [line.split()[1] for line in lines if line.startswith("acked")]
        tried += [line.split()[1] for line in lines if line.startswith("tried")]
    assert (3 * rounds, 4 * rounds) == (len(acknowledged), len(tried))
    verify(data_dir, acknowledged, tried)


def test_the_commit_hook_is_called_before_the_commit() -> None:
    """Guards the test above, which dies in it."""
    connection = apsw.Connection(":memory:")
    calls = []

    def hook() -> bool:
        calls.append(1)
        return False

    connection.set_commit_hook(hook)
    connection.execute("CREATE TABLE t (x)")
    assert [1] == calls
