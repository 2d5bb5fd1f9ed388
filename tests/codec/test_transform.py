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
    assert np.array_equal(transform.unzigzag(transform.zigzag(values)).view(values.dtype), values)


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
    restored = np.empty_like(values)
    transform.from_bit_planes(restored, planes, bits)
    assert np.array_equal(restored, rest)
    transform.unpack(first, least, restored)
    assert np.array_equal(restored, values)


@pytest.mark.parametrize("bits", range(1, 65))
def test_every_number_of_bits(bits: int) -> None:
    """Any number of bits is taken apart and put together again."""
    values = np.array([2**bits - 1, 0, 2 ** (bits - 1), *(n * 7919 % 2**bits for n in range(30))], "<u8")
    planes = transform.to_bit_planes(values, bits)
    assert sum(map(len, planes)) == bits // 8 * len(values) + bits % 8 * -(-len(values) // 8)
    out = np.empty_like(values)
    transform.from_bit_planes(out, planes, bits)
    assert np.array_equal(out, values)


@settings(max_examples=60, deadline=None)
@given(stride=st.integers(2, 64), rows=st.integers(0, 30), seed=st.integers(0, 2**32 - 1))
def test_planes(stride: int, rows: int, seed: int) -> None:
    """Planes are put back where they came from."""
    data = np.random.default_rng(seed).integers(0, 256, rows * stride, np.uint8)
    planes = transform.to_planes(data, stride)
    out = np.empty(rows * stride, np.uint8)
    transform.fill_planes(out, planes, stride)
    assert out.tobytes() == data.tobytes()
    assert [len(plane) for plane in planes] == [rows] * stride
    assert all(plane.tobytes() == data[place::stride].tobytes() for place, plane in enumerate(planes))


@settings(max_examples=60, deadline=None)
@given(width=widths, few=st.integers(0, 40), data=st.data())
def test_folded_planes(width: int, few: int, data: st.DataObject) -> None:
    """Differences come back whether hardly any or all of them are large."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    values = rng.integers(0, 2 ** data.draw(st.integers(1, 8 * width)), 3000, np.uint64)
    values[: few * few] = rng.integers(0, 2**63, few * few, np.uint64)
    rng.shuffle(values)
    expected = values.astype(transform.UNSIGNED[width])
    out = np.empty_like(expected)
    transform.fill_elements(out, transform.split(transform.zigzag(expected)), transform.unzigzag)
    assert np.array_equal(expected, out)


@pytest.mark.parametrize("kind", ["<u1", "<u2", "<u4", "<u8"])
def test_sums_wrap_around(kind: str) -> None:
    """Sums of bytes and shorts are taken in wider numbers, and are the same."""
    differences = np.random.default_rng(5).integers(0, 255, 5000).astype(kind) * np.dtype(kind).type(251)
    out = np.empty_like(differences)
    assert np.array_equal(transform.accumulate(differences), np.cumsum(differences, dtype=kind))
    assert np.array_equal(transform.accumulate(differences, out), np.cumsum(differences, dtype=kind))
    assert np.array_equal(out, np.cumsum(differences, dtype=kind))


def test_byte_order() -> None:
    """Elements whose highest byte comes first are the same numbers."""
    data = struct.pack(">3Q", 1, 2**40, 3)
    values = transform.to_elements(transform.to_bytes(data), 8, big_endian=True)
    assert values.tolist() == [1, 2**40, 3]
    assert values.byteswap().tobytes() == data
