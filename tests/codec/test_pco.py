"""Codec 66 gives back every bit of every number, and refuses payloads that make no sense."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.codec import Choice, CodecError, CodecId, Column, CorruptFrame, FrameHeader, decode_frame, encode_frame, pco
from s4gw.codec.layout import NUMBERS_BYTES_MAX, PcoType
from tests.codec.numbers import PRICES

COLUMNS = [Column(kind, big) for kind in PcoType for big in (False, True)]
columns = st.sampled_from(COLUMNS)


@settings(max_examples=80, deadline=None)
@given(column=columns, unit=st.binary(max_size=40), times=st.integers(0, 40))
def test_decode_undoes_encode(column: Column, unit: bytes, times: int) -> None:
    """Any bytes come back as any type, odd tails and both byte orders included."""
    original = unit * times
    assert pco.decode(pco.encode(original, column), len(original)) == original


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.label)
def test_floats_are_exact(column: Column) -> None:
    """NaN payloads, denormals, infinities and both zeros keep every bit."""
    specials = [0x7FF0000000000001, 0xFFF8DEADBEEF0001, 1, 0x800FFFFFFFFFFFFF, 0x7FF0000000000000, 1 << 63, 0]
    original = struct.pack("<70Q", *(specials * 10)) + struct.pack("<40I", *([0x7F800001, 0xFFC12345, 1, 1 << 31] * 10))
    assert pco.decode(pco.encode(original, column), len(original)) == original


def test_decimal_floats_shrink() -> None:
    """Prices with two decimals are what this codec is for."""
    numbers, plain = (encode_frame(PRICES, choice) for choice in (PCO, Choice(CodecId.CPU_ZSTD, 3)))
    assert numbers.codec is CodecId.PCO
    assert numbers.stored_size * 1.5 < plain.stored_size


PCO = Choice(CodecId.PCO, 0, Column(PcoType.F64))


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, 10_000), flip=st.integers(1, 255), cut=st.booleans())
def test_damage_is_an_error_or_harmless(place: int, flip: int, cut: bool) -> None:
    """A cut or changed byte of a frame gives the library's own error or the same content."""
    frame = encode_frame(PRICES, PCO)
    payload = bytearray(frame.payload)
    place %= len(payload)
    if cut:
        del payload[place:]
    else:
        payload[place] ^= flip
    with suppress(CodecError):
        header = FrameHeader(frame.codec, len(PRICES), len(payload), frame.crc32c)
        assert decode_frame(header, bytes(payload)) == PRICES


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x02\x05\x00" + pco.encode(PRICES, Column(PcoType.F64))[3:],
        b"\x01\x09\x00" + pco.encode(PRICES, Column(PcoType.F64))[3:],
        b"\x01\x04\x00" + pco.encode(PRICES, Column(PcoType.F64))[3:],  # another type than the numbers have
        b"\x01\x05\x02" + pco.encode(PRICES, Column(PcoType.F64))[3:],
        b"\x01\x05\x00",
        b"\x01\x05\x00pco!" + bytes(40),
        pco.encode(PRICES[:-8], Column(PcoType.F64)),  # an element too few
        pco.encode(PRICES * 2, Column(PcoType.F64)),  # too many
    ],
)
def test_payloads_that_make_no_sense(payload: bytes) -> None:
    """Header, type and count are checked."""
    with pytest.raises(CorruptFrame):
        pco.decode(payload, len(PRICES))
    with pytest.raises(CorruptFrame):
        pco.decode(payload, NUMBERS_BYTES_MAX + 8)


def test_a_tail_that_is_cut() -> None:
    """Fewer bytes than the odd tail has."""
    with pytest.raises(CorruptFrame):
        pco.decode(b"\x01\x05\x00abc", 7)


@pytest.mark.parametrize("start", range(8))
def test_buffers_begin_anywhere(start: int) -> None:
    """A view at an odd address is as good as any."""
    view = memoryview(bytes(start) + PRICES)[start:]
    assert pco.decode(pco.encode(view, Column(PcoType.F64)), len(PRICES)) == PRICES


def test_threads() -> None:
    """Many threads encode and decode at once and each gets its own bytes back."""

    def round_trip(number: int) -> bool:
        original = PRICES[number % 9 :]
        return pco.decode(pco.encode(original, COLUMNS[number % len(COLUMNS)]), len(original)) == original

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(round_trip, range(60)))
