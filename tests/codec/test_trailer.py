"""A trailer comes back from the end of its object, and from no other; damage never gives another index."""

from __future__ import annotations

import struct

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.checksum import b64, crc32c
from s4gw.codec import (
    TRAILER_TAIL_BYTES,
    CodecTotals,
    CorruptTrailer,
    FrameIndex,
    Manifest,
    ManifestPart,
    NeedBytes,
    NoTrailer,
    Padding,
    Trailer,
    TrailerError,
    encode_frame,
    encode_trailer,
    read_trailer,
)
from s4gw.codec.manifest import decode_manifest, encode_manifest
from tests.codec.support import CHOICES, build, events

md5 = st.binary(min_size=16, max_size=16).map(bytes.hex)
etags = st.one_of(md5, md5.map(lambda text: f"{text}-{len(text)}"), st.text(max_size=40))
checksums = st.dictionaries(
    st.sampled_from(["CRC32", "SHA256", "XXHASH"]), st.text(max_size=20) | st.just("4mVbww==-2")
)
counts = st.integers(0, 2**40)
parts = st.builds(
    ManifestPart,
    number=st.integers(1, 10_000),
    original_size=counts,
    etag=etags,
    # "" says "no checksum" inside a column, so a part cannot have an empty one
    checksums=st.dictionaries(st.sampled_from(["CRC32", "SHA1"]), st.sampled_from(["4mVbww==", "abc", "4mVbww==-1"])),
)
manifests = st.builds(
    Manifest,
    original_size=counts,
    etag=etags,
    crc32c=st.none() | st.integers(0, 2**32 - 1),
    checksums=checksums,
    checksum_type=st.sampled_from(["", "FULL_OBJECT", "COMPOSITE"]),
    parts=st.lists(parts, max_size=5).map(tuple),
    codecs=st.dictionaries(st.integers(0, 100), st.builds(CodecTotals, counts, counts, counts), max_size=3),
)


def trailer_of(stored: bytes, size: int = TRAILER_TAIL_BYTES) -> Trailer | NeedBytes:
    """Read the trailer of *stored* as a reader does, from a suffix."""
    return read_trailer(stored[-size:], len(stored))


@settings(max_examples=100, deadline=None)
@given(manifest=manifests)
def test_manifest_comes_back(manifest: Manifest) -> None:
    """Any manifest is read as it was written, odd ETags and digests included."""
    assert decode_manifest(encode_manifest(manifest)) == manifest


@settings(max_examples=50, deadline=None)
@given(manifest=manifests, originals=st.lists(st.integers(1, 2**30), max_size=50))
def test_decode_undoes_encode(manifest: Manifest, originals: list[int]) -> None:
    """Index and manifest come back from the whole trailer, wherever the suffix begins."""
    index = FrameIndex()
    for original in originals:
        index.append(original, original // 2 + 28)
    sized = Manifest(
        original_size=index.original_size, etag=manifest.etag, parts=manifest.parts, checksums=manifest.checksums
    )
    trailer = encode_trailer(index, sized)
    actual = read_trailer(b"ends of frames" + trailer, index.stored_size + len(trailer))
    assert actual == Trailer(index, sized, len(trailer))


def test_readers_that_do_not_know_it_skip_it() -> None:
    """To a reader of frames the trailer is one padding."""
    stored, index = build([(b"a" * 100, CHOICES[1]), (b"b" * 100, CHOICES[0])])
    *_, last = events([stored])
    assert last == Padding(len(stored) - index.stored_size - 12)


@pytest.mark.parametrize("size", range(0, 120, 7))
def test_short_tails_say_what_is_missing(size: int) -> None:
    """From too short a suffix the reader learns how much to fetch, and then has it all."""
    stored, index = build([(bytes([n]) * 100, CHOICES[1]) for n in range(9)])
    answer = read_trailer(stored[len(stored) - size :], len(stored))
    for _ in range(2):
        if isinstance(answer, NeedBytes):
            answer = read_trailer(stored[-answer.size :], len(stored))
    assert isinstance(answer, Trailer)
    assert answer.index == index


@settings(max_examples=100, deadline=None)
@given(place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_damage_is_refused(place: int, flip: int) -> None:
    """A changed byte in the trailer is an error; one before it is not the trailer's business."""
    stored, index = build([(b"a" * 100, CHOICES[1]), (b"b" * 100, CHOICES[0])])
    changed = bytearray(stored)
    changed[place % len(stored)] ^= flip
    if place % len(stored) < index.stored_size:
        assert trailer_of(bytes(changed)) == trailer_of(stored)
    else:
        with pytest.raises(TrailerError):
            trailer_of(bytes(changed))


@pytest.mark.parametrize("size", range(1, 200, 13))
def test_cuts_are_refused(size: int) -> None:
    """An object that lost its last bytes has no trailer."""
    stored, _ = build([(b"a" * 100, CHOICES[1]), (b"b" * 100, CHOICES[0])])
    with pytest.raises(TrailerError):
        read_trailer(stored[:-size], len(stored) - size)


def test_trailer_of_another_object() -> None:
    """A sound trailer behind other frames is refused: its index does not fill the object."""
    stored, index = build([(b"a" * 100, CHOICES[1]), (b"b" * 100, CHOICES[0])])
    moved = b"S4F2" + stored
    assert isinstance(trailer_of(stored), Trailer)
    with pytest.raises(CorruptTrailer, match="not that of this object"):
        trailer_of(moved)
    assert index.stored_size < len(stored)


def test_no_trailer() -> None:
    """Objects without one are told apart from those with a damaged one."""
    stored, _ = build([(b"a" * 100, CHOICES[1])], trailer=False)
    for body in (stored, b"", b"short"):
        with pytest.raises(NoTrailer):
            trailer_of(body)


@pytest.mark.parametrize(
    "footer",
    [
        struct.pack("<4sB3sIII", b"S4GT", 2, b"\0\0\0", 0, 0, 0),
        struct.pack("<4sB3sIII", b"S4GT", 1, b"\0\1\0", 0, 0, 0),
        struct.pack("<4sB3sIII", b"S4GT", 1, b"\0\0\0", 2**32 - 1, 0, 0),
        struct.pack("<4sB3sIII", b"S4GT", 1, b"\0\0\0", 0, 2**32 - 1, 0),
        struct.pack("<4sB3sIII", b"S4GT", 1, b"\0\0\0", 0, 0, 2**32 - 1),
        struct.pack("<4sB3sIII", b"S4GT", 1, b"\0\0\0", 4000, 0, 500),
    ],
)
def test_forged_footers(footer: bytes) -> None:
    """Versions we do not know and sizes out of bounds are refused before anything is fetched or allocated."""
    with pytest.raises(CorruptTrailer):
        read_trailer(footer + crc32c(footer).to_bytes(4, "little"), 2000)


def test_sizes_must_agree() -> None:
    """A manifest of other bytes than the frames hold is a mistake of the writer."""
    with pytest.raises(ValueError, match="manifest says 5"):
        encode_trailer(FrameIndex(), Manifest(original_size=5))


@settings(max_examples=100, deadline=None)
@given(
    size=st.integers(0, 2**33),
    rest=st.integers(0, 2**33),
    digests=st.lists(st.binary(min_size=8, max_size=8).map(b64), min_size=1, max_size=20),
)
def test_even_parts_take_their_checksums_and_little_more(size: int, rest: int, digests: list[str]) -> None:
    """Parts as every client cuts them, their number and their sizes take a dozen bytes in all."""
    listed = [
        ManifestPart(number=number, original_size=size, checksums={"CRC64NVME": digest})
        for number, digest in enumerate(digests, 1)
    ]
    listed[-1] = msgspec.structs.replace(listed[-1], original_size=rest)
    total = size * (len(digests) - 1) + rest
    plain = Manifest(original_size=total, checksums={"CRC64NVME": "A" * 11 + "="})
    parted = msgspec.structs.replace(plain, parts=tuple(listed))
    encoded = encode_manifest(parted)
    assert decode_manifest(encoded) == parted
    assert len(encoded) - len(encode_manifest(plain)) <= 8 * len(digests) + 16


@pytest.mark.parametrize("table", [[2**40, 1, b"", {}], [3, 6, b"", {}], [-1, 1, b"", {}], [1, 10, b"", b"\0"]])
def test_forged_part_tables(table: list[object]) -> None:
    """Numbers that stand for more parts than there can be, or for parts of less than nothing, are refused."""
    with pytest.raises(CorruptTrailer):
        decode_manifest(msgspec.msgpack.encode([10, None, b"", {}, 0, table, {}]))


def test_one_byte_multipart_stays_small() -> None:
    """The smallest multipart object, with the largest checksums, is stored in 256 bytes more than the original."""
    frame = encode_frame(b"x", CHOICES[1])
    index = FrameIndex()
    index.append(1, frame.stored_size)
    whole, part = "LTFsJlr5e+1l9iIMtTk0NBFV8Ys+5Q6CFk1YlUHfR2s=", "pkUAuKJD4BmJVlS+B5vFBc8mEnYB6DdvGY2r0lHT/Qo="
    manifest = Manifest(
        original_size=1,
        etag="9dd4e461268c8034f5c8564e155c67a6-1",
        crc32c=2**32 - 1,
        checksums={"SHA256": f"{whole}-1"},
        checksum_type="COMPOSITE",
        parts=(
            ManifestPart(
                number=1, original_size=1, etag="64cf1d1db5fe9b2b91b6b0a5bb7c26e9", checksums={"SHA256": part}
            ),
        ),
        codecs={0: CodecTotals(1, 1, 29)},
    )
    trailer = encode_trailer(index, manifest)
    assert frame.stored_size + len(trailer) <= 1 + 256
    assert frame.stored_size + len(trailer) == 206


def test_many_parts_stay_within_16_bytes_a_frame() -> None:
    """10,000 parts of 8 MiB with CRC-64/NVME: at most 16 bytes a frame and 512 in all."""
    index, listed = FrameIndex(), []
    for number in range(1, 10_001):
        for frame in range(8):
            index.append(2**20, 170_000 + (number * 8 + frame) * 7919 % 4096)
        raw = number.to_bytes(8, "big") * 2
        listed.append(
            ManifestPart(number=number, original_size=2**23, etag=raw.hex(), checksums={"CRC64NVME": f"{number:011d}="})
        )
    manifest = Manifest(original_size=index.original_size, etag="0" * 32 + "-10000", parts=tuple(listed))
    assert len(encode_trailer(index, manifest)) <= 16 * len(index) + 512
