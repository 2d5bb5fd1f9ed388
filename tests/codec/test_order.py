"""Numbers in order are found from samples alone, and nothing else is taken for them."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from s4gw.codec import Choice, CodecId, Filter, encode_frame, estimate, order
from s4gw.codec.dispatch import spread
from s4gw.codec.layout import TypedFilter
from tests.codec.numbers import LINES, MIXED

KIB = 1024
PACK4 = Choice(CodecId.TYPED, 1, Filter(TypedFilter.PACK, 4))
PACK8 = Choice(CodecId.TYPED, 1, Filter(TypedFilter.PACK, 8))
FOLDED4 = Choice(CodecId.TYPED, 1, Filter(TypedFilter.DELTA_PLANES, 4))


def found(data: bytes, piece_bytes: int = KIB) -> Choice | None:
    """What samples of *data* are taken for."""
    pieces = spread(memoryview(data), 4, piece_bytes, alignment=64)
    return order.filter_of(pieces, estimate.plain_sizes(pieces))


def ids(kind: str, count: int, low: int, high: int, *, runs: int = 1) -> bytes:
    """Runs of numbers, each growing from near 0 by random steps."""
    rng = np.random.default_rng(3)
    steps = rng.integers(low, high, count // runs * runs).reshape(runs, -1)
    return np.cumsum(steps, axis=1).astype(kind).tobytes()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (ids("<u4", 16_384, 1, 6), PACK4),
        (ids("<u4", 16_384, 1, 1000), PACK4),
        (ids("<u4", 16_384, 1, 200, runs=8), PACK4),
        (ids("<u4", 16_384, 1, 2), PACK4),
        (ids("<u8", 16_384, 10**6, 10**6 + 256), PACK8),
    ],
    ids=["gaps", "wide gaps", "runs", "a counter", "times"],
)
def test_order_is_seen(data: bytes, expected: Choice) -> None:
    """Ids, counters and times are seen, as what they are, in a frame's samples and in a small object's."""
    assert found(data) == found(data, 4 * KIB) == expected
    assert encode_frame(data, expected).stored_size * 2 < encode_frame(data, Choice(CodecId.CPU_ZSTD, 3)).stored_size


@pytest.mark.parametrize("runs", [1, 2, 64])
def test_the_better_filter_is_taken(runs: int) -> None:
    """Posting lists of many words at once go to about the smaller of the two filters for steps."""
    data = b"".join(ids("<u4", 32_768 // 4, 1, high, runs=runs) for high in (3, 30, 300, 5000))
    choice = found(data)
    assert choice in {PACK4, FOLDED4}
    taken, *both = (encode_frame(data, each).stored_size for each in (choice, PACK4, FOLDED4))
    assert taken < min(both) * 1.05


@pytest.mark.parametrize(
    "make",
    [
        lambda: LINES,
        lambda: MIXED,
        lambda: random.Random(1).randbytes(64 * KIB),
        lambda: np.random.default_rng(1).normal(size=8192).tobytes(),
        lambda: np.random.default_rng(1).integers(0, 100, 8192).astype("<u8").tobytes(),
        lambda: ids(">u8", 16_384, 10**6, 10**6 + 256),
        lambda: b"",
        lambda: bytes(100),
    ],
    ids=["lines", "a mixture", "noise", "floats", "small numbers", "highest byte first", "nothing", "little"],
)
def test_nothing_else_is_taken_for_it(make: Callable[[], bytes]) -> None:
    """Where order does not show everywhere, the other filters are asked."""
    data = make()
    assert (found(data) if data else order.filter_of([memoryview(data)], [0])) is None
