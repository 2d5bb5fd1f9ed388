"""Frames come back bit for bit, at any split of the input, and damage is an error and never data."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.codec import (
    ChecksumMismatch,
    Choice,
    CodecError,
    CodecId,
    CorruptFrame,
    FrameHeader,
    FrameReader,
    FrameTooLarge,
    Padding,
    TruncatedFrame,
    UnknownCodec,
    UnsupportedCodec,
    checked_original,
    decode_frame,
    encode_frame,
    encode_padding,
    parse_frame_header,
    parse_header,
)
from tests.codec.support import CHOICES, build, decode_all, events

HELLO = bytes.fromhex("5334463200000000050000000000000005000000000000004cbb719a68656c6c6f")

choices = st.sampled_from([*CHOICES, Choice(CodecId.CPU_ZSTD, 3), Choice(CodecId.CPU_ZSTD, 19)])
pieces = st.lists(st.tuples(st.binary(max_size=200).map(lambda data: data * 3), choices), max_size=5)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    """Split *data* at *cuts*, taken modulo its length."""
    bounds = [0, *sorted(place % (len(data) + 1) for place in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


def test_known_vector() -> None:
    """The passthrough frame of "hello" is exactly S4's."""
    frame = encode_frame(b"hello", Choice(CodecId.PASSTHROUGH))
    assert frame.header + bytes(frame.payload) == HELLO
    assert frame.crc32c == 2591144780


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=2000), choice=choices, times=st.integers(1, 50))
def test_decode_undoes_encode(data: bytes, choice: Choice, times: int) -> None:
    """Any bytes come back, whatever the codec, and a frame never adds more than its header."""
    original = data * times
    frame = encode_frame(memoryview(original), choice)
    header = parse_frame_header(frame.header)
    assert decode_frame(header, frame.payload) == original
    assert frame.stored_size == header.stored_size
    assert frame.stored_size <= len(original) + 28
    assert frame.header == header.pack()


@settings(max_examples=60, deadline=None)
@given(parts=pieces, cuts=st.lists(st.integers(0, 10_000), max_size=8), trailer=st.booleans())
def test_any_split_gives_the_same_events(
    parts: list[tuple[bytes, Choice]],
    cuts: list[int],
    trailer: bool,
) -> None:
    """However an object arrives, its frames and paddings are the same."""
    stored, _ = build(parts, trailer=trailer)
    assert events(cut(stored, cuts)) == events([stored])
    assert decode_all(stored) == b"".join(data for data, _ in parts)


@settings(max_examples=60, deadline=None)
@given(parts=pieces, place=st.integers(0, 10_000), flip=st.integers(0, 255))
def test_damage_is_an_error_or_harmless(parts: list[tuple[bytes, Choice]], place: int, flip: int) -> None:
    """A cut or a changed byte gives the library's own error or the same content, never other content."""
    stored, _ = build(parts)
    place %= len(stored)
    changed = bytearray(stored)
    changed[place] ^= flip
    for damaged in (bytes(changed), stored[:place]):
        try:
            actual = decode_all(damaged)
        except CodecError:
            continue
        whole = b"".join(data for data, _ in parts)
        # a cut at a boundary is a shorter object: its size is for the caller to check
        assert actual == whole if len(damaged) == len(stored) else whole.startswith(actual)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_flip_of_a_small_object(choice: Choice) -> None:
    """Each of the 255 changes of each byte of a framed object is noticed, or changes nothing."""
    original = b"0123456789" * 4
    stored, _ = build([(original, choice)], trailer=False)
    wrong = []
    for place in range(len(stored)):
        for flip in range(1, 256):
            changed = bytearray(stored)
            changed[place] ^= flip
            try:
                if decode_all(bytes(changed)) != original:
                    wrong.append((place, flip))
            except CodecError:
                pass
    assert wrong == []


def test_what_does_not_shrink_is_stored_as_it_is() -> None:
    """A payload within 1 % of the original gives a passthrough frame around the caller's own buffer."""
    data = bytearray(range(256))
    frame = encode_frame(data, Choice(CodecId.CPU_ZSTD, 3))
    assert frame.codec is CodecId.PASSTHROUGH
    assert frame.payload is data


def test_wrong_checksum_is_told_with_its_facts() -> None:
    """A sound payload under another CRC is refused, and the error has both values."""
    with pytest.raises(ChecksumMismatch) as caught:
        decode_frame(FrameHeader(CodecId.PASSTHROUGH, 5, 5, 1), b"hello")
    assert (caught.value.expected, caught.value.actual) == (1, 2591144780)


@pytest.mark.parametrize(
    ("stored", "error"),
    [
        (HELLO + b"S4", TruncatedFrame),
        (HELLO + b"XXXX", CorruptFrame),
        (HELLO[:-1], TruncatedFrame),
        (HELLO[:20], TruncatedFrame),
        (b"S4P1" + bytes([9] * 4), TruncatedFrame),
        (encode_padding(40)[:-1], TruncatedFrame),
        (b"S4F2" + bytes([9, 0, 0, 0]) + HELLO[8:], UnknownCodec),
        (b"S4F2" + bytes([63, 0, 0, 0]) + HELLO[8:], UnknownCodec),
        (HELLO[:8] + bytes([255] * 8) + HELLO[16:], CorruptFrame),
        (HELLO[:16] + bytes([255] * 8) + HELLO[24:], FrameTooLarge),
    ],
)
def test_reader_is_strict_and_stays_failed(stored: bytes, error: type[CodecError]) -> None:
    """Stray bytes, other magics, unknown codecs and missing ends stop the reader for good."""
    reader = FrameReader()

    def drain() -> None:
        while reader.next_event() is not None:
            pass
        reader.finish()

    reader.feed(stored)
    with pytest.raises(error):
        drain()
    reader.feed(HELLO)
    with pytest.raises(error):
        drain()


def test_padding_is_skipped_without_being_kept() -> None:
    """A padding is an event of its own and its filling is not buffered."""
    reader = FrameReader()
    reader.feed(encode_padding(1000)[:500])
    assert reader.next_event() is None
    assert len(reader._buffer) == 0
    reader.feed(bytes(500) + HELLO)
    assert reader.next_event() == Padding(988)


@pytest.mark.parametrize("size", [0, 11])
def test_padding_has_a_least_size(size: int) -> None:
    """A padding cannot be smaller than its header."""
    with pytest.raises(ValueError, match="at least 12"):
        encode_padding(size)


def test_parse_header_at_an_offset() -> None:
    """Headers are found in the middle of a buffer."""
    assert parse_header(b"xx" + HELLO, 2) == parse_frame_header(HELLO)
    assert parse_header(b"xx" + encode_padding(20), 2) == Padding(8)


@pytest.mark.parametrize("codec", [CodecId.NVCOMP_GANS, CodecId.DIETGPU_ANS])
def test_reserved_codecs_are_refused(codec: CodecId) -> None:
    """Ids that no writer uses are neither read nor written."""
    with pytest.raises(UnsupportedCodec, match=codec.label):
        decode_frame(FrameHeader(codec, 5, 5, 0), b"hello")
    with pytest.raises(UnsupportedCodec, match=codec.label):
        encode_frame(b"hello", Choice(codec))


@pytest.mark.parametrize("choice", [Choice(CodecId.CPU_ZSTD, 23), Choice(CodecId.CPU_GZIP, 10)])
def test_levels_are_bounded(choice: Choice) -> None:
    """A level that the codec does not have is refused."""
    with pytest.raises(ValueError, match="levels go from 1"):
        encode_frame(b"hello", choice)


def test_labels_go_both_ways() -> None:
    """Every codec is found by the name it has in metadata."""
    assert [CodecId.from_label(codec.label) for codec in CodecId] == list(CodecId)
    with pytest.raises(ValueError, match="lzma"):
        CodecId.from_label("lzma")


def test_threads_do_not_share_contexts() -> None:
    """Many threads encode and decode at once and each gets its own bytes back."""

    def round_trip(number: int) -> bool:
        data = (b"%d " % number) * 20_000
        frame = encode_frame(data, Choice(CodecId.CPU_ZSTD, 1 + number % 3))
        return decode_frame(parse_frame_header(frame.header), frame.payload) == data

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(round_trip, range(200)))


def test_a_passthrough_frame_is_checked_where_it_lies() -> None:
    """As strict as `decode_frame`, and what it gives is the payload itself."""
    frame = encode_frame(bytes(range(256)), Choice(CodecId.PASSTHROUGH, 0))
    header = parse_frame_header(frame.header)
    payload = memoryview(bytes(frame.payload))
    assert payload is checked_original(header, payload)
    for wrong, error in (
        (payload[:-1], TruncatedFrame),
        (bytes(256), ChecksumMismatch),
    ):
        with pytest.raises(error):
            checked_original(header, wrong)
    with pytest.raises(CorruptFrame):
        checked_original(msgspec.structs.replace(header, original_size=255), payload)
