"""Tests of s4gw.gpu.batch: what waits, what goes together, and when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from s4gw.gpu.batch import RECOVERY_BATCHES, Batch, Batcher, Plan

PLAN = Plan(batch_bytes_max=100, linger_s=1.0, streams=2)


def filled(*items: tuple[str, str, int, float], plan: Plan = PLAN) -> Batcher[str]:
    """A batcher with (key, item, size, time) in it."""
    batcher: Batcher[str] = Batcher(plan)
    for key, item, size, now in items:
        batcher.add(key, item, size, now)
    return batcher


def test_a_chunk_lingers_for_company() -> None:
    """It goes when it has waited long enough, with those that came meanwhile."""
    batcher = filled(("k", "a", 10, 0.0), ("k", "b", 10, 0.5))
    assert (None, 0.25) == (batcher.take(0.75, 0), batcher.wait_s(0.75, 0))
    assert Batch("k", ["a", "b"], 20) == batcher.take(1.0, 0)
    assert (0, None) == (len(batcher), batcher.wait_s(1.0, 0))


def test_a_full_batch_goes_at_once() -> None:
    """As much as fits; the rest waits on."""
    batcher = filled(("k", "a", 60, 0.0), ("k", "b", 60, 0.1))
    assert (Batch("k", ["a"], 60), None) == (batcher.take(0.1, 0), batcher.take(0.1, 0))
    assert Batch("k", ["b"], 60) == batcher.take(1.1, 0)


def test_a_chunk_beyond_the_limit_goes_alone() -> None:
    """Nothing waits for ever."""
    assert Batch("k", ["a"], 500) == filled(("k", "a", 500, 0.0)).take(0.0, 0)


def test_streams_are_waited_for() -> None:
    """No more launches than streams; nothing to wait for until one ends."""
    batcher = filled(("k", "a", 100, 0.0))
    assert (None, None) == (batcher.take(9.0, 2), batcher.wait_s(9.0, 2))
    assert batcher.take(9.0, 1) is not None


def test_the_oldest_goes_first() -> None:
    """Chunks of different codecs never share a launch."""
    batcher = filled(("z", "a", 10, 0.2), ("g", "b", 10, 0.1))
    assert [Batch("g", ["b"], 10), Batch("z", ["a"], 10)] == [batcher.take(5.0, 0), batcher.take(5.0, 0)]


def test_no_linger() -> None:
    """An engine that gains nothing by batches gets its chunks at once."""
    batcher = filled(("k", "a", 1, 3.0), plan=Plan(batch_bytes_max=100, linger_s=0.0, streams=1))
    assert (0.0, Batch("k", ["a"], 1)) == (batcher.wait_s(3.0, 0), batcher.take(3.0, 0))


def test_nobody_wants_them() -> None:
    """Chunks of a process that has died are taken out."""
    batcher = filled(("k", "a", 1, 0.0), ("k", "b", 1, 0.0), ("g", "a", 1, 0.0))
    assert ["a", "a"] == batcher.drop(lambda item: item == "a")
    assert (1, Batch("k", ["b"], 1)) == (len(batcher), batcher.take(9.0, 0))


def test_want_of_memory_halves_batches() -> None:
    """And time brings them back."""
    batcher = filled()
    batcher.out_of_memory()
    batcher.out_of_memory()
    assert 25 == batcher.batch_bytes
    for _ in range(2 * RECOVERY_BATCHES):
        batcher.sound()
    assert PLAN.batch_bytes_max == batcher.batch_bytes


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.integers(1, 150), st.floats(0, 2)), max_size=40))
def test_nothing_is_lost_or_done_twice(chunks: list[tuple[str, int, float]]) -> None:
    """Whatever comes and whenever: every chunk is in one batch, in its order, and no batch is too large."""
    batcher: Batcher[int] = Batcher(PLAN)
    now = 0.0
    for number, (key, size, step) in enumerate(chunks):
        now += step
        batcher.add(key, number, size, now)
    batches = []
    while (batch := batcher.take(now + 10, 0)) is not None:
        batches.append(batch)
    for key in "xyz":
        expected = [number for number, chunk in enumerate(chunks) if chunk[0] == key]
        assert expected == [item for batch in batches if batch.key == key for item in batch.items]
    assert all(batch.size <= 100 or len(batch.items) == 1 for batch in batches)
