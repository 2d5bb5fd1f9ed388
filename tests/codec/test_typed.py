"""Codec 65 gives back every byte of every kind of number, and refuses payloads that make no sense."""

from __future__ import annotations

import random
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.codec import CodecError, CorruptFrame, FrameHeader, decode_frame, encode_frame, parse_frame_header, typed
from s4gw.codec.choice import Choice, Filter
from s4gw.codec.layout import NUMBERS_BYTES_MAX, CodecId, TypedFilter
from tests.codec import numbers
from tests.codec.numbers import FILTERS, RECORDS, TIMES

filters = st.sampled_from(FILTERS)
data = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda unit, times: unit * times, st.binary(max_size=24), st.integers(0, 60)),
    st.builds(
        lambda start, step, count, tail: (
            b"".join((start + n * step).to_bytes(12, "little")[:8] for n in range(count)) + tail
        ),
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**40),
        st.integers(0, 60),
        st.binary(max_size=7),
    ),
)


@settings(max_examples=150, deadline=None)
@given(wanted=filters, original=data, level=st.sampled_from([1, 3, 9]))
def test_decode_undoes_encode(wanted: Filter, original: bytes, level: int) -> None:
    """Any bytes come back through any filter, odd tails and both byte orders included."""
    assert typed.decode(typed.encode(original, level, wanted), len(original)) == original


@settings(max_examples=60, deadline=None)
@given(wanted=filters, original=data)
def test_the_format_page_is_enough(wanted: Filter, original: bytes) -> None:
    """A reader written from the page alone decodes the same."""
    assert numbers.read_typed(typed.encode(original, 1, wanted), len(original)) == original


@pytest.mark.parametrize("width", range(2, 65))
def test_every_record_stride(width: int) -> None:
    """Records of any stride, with and without differences, with a piece of one at the end."""
    original = bytes(n * n % 251 for n in range(width * 33 + width // 2))
    for mask in (0, (1 << width) - 1):
        payload = typed.encode(memoryview(original), 1, Filter(TypedFilter.PLANES, width, mask=mask))
        assert typed.decode(payload, len(original)) == original


@pytest.mark.parametrize("width", range(2, 65))
def test_planes_of_nothing(width: int) -> None:
    """Bytes that are zero in every record, at its end or before it, cost a few bytes and come back."""
    row = bytes(n * 7 % 5 for n in range(width // 2 + 1)) + bytes(width // 2)
    original = b"".join(bytes([n % 255]) + row[1:width] for n in range(2000))
    for mask in (0, (1 << width) - 1):
        payload = typed.encode(original, 1, Filter(TypedFilter.PLANES, width, mask=mask))
        assert typed.decode(payload, len(original)) == original == numbers.read_typed(payload, len(original))
        assert len(payload) < 300 + 8 * width


def test_a_few_falls_cost_little() -> None:
    """Runs of ascending ids, each from near 0 again, pack about as small as one run of as many ids does."""
    rng = random.Random(1)
    gaps = [1 + int(rng.expovariate(1 / 90)) for _ in range(20_000)]
    starts = range(0, len(gaps), 2000)
    runs = b"".join(struct.pack("<2000I", *accumulate(gaps[start : start + 2000])) for start in starts)
    wanted = Filter(TypedFilter.PACK, 4)
    packed = typed.encode(runs, 1, wanted)
    assert typed.decode(packed, len(runs)) == runs == numbers.read_typed(packed, len(runs))
    assert len(packed) < len(typed.encode(struct.pack("<20000I", *accumulate(gaps)), 1, wanted)) + 100 * len(starts)


@pytest.mark.parametrize("wanted", FILTERS, ids=lambda wanted: wanted.label)
def test_floats_are_bit_patterns(wanted: Filter) -> None:
    """NaN payloads, denormals, infinities and both zeros are exact."""
    specials = [0x7FF0000000000001, 0xFFF8DEADBEEF0001, 1, 0x800FFFFFFFFFFFFF, 0x7FF0000000000000, 1 << 63, 0]
    original = struct.pack("<70Q", *(specials * 10)) + struct.pack("<40I", *([0x7F800001, 0xFFC12345, 1, 1 << 31] * 10))
    assert typed.decode(typed.encode(original, 1, wanted), len(original)) == original


@settings(max_examples=200, deadline=None)
@given(wanted=filters, place=st.integers(0, 10_000), flip=st.integers(1, 255), cut=st.booleans())
def test_damage_is_an_error_or_harmless(wanted: Filter, place: int, flip: int, cut: bool) -> None:
    """A cut or changed byte of a frame gives the library's own error or the same content."""
    original = (TIMES + RECORDS)[:3001]
    frame = encode_frame(original, Choice(CodecId.TYPED, 1, wanted))
    payload = bytearray(frame.payload)
    place %= len(payload)
    if cut:
        del payload[place:]
    else:
        payload[place] ^= flip
    header = parse_frame_header(frame.header)
    header = FrameHeader(header.codec, header.original_size, len(payload), header.crc32c)
    with suppress(CodecError):
        assert decode_frame(header, bytes(payload)) == original


@pytest.mark.parametrize(
    ("choice", "original", "ratio"),
    [
        (numbers.typed(TypedFilter.PACK, 4), b"".join(n.to_bytes(4, "little") for n in range(2**18)), 25_000),
        (numbers.typed(TypedFilter.PACK, 4, big_endian=True), b"".join(n.to_bytes(4, "big") for n in range(9999)), 900),
        (numbers.typed(TypedFilter.DELTA_PLANES, 8), TIMES, 3),
        (numbers.typed(TypedFilter.PLANES, 7, mask=0b1111), RECORDS, 2.4),
    ],
)
def test_numbers_shrink(choice: Choice, original: bytes, ratio: float) -> None:
    """The filter that fits makes little of much, the frame header counted."""
    frame = encode_frame(original, choice)
    assert frame.codec is CodecId.TYPED
    assert len(original) / frame.stored_size > ratio


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(TypedFilter.PACK, 3),
        Filter(TypedFilter.PLANES, 65),
        Filter(TypedFilter.PLANES, 1),
        Filter(TypedFilter.PLANES, 4, big_endian=True),
        Filter(TypedFilter.PLANES, 4, mask=16),
        Filter(TypedFilter.DELTA, 4, mask=1),
    ],
)
def test_filters_that_do_not_exist(wanted: Filter) -> None:
    """A width or flag that the format does not have is refused when writing."""
    with pytest.raises(ValueError, match="no filter"):
        typed.encode(bytes(100), 1, wanted)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x01\x04\x08",
        b"\x02\x04\x08\x00" + bytes(18),  # version
        b"\x01\x05\x08\x00" + bytes(18),  # filter
        b"\x01\x04\x05\x00" + bytes(18),  # width
        b"\x01\x04\x00\x00" + bytes(18),
        b"\x01\x04\x08\x02" + bytes(18),  # flags
        b"\x01\x02\x04\x00\x10" + bytes(18),  # a plane that is not there
        b"\x01\x04\x08\x00\x41" + bytes(18),  # 65 bits
        b"\x01\x04\x08\x00" + bytes(18),  # a byte too many
        b"\x01\x01\x08\x00\xff\xff\xff\xff\xff\xff",  # a size without end
        b"\x01\x01\x08\x00\x80",
        b"\x01\x01\x08\x00\x03",  # a pattern of no bytes
        b"\x01\x01\x08\x00\x05",  # zstd that is not there
        b"\x01\x01\x08\x00\x06\xff",
        b"\x01\x01\x08\x00\x0a\x28\xb5",
    ],
)
def test_payloads_that_make_no_sense(payload: bytes) -> None:
    """Headers, tables and streams are checked before they are believed."""
    with pytest.raises(CorruptFrame):
        typed.decode(payload, 80)


def test_a_few_bytes_do_not_claim_gigabytes() -> None:
    """More than any writer puts into a frame is refused before anything is allocated; more data is plain zstd."""
    payload = typed.encode(bytes(800), 1, Filter(TypedFilter.PACK, 8))
    assert len(typed.decode(payload, 80_000)) == 80_000
    with pytest.raises(CorruptFrame, match="cannot hold"):
        typed.decode(payload, NUMBERS_BYTES_MAX + 8)
    large = encode_frame(bytes(NUMBERS_BYTES_MAX + 8), numbers.typed(TypedFilter.PACK, 8))
    assert large.codec is CodecId.CPU_ZSTD


def test_threads_do_not_share_contexts() -> None:
    """Many threads encode and decode at once and each gets its own bytes back."""

    def round_trip(number: int) -> bool:
        original = TIMES[number % 9 :] * 3
        return typed.decode(typed.encode(original, 1, FILTERS[number % len(FILTERS)]), len(original)) == original

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(round_trip, range(200)))
