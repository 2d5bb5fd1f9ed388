"""The automatic choice finds out what bytes are made of, without a hint."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from s4gw.codec import AutoDispatcher, Choice, CodecId, Column, Filter, encode_frame, estimate, selection
from s4gw.codec.auto import AUTO_BYTES_MIN
from s4gw.codec.dispatch import spread
from s4gw.codec.layout import PcoType, TypedFilter
from tests.codec.numbers import LINES, MIXED

RNG = np.random.default_rng(7)
MIB = 2**20
CHOICE = AutoDispatcher()


def chosen(data: bytes) -> Choice:
    """The choice for a whole object."""
    return CHOICE.choose(memoryview(data), len(data))


def is_noise(data: bytes) -> bool:
    """What the dispatcher asks of samples first."""
    pieces = spread(memoryview(data), 4, 8192, alignment=64)
    return estimate.is_noise(pieces, estimate.plain_sizes(pieces))


def integers(kind: str, low: int, high: int, *, sums: bool) -> bytes:
    """1 MiB of uniform integers, or of their sums."""
    numbers = RNG.integers(low, high, MIB // np.dtype(kind).itemsize)
    return (np.cumsum(numbers) if sums else numbers).astype(kind).tobytes()


def records() -> bytes:
    """Records of 21 bytes: time, counter, two readings, a flag."""
    pack = struct.Struct("<QIffB").pack
    numbers = random.Random(7)
    return b"".join(
        pack(
            10**15 + n * 1000 + numbers.randrange(900),
            n,
            round(numbers.gauss(20, 3), 1),
            numbers.random(),
            numbers.randrange(3),
        )
        for n in range(40_000)
    )


def waves() -> bytes:
    """Stereo samples of 16 bits, left and right alike."""
    at = np.arange(MIB // 4)
    left = 9000 * np.sin(at / 40) + RNG.normal(0, 40, len(at))
    return np.stack([left, left * 0.9], axis=1).astype("<i2").tobytes()


def pixels() -> bytes:
    """Rows of RGB pixels: a smooth shade, tinted, and grain."""
    shade = 110 + 70 * np.sin(np.arange(MIB // 3) / 300)
    rows = np.stack([shade * tint + RNG.normal(0, 2, len(shade)) for tint in (1, 0.8, 0.5)], axis=1)
    return np.clip(rows, 0, 255).astype(np.uint8).tobytes()


def matrix() -> bytes:
    """Rows of eight readings with three decimals: one column per sensor."""
    return np.round(20 + np.cumsum(RNG.normal(0, 0.02, (MIB // 64, 8)), axis=0), 3).tobytes()


SETS: dict[str, tuple[Callable[[], bytes], Choice]] = {
    "gaps of a u32 list": (
        lambda: integers("<u4", 1, 5, sums=True),
        Choice(CodecId.TYPED, 1, Filter(TypedFilter.PACK, 4)),
    ),
    "times": (
        lambda: integers("<u8", 10**6, 10**6 + 256, sums=True),
        Choice(CodecId.TYPED, 1, Filter(TypedFilter.PACK, 8)),
    ),
    "times, highest byte first": (
        lambda: integers(">u8", 10**6, 10**6 + 256, sums=True),
        Choice(CodecId.TYPED, 1, Filter(TypedFilter.PACK, 8, big_endian=True)),
    ),
    "numbers of 40 bits": (
        lambda: integers("<u8", 0, 2**40, sums=False),
        Choice(CodecId.TYPED, 1, Filter(TypedFilter.PLANES, 8)),
    ),
    "decimal floats": (
        lambda: np.round(20 + np.cumsum(RNG.normal(0, 0.02, MIB // 8)), 3).tobytes(),
        Choice(CodecId.PCO, 0, Column(PcoType.F64)),
    ),
    "a matrix of decimal floats": (matrix, Choice(CodecId.PCO, 0, Column(PcoType.F64))),
    "pixels": (pixels, Choice(CodecId.TYPED, 1, Filter(TypedFilter.PLANES, 3, mask=7))),
    "noise": (lambda: RNG.bytes(MIB), Choice(CodecId.PASSTHROUGH)),
    "lines": (lambda: LINES * 9, Choice(CodecId.ZSTD_CASCADE, 2)),
}


@pytest.mark.parametrize("name", SETS)
def test_what_is_found(name: str) -> None:
    """Each kind of data gets the codec that was made for it."""
    build, expected = SETS[name]
    assert chosen(build()) == expected


@pytest.mark.parametrize(("build", "stride", "ratio"), [(records, 21, 1.5), (waves, 4, 1.3)], ids=["records", "waves"])
def test_structure_is_found(build: Callable[[], bytes], stride: int, ratio: float) -> None:
    """Records and samples are much smaller than zstd makes them; records by their true length."""
    data = build()
    choice = chosen(data)
    ours, plain = (encode_frame(data, each).stored_size for each in (choice, Choice(CodecId.CPU_ZSTD, 3)))
    assert isinstance(choice.parameters, Filter)
    assert choice.parameters.width == stride
    assert plain / ours > ratio


def test_mixed_bytes_get_segments() -> None:
    """Samples that want different codecs make the frame choose piece by piece."""
    choice = chosen(MIXED)
    assert choice.codec is CodecId.SEGMENTS
    assert encode_frame(MIXED, choice).stored_size * 1.2 < encode_frame(MIXED, Choice(CodecId.CPU_ZSTD, 3)).stored_size


def test_small_objects_are_not_studied() -> None:
    """Below 64 KiB there is zstd or nothing, as the cheap dispatcher has it; nothing is nothing."""
    data = integers("<u4", 1, 5, sums=True)[: AUTO_BYTES_MIN - 1]
    assert chosen(data).codec is CodecId.CPU_ZSTD
    assert chosen(RNG.bytes(40_000)) == Choice(CodecId.PASSTHROUGH)
    assert CHOICE.choose(b"", 0) == Choice(CodecId.PASSTHROUGH)


def test_choices_are_deterministic() -> None:
    """Equal objects are stored equally."""
    data = records()[:MIB]
    assert encode_frame(data, chosen(data)).payload == encode_frame(data, AutoDispatcher().choose(data, None)).payload


def test_levels() -> None:
    """A slower profile compresses text and numbers with its own levels."""
    archive = AutoDispatcher((9, 19))
    assert archive.choose(LINES * 9, None).level in {9, 19}
    assert archive.choose(integers("<u4", 1, 5, sums=True), None) == Choice(
        CodecId.TYPED, 9, Filter(TypedFilter.PACK, 4)
    )
    nested = archive.choose(MIXED, None).parameters
    assert isinstance(nested, tuple)
    assert {each.level for each in nested} == {0, 9, 19}


@pytest.mark.parametrize("size", [AUTO_BYTES_MIN, 100_001, 3 * MIB + 7])
def test_any_size_comes_back_no_larger(size: int) -> None:
    """Odd sizes choose and shrink too; nothing grows by more than its header."""
    data = (integers("<u8", 10**6, 10**6 + 256, sums=True) * 4)[:size]
    assert encode_frame(data, chosen(data)).stored_size * 4 < size


@pytest.mark.parametrize("name", SETS)
def test_what_a_codec_shrinks_is_not_noise(name: str) -> None:
    """Nothing for which there is a filter is passed over before the filters are tried."""
    make, choice = SETS[name]
    noise = is_noise(make())
    assert (choice.codec is CodecId.PASSTHROUGH) >= noise


def test_encrypted_and_compressed_bytes_are_noise() -> None:
    """They are what a gateway meets most beside text, and cost a tenth of a survey."""
    encrypted = random.Random(1).randbytes(MIB)
    compressed = zlib.compress(random.Random(2).randbytes(MIB).hex().encode(), 9)
    assert [True, True] == [is_noise(data) for data in (encrypted, compressed)]


def test_glances_tell_kinds_apart() -> None:
    """A glance gives about the same for more of what was chosen for, and another number for most other kinds."""
    kinds = {
        "text": LINES * 4,
        "noise": RNG.bytes(MIB),
        "ids": integers("<u4", 1, 200, sums=True),
        "times": integers("<i8", 10**9, 10**9 + 256, sums=True),
        "prices": (np.round(RNG.normal(50, 9, MIB // 8), 2)).tobytes(),
    }
    choices = {name: chosen(data) for name, data in kinds.items()}
    seen = {
        (made, given): [CHOICE.glance(choice, memoryview(data)[start:]) for start in (0, 4096 * 21)]
        for made, choice in choices.items()
        for given, data in kinds.items()
    }

    def differ(now: int, before: int) -> bool:  # as `s4gw.codec.selection` has it
        return abs(now - before) * 100 > before * selection.GLANCE_PERCENT + 100 * selection.GLANCE_SLACK

    assert not [pair for pair, (first, second) in seen.items() if differ(second, first)]
    unseen = {pair for pair, glances in seen.items() if not differ(glances[0], seen[pair[0], pair[0]][0])}
    assert {(name, name) for name in kinds} <= unseen
    shown_by_the_ratio = {("prices", "noise"), ("prices", "ids"), ("prices", "times"), ("times", "text")}
    assert unseen - {(name, name) for name in kinds} <= shown_by_the_ratio


@pytest.mark.parametrize("size", [0, 1, 7, 9, 2049])
def test_glances_at_little(size: int) -> None:
    """The last frame of a body may be shorter than what is looked at, and than an element."""
    choices = {chosen(data) for data in (LINES * 4, records(), waves(), integers("<u4", 1, 200, sums=True))}
    assert all(0 <= CHOICE.glance(choice, bytes(size)) <= 1000 for choice in choices)
