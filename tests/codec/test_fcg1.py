"""Tests of s4gw.codec.fcg1: a container comes apart as it was put together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4gw.codec import Container, CorruptFrame, FcgAlgorithm, decode_payload, parse_container, zstd
from s4gw.codec.layout import CodecId


@given(st.binary(max_size=300), st.integers(1, 100), st.sampled_from(FcgAlgorithm), st.integers(0, 8))
def test_containers_come_apart(data: bytes, chunk_bytes: int, algorithm: FcgAlgorithm, data_type: int) -> None:
    """Every field and chunk, and the decoded size of each chunk."""
    chunks = [data[start : start + chunk_bytes] for start in range(0, len(data), chunk_bytes)]
    container = Container(algorithm, data_type, len(data), chunk_bytes, chunks)
    assert list(map(len, chunks)) == container.sizes()
    found = parse_container(container.pack(), len(data))
    expected = (algorithm, data_type, chunk_bytes, chunks)
    assert expected == (found.algorithm, found.data_type, found.chunk_bytes, [bytes(each) for each in found.chunks])


@given(st.binary(min_size=1, max_size=300), st.integers(1, 100), st.data())
def test_a_cut_container_is_damage(data: bytes, chunk_bytes: int, choose: st.DataObject) -> None:
    """Wherever it is cut."""
    chunks = [data[start : start + chunk_bytes] for start in range(0, len(data), chunk_bytes)]
    packed = Container(FcgAlgorithm.BITCOMP, 1, len(data), chunk_bytes, chunks).pack()
    with pytest.raises(CorruptFrame):
        parse_container(packed[: choose.draw(st.integers(0, len(packed) - 1))], len(data))


def test_zstd_inside_is_read_on_the_cpu() -> None:
    """What S4 (Rust) needs a GPU for."""
    data = b"many words, many words" * 100
    chunks = [zstd.encode(data[start : start + 512], 1) for start in range(0, len(data), 512)]
    packed = Container(FcgAlgorithm.ZSTD, 0, len(data), 512, chunks).pack()
    assert data == decode_payload(CodecId.NVCOMP_ZSTD, packed, len(data))
