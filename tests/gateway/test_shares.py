"""Workers see each other's load, and a slot outlives nobody."""

from __future__ import annotations

from s4gw.gateway.shares import Shares


def test_the_one_with_more_connections_steps_back() -> None:
    """Only a worker that has more than another lets that one go first; equals do not wait for each other."""
    shares = Shares(4)
    first, second = shares.claim(), shares.claim()
    shares.set(first, 3)
    shares.set(second, 2)
    assert (True, False) == (shares.has_more(first), shares.has_more(second))
    shares.set(second, 3)
    assert (False, False) == (shares.has_more(first), shares.has_more(second))


def test_a_worker_that_left_does_not_count() -> None:
    """Nobody waits for a worker that accepts no more, and its slot is given to the next one."""
    shares = Shares(2)
    first, second = shares.claim(), shares.claim()
    shares.set(first, 5)
    shares.release(second)
    assert (False, second) == (shares.has_more(first), shares.claim())


def test_more_workers_than_slots_share_the_last_one() -> None:
    """A burst of reloads cannot make a worker fail to start."""
    shares = Shares(1)
    assert (0, 0) == (shares.claim(), shares.claim())
