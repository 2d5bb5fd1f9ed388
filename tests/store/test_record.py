"""Records: what is written is read, and nothing that was cut, flipped or moved is taken for it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.store.errors import RecordDamaged
from s4gw.store.layout import BLOCK_BYTES, EXTENT_BYTES_MAX, RecordKind, head_bytes
from s4gw.store.record import (
    VolumeHeader,
    check_blocks,
    pack_head,
    pack_volume_header,
    unpack_head,
    unpack_volume_header,
)

SALT = b"saltsalt"
SIZES = st.one_of(st.integers(1, 300), st.sampled_from([BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 200_000]))


def record(payload: bytes, kind: RecordKind = RecordKind.DATA) -> bytes:
    return pack_head(SALT, kind, (payload,))[0] + payload


def read(data: bytes) -> bytes:
    head = unpack_head(data, SALT, volume=1, offset=0)
    payload = data[head_bytes(head.size) :]
    if len(payload) != head.size:
        raise RecordDamaged(1, 0, "cut")
    check_blocks(head, 0, payload, volume=1, offset=0)
    return payload


@settings(max_examples=50, deadline=None)
@given(size=SIZES, seed=st.binary(min_size=1, max_size=7), kind=st.sampled_from(list(RecordKind)))
def test_reading_undoes_writing(size: int, seed: bytes, kind: RecordKind) -> None:
    payload = (seed * size)[:size]
    assert payload == read(record(payload, kind))


@settings(max_examples=50, deadline=None)
@given(size=SIZES, cuts=st.lists(st.integers(0, 200_000), max_size=5))
def test_any_split_of_the_payload_gives_the_same_head(size: int, cuts: list[int]) -> None:
    payload = bytes(range(256)) * (size // 256 + 1)
    payload = payload[:size]
    edges = [0, *sorted(min(cut, size) for cut in cuts), size]
    pieces = [memoryview(payload)[a:b] for a, b in itertools.pairwise(edges)]
    assert pack_head(SALT, RecordKind.DATA, (payload,)) == pack_head(SALT, RecordKind.DATA, pieces)


@settings(max_examples=100, deadline=None)
@given(size=SIZES, at=st.integers(0), bit=st.integers(0, 7))
def test_a_flipped_bit_is_noticed(size: int, at: int, bit: int) -> None:
    whole = bytearray(record(b"x" * size))
    whole[at % len(whole)] ^= 1 << bit
    with pytest.raises(RecordDamaged):
        read(bytes(whole))


@settings(max_examples=50, deadline=None)
@given(size=SIZES, cut=st.integers(1))
def test_a_cut_record_is_noticed(size: int, cut: int) -> None:
    whole = record(b"x" * size)
    with pytest.raises(RecordDamaged):
        read(whole[: -(cut % len(whole)) - 1])


def test_a_record_of_another_volume_is_not_one_of_this() -> None:
    with pytest.raises(RecordDamaged):
        unpack_head(record(b"x"), b"othersal", volume=1, offset=0)


@pytest.mark.parametrize("size", [0, EXTENT_BYTES_MAX + 1])
def test_sizes_are_bounded_when_writing(size: int) -> None:
    with pytest.raises(ValueError, match=str(size)):
        pack_head(SALT, RecordKind.DATA, (bytes(size),))


def test_volume_header_comes_back_and_is_checked() -> None:
    header = VolumeHeader(7, 99, SALT)
    packed = pack_volume_header(header)
    assert header == unpack_volume_header(packed, 7)
    flipped = bytearray(packed)
    flipped[20] ^= 1
    for damaged, volume in ((packed, 8), (packed[:-1], 7), (bytes(flipped), 7)):
        with pytest.raises(RecordDamaged):
            unpack_volume_header(damaged, volume)
