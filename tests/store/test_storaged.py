"""The committer's process: started on demand, one for each directory, replaced when killed, gone with its parent."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from s4gw.store import Store, StoreLocked, Unavailable, wire
from s4gw.store.client import CommitterClient, ensure_running
from s4gw.store.lock import COMMITTER_LOCK, FileLock
from s4gw.store.ops import Request
from s4gw.store.recovery import prepare
from s4gw.store.storaged import EXIT_CANNOT_RUN, EXIT_LOCKED, main, worth_waiting
from tests.store.kit import get, keys, make_bucket, put


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "data")
    make_bucket(made)
    yield made
    made.close()


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends when its standard input does."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as made:
        yield made


def pid_of(data_dir: Path) -> int:
    return int((data_dir / COMMITTER_LOCK).read_text())


def wait_for_end(data_dir: Path) -> None:
    FileLock(data_dir / COMMITTER_LOCK, wait=True).release()


def test_it_serves_alone_and_its_socket_is_private(store: Store) -> None:
    arguments = ["--data-dir", str(store.data_dir)]
    mode = (store.data_dir / wire.SOCKET_NAME).stat().st_mode
    assert (EXIT_LOCKED, True, 0) == (main(arguments), stat.S_ISSOCK(mode), mode & 0o077)


def test_it_says_in_one_line_why_it_cannot_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "FORMAT").write_text("something else\n")
    assert EXIT_CANNOT_RUN == main(["--data-dir", str(tmp_path)])
    assert 1 == capsys.readouterr().err.count("\n")


def test_a_killed_one_is_replaced_and_nothing_is_lost(store: Store) -> None:
    put(store, "before", b"b" * 10_000)
    os.kill(pid_of(store.data_dir), signal.SIGKILL)
    wait_for_end(store.data_dir)
    put(store, "after")
    assert (["after", "before"], b"b" * 10_000) == (keys(store), get(store, "before"))


def test_many_threads_that_find_it_dead_start_one(tmp_path: Path) -> None:
    store = Store(tmp_path / "data")
    failures: list[Unavailable] = []

    def work() -> None:
        try:
            store.check()
        except Unavailable as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == failures
    with pytest.raises(StoreLocked):
        FileLock(store.data_dir / COMMITTER_LOCK)
    store.close()


def test_it_ends_with_the_process_it_serves(tmp_path: Path, parent: subprocess.Popen[bytes]) -> None:
    store = Store(tmp_path / "data", parent_pid=parent.pid)
    make_bucket(store)
    parent.communicate(b"\n")
    wait_for_end(store.data_dir)
    with pytest.raises(Unavailable):
        put(store, "k")
    store.close()


def test_sigterm_waits_for_the_workers(store: Store) -> None:
    os.kill(pid_of(store.data_dir), signal.SIGTERM)
    put(store, "drained")
    assert ["drained"] == keys(store)
    store.close()
    wait_for_end(store.data_dir)
    assert not (store.data_dir / "index.db-wal").exists()


def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    store = Store(tmp_path / ("d" * 200) / ("e" * 200))
    make_bucket(store)
    put(store, "k", b"v")
    assert b"v" == get(store, "k")
    store.close()


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\x03\0\0\0\xc1\xc1\xc1", b"\x05\0\0\0ab"])
def test_garbage_ends_its_own_connection_only(store: Store, data: bytes) -> None:
    with wire.connect(store.data_dir, 10) as stranger:
        stranger.sendall(data)
        stranger.shutdown(socket.SHUT_WR)
        assert b"" == stranger.recv(10)
    put(store, "k")
    assert ["k"] == keys(store)


def test_a_lost_answer_is_an_unknown_outcome(tmp_path: Path) -> None:
    prepare(tmp_path)
    server = wire.listen(tmp_path, 1)
    server.setblocking(True)

    def serve() -> None:
        connection, _ = server.accept()
        connection.recv(100)
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    client = CommitterClient(tmp_path, os.getpid())
    with pytest.raises(Unavailable) as caught:
        client.submit(Request([]))
    thread.join()
    server.close()
    assert not caught.value.outcome_known


def test_it_does_not_start_for_a_process_that_is_gone(tmp_path: Path, parent: subprocess.Popen[bytes]) -> None:
    prepare(tmp_path / "data")
    parent.communicate(b"\n")
    with pytest.raises(Unavailable):
        ensure_running(tmp_path / "data", parent.pid)


@pytest.mark.parametrize(
    ("count", "recent", "expected"),
    [
        (1, [{1}, {1}, {1}], False),
        (1, [{1}, {2}, {1}, {3}], False),
        (1, [{1}, {2}, {3}, {4}], True),
        (2, [{1, 2}, {3}], False),
        (2, [{1, 2}, {3}, {4}], True),
        (3, [{1, 2, 3}, {4}], False),
        (5, [{1, 2, 3, 4, 5}, {6, 7, 8}], True),
        (6, [{1, 2, 3, 4, 5, 6}, {7, 8}], False),
        (8, [{1, 2, 3, 4, 5, 6, 7, 8}, {9, 10, 11, 12, 13, 14}], False),
        (0, [{1, 2, 3, 4}], False),
    ],
)
def test_only_a_small_part_of_a_crowd_waits_for_the_rest(count: int, recent: list[set[int]], expected: bool) -> None:
    """Nobody who writes alone, or with one or two others, ever waits."""
    assert worth_waiting(count, recent) is expected


@pytest.mark.parametrize(("program", "reason"), [("/nowhere/python", "No such file"), ("/bin/false", "CalledProcess")])
def test_a_committer_that_cannot_be_started_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, reason: str
) -> None:
    """The operator reads one line: it has to hold what is the matter."""
    prepare(tmp_path / "data")
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(Unavailable, match=reason):
        ensure_running(tmp_path / "data", os.getpid())
