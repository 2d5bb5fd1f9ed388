"""S4's metadata keys say what a body is, by S4's own rule, and malformed ones make it plain."""

from __future__ import annotations

import pytest

from s4gw.codec import BodyKind, FrameHeader, classify, decode_frame, split_metadata
from s4gw.codec.layout import CodecId
from tests.codec.support import ORIGINAL, vector

RAW = {"s4-codec": "cpu-gzip", "s4-original-size": "3642", "s4-compressed-size": "946", "s4-crc32c": "0"}


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, BodyKind.PLAIN),
        ({"s4-framed": "true"}, BodyKind.FRAMED),
        ({"s4-multipart": "true", "s4-codec": "cpu-zstd"}, BodyKind.FRAMED),
        ({"s4-framed": "no"}, BodyKind.PLAIN),
        (RAW, BodyKind.RAW),
        (RAW | {"s4-framed": "true"}, BodyKind.FRAMED),
        (RAW | {"s4-codec": "lzma"}, BodyKind.PLAIN),
        (RAW | {"s4-crc32c": "-1"}, BodyKind.PLAIN),
        (RAW | {"s4-crc32c": str(2**32)}, BodyKind.PLAIN),
        (RAW | {"s4-original-size": "1" * 30}, BodyKind.PLAIN),
        (RAW | {"s4-original-size": "\u0663"}, BodyKind.PLAIN),
        ({key: value for key, value in RAW.items() if key != "s4-crc32c"}, BodyKind.PLAIN),
    ],
)
def test_classification(metadata: dict[str, str], expected: BodyKind) -> None:
    """Framed or multipart wins; raw needs all four facts, well-formed."""
    assert classify(metadata).kind is expected


def test_raw_bodies_decode() -> None:
    """The facts of a raw body stand in for its frame header."""
    body = classify(RAW | {"s4-crc32c": str(int.from_bytes(vector("frame-gzip.bin")[24:28], "little"))})
    assert body.header is not None
    assert body.header == FrameHeader(CodecId.CPU_GZIP, 3642, 946, body.header.crc32c)
    assert decode_frame(body.header, vector("raw-gzip.bin")) == ORIGINAL


def test_split() -> None:
    """Keys of a gateway and keys of the client are kept apart."""
    assert split_metadata({"s4-codec": "x", "s4": "y", "a": "z"}) == ({"s4-codec": "x"}, {"s4": "y", "a": "z"})
