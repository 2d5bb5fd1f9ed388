"""Tests of s4gw.gpu.attention: whoever waits comes back with its own answer, and none is left behind."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from s4gw.gpu.attention import Attention
from s4gw.gpu.job import Job
from tests.gpu.kit import WAIT_S, until


class Plain(Job):
    """A job of which only the answer counts."""

    def done(self, payload: bytes, number: int) -> None:
        """Nothing follows."""

    def incompressible(self) -> None:
        """Nothing follows."""

    def failed(self, reason: str) -> None:
        """Nothing follows."""


class Pipe:
    """Where answers arrive; notes which threads take them, and that it is one at a time."""

    def __init__(self) -> None:
        self.arriving: queue.Queue[Job] = queue.Queue()
        self.attention = Attention(self.receive, 0.01)
        self.one = threading.Lock()
        self.takers: list[int] = []

    def receive(self, wait_s: float) -> None:
        assert self.one.acquire(blocking=False)
        try:
            job = self.arriving.get(timeout=wait_s) if wait_s else self.arriving.get_nowait()
        except queue.Empty:
            return
        finally:
            self.one.release()
        self.takers.append(threading.get_ident())
        self.attention.answered(job)


def test_answers_in_any_order() -> None:
    """Each thread is let go by its own; whoever led hands over to one that still waits."""
    pipe = Pipe()
    jobs: list[Job] = [Plain() for _ in range(200)]

    def wait(some: list[Job]) -> int:
        for job in some:
            pipe.attention.attend(job)
            assert job.answered
        return len(some)

    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(wait, jobs[start::8]) for start in range(8)]
        for job in reversed(jobs):
            pipe.arriving.put(job)
        assert [25] * 8 == [each.result(WAIT_S) for each in waiting]
    pipe.attention.attend(jobs[0])  # long answered


def test_the_one_that_leads_takes_what_is_for_others() -> None:
    """One thread reads, the other one sleeps until its own answer is there."""
    pipe = Pipe()
    first, second = Plain(), Plain()
    with ThreadPoolExecutor(2) as threads:
        leader = threads.submit(pipe.attention.attend, first)
        assert until(lambda: pipe.attention._led)
        follower = threads.submit(pipe.attention.attend, second)
        assert until(lambda: second in pipe.attention._followers)
        pipe.attention.attend(second)  # somebody waits for it already
        pipe.attention.glance()  # somebody reads already
        pipe.arriving.put(second)
        follower.result(WAIT_S)
        assert not leader.done()
        pipe.arriving.put(first)
        leader.result(WAIT_S)
    assert 1 == len(set(pipe.takers))


def test_an_answer_given_up_elsewhere() -> None:
    """A deadline is met by another thread: the waiting ones notice."""
    pipe = Pipe()
    jobs = [Plain(), Plain()]
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(pipe.attention.attend, job) for job in jobs]
        assert until(lambda: len(pipe.attention._followers) == 1)
        for job in jobs:
            pipe.attention.answered(job)
        assert [None, None] == [each.result(WAIT_S) for each in waiting]


def test_a_glance_takes_what_is_there() -> None:
    """Without waiting; and one that fails leaves the way free."""
    pipe = Pipe()
    job = Plain()
    pipe.attention.glance()
    pipe.arriving.put(job)
    pipe.attention.glance()
    assert job.answered

    def broken(_: float) -> None:
        raise OSError

    attention = Attention(broken, 0.01)
    for _ in range(2):
        with pytest.raises(OSError):
            attention.glance()
