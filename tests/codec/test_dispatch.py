"""The dispatcher compresses what shrinks and leaves what does not."""

from __future__ import annotations

import gzip
import random

import pytest

from s4gw.codec import (
    AlwaysDispatcher,
    Choice,
    CodecId,
    SamplingDispatcher,
    UnsupportedCodec,
    encode_frame,
)

RANDOM = random.Random(7).randbytes(2**20)
TEXT = b"".join(b'{"id": %d, "path": "/api/v1/%d"}\n' % (n, n * 7919 % 1009) for n in range(30_000))[: 2**20]
PLAIN = Choice(CodecId.PASSTHROUGH, 0)


@pytest.mark.parametrize("size", [20_000, 100_000, 2**20])
@pytest.mark.parametrize("known", [True, False])
def test_incompressible_is_left_alone(size: int, known: bool) -> None:
    """Random bytes are stored as they are, whether the size is known or not."""
    assert SamplingDispatcher().choose(RANDOM[:size], size if known else None) == PLAIN


@pytest.mark.parametrize("size", [16 * 1024 + 1, 100_000, 2**20])
def test_text_is_compressed(size: int) -> None:
    """Text gets zstd, at one of the levels that pay."""
    choice = SamplingDispatcher().choose(memoryview(TEXT)[:size], None)
    assert choice.codec is CodecId.CPU_ZSTD
    assert choice.level in {1, 2, 3}


def test_small_objects_are_not_tried() -> None:
    """Up to 16 KiB even random bytes go to the codec, which then keeps them as they are."""
    choice = SamplingDispatcher().choose(RANDOM[:16_384], None)
    assert choice == Choice(CodecId.CPU_ZSTD, 3)
    assert encode_frame(RANDOM[:16_384], choice).codec is CodecId.PASSTHROUGH


def test_a_small_sample_of_a_large_object_is_tried() -> None:
    """The object's size decides what is small, not the sample's."""
    assert SamplingDispatcher().choose(RANDOM[:8192], 2**30) == PLAIN


def test_compressed_formats_with_readable_headers() -> None:
    """A known magic makes the choice look past the header; without the magic the same bytes are compressed."""
    jpeg = b"\xff\xd8\xff\xe1" + b"EXIF " * 3000 + RANDOM[:100_000]
    dispatcher = SamplingDispatcher()
    assert dispatcher.choose(jpeg, None) == PLAIN
    assert dispatcher.choose(b"abcd" + jpeg[4:], None).codec is CodecId.CPU_ZSTD


def test_a_magic_alone_decides_nothing() -> None:
    """Text behind a gzip magic is still text."""
    assert SamplingDispatcher().choose(gzip.compress(b"")[:4] + TEXT, None).codec is CodecId.CPU_ZSTD


def test_levels_follow_the_trial() -> None:
    """Level 3 is taken where it saves something over level 1, and only there."""
    numbers = random.Random(7)
    words = [bytes(numbers.choices(b"abcdefghijklmnopqrstuvwxyz", k=numbers.randint(2, 9))) for _ in range(3000)]
    prose = b" ".join(numbers.choice(words) for _ in range(100_000))
    logs = b"".join(b'{"ts":%d,"ip":"10.0.0.%d"}\n' % (10**9 + n, numbers.randrange(256)) for n in range(20_000))
    levels = [SamplingDispatcher().choose(data, 4 * 2**20).level for data in (prose, logs)]
    assert levels == [3, 1]


@pytest.mark.parametrize(
    ("dispatcher", "expected"),
    [
        (SamplingDispatcher(CodecId.CPU_GZIP), Choice(CodecId.CPU_GZIP, 6)),
        (SamplingDispatcher(CodecId.CPU_GZIP, 1), Choice(CodecId.CPU_GZIP, 1)),
        (SamplingDispatcher(CodecId.CPU_ZSTD, 19), Choice(CodecId.CPU_ZSTD, 19)),
        (SamplingDispatcher(CodecId.PASSTHROUGH), PLAIN),
        (AlwaysDispatcher(Choice(CodecId.CPU_ZSTD, 7)), Choice(CodecId.CPU_ZSTD, 7)),
    ],
)
def test_defaults_and_levels(dispatcher: SamplingDispatcher, expected: Choice) -> None:
    """A named codec and level are taken for whatever shrinks, small or large."""
    assert [dispatcher.choose(TEXT[:size], None) for size in (100, 2**20)] == [expected, expected]


def test_nothing_to_compress() -> None:
    """An empty object is passthrough."""
    assert SamplingDispatcher().choose(b"", 0) == PLAIN


def test_codecs_that_are_only_read() -> None:
    """A codec that cannot be written is refused when the dispatcher is made."""
    with pytest.raises(UnsupportedCodec):
        SamplingDispatcher(CodecId.NVCOMP_ZSTD)
    with pytest.raises(UnsupportedCodec):
        AlwaysDispatcher(Choice(CodecId.DIETGPU_ANS))
