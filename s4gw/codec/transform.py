"""Numbers rearranged so that zstd sees what repeats in them: the pure transforms of codec 65.

Each function and its inverse keep every bit: elements are unsigned integers whose arithmetic wraps around, so that
signed numbers, floats, NaN payloads and denormals are only bit patterns. Arrays are one-dimensional unless a shape is
named. numpy releases the interpreter's lock in all of them. The bytes that come of them are laid out in
`s4gw.codec.layout`.

The forward ones take arrays of a GPU (cupy) as well: they use nothing but methods of arrays and functions of numpy that
hand over to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from s4gw.checksum import Buffer

Bytes = NDArray[np.uint8]
Elements = NDArray[Any]
"""Unsigned integers in the order of this machine."""

UNSIGNED: Final[Mapping[int, np.dtype[Any]]] = {2: np.dtype("<u2"), 4: np.dtype("<u4"), 8: np.dtype("<u8")}
"""Type of an element, by its width in bytes."""
_SIGNED: Final[Mapping[int, np.dtype[Any]]] = {2: np.dtype("<i2"), 4: np.dtype("<i4"), 8: np.dtype("<i8")}


def to_bytes(data: Buffer) -> Bytes:
    """See a buffer as bytes, without a copy."""
    return np.frombuffer(data, np.uint8)


def to_elements(data: Bytes, width: int, *, big_endian: bool = False) -> Elements:
    """See bytes, a whole number of elements, as elements; a copy only where their bytes have to be swapped."""
    values = data.view(UNSIGNED[width])
    return values.byteswap() if big_endian else values


def from_elements(values: Elements, *, big_endian: bool = False) -> Bytes:
    """Undo `to_elements`."""
    return (values.byteswap() if big_endian else values).view(np.uint8)


def difference(values: Elements) -> Elements:
    """Give each element less the one before; the first stays."""
    out = np.empty_like(values)
    out[:1] = values[:1]
    np.subtract(values[1:], values[:-1], out=out[1:])
    return out


def accumulate(differences: Elements) -> Elements:
    """Undo `difference`."""
    return np.cumsum(differences, dtype=differences.dtype)


def zigzag(values: Elements) -> Elements:
    """Give 0, -1, 1, -2 ... as 0, 1, 2, 3 ..., so that small numbers of either sign have zeros in their high bytes."""
    width = values.dtype.itemsize
    signs = values.view(_SIGNED[width]) >> (8 * width - 1)
    folded: Elements = (values << values.dtype.type(1)) ^ signs.view(UNSIGNED[width])
    return folded


def unzigzag(values: Elements) -> Elements:
    """Undo `zigzag`."""
    one = values.dtype.type(1)
    unfolded: Elements = (values >> one) ^ (~(values & one) + one)
    return unfolded


def to_planes(data: Bytes, stride: int) -> Bytes:
    """Sort the bytes of records by their place in the record: shape (n * stride,) to (stride, n)."""
    return data.reshape(-1, stride).T.copy()


def fill_plane(out: Bytes, place: int, plane: Bytes) -> None:
    """Undo `to_planes` for one plane: set byte *place* of every record of *out*, shape (n, stride)."""
    out[:, place] = plane


def pack(values: Elements) -> tuple[int, int, int, Elements]:
    """Prepare elements for packing: differences, less the smallest of them, need few bits.

    Returns: (first element, smallest difference, bits that the rest needs, the rest). The rest has as many elements
        as *values*, the first of them 0. With fewer than two elements the smallest difference is 0.
    """
    if len(values) == 0:
        return 0, 0, 0, values
    rest = difference(values)
    width = values.dtype.itemsize
    least = int(rest[1:].view(_SIGNED[width]).min()) % (1 << 8 * width) if len(values) > 1 else 0
    rest -= values.dtype.type(least)
    rest[0] = 0
    return int(values[0]), least, int(rest.max()).bit_length(), rest


def unpack(first: int, least: int, rest: Elements) -> Elements:
    """Undo `pack`. *rest* is overwritten."""
    if len(rest):
        rest += rest.dtype.type(least)
        rest[0] = first
    return np.cumsum(rest, dtype=rest.dtype, out=rest)


def to_bit_planes(rest: Elements, bits: int) -> list[Bytes]:
    """Cut elements of *bits* bits: a plane for every whole byte, then one array with the planes of the bits above.

    A plane of bits holds bit 0 of its first byte for the first element, and ends on a byte.
    """
    whole, over = divmod(bits, 8)
    columns = rest.view(np.uint8).reshape(-1, rest.dtype.itemsize)
    planes = [columns[:, place].copy() for place in range(whole)]
    if over:
        top = columns[:, whole].copy()
        planes.append(np.concatenate([np.packbits(top & (1 << bit), bitorder="little") for bit in range(over)]))
    return planes


def from_bit_planes(planes: list[Bytes], count: int, width: int, bits: int) -> Elements:
    """Undo `to_bit_planes` for *count* elements of *width* bytes."""
    whole, over = divmod(bits, 8)
    kind = UNSIGNED[width]
    rest = planes[0].astype(kind) if whole else np.zeros(count, kind)
    for place in range(1, whole):
        rest |= planes[place].astype(kind) << kind.type(8 * place)
    if over:
        rows = planes[whole].reshape(over, -1)
        top = np.zeros(count, np.uint8)
        for bit in range(over):
            top |= np.unpackbits(rows[bit], count=count, bitorder="little") << np.uint8(bit)
        rest |= top.astype(kind) << kind.type(8 * whole)
    return rest
