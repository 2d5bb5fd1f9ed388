"""Numbers in order, told from a few KiB in a few vector operations: the commonest numbers, and the cheapest to find.

Document ids, offsets and times grow by steps that need far fewer bits than they do. Where every sample says so, the
filter is settled without trying the others, which takes ten times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from s4gw.codec import transform
from s4gw.codec.choice import Choice, Filter
from s4gw.codec.layout import CodecId, TypedFilter
from s4gw.codec.transform import Bytes, Elements

_WIDTHS: Final = (4, 8)
_SLACK_BITS: Final = 1.5  # what steps take beyond the bits that they have, on average
_CLEARLY: Final = 0.5  # of what zstd makes of the samples: no filter for other kinds of numbers gets there
_BYTES_MIN: Final = 512  # fewer say nothing
_COUNTED: Final = 1024  # elements of each sample whose bytes are counted
_ASKED_BYTES_MIN: Final = 4096  # in smaller samples a few falls say nothing, and small objects are chosen for each


def filter_of(pieces: Sequence[memoryview], plain: Sequence[int]) -> Choice | None:
    """Give the filter for numbers in order.

    Args:
        pieces: Samples, each a whole number of eight bytes that begins with an element.
        plain: Bytes that zstd leaves of each.

    Returns: None, unless the filter is clearly better than zstd.
    """
    size = min(map(len, pieces)) // 8 * 8
    if size < _BYTES_MIN:
        return None
    rows = np.stack([transform.to_bytes(piece)[:size] for piece in pieces])
    for width in _WIDTHS:  # elements are also pairs of elements, so the narrower first
        values = rows.view(transform.UNSIGNED[width])
        steps = values[:, 1:] - values[:, :-1]
        base = transform.base_of(steps.ravel())
        rest = steps - steps.dtype.type(base)
        bits = np.log2(rest.astype(np.float32) + 1).mean(axis=1) + _SLACK_BITS
        left = bits / (8 * width) * size
        if (left < plain).all() and left.sum() < _CLEARLY * sum(plain):
            half = 1 << 8 * width - 1
            ascending = base < half  # nearly all of them; where all do, no step has the highest bit
            sure = ascending and (size < _ASKED_BYTES_MIN or int(rest.max()) < half)
            return Choice(CodecId.TYPED, 1, Filter(TypedFilter.PACK if sure else _kind(steps, rest), width))
    return None


def _kind(steps: Elements, rest: Elements) -> TypedFilter:
    """PACK, unless zigzag suits steps of either sign better."""
    folded = transform.zigzag(np.ascontiguousarray(steps[:, :_COUNTED]).ravel())
    packed = np.ascontiguousarray(rest[:, :_COUNTED]).ravel()
    return TypedFilter.PACK if _entropy(packed) <= _entropy(folded) else TypedFilter.DELTA_PLANES


def _entropy(values: Elements) -> float:
    """Bits that the planes of *values* take if each byte takes what its frequency in its plane says."""
    planes: list[Bytes] = [plane for plane in transform.split(values) if plane.any()]
    if not planes:
        return 0.0
    places = np.stack(planes).astype(np.intp)
    places += 256 * np.arange(len(planes))[:, None]
    counts = np.bincount(places.ravel())
    counts = counts[counts > 0]
    return len(values) * len(planes) * float(np.log2(len(values))) - float((counts * np.log2(counts)).sum())
