"""Tests of s4gw.gpu.lane: what a kill -9 does to multiprocessing's own queue, and not to ours."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable

import pytest

from s4gw.gpu.lane import LaneQueue


def killed(holding: Callable[[], object]) -> None:
    """Run *holding* in a child, then kill it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        holding()
        os.write(writing, b"!")
        signal.pause()
    os.read(reading, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_the_queue_that_we_do_not_use() -> None:
    """A semaphore that processes share stays locked when its holder is killed: everybody else waits for ever."""
    queue = multiprocessing.get_context("fork").SimpleQueue()
    lock = queue._wlock  # type: ignore[attr-defined] # the semaphore that every `put` takes
    killed(lock.acquire)
    assert not lock.acquire(timeout=0.2)


def test_the_pipe_that_we_do_not_use() -> None:
    """Its reader takes a length, then a message: killed in between, it leaves what nobody can make sense of."""
    queue = multiprocessing.get_context("fork").SimpleQueue()
    queue.put(b"one")
    queue.put(b"two")
    killed(lambda: os.read(queue._reader.fileno(), 4))  # type: ignore[attr-defined] # as its `recv_bytes` begins
    with pytest.raises((OSError, EOFError, pickle.UnpicklingError)):
        queue.get()


def test_our_queue_survives() -> None:
    """The same deaths, holding the same locks: the next process on the lane goes on with whole messages."""
    queue = LaneQueue.make(7)
    killed(queue._wlock.acquire)
    killed(queue._rlock.acquire)
    assert (True, [b"message"]) == (queue.offer(b"message"), list(queue.drain()))
    queue.put(b"reading")
    queue.put(b"another")
    killed(lambda: os.read(queue.fileno(), 7))
    assert (b"another", True) == (queue.get(), queue.empty())


def test_messages_arrive_whole_and_in_order() -> None:
    """From another process."""
    queue = LaneQueue.make(96)
    killed(lambda: [queue.offer(bytes([number]) * 96) for number in range(50)])
    assert [bytes([number]) * 96 for number in range(50)] == list(queue.drain())


def test_a_full_pipe_is_no_reason_to_wait() -> None:
    """An offer is taken or refused, at once."""
    queue = LaneQueue.make(96)
    taken = 0
    while queue.offer(bytes(96)):
        taken += 1
    assert (taken > 500, taken) == (True, len(list(queue.drain())))
    assert queue.offer(bytes(96))
