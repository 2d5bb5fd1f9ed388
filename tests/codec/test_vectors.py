"""Bytes of released versions are read for ever, whichever codec wrote them."""

from __future__ import annotations

import io
from functools import partial
from typing import Final

import pytest

from s4gw.codec import (
    Choice,
    CodecId,
    DictionaryMissing,
    HeaderWalker,
    ManifestPart,
    Padding,
    Trailer,
    decode_frame,
    encode_frame,
    parse_frame_header,
    read_trailer,
    stream_raw,
)
from tests.codec.numbers import LINES, PRICES, RECORDS, TIMES, swapped
from tests.codec.support import ORIGINAL, decode_all, vector

FRAMES: Final = {
    "frame-passthrough.bin": CodecId.PASSTHROUGH,
    "frame-zstd.bin": CodecId.CPU_ZSTD,
    "frame-zstd-streamed.bin": CodecId.CPU_ZSTD,
    "frame-zstd-two-members.bin": CodecId.CPU_ZSTD,
    "frame-fcg1-zstd.bin": CodecId.NVCOMP_ZSTD,
    "frame-gzip.bin": CodecId.CPU_GZIP,
    "frame-zstd-dict.bin": CodecId.CPU_ZSTD_DICT,
}
"""Name -> codec of the frames of `ORIGINAL`, by ids of S4."""
OWN_FRAMES: Final = {
    "frame-zstd-cascade.bin": (CodecId.ZSTD_CASCADE, LINES),
    "frame-typed-delta.bin": (CodecId.TYPED, TIMES),
    "frame-typed-planes.bin": (CodecId.TYPED, RECORDS + b"?!"),
    "frame-typed-delta-planes.bin": (CodecId.TYPED, TIMES),
    "frame-typed-pack.bin": (CodecId.TYPED, TIMES),
    "frame-pco-f64.bin": (CodecId.PCO, PRICES),
    "frame-segments.bin": (CodecId.SEGMENTS, TIMES + LINES + RECORDS + b"xyz"),
    "frame-typed-pack-big-endian.bin": (CodecId.TYPED, swapped(TIMES[:4000])),
}
"""Name -> codec and content of the frames with ids of our own."""
UNREAD: Final = {CodecId.NVCOMP_BITCOMP, CodecId.NVCOMP_GANS, CodecId.DIETGPU_ANS, CodecId.NVCOMP_GDEFLATE}
"""Of S4: a GPU is needed to read them, or nobody can."""


def test_every_codec_has_a_vector() -> None:
    """What is written today is compared with what is read tomorrow."""
    own = {codec for codec, _ in OWN_FRAMES.values()}
    assert set(CodecId) - UNREAD == own | set(FRAMES.values())


@pytest.mark.parametrize(("name", "codec"), FRAMES.items())
def test_golden_frames(name: str, codec: CodecId) -> None:
    """A frame of every codec decodes to the same text."""
    stored = vector(name)
    header = parse_frame_header(stored)
    decoded = decode_frame(header, memoryview(stored)[28:], dictionaries=lambda _: vector("dictionary.bin"))
    assert header.codec is codec
    assert decoded == ORIGINAL


@pytest.mark.parametrize(("name", "codec", "original"), [(name, *made) for name, made in OWN_FRAMES.items()])
def test_golden_frames_of_our_own_codecs(name: str, codec: CodecId, original: bytes) -> None:
    """Frames of codecs 64 and up decode to the numbers and lines that they were made of."""
    stored = vector(name)
    header = parse_frame_header(stored)
    assert header.codec is codec
    assert decode_frame(header, stored[28:]) == original


def test_s4_multipart_object() -> None:
    """An object of S4's multipart upload: frames with a padding between them."""
    assert decode_all(vector("object-s4-multipart.bin")) == ORIGINAL


def test_object_with_trailer_version_1() -> None:
    """Our first trailer: three codecs in one object, index and manifest as they were written."""
    stored = vector("object-trailer-v1.bin")
    trailer = read_trailer(stored, len(stored))
    assert isinstance(trailer, Trailer)
    assert decode_all(stored) == ORIGINAL[:3600]
    assert list(trailer.index.original_sizes) == [1200, 1200, 1200]
    assert list(trailer.index.stored_sizes) == [298, 1228, 390]
    assert trailer.manifest.etag == "7484165c08711217b093fc246204dc4e-2"
    assert trailer.manifest.crc32c == 2292294922
    assert trailer.manifest.checksums == {"CRC32": "4mVbww==-2"}
    assert trailer.manifest.checksum_type == "COMPOSITE"
    assert trailer.manifest.parts == (
        ManifestPart(
            number=1, original_size=1200, etag="3c7926ea06383c3af3ae03b7270dd315", checksums={"CRC32": "/HNCNw=="}
        ),
        ManifestPart(
            number=2, original_size=2400, etag="064fbb31a91babd24d0abeb0dc388925", checksums={"CRC32": "2RnrNQ=="}
        ),
    )
    assert {codec: totals.stored_size for codec, totals in trailer.manifest.codecs.items()} == {0: 1228, 1: 298, 7: 390}


def test_object_with_a_short_part_table() -> None:
    """What we write now of the parts of an object: how many, how large, their checksums."""
    stored = vector("object-parts.bin")
    trailer = read_trailer(stored, len(stored))
    assert isinstance(trailer, Trailer)
    assert decode_all(stored) == ORIGINAL[:3000]
    assert trailer.manifest.parts == (
        ManifestPart(number=1, original_size=1200, checksums={"CRC32": "/HNCNw=="}),
        ManifestPart(number=2, original_size=1200, checksums={"CRC32": "AAAAAA=="}),
        ManifestPart(number=3, original_size=600, checksums={"CRC32": "2RnrNQ=="}),
    )


def test_raw_bodies() -> None:
    """Bodies that S4 stored without frames decode as streams, concatenated zstd frames included."""
    for name, codec in (("raw-zstd.bin", CodecId.CPU_ZSTD), ("raw-gzip.bin", CodecId.CPU_GZIP)):
        assert b"".join(stream_raw(codec, io.BytesIO(vector(name)))) == ORIGINAL


def test_walk_finds_every_frame() -> None:
    """Hopping over headers finds frames and paddings where they stand."""
    stored = vector("object-s4-multipart.bin")
    walker, sites = HeaderWalker(len(stored)), []
    while not walker.done:
        sites.append(walker.accept(stored[walker.offset : walker.offset + walker.wanted]))
    assert [site.offset for site in sites] == [0, 449, 2048]
    assert [isinstance(site.header, Padding) for site in sites] == [False, True, False]


def test_dictionary_is_asked_for_by_number() -> None:
    """The frame names the dictionary it needs; without it the frame cannot be read."""
    stored = vector("frame-zstd-dict.bin")
    header, asked = parse_frame_header(stored), []

    def find(number: int) -> bytes:
        asked.append(number)
        raise DictionaryMissing(number)

    with pytest.raises(DictionaryMissing):
        decode_frame(header, stored[28:], dictionaries=find)
    with pytest.raises(DictionaryMissing) as caught:
        decode_frame(header, stored[28:])
    assert asked == [caught.value.dictionary_id]
    assert asked == [int.from_bytes(vector("dictionary.bin")[4:8], "little")]


def given(dictionary: bytes, _number: int) -> bytes:
    """Give *dictionary*, whatever the number."""
    return dictionary


def test_dictionaries_go_both_ways() -> None:
    """A dictionary, trained or plain content, shrinks what it knows; each thread keeps only a few of them."""
    for number in range(20):
        dictionary = bytes([number]) + ORIGINAL
        frame = encode_frame(ORIGINAL[:300], Choice(CodecId.CPU_ZSTD_DICT, 3), dictionary=dictionary)
        header = parse_frame_header(frame.header)
        assert decode_frame(header, frame.payload, dictionaries=partial(given, dictionary)) == ORIGINAL[:300]
        assert frame.stored_size < 80
    with pytest.raises(DictionaryMissing):
        encode_frame(ORIGINAL, Choice(CodecId.CPU_ZSTD_DICT, 3))
    with pytest.raises(ValueError, match="at most"):
        encode_frame(ORIGINAL, Choice(CodecId.CPU_ZSTD_DICT, 3), dictionary=bytes(2**20 + 1))
