"""Bytes that wait to be sent come out as they went in, however they are cut."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.backends.remote.blocks import Blocks

BLOCK_BYTES = 16
SIZES = st.lists(st.integers(0, 3 * BLOCK_BYTES))


@settings(deadline=None)
@given(SIZES, SIZES)
def test_what_comes_out_is_what_went_in(added: list[int], taken: list[int]) -> None:
    """In order, in pieces of a block at most, and counted."""
    blocks, whole, got = Blocks(BLOCK_BYTES), bytearray(), bytearray()
    for number, size in enumerate(added):
        piece = bytes([number % 251]) * size
        whole += piece
        blocks.add(memoryview(piece))
    for size in taken:
        before = blocks.size
        pieces = blocks.take(size)
        assert (min(size, before), True) == (sum(map(len, pieces)), all(len(one) <= BLOCK_BYTES for one in pieces))
        got += b"".join(pieces)
    left = blocks.size
    rest = b"".join(blocks.take())
    assert (bytes(whole), left, 0) == (bytes(got + rest), len(rest), blocks.size)
