"""storaged's event loop, with a disk that takes its time."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from s4gw.store import ops, wire
from s4gw.store.ops import Reply, Request
from tests.store.kit import order, serving

TIMEOUT_S = 20.0


class Disk:
    """Flushes wait until they are let go; or fail."""

    def __init__(self) -> None:
        self.reached = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.error: OSError | None = None
        self._flush = os.fdatasync

    def flush(self, fd: int) -> None:
        self.reached.release()
        assert self.go.acquire(timeout=TIMEOUT_S)
        if self.error is not None:
            raise self.error
        self._flush(fd)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr(os, "fdatasync", made.flush)
    return made


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path) -> Iterator[Path]:
    with serving(tmp_path):
        yield tmp_path


def bucket(name: str) -> bytes:
    return wire.encode(Request([order(ops.CreateBucket(name, "owner", 1, "region", "", {}))]))


def answer(connection: socket.socket) -> Reply:
    (size,) = wire.LENGTH.unpack(connection.recv(wire.LENGTH.size, socket.MSG_WAITALL))
    return wire.decode_reply(connection.recv(size, socket.MSG_WAITALL))


def nothing_has_come(connection: socket.socket) -> None:
    with pytest.raises(BlockingIOError):
        connection.recv(1, socket.MSG_DONTWAIT)


def test_what_arrives_while_a_batch_is_flushed_is_the_next_one(data_dir: Path, disk: Disk) -> None:
    """All of it together, and none of it answered before its own flush."""
    with closing(wire.connect(data_dir, TIMEOUT_S)) as first:
        first.sendall(bucket("first"))
        assert disk.reached.acquire(timeout=TIMEOUT_S)
        others = [wire.connect(data_dir, TIMEOUT_S) for _ in range(3)]
        for number, each in enumerate(others):
            each.sendall(bucket(f"other{number}"))
        disk.go.release()
        assert [""] == [outcome.error for outcome in answer(first).outcomes]
        assert disk.reached.acquire(timeout=TIMEOUT_S)
        nothing_has_come(each)
        disk.go.release()
        assert [[""]] * 3 == [[outcome.error for outcome in answer(other).outcomes] for other in others]
        assert not disk.reached.acquire(blocking=False)
        for other in others:
            other.close()


def test_an_answer_never_goes_to_who_came_after(data_dir: Path, disk: Disk) -> None:
    """Whoever connects when a writer has gone may get its descriptor, but not its answer."""
    gone = wire.connect(data_dir, TIMEOUT_S)
    gone.sendall(bucket("gone"))
    assert disk.reached.acquire(timeout=TIMEOUT_S)
    gone.close()
    with closing(wire.connect(data_dir, TIMEOUT_S)) as next_one:
        disk.go.release()
        next_one.sendall(bucket("next"))
        assert disk.reached.acquire(timeout=TIMEOUT_S)
        nothing_has_come(next_one)
        disk.go.release()
        assert [""] == [outcome.error for outcome in answer(next_one).outcomes]


def test_a_flush_that_fails_fails_its_batch_only(data_dir: Path, disk: Disk) -> None:
    """The one that had arrived meanwhile is committed, in a new volume."""
    with closing(wire.connect(data_dir, TIMEOUT_S)) as first, closing(wire.connect(data_dir, TIMEOUT_S)) as second:
        first.sendall(bucket("first"))
        assert disk.reached.acquire(timeout=TIMEOUT_S)
        second.sendall(bucket("second"))
        disk.error = OSError(5, "Input/output error")
        disk.go.release()
        failed = answer(first)
        disk.error = None
        disk.go.release(100)
        assert ["no_space", ""] == [failed.outcomes[0].error, answer(second).outcomes[0].error]
