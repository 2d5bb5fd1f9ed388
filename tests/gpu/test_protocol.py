"""Tests of s4gw.gpu.protocol: messages come back as they went, and nonsense is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4gw.codec import Choice, CodecId, Filter, TypedFilter
from s4gw.gpu import protocol
from s4gw.gpu.protocol import SLOT_BYTES, Answer, Operation, ProtocolError, Request, Status

U32 = st.integers(0, 2**32 - 1)
U8 = st.integers(0, 255)
SIZES = st.integers(0, SLOT_BYTES)

REQUESTS = st.builds(
    Request,
    generation=U32,
    epoch=U32,
    sequence=U32,
    operation=st.sampled_from(Operation),
    slot=st.integers(0, 15),
    codec=U8,
    level=U8,
    parameters=st.binary(max_size=protocol.PARAMETERS_MAX),
    size=SIZES,
    crc32c=U32,
    original_size=SIZES,
)
ANSWERS = st.builds(
    Answer, generation=U32, epoch=U32, sequence=U32, status=st.sampled_from(Status), size=SIZES, crc32c=U32
)


@given(REQUESTS)
def test_requests_come_back(request: Request) -> None:
    """Packing loses nothing."""
    assert request == Request.unpack(request.pack(), 16)


@given(ANSWERS)
def test_answers_come_back(answer: Answer) -> None:
    """Packing loses nothing."""
    assert answer == Answer.unpack(answer.pack())


@given(st.binary(max_size=128) | st.binary(min_size=96, max_size=96) | st.binary(min_size=24, max_size=24))
def test_any_bytes_are_sense_or_an_error(message: bytes) -> None:
    """What is accepted stays inside its lane and slot."""
    try:
        request = Request.unpack(message, 16)
    except ProtocolError:
        pass
    else:
        assert request.slot < 16
        assert max(request.size, request.original_size) <= SLOT_BYTES
    try:
        answer = Answer.unpack(message)
    except ProtocolError:
        pass
    else:
        assert answer.size <= SLOT_BYTES


def test_parameters_have_a_limit() -> None:
    """They never push anything else aside."""
    with pytest.raises(ProtocolError):
        Request(generation=1, epoch=1, sequence=1, operation=Operation.ENCODE, parameters=bytes(65)).pack()


@pytest.mark.parametrize(
    "choice",
    [
        Choice(CodecId.TYPED, 1, Filter(TypedFilter.PLANES, 64, mask=2**64 - 1)),
        Choice(CodecId.TYPED, 1, Filter(TypedFilter.PACK, 4, big_endian=True)),
    ],
)
def test_filters_come_back(choice: Choice) -> None:
    """The largest mask there is fits."""
    asked = protocol.pack_choice(choice)
    assert asked is not None
    assert (CodecId.TYPED, choice.parameters) == (asked[0], protocol.unpack_filter(asked[1]))


def test_what_is_asked_for() -> None:
    """A cascade begins as zstd; codecs with other parameters are the CPU's."""
    assert (CodecId.CPU_ZSTD, b"") == protocol.pack_choice(Choice(CodecId.ZSTD_CASCADE, 1))
    assert (CodecId.CPU_GZIP, b"") == protocol.pack_choice(Choice(CodecId.CPU_GZIP, 1))
    assert None is protocol.pack_choice(Choice(CodecId.SEGMENTS, 1, (Choice(CodecId.CPU_ZSTD, 1),)))


@pytest.mark.parametrize("parameters", [b"", bytes(10), b"\xff" * 11])
def test_other_filters_are_refused(parameters: bytes) -> None:
    """What is no filter is no message of ours."""
    with pytest.raises(ProtocolError):
        protocol.unpack_filter(parameters)


def test_slots_fill_the_ring() -> None:
    """One after another, none outside, none over another."""
    places = [(lane, slot) for lane in range(3) for slot in range(4)]
    offsets = [
        place(lane, slot, 4) for lane, slot in places for place in (protocol.slot_offset, protocol.result_offset)
    ]
    assert [protocol.HEADER_SIZE + SLOT_BYTES * number for number in range(24)] == offsets
    assert protocol.ring_bytes(3, 4) == offsets[-1] + SLOT_BYTES


@pytest.mark.parametrize("header", [bytes(20), b"S4RG" + bytes(16), protocol.pack_geometry(1, 1)[:-1] + b"\xff"])
def test_another_ring_is_refused(header: bytes) -> None:
    """Magic, version and slot size are checked."""
    with pytest.raises(ProtocolError):
        protocol.unpack_geometry(header)


def test_text_is_cut_between_characters() -> None:
    """A reason of any length fits its field."""
    field = protocol.pack_text("ü" * 100)
    assert (protocol.TEXT_BYTES, "ü" * 31) == (len(field), protocol.unpack_text(field))


def test_codecs_come_back() -> None:
    """Id 0 is a codec like any other."""
    assert frozenset({0, 1, 65}) == protocol.unpack_codecs(protocol.pack_codecs({65, 0, 1}))
    assert frozenset() == protocol.unpack_codecs(protocol.pack_codecs(()))
