"""Numbers rearranged so that zstd sees what repeats in them: the pure transforms of codec 65.

Each function and its inverse keep every bit: elements are unsigned integers whose arithmetic wraps around, so that
signed numbers, floats, NaN payloads and denormals are only bit patterns. Arrays are one-dimensional unless a shape is
named. numpy releases the interpreter's lock in all of them. The bytes that come of them are laid out in
`s4gw.codec.layout`.

The forward ones take arrays of a GPU (cupy) as well: they use nothing but methods of arrays and functions of numpy that
hand over to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from s4gw.checksum import Buffer

Bytes = NDArray[np.uint8]
Elements = NDArray[Any]
"""Unsigned integers in the order of this machine."""

UNSIGNED: Final[Mapping[int, np.dtype[Any]]] = {2: np.dtype("<u2"), 4: np.dtype("<u4"), 8: np.dtype("<u8")}
"""Type of an element, by its width in bytes."""
_SIGNED: Final[Mapping[int, np.dtype[Any]]] = {
    1: np.dtype("<i1"), 2: np.dtype("<i2"), 4: np.dtype("<i4"), 8: np.dtype("<i8")
}  # fmt: skip
_SUMMED: Final = _SIGNED[4]  # PERF: sums of bytes take 2 ns each, of 32 bits 0.5; they are the same modulo 2**8
_FEW: Final = 64  # a plane is nearly empty if no more than this part of it is not zero
_GROUP: Final = 8  # elements that are looked at together


def to_bytes(data: Buffer) -> Bytes:
    """See a buffer as bytes, without a copy."""
    return np.frombuffer(data, np.uint8)


def to_elements(data: Bytes, width: int, *, big_endian: bool = False) -> Elements:
    """See bytes, a whole number of elements, as elements; a copy only where their bytes have to be swapped."""
    values = data.view(UNSIGNED[width])
    return values.byteswap() if big_endian else values


def difference(values: Elements) -> Elements:
    """Give each element less the one before; the first stays."""
    out = np.empty_like(values)
    out[:1] = values[:1]
    np.subtract(values[1:], values[:-1], out=out[1:])
    return out


def accumulate(differences: Elements, out: Elements | None = None) -> Elements:
    """Undo `difference`, into *out* if there is one, which may be *differences* itself."""
    kind = differences.dtype
    signed = _SIGNED[kind.itemsize]
    if kind.itemsize >= _SUMMED.itemsize:
        into = None if out is None else out.view(signed)
        summed: Elements = np.add.accumulate(differences.view(signed), dtype=signed, out=into)
        return summed.view(kind)
    sums = np.cumsum(differences, dtype=_SUMMED)
    if out is None:
        return sums.astype(kind)
    out[:] = sums
    return out


def zigzag(values: Elements) -> Elements:
    """Give 0, -1, 1, -2 ... as 0, 1, 2, 3 ..., so that small numbers of either sign have zeros in their high bytes."""
    width = values.dtype.itemsize
    signs = values.view(_SIGNED[width]) >> (8 * width - 1)
    folded: Elements = (values << values.dtype.type(1)) ^ signs.view(UNSIGNED[width])
    return folded


def unzigzag(values: Elements) -> Elements:
    """Undo `zigzag`: signed numbers."""
    one = values.dtype.type(1)
    signs = values & one
    np.negative(signs, out=signs)
    signs ^= values >> one
    unfolded: Elements = signs.view(_SIGNED[values.dtype.itemsize])
    return unfolded


def to_planes(data: Bytes, stride: int) -> list[Bytes]:
    """Sort the bytes of records by their place in the record: *stride* planes."""
    if stride in UNSIGNED:
        return split(data.view(UNSIGNED[stride]))
    return list(data.reshape(-1, stride).T.copy())


def split(values: Elements) -> list[Bytes]:
    """Cut elements into planes, the lowest bytes first.

    PERF: halves of halves take half the time of gathering every n-th byte, which no vector instruction does.
    """
    width = values.dtype.itemsize
    if width == 1:
        return [values]
    half = UNSIGNED.get(width // 2, np.dtype(np.uint8))
    high = values >> values.dtype.type(4 * width)
    return [*split(values.astype(half)), *split(high.astype(half))]


def join(planes: Sequence[Bytes]) -> Elements:
    """Undo `split` for up to eight planes, in as few bytes as so many planes need.

    May give a plane itself; there is one at least.
    """
    if len(planes) == 1:
        return planes[0]
    width = 2 if len(planes) == 2 else 4 if len(planes) <= 4 else 8  # noqa: PLR2004
    values: Elements = np.empty(len(planes[0]), UNSIGNED[width])
    _fill(values, planes)
    return values


def _fill(out: Elements, planes: Sequence[Bytes]) -> None:
    """Do what `join` does, into *out*, whose elements may have room for more planes; those are zero."""
    half = out.dtype.itemsize // 2
    if len(planes) <= half:
        out[:] = join(planes)
    elif half == 4:  # noqa: PLR2004 - PERF: numpy multiplies numbers of 64 bits one at a time
        out[:] = join(planes[:half])
        out.view(UNSIGNED[half])[1::2] = join(planes[half:])
    else:
        out[:] = join(planes[half:])
        out *= out.dtype.type(1 << 8 * half)
        out += join(planes[:half])


def fill_planes(out: Bytes, planes: Sequence[Bytes], stride: int) -> None:
    """Undo `to_planes` into *out*, the records of *stride* bytes one after another. Missing planes are zero."""
    if stride in UNSIGNED:
        _fill(out.view(UNSIGNED[stride]), planes)
        return
    # PERF: two bytes at once: half as many slow scattered writes
    step = 2 - stride % 2
    rows = (out.view(UNSIGNED[2]) if step == 2 else out).reshape(-1, stride // step)  # noqa: PLR2004
    for place in range(0, stride, step):
        rows[:, place // step] = join(planes[place : place + step]) if place < len(planes) else 0


def fill_elements(out: Elements, planes: Sequence[Bytes], undo: Callable[[Elements], Elements] | None = None) -> None:
    """Undo `split` into *out*, and what was done before by *undo*, which gives small signed numbers for small ones.

    Missing planes are zero. PERF: differences are small nearly always. The few that use the high planes are put right
    in groups, and all others are handled in as few bytes as they need.
    """
    whole, width = len(out) - len(out) % _GROUP, out.dtype.itemsize
    groups = [plane[:whole].view(np.uint64) for plane in planes]
    used, low = None, len(planes)
    while low > 1:
        nonzero = groups[low - 1] != 0
        if np.count_nonzero(nonzero) * _FEW > len(nonzero):
            break
        used, low = nonzero if used is None else used | nonzero, low - 1
    if undo:
        out[:] = undo(join(planes[:low]))
    else:
        _fill(out, planes[:low])
    if used is None:
        return
    places = np.flatnonzero(used)
    large = np.zeros((len(places) * _GROUP + len(out) - whole, width), np.uint8)
    for place, plane in enumerate(planes):
        large[: len(places) * _GROUP, place] = groups[place][places].view(np.uint8)
        large[len(places) * _GROUP :, place] = plane[whole:]
    values: Elements = large.view(out.dtype).ravel()
    if undo:
        values = undo(values)
    out[:whole].reshape(-1, _GROUP)[places] = values[: len(places) * _GROUP].reshape(-1, _GROUP)
    out[whole:] = values[len(places) * _GROUP :]


def pack(values: Elements) -> tuple[int, int, int, Elements]:
    """Prepare elements for packing: differences, less the smallest of them, need few bits.

    Where nearly all of them ascend, the smallest is that of those: the others wrap around to large numbers, which are
    rare in their planes, while a smallest one far below zero would leave no small number at all.

    Returns: (first element, what was subtracted, bits that the rest needs, the rest). The rest has as many elements
        as *values*, the first of them 0. With fewer than two elements nothing is subtracted.
    """
    if len(values) == 0:
        return 0, 0, 0, values
    rest = difference(values)
    least = base_of(rest[1:]) if len(values) > 1 else 0
    rest -= values.dtype.type(least)
    rest[0] = 0
    return int(values[0]), least, int(rest.max()).bit_length(), rest


def base_of(differences: Elements) -> int:
    """The smallest of one difference or more, modulo 2 to the power of their bits; see `pack`."""
    signed = differences.view(_SIGNED[differences.dtype.itemsize])
    least = int(signed.min())
    if least < 0 and int(np.count_nonzero(signed < 0)) * _FEW < len(signed):
        least = int(differences.min())
    return least % (1 << 8 * differences.dtype.itemsize)


def unpack(first: int, least: int, rest: Elements) -> None:
    """Undo `pack` where *rest* is."""
    if not len(rest):
        return
    if least:
        rest += rest.dtype.type(least)
    rest[0] = first
    accumulate(rest, rest)


def to_bit_planes(rest: Elements, bits: int) -> list[Bytes]:
    """Cut elements of *bits* bits: a plane for every whole byte, then one array with the planes of the bits above.

    A plane of bits holds bit 0 of its first byte for the first element, and ends on a byte.
    """
    whole, over = divmod(bits, 8)
    used = whole + bool(over)
    narrow = next((UNSIGNED[width] for width in (2, 4) if used <= width < rest.dtype.itemsize), rest.dtype)
    planes = split(rest.astype(narrow) if narrow is not rest.dtype else rest)[:used]
    if over:
        top = planes.pop()
        planes.append(np.concatenate([np.packbits(top & (1 << bit), bitorder="little") for bit in range(over)]))
    return planes


def from_bit_planes(out: Elements, planes: list[Bytes], bits: int) -> None:
    """Undo `to_bit_planes` into *out*."""
    count = len(out)
    whole, over = divmod(bits, 8)
    columns = planes[:whole]
    if over:
        rows = planes[whole].reshape(over, -1)
        top = np.unpackbits(rows[0], count=count, bitorder="little")
        for bit in range(1, over):
            # PERF: numpy multiplies bytes ten times as fast as it shifts them
            top += np.unpackbits(rows[bit], count=count, bitorder="little") * np.uint8(1 << bit)
        columns = [*columns, top]
    fill_elements(out, columns or [np.zeros(count, np.uint8)])
