"""Where frames end: content decides, so equal stretches of different bodies are cut alike."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.codec import FRAME_BYTES, GRID_BYTES, cut

ROOM = 64 * 1024  # of a frame, so that bodies of many frames are small
FRAMES_MAX = 32  # each has about four chances in ten of falling into step


def ends(body: bytes, room: int = ROOM) -> list[int]:
    """Where the frames of a body end, as one that receives it cuts them."""
    found, at = [], 0
    view = memoryview(body)
    while len(body) - at >= room:
        at += cut(view[at : at + room]).size
        found.append(at)
    return found if at == len(body) else [*found, len(body)]


@settings(deadline=None)
@given(st.binary(max_size=4 * GRID_BYTES), st.integers(1, 9), st.integers(0, 2**32))
def test_a_cut_lies_on_the_grid_in_the_second_half(short: bytes, halves: int, seed: int) -> None:
    """Whatever the bytes are; a frame is never empty, and what is shorter than two blocks is not cut."""
    room = halves * 2 * GRID_BYTES
    for body in (short, random.Random(seed).randbytes(room), bytes(room), b"abcdefgh" * (room // 8)):
        size, *_ = cut(memoryview(body))
        assert len(body) // 2 - GRID_BYTES < size <= len(body)
        assert size == len(body) or (size % GRID_BYTES == 0 and size > 0)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_a_cut_depends_on_the_second_half_alone(seed: int, other: int) -> None:
    """Neither what lies before it in the frame nor what came before the frame matters."""
    half = random.Random(seed).randbytes(ROOM // 2)
    cuts = {cut(memoryview(random.Random(before).randbytes(ROOM // 2) + half)) for before in (other, other + 1)}
    assert 1 == len(cuts)


def test_nothing_is_cut_as_late_as_may_be() -> None:
    """Zeros and repeated words make whole frames, and ask for no new choice."""
    for body in (bytes(FRAME_BYTES), b"12345678" * (FRAME_BYTES // 8)):
        assert (FRAME_BYTES, False, False) == cut(memoryview(body))


def test_a_block_of_zeros_is_no_end_where_there_is_another() -> None:
    """The smallest hash is that of something."""
    body = bytearray(ROOM)
    body[40 * 1024 : 40 * 1024 + 5] = b"hello"
    assert 40 * 1024 + GRID_BYTES == cut(memoryview(body)).size


def inserted(body: bytes, at: int, piece: bytes) -> bytes:
    return body[:at] + piece + body[at:]


def deleted(body: bytes, at: int, piece: bytes) -> bytes:
    return body[:at] + body[at + len(piece) :]


def replaced(body: bytes, at: int, piece: bytes) -> bytes:
    return body[:at] + piece + body[at + len(piece) :]


@pytest.mark.parametrize("edit", [inserted, deleted, replaced])
@settings(deadline=None)
@given(seed=st.integers(0, 2**32), block=st.integers(0, 1500), blocks=st.integers(1, 400))
def test_cuts_fall_into_step_after_an_edit(
    edit: Callable[[bytes, int, bytes], bytes], seed: int, block: int, blocks: int
) -> None:
    """Some frames after any number of blocks came, went or changed, all ends are those of before, moved along."""
    rng = random.Random(seed)
    body = rng.randbytes((FRAMES_MAX + 20) * ROOM)
    at = block * GRID_BYTES
    changed = edit(body, at, rng.randbytes(blocks * GRID_BYTES))
    moved = len(changed) - len(body)
    before, after = ends(body), ends(changed)
    assert [end for end in before if end <= at - ROOM] == [end for end in after if end <= at - ROOM]
    until = max(at, at + moved) + blocks * GRID_BYTES + FRAMES_MAX * ROOM
    assert [end + moved for end in before if end + moved >= until] == [end for end in after if end >= until]


def test_frames_are_three_quarters_long_and_marked_as_often_as_said() -> None:
    """On average, of noise: what the index and the choosing cost depends on it."""
    body = memoryview(random.Random(1).randbytes(300 * ROOM))
    sizes, marks, at = [], [0, 0], 0
    while len(body) - at >= ROOM:
        size, apart, anew = cut(body[at : at + ROOM])
        sizes.append(size)
        marks = [marks[0] + apart, marks[1] + anew]
        at += size
    assert 0.72 < sum(sizes) / len(sizes) / ROOM < 0.78
    assert 0.2 < marks[0] / len(sizes) < 0.3
    assert 0.03 < marks[1] / len(sizes) < 0.1
