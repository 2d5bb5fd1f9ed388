"""Walking headers finds what the index says, and stops for good at the first damage."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.codec import (
    CodecError,
    CorruptFrame,
    FrameHeader,
    FrameIndex,
    HeaderWalker,
    TruncatedFrame,
    UnknownCodec,
)
from tests.codec.support import CHOICES, build


def walk(stored: bytes) -> FrameIndex:
    """Rebuild the index of *stored* from its headers."""
    index, walker = FrameIndex(), HeaderWalker(len(stored))
    while not walker.done:
        site = walker.accept(stored[walker.offset : walker.offset + walker.wanted])
        if isinstance(site.header, FrameHeader):
            index.append(site.header.original_size, site.header.stored_size)
    return index


@settings(max_examples=60, deadline=None)
@given(parts=st.lists(st.binary(max_size=60), max_size=6), trailer=st.booleans())
def test_walk_rebuilds_the_index(parts: list[bytes], trailer: bool) -> None:
    """Without its trailer an object still gives its index."""
    stored, index = build([(part, CHOICES[len(part) % 3]) for part in parts], trailer=trailer)
    assert walk(stored) == index


@pytest.mark.parametrize(
    ("tail", "error"),
    [
        (b"S4", TruncatedFrame),
        (b"S4F2", TruncatedFrame),
        (b"S4P1\xff\xff\xff\xff\xff\xff\xff\xff", TruncatedFrame),
        (b"garbage that is no frame", CorruptFrame),
        (b"S4F2\x63\x00\x00\x00" + bytes(20), UnknownCodec),
    ],
)
def test_strict_to_the_end(tail: bytes, error: type[CodecError]) -> None:
    """Stray bytes behind sound frames are damage, and the walker stays failed."""
    stored, _ = build([(b"hello", CHOICES[0])], trailer=False)
    walker = HeaderWalker(len(stored) + len(tail))
    walker.accept(stored)
    for _ in range(2):
        with pytest.raises(error):
            walker.accept(tail)
