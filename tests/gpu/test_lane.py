"""Tests of s4gw.gpu.lane: what a kill -9 does to multiprocessing's own queue, and not to ours."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable

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


def test_our_queue_survives() -> None:
    """The same death, holding the same lock: the next process on the lane goes on."""
    queue = LaneQueue.make()
    killed(queue._wlock.acquire)
    assert (True, [b"message"]) == (queue.offer(b"message"), list(queue.drain()))


def test_messages_arrive_whole_and_in_order() -> None:
    """From another process."""
    queue = LaneQueue.make()
    killed(lambda: [queue.offer(bytes([number]) * 96) for number in range(50)])
    assert [bytes([number]) * 96 for number in range(50)] == list(queue.drain())


def test_a_full_pipe_is_no_reason_to_wait() -> None:
    """An offer is taken or refused, at once."""
    queue = LaneQueue.make()
    taken = 0
    while queue.offer(bytes(96)):
        taken += 1
    assert (taken > 500, taken) == (True, len(list(queue.drain())))
    assert queue.offer(b"again")
