"""Guesses from samples: how small a choice would make some bytes, and what kind of numbers they may be.

Estimates are sizes of zstd level 1 on a few KiB. Every stream of a filter is measured by itself, as it will be
stored: in one call a small sample's planes would share a Huffman table, which misjudges them by up to a third.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from s4gw.checksum import Buffer
from s4gw.codec import pco, transform, typed, zstd
from s4gw.codec.choice import Choice, Column, Filter, rotated
from s4gw.codec.layout import RECORD_BYTES_MAX, CodecId, PcoType
from s4gw.codec.transform import Bytes

LEVEL: Final = 1

INCOMPRESSIBLE_PERMILLE: Final = 985
"""Samples of which more than this is left are not worth a codec."""

_NOISE_PLANES: Final = 8
_NOISE_LAGS: Final = (1, 2, 3, 4, 6, 8)

_TEXT: Final = bytes(range(0x20, 0x7F)) + b"\t\n\r"
_TEXT_PERCENT: Final = 97

_LAG_BYTES: Final = 4096  # bytes that each lag is measured on
_LAG_GAIN: Final = 0.03  # a stride shows as this much more equal bytes than the other lags have

_SMOOTH_LAGS: Final = (2, 3, 4, 6, 8, 12)  # grey, RGB, RGBA and stereo, the same with two bytes, three f32
_SMOOTH_SHARE: Final = 0.5  # pictures, whose channels differ much and whose pixels do not
_SMOOTHISH_SHARE: Final = 0.8

_SEGMENT_SAMPLE_BYTES: Final = 16 * 1024
_SEGMENT_SAMPLES: Final = 4
_JOINTS_BYTES: Final = 300
_WEIGHT_ZSTD: Final = 97

_EXPONENTS_MAX: Final = 16  # of the highest bytes of 256 floats; noise has 160

_FLOAT_SHARE: Final = 0.95  # of elements whose exponent is that of an ordinary number
_FLOAT_EXPONENTS: Final = {4: (23, 0xFF, 87, 167), 8: (52, 0x7FF, 983, 1063)}  # shift, mask, 2**-40 to 2**40
_FLOAT_TOPS: Final = {
    width: bytes({0, *(sign | place << shift >> 8 * width - 8 for place in range(low, high + 1) for sign in (0, 128))})
    for width, (shift, _, low, high) in _FLOAT_EXPONENTS.items()
}
"""The highest bytes that such floats have, and zero."""


def size_of(choice: Choice, piece: Buffer) -> int:
    """Bytes that *piece* would take, headers aside."""
    size = memoryview(piece).nbytes
    if choice.codec is CodecId.PASSTHROUGH:
        return size
    if isinstance(choice.parameters, Filter):
        whole = transform.to_bytes(piece)
        whole = whole[: size - size % choice.parameters.width]
        return _streams(typed.forward(whole, choice.parameters)[1])
    if isinstance(choice.parameters, Column):
        return len(pco.encode(piece, choice.parameters, level=pco.LEVEL_SAMPLE))
    return min(size, len(zstd.encode(piece, LEVEL)))


def planes_size(piece: Buffer, width: int, *, differences: bool = False) -> int:
    """Bytes that zstd leaves of the planes of *piece* or of its differences, one after another, in one call.

    Good to compare with itself alone. PERF: between two frames everything is cold, and each function of numpy that is
    called costs 10 to 40 us; so the planes are cut without it.
    """
    data = bytes(piece)
    if differences:
        values = np.frombuffer(data, transform.UNSIGNED[width], len(data) // width)
        data = (values[1:] - values[:-1]).tobytes()
    return min(len(data), len(zstd.encode(b"".join([data[place::width] for place in range(width)]), LEVEL)))


def looks_like_floats(piece: Buffer) -> bool:
    """Whether every eighth byte is one of a few and not often zero, as exponents of f64 are; see `planes_size`."""
    tops = bytes(piece)[7::8]
    return len(set(tops)) <= _EXPONENTS_MAX and tops.count(0) * 2 < len(tops)


def _streams(streams: Iterable[Bytes]) -> int:
    return sum(min(len(stream), len(zstd.encode(stream.data, LEVEL))) for stream in streams)


def is_text(pieces: Sequence[memoryview]) -> bool:
    """Whether more than 97 % of the bytes are printable ASCII."""
    size = sum(map(len, pieces))
    other = sum(len(bytes(piece).translate(None, _TEXT)) for piece in pieces)
    return other * 100 <= size * (100 - _TEXT_PERCENT)


def plain_sizes(pieces: Sequence[memoryview]) -> list[int]:
    """Bytes that zstd leaves of each piece."""
    return [len(zstd.encode(piece, LEVEL)) for piece in pieces]


def is_noise(pieces: Sequence[memoryview], plain: Sequence[int]) -> bool:
    """Whether nothing at all shows, so that trying every filter would be a waste: compressed or encrypted bytes.

    No piece shrinks by itself; in the middle one neither do the bytes at each place of eight, nor the steps from each
    byte to one shortly after it, as any elements, samples, pixels or records that are near each other would.

    Args:
        pieces: Samples of a few KiB.
        plain: What `plain_sizes` gives for them.
    """
    shrinks = any(left * 1000 < len(piece) * INCOMPRESSIBLE_PERMILLE for piece, left in zip(pieces, plain, strict=True))
    return not shrinks and is_uneven(pieces[len(pieces) // 2])


def is_uneven(piece: memoryview) -> bool:
    """Whether neither the bytes at each place of eight nor the steps between near bytes show anything."""
    data = transform.to_bytes(piece)
    data = data[: len(data) - len(data) % _NOISE_PLANES]
    if len(data) <= max(_NOISE_LAGS) or any(_shrinks(plane.data) for plane in transform.to_planes(data, _NOISE_PLANES)):
        return False
    return not any(_shrinks((data[lag:] - data[:-lag]).data) for lag in _NOISE_LAGS)


def _shrinks(piece: Buffer) -> bool:
    return len(zstd.encode(piece, LEVEL)) * 1000 < memoryview(piece).nbytes * INCOMPRESSIBLE_PERMILLE


def stride_of(piece: Buffer) -> int:
    """Find the length of records: the lag at which clearly more bytes are equal than at others; 0: none.

    Pixels and samples are hardly ever equal; they show, at short lags, by how little they differ.
    """
    data = transform.to_bytes(piece)[: _LAG_BYTES + RECORD_BYTES_MAX]
    count = (len(data) - RECORD_BYTES_MAX) // 64 * 64
    if count < RECORD_BYTES_MAX:
        return 0
    head, lagged = data[:count], np.ndarray((RECORD_BYTES_MAX, count), np.uint8, data, 1, (1, 1))
    # the short lag at which bytes differ least, and how much less than at most of them
    steps = np.abs((lagged[[lag - 1 for lag in _SMOOTH_LAGS]] - head).view(np.int8)).sum(axis=1, dtype=np.int32)
    smooth, smoothness = _SMOOTH_LAGS[int(steps.argmin())], steps.min() / max(1, sum(np.sort(steps)[2:4]) / 2)
    if smoothness < _SMOOTH_SHARE:
        return smooth
    # PERF: truths of all lags packed to bits and counted there: a third of the time that 64 comparisons take
    equal = lagged == head
    shares = np.bitwise_count(np.packbits(equal, axis=1).view(np.uint64)).sum(axis=1, dtype=np.intp)
    threshold = shares.mean() + _LAG_GAIN * count
    best = int(shares.argmax()) + 1
    if best < 3 or shares[best - 1] <= threshold:  # noqa: PLR2004 - one and two bytes are elements
        return smooth if smoothness < _SMOOTHISH_SHARE else 0
    for part in range(3, best):  # a multiple of the stride fits about as well as the stride itself
        if best % part == 0 and shares[part - 1] > threshold and shares[part - 1] * 20 >= shares[best - 1] * 19:
            return part
    return best


def mask_of(pieces: Sequence[Bytes], stride: int) -> int:
    """Choose the planes of records that are smaller as differences. Each piece begins and ends with a record."""
    mask = 0
    if not pieces:
        return mask
    for place, plane in enumerate(transform.to_planes(np.concatenate(pieces), stride)):
        if _streams([transform.difference(plane)]) < _streams([plane]):
            mask |= 1 << place
    return mask


def column_of(piece: Buffer, width: int, *, big_endian: bool = False) -> Column:
    """Guess what elements of *width* bytes are: floats if nearly all have an ordinary exponent."""
    whole = transform.to_bytes(piece)
    values = transform.to_elements(whole[: len(whole) - len(whole) % width], width, big_endian=big_endian)
    integers = {2: PcoType.U16, 4: PcoType.U32, 8: PcoType.U64}
    if width not in _FLOAT_EXPONENTS:
        return Column(integers[width], big_endian)
    if _are_floats(values):
        return Column(PcoType.F32 if width == 4 else PcoType.F64, big_endian)  # noqa: PLR2004
    return Column(integers[width], big_endian)


def holds_floats(piece: Buffer, kind: PcoType) -> bool:
    """Whether nearly all elements of *piece* are ordinary floats of *kind*, F32 or F64."""
    width = pco.TYPES[kind].itemsize
    tops = bytes(piece)[width - 1 :: width]
    if len(tops.translate(None, _FLOAT_TOPS[width])) > (1 - _FLOAT_SHARE) * len(tops):
        return False  # PERF: which it mostly is; the exact answer takes ten times as long
    whole = transform.to_bytes(piece)
    return _are_floats(transform.to_elements(whole[: len(whole) - len(whole) % width], width))


def _are_floats(values: transform.Elements) -> bool:
    shift, mask, low, high = _FLOAT_EXPONENTS[values.dtype.itemsize]
    kind: Any = values.dtype.type
    exponents = (values >> kind(shift)) & kind(mask)
    ordinary = np.count_nonzero(((exponents >= low) & (exponents <= high)) | (values == 0))
    return bool(ordinary >= _FLOAT_SHARE * len(values) and np.count_nonzero(values) * 2 > len(values))


def best_of(choices: Sequence[Choice], piece: memoryview, start: int) -> Choice:
    """Choose for a segment that begins *start* bytes after the place that the choices were made for.

    Samples of all its parts are measured as one: what changes inside a segment is stored with one choice.
    """
    samples: dict[int, bytes] = {}

    def cost(choice: Choice) -> int:
        period = choice.parameters.width if isinstance(choice.parameters, Filter) else 1
        step = math.lcm(RECORD_BYTES_MAX, period)
        if step not in samples:
            samples[step] = _sampled(piece, step)
        size = size_of(rotated(choice, start), samples[step])
        if choice.codec in {CodecId.CPU_ZSTD, CodecId.ZSTD_CASCADE} and size < len(samples[step]):
            # in a whole segment zstd finds more matches than in a sample of it, and loses none where samples meet
            return max(size - _JOINTS_BYTES, size // 2) * _WEIGHT_ZSTD
        return size * 100

    return min(choices, key=cost)


def _sampled(piece: memoryview, step: int) -> bytes:
    """Cut bytes out of the middle of each quarter of *piece* and join them; each begins at a multiple of *step*."""
    size = max(step, _SEGMENT_SAMPLE_BYTES // _SEGMENT_SAMPLES // step * step)
    quarter = len(piece) // _SEGMENT_SAMPLES
    if quarter <= size:
        return bytes(piece[:_SEGMENT_SAMPLE_BYTES])
    starts = ((quarter * number + (quarter - size) // 2) // step * step for number in range(_SEGMENT_SAMPLES))
    return b"".join(piece[start : start + size] for start in starts)
