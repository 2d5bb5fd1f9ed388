"""Tests of s4gw.gpu.supervisor: what is started, what is started again, and how it ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from s4gw.gpu import Link, Supervisor, supervisor, wanted
from s4gw.gpu.protocol import State
from s4gw.gpu.supervisor import CPU_ENGINE, GPU_ENGINE, Wanted
from tests.gpu.kit import KIB, WAIT_S, ZSTD, decoded, running, text, until


def running_pids(made: Supervisor) -> list[int]:
    """The worker's process id, if it has one."""
    return [] if made.pid is None else [made.pid]


def test_what_the_flag_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing runs by itself where the libraries are not installed."""
    monkeypatch.setattr(supervisor, "installed", lambda: False)
    assert (None, None) == (wanted("off"), wanted("auto"))
    assert (Wanted(engine=CPU_ENGINE), Wanted(engine=GPU_ENGINE, device=2)) == (wanted("cpu"), wanted("2"))
    monkeypatch.setattr(supervisor, "installed", lambda: True)
    assert Wanted(engine=GPU_ENGINE, device=0) == wanted("auto")


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    """Kill -9: within moments another one serves, and slots are free again."""
    chunk = text(64 * KIB)
    with running(tmp_path) as gpu:
        assert gpu.ready()
        first = gpu.supervisor.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert until(lambda: gpu.supervisor.pid not in (first, None))
        assert gpu.ready()
        assert chunk == decoded(gpu.client.submit(memoryview(chunk), ZSTD).result(WAIT_S))


def test_a_frozen_worker_is_killed(tmp_path: Path) -> None:
    """SIGSTOP stands for whatever keeps the whole process from running."""
    with running(tmp_path) as gpu:
        assert gpu.ready()
        first = gpu.supervisor.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        assert until(lambda: gpu.supervisor.pid not in (first, None))
        assert gpu.ready()


def test_a_worker_that_cannot_be_started_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The master goes on: it has a gateway to run."""
    link = Link.make(1, 1, tmp_path / "locks")
    made = Supervisor(link, Wanted(engine=CPU_ENGINE), log_format="pretty", gone=lambda _name: None)
    monkeypatch.setattr(supervisor, "RESTART_S_MAX", 0.0)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(tmp_path / "no-such-python"))
        made.start()
        made.tick()
        assert not running_pids(made)
    made.tick()
    assert running_pids(made)
    assert until(lambda: link.ring.state is State.READY)
    made.stop()


def test_a_worker_that_has_just_died_can_be_stopped(tmp_path: Path) -> None:
    """Also when somebody else has collected it, as gunicorn does."""
    link = Link.make(1, 1, tmp_path / "locks")
    made = Supervisor(link, Wanted(engine=CPU_ENGINE), log_format="pretty", gone=lambda _name: None)
    made.start()
    for pid in running_pids(made):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    made.stop()
    assert ([], State.OFF) == (running_pids(made), link.ring.state)


def test_it_ends_when_told(tmp_path: Path) -> None:
    """Stopping leaves no process, and the state says so."""
    with running(tmp_path) as gpu:
        assert gpu.ready()
        pid = gpu.supervisor.pid
        gpu.supervisor.stop()
        assert (None, State.OFF) == (gpu.supervisor.pid, gpu.link.ring.state)
        assert not Path(f"/proc/{pid}").exists()


def test_it_ends_with_its_master(tmp_path: Path) -> None:
    """Kill -9 of the master takes the worker along."""
    program = (
        "import sys, signal, time; from pathlib import Path\n"
        "from s4gw.gpu import Link, Supervisor, wanted\n"
        "from s4gw.gpu.protocol import State\n"
        "link = Link.make(1, 1, Path(sys.argv[1]))\n"
        "it = Supervisor(link, wanted('cpu'), log_format='json', gone=print); it.start()\n"
        "while link.ring.state is not State.READY: time.sleep(0.01)\n"
        "print(it.pid, flush=True); signal.pause()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "locks")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as master:
        assert master.stdout is not None
        pid = int(master.stdout.readline())
        watched = os.pidfd_open(pid)
        master.kill()
    assert [watched] == select.select([watched], [], [], WAIT_S)[0]
    os.close(watched)
