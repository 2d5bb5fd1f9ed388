"""Every transform is undone by its inverse, bit for bit, whatever the numbers mean."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.codec import transform

WIDTHS = (2, 4, 8)
widths = st.sampled_from(WIDTHS)


def numbers(width: int, data: bytes) -> transform.Elements:
    """The whole elements of *data*."""
    return transform.to_elements(transform.to_bytes(data[: len(data) - len(data) % width]), width)


@settings(max_examples=60, deadline=None)
@given(width=widths, data=st.binary(max_size=400))
def test_differences_and_zigzag(width: int, data: bytes) -> None:
    """Sums undo differences, and zigzag is undone, wrap-around included."""
    values = numbers(width, data)
    assert np.array_equal(transform.accumulate(transform.difference(values)), values)
    assert np.array_equal(transform.unzigzag(transform.zigzag(values)), values)


def test_zigzag_order() -> None:
    """Small numbers of either sign become small."""
    signed = np.array([0, -1, 1, -2, 2**31 - 1, -(2**31)], "<i4")
    assert transform.zigzag(signed.view("<u4")).tolist() == [0, 1, 2, 3, 2**32 - 2, 2**32 - 1]


@settings(max_examples=60, deadline=None)
@given(width=widths, data=st.binary(max_size=400))
def test_packing(width: int, data: bytes) -> None:
    """Packing in as few bits as the differences need is undone."""
    values = numbers(width, data)
    first, least, bits, rest = transform.pack(values)
    planes = transform.to_bit_planes(rest, bits)
    restored = transform.from_bit_planes(planes, len(values), width, bits)
    assert np.array_equal(restored, rest)
    assert np.array_equal(transform.unpack(first, least, restored), values)


@pytest.mark.parametrize("bits", range(1, 65))
def test_every_number_of_bits(bits: int) -> None:
    """Any number of bits is taken apart and put together again."""
    values = np.array([2**bits - 1, 0, 2 ** (bits - 1), *(n * 7919 % 2**bits for n in range(30))], "<u8")
    planes = transform.to_bit_planes(values, bits)
    assert sum(map(len, planes)) == bits // 8 * len(values) + bits % 8 * -(-len(values) // 8)
    assert np.array_equal(transform.from_bit_planes(planes, len(values), 8, bits), values)


@settings(max_examples=60, deadline=None)
@given(stride=st.integers(2, 64), rows=st.integers(0, 30), seed=st.integers(0, 2**32 - 1))
def test_planes(stride: int, rows: int, seed: int) -> None:
    """Planes are put back where they came from."""
    data = np.random.default_rng(seed).integers(0, 256, rows * stride, np.uint8)
    planes = transform.to_planes(data, stride)
    out = np.empty((rows, stride), np.uint8)
    for place in range(stride):
        transform.fill_plane(out, place, planes[place])
    assert out.tobytes() == data.tobytes()
    assert planes.shape == (stride, rows)


def test_byte_order() -> None:
    """Elements whose highest byte comes first are the same numbers."""
    data = struct.pack(">3Q", 1, 2**40, 3)
    values = transform.to_elements(transform.to_bytes(data), 8, big_endian=True)
    assert values.tolist() == [1, 2**40, 3]
    assert transform.from_elements(values, big_endian=True).tobytes() == data
