"""A plan uses every byte once, in order, within the upstream's limits, and copies what can be copied."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4gw.backends.remote.compose import S3_LIMITS, Limits, PlannedPart, Segment, plan_parts
from s4gw.s3.errors import EntityTooLarge

MIB = 1024**2
SMALL = Limits(part_bytes_min=5, part_bytes_max=40, parts_max=10_000, merged_bytes=8)


def bytes_of(parts: list[PlannedPart], sizes: list[int]) -> list[tuple[int, int]]:
    """(piece, offset) of every byte of the planned object, in order."""
    assert all(0 <= s.start < s.end <= sizes[s.piece] for part in parts for s in part.segments)
    return [(s.piece, offset) for part in parts for s in part.segments for offset in range(s.start, s.end)]


@given(
    sizes=st.lists(st.one_of(st.integers(0, 12), st.integers(0, 90)), max_size=40),
    tail=st.integers(0, 60),
    can_copy=st.booleans(),
)
def test_no_gap_no_overlap_and_within_limits(sizes: list[int], tail: int, can_copy: bool) -> None:
    parts = plan_parts(sizes, tail, can_copy=can_copy, limits=SMALL)
    whole = [*sizes, tail]
    assert [(piece, offset) for piece, size in enumerate(whole) for offset in range(size)] == bytes_of(parts, whole)
    assert all(part.size >= SMALL.part_bytes_min for part in parts[:-1])
    assert all(part.size <= SMALL.part_bytes_max for part in parts if part.copied)
    assert all(len(part.segments) == 1 and part.segments[0].piece < len(sizes) for part in parts if part.copied)
    assert 1 <= len(parts) <= SMALL.parts_max


@given(sizes=st.lists(st.integers(0, 30), max_size=40), tail=st.integers(0, 4))
def test_memory_of_a_sent_part_is_bounded(sizes: list[int], tail: int) -> None:
    parts = plan_parts(sizes, tail, limits=SMALL)
    bound = SMALL.merged_bytes + 2 * SMALL.part_bytes_min + tail
    assert [] == [part for part in parts if not part.copied and part.size > bound]


@given(sizes=st.lists(st.integers(5, 30), min_size=1, max_size=40), tail=st.integers(1, 60))
def test_large_pieces_are_copied_whole_and_only_the_tail_is_sent(sizes: list[int], tail: int) -> None:
    parts = plan_parts(sizes, tail, limits=SMALL)
    expected = [PlannedPart((Segment(piece, 0, size),), copied=True) for piece, size in enumerate(sizes)]
    assert [*expected, PlannedPart((Segment(len(sizes), 0, tail),))] == parts


@given(
    sizes=st.lists(st.integers(0, 20), min_size=1, max_size=60), tail=st.integers(0, 20), parts_max=st.integers(3, 12)
)
def test_never_more_parts_than_allowed(sizes: list[int], tail: int, parts_max: int) -> None:
    limits = Limits(part_bytes_min=5, part_bytes_max=10**6, parts_max=parts_max, merged_bytes=8)
    for can_copy in (True, False):
        parts = plan_parts(sizes, tail, can_copy=can_copy, limits=limits)
        assert len(parts) <= parts_max
        assert all(part.size >= limits.part_bytes_min for part in parts[:-1])
        assert len(bytes_of(parts, [*sizes, tail])) == sum(sizes) + tail


@given(sizes=st.lists(st.integers(0, 30), max_size=40), tail=st.integers(0, 30))
def test_what_is_sent_again_has_one_size(sizes: list[int], tail: int) -> None:
    parts = plan_parts(sizes, tail, can_copy=False, limits=SMALL)
    assert all(first.size == second.size for first, second in pairwise(parts[:-1]))
    assert not any(part.copied for part in parts)


def test_ten_thousand_large_pieces_and_a_tail_fit() -> None:
    parts = plan_parts([6 * MIB] * 10_000, 100_000)
    assert (10_000, 6 * MIB + 100_000) == (len(parts), parts[-1].size)


def test_nginx_parts_become_one_small_part() -> None:
    parts = plan_parts([60_000] * 32, 700)
    assert (1, 32 * 60_000 + 700, False) == (len(parts), parts[0].size, parts[0].copied)


def test_piece_beyond_five_gib_is_copied_in_ranges() -> None:
    parts = plan_parts([S3_LIMITS.part_bytes_max + 1], 10)
    assert [True, True, False] == [part.copied for part in parts]


def test_object_beyond_all_limits_is_refused() -> None:
    limits = Limits(part_bytes_min=5, part_bytes_max=10, parts_max=2, merged_bytes=8)
    for can_copy in (True, False):
        with pytest.raises(EntityTooLarge):
            plan_parts([10, 10, 10], 1, can_copy=can_copy, limits=limits)
