"""Neighbouring frames of next to nothing become one; whatever was expected of them, the bytes are the same."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.backends import MemoryBackend
from s4gw.backends.base import BucketInfo, ObjectMeta
from s4gw.checksum import Buffer
from s4gw.codec import (
    AlwaysDispatcher,
    AutoDispatcher,
    Choice,
    CodecId,
    EncodedFrame,
    Selection,
    decode_frame,
    encode_frame,
    parse_frame_header,
)
from s4gw.objects import DigestPlan, Objects, get
from s4gw.objects.buffers import BufferPool
from s4gw.objects.joining import JOINED_BYTES, TINY_RATIO, Joining
from s4gw.objects.layout import LayoutCache
from s4gw.s3.errors import IncompleteBody
from s4gw.tools.bench_data import make

from .bodies import BytesSource, CutSource
from .test_receive import Buffers

FRAME: Final = 64 * 1024
MIB: Final = 1024 * 1024
ZSTD: Final = Choice(CodecId.CPU_ZSTD, 1)
NOISE: Final = random.Random(1).randbytes(FRAME)
KINDS: Final = {
    "zeros": bytes(FRAME),
    "numbers": b"".join(number.to_bytes(4, "little") for number in range(FRAME // 4)),
    "text": (b"lines of no use, all of them alike\n" * FRAME)[:FRAME],
    "noise": NOISE,
    "noise but for what is looked at": NOISE[:24_000] + bytes(FRAME - 48_000) + NOISE[-24_000:],
}


def joined(blocks: Sequence[bytes], pool: BufferPool, dispatcher: AutoDispatcher | AlwaysDispatcher) -> list[bytes]:
    """Do with *blocks* what the squishing of a body does: the frames, as stored."""
    joining, selection, found = Joining(pool, dispatcher), Selection(dispatcher), []
    for block in blocks:
        data = memoryview(bytearray(block))
        choice = selection.choose(data, None)
        frame = None if joining.expects(data, choice) else encode_frame(data, choice)
        if frame is not None:
            selection.observe(frame)
        found += [each.header + bytes(each.payload) for each in joining.add(data, choice, frame)]
        data[:] = bytes(len(data))  # the caller's again
    found += [each.header + bytes(each.payload) for each in joining.flush()]
    return found


def decoded(stored: bytes) -> bytes:
    return bytes(decode_frame(parse_frame_header(stored), stored[28:]))


def sizes(frames: Sequence[bytes]) -> list[int]:
    """Original bytes of each."""
    return [parse_frame_header(frame).original_size for frame in frames]


@settings(max_examples=60, deadline=None)
@given(
    kinds=st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.integers(1, 6)), max_size=5),
    last=st.integers(0, FRAME),
    automatic=st.booleans(),
)
def test_what_is_joined_comes_back(kinds: list[tuple[str, int]], last: int, *, automatic: bool) -> None:
    """Any row of blocks, the last of any size: every byte is there, and large frames are few bytes."""
    blocks = [KINDS[kind] for kind, count in kinds for _ in range(count)]
    blocks[-1:] = [block[:last] for block in blocks[-1:] if last]
    pool = Buffers(4 * FRAME)
    dispatcher = AutoDispatcher() if automatic else AlwaysDispatcher(ZSTD)
    frames = joined(blocks, pool, dispatcher)
    assert b"".join(blocks) == b"".join(map(decoded, frames))
    for size, frame in zip(sizes(frames), frames, strict=True):
        assert size <= FRAME or (size <= 4 * FRAME and len(frame) * TINY_RATIO <= size)
    assert pool.out == 0


def test_tiny_frames_are_one_up_to_a_bound() -> None:
    """Nine of one kind are four, four and one; another kind is another frame."""
    blocks = [KINDS["zeros"]] * 9 + [KINDS["text"]] * 2 + [NOISE]
    frames = joined(blocks, BufferPool(4 * FRAME), AutoDispatcher())
    assert [4 * FRAME, 4 * FRAME, FRAME, 2 * FRAME, FRAME] == sizes(frames)


def test_what_only_looked_tiny_is_chosen_for_anew() -> None:
    """The sample is of zeros, the rest noise: each block is a frame again, and stored as it is."""
    trap = KINDS["noise but for what is looked at"]
    blocks = [KINDS["zeros"], trap, trap]
    frames = joined(blocks, BufferPool(4 * FRAME), AlwaysDispatcher(ZSTD))
    assert blocks == [decoded(frame) for frame in frames]
    assert len(frames[0]) < FRAME // TINY_RATIO < len(frames[1])


def test_the_smaller_result_is_kept() -> None:
    """Where several frames take less than one, they stay: here they say that they are nothing, and are noise."""
    joining, frames = Joining(BufferPool(4 * FRAME), AlwaysDispatcher(ZSTD)), []
    claimed = EncodedFrame(bytes(28), b"", CodecId.CPU_ZSTD, FRAME, 0)
    for _ in range(3):
        frames += list(joining.add(memoryview(NOISE), ZSTD, claimed))
    assert [claimed] * 3 == [*frames, *joining.flush()]


def objects_over_memory() -> Objects:
    backend = MemoryBackend()
    backend.create_bucket(BucketInfo(name="b", owner="o", created_ms=0))
    return Objects(backend, AutoDispatcher(), threads=2)


@pytest.mark.parametrize("alone", [True, False])
def test_a_range_of_joined_frames_decodes_one(monkeypatch: pytest.MonkeyPatch, *, alone: bool) -> None:
    """20 MiB of a counter are three frames, whether read alone or beside others; 4 KiB anywhere decode one of them."""
    data = make("postings", 20 * MIB + FRAME) + b"odd"
    objects = objects_over_memory()
    decoded_sizes: list[int] = []

    def decode(*given: object, **named: object) -> Buffer:
        decoded_sizes.append(len(found := decode_frame(*given, **named)))  # type: ignore[arg-type] # as given
        return found

    monkeypatch.setattr(get, "decode_frame", decode)
    if not alone:
        objects.squisher.crowd.__enter__()
    obj = objects.put("b", "k", BytesSource(data), meta=ObjectMeta(owner="o"), plan=DigestPlan()).object
    index = LayoutCache(objects.backend).load("b", obj).index
    assert [JOINED_BYTES, JOINED_BYTES, 4 * MIB + FRAME + 3] == list(index.original_sizes)
    numbers = random.Random(7)
    for _ in range(10):
        start = numbers.randrange(20 * MIB) // 4096 * 4096
        decoded_sizes.clear()
        assert data[start : start + 4096] == b"".join(objects.read("b", obj, start, start + 4096))
        assert len(decoded_sizes) == 1
    assert data == b"".join(objects.read("b", obj, 0, len(data)))
    assert obj.stored_size < 300
    objects.close()


def test_a_short_run_is_an_object_of_one_frame() -> None:
    """3 MiB of nothing need no trailer."""
    objects = objects_over_memory()
    obj = objects.put("b", "k", BytesSource(bytes(3 * MIB)), meta=ObjectMeta(owner="o"), plan=DigestPlan()).object
    assert (1, True) == (obj.meta.frames, obj.stored_size < 60)
    assert bytes(3 * MIB) == b"".join(objects.read("b", obj, 0, 3 * MIB))
    assert bytes(5) == b"".join(objects.read("b", obj, 2 * MIB, 2 * MIB + 5))
    objects.close()


def test_a_body_that_breaks_off_gives_its_memory_back() -> None:
    """What was gathered is dropped, and the next body begins anew."""
    objects = objects_over_memory()
    pool = Buffers(JOINED_BYTES)
    object.__setattr__(objects.squisher, "joined", pool)
    with pytest.raises(IncompleteBody):
        objects.put("b", "k", CutSource(bytes(5 * MIB), 9 * MIB), meta=ObjectMeta(owner="o"), plan=DigestPlan())
    assert (0, 1) == (pool.out, pool.most)
    objects.close()
