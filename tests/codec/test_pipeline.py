"""`compress` and `decompress`: the bytes of a gateway without one, whole, checked, however they arrive."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.backends import MemoryBackend
from s4gw.backends.base import BucketInfo, ObjectMeta
from s4gw.codec import (
    AlwaysDispatcher,
    Choice,
    CodecError,
    CodecId,
    Compressor,
    FrameTooLarge,
    NotFramed,
    TruncatedFrame,
    compress,
    decompress,
    is_framed,
    read_trailer,
)
from s4gw.objects import DigestPlan, Objects
from tests.codec.support import ORIGINAL, build
from tests.objects.bodies import BytesSource, mixed

FRAME = 4096
ZSTD = AlwaysDispatcher(Choice(CodecId.CPU_ZSTD, 1))


@pytest.mark.parametrize("size", [0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME, 9 * FRAME + 17])
def test_decompress_undoes_compress(size: int) -> None:
    """At every size around a frame; one frame has no trailer, more do."""
    data = mixed(size, seed=size)
    stored = compress(data, frame_bytes=FRAME)
    assert (data, True, size > FRAME) == (decompress(stored), is_framed(stored), b"S4GT" in stored[-24:])
    assert len(stored) <= size + size // 100 + 256  # 28 bytes per frame, and these are small


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=3 * FRAME), st.lists(st.integers(0, FRAME), max_size=8))
def test_any_split_gives_the_same_object(data: bytes, cuts: list[int]) -> None:
    """Pieces do not show in what is stored."""
    compressor, at, made = Compressor(frame_bytes=FRAME), 0, bytearray()
    for cut in [*cuts, len(data)]:
        made += compressor.feed(data[at : at + cut])
        at += cut
    made += compressor.finish()
    assert compress(data, frame_bytes=FRAME) == bytes(made)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damage_is_an_error_or_changes_nothing(data: st.DataObject) -> None:
    """A flipped bit or a cut anywhere gives the library's error, never other bytes."""
    original = mixed(3 * FRAME, seed=7)
    stored = bytearray(compress(original, frame_bytes=FRAME))
    if data.draw(st.booleans()):
        stored[data.draw(st.integers(0, len(stored) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del stored[data.draw(st.integers(0, len(stored) - 1)) :]
    try:
        found = decompress(stored)
    except CodecError:
        return
    # a cut between two frames is an object of S4's without a trailer; what is there is still right
    assert original.startswith(found)


def test_it_is_what_a_gateway_stores() -> None:
    """Frame by frame the same bytes as a PUT makes; only the trailer's manifest knows less."""
    data = mixed(5 * 65536 + 3)
    objects = Objects(MemoryBackend(), ZSTD, frame_bytes=65536)
    objects.backend.create_bucket(BucketInfo(name="b", owner="o", created_ms=0))
    put = objects.put("b", "k", BytesSource(data), meta=ObjectMeta(), plan=DigestPlan()).object
    theirs = objects.backend.read(put, 0, put.stored_size)
    objects.close()
    ours = compress(data, dispatcher=ZSTD, frame_bytes=65536)
    trailer = read_trailer(ours, len(ours))
    frames = trailer.index.stored_size  # type: ignore[union-attr]  # the whole object is there, so no NeedBytes
    assert (theirs[:frames], data) == (ours[:frames], decompress(theirs))


def test_objects_of_s4_are_read() -> None:
    """Frames of other sizes, paddings between them, no trailer."""
    stored, _ = build([(ORIGINAL, Choice(CodecId.CPU_GZIP, 6)), (b"tail", Choice(CodecId.PASSTHROUGH))], trailer=False)
    padded = stored + b"S4P1" + (100).to_bytes(8, "little") + bytes(100)
    assert ORIGINAL + b"tail" == decompress(padded)


def test_other_buffers_are_taken() -> None:
    """Arrays and views of wider items are bytes as well."""
    data = random.Random(1).randbytes(4 * FRAME)
    view = memoryview(data).cast("I")
    assert data == decompress(memoryview(compress(view, frame_bytes=FRAME)))


@pytest.mark.parametrize(
    ("stored", "error"),
    [(b"", NotFramed), (b"plain text", NotFramed), (b"S4F2", TruncatedFrame)],
)
def test_what_is_not_framed_is_refused(stored: bytes, error: type[CodecError]) -> None:
    """An empty file is not an empty object: that has a frame."""
    with pytest.raises(error):
        decompress(stored)


def test_a_bound_holds_before_anything_is_decoded() -> None:
    """The sum of what frames declare is compared with the caller's bound."""
    stored = compress(bytes(10 * FRAME), frame_bytes=FRAME)
    assert bytes(10 * FRAME) == decompress(stored, size_max=10 * FRAME)
    with pytest.raises(FrameTooLarge):
        decompress(stored, size_max=10 * FRAME - 1)


def test_tiny_frames_are_refused() -> None:
    """A frame below 4 KiB is a mistake of the caller."""
    with pytest.raises(ValueError, match="at least 4096"):
        Compressor(frame_bytes=1000)
