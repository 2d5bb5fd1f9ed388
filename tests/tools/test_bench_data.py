"""Tests of s4gw.tools.bench_data and bench_portfolio: the sets are what they say, to the byte and without a clock."""

from __future__ import annotations

import hashlib
import struct
from itertools import pairwise

import pytest
import zstandard

from s4gw.tools.bench_data import SETS, make

MIB = 1024**2
SMALL = 64 * 1024 + 3

PUBLISHED = {  # S4's README, table "Benchmarks", codec cpu-zstd-3, at full size
    "nginx": 155.01,
    "parquet-like": 1.92,
    "postings": 1.48,
    "timestamps": 2.63,
    "doc_values": 1.45,
    "random": 1.00,
}
DIGESTS = {  # SHA-256 of the first 64 KiB + 3 bytes, first 16 digits
    "nginx": "5ed686a786fb46ae",
    "parquet-like": "8342706c60d9dc21",
    "postings": "d7700b4034cac81b",
    "timestamps": "950ea6b7fd7cbb35",
    "doc_values": "db8ae3b89b6c6fb3",
    "random": "86daec4574025f84",
    "postings-honest": "226502126649e124",
    "timestamps-honest": "33e1a2a789970495",
    "doc_values-honest": "101a6dbf452acc73",
    "json": "3e9ed72fa9b88e47",
    "f64-sensor": "3b547c3be546ea4b",
    "records-21": "4b34719d25528ad3",
}


def streamed(data: bytes) -> float:
    """Ratio of zstd 3 as S4 runs it: a streaming encoder over the whole buffer."""
    encoder = zstandard.ZstdCompressor(level=3).compressobj()
    size = sum(len(encoder.compress(data[start : start + 128 * 1024])) for start in range(0, len(data), 128 * 1024))
    return len(data) / (size + len(encoder.flush()))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_sets_of_s4_give_its_published_ratios(name: str) -> None:
    """Zstd 3 makes of them what S4's README says; nginx and the generator of doc_values need some length for it."""
    size = {"nginx": 64 * MIB, "doc_values": 32 * MIB}.get(name, 8 * MIB)
    assert pytest.approx(PUBLISHED[name], rel=0.005) == streamed(make(name, size))


@pytest.mark.parametrize("name", DIGESTS)
def test_sets_never_change(name: str) -> None:
    """The same name gives the same bytes on every machine and in every release."""
    assert DIGESTS[name] == hashlib.sha256(make(name, SMALL)).hexdigest()[:16]


@pytest.mark.parametrize("name", SETS)
def test_a_smaller_set_begins_a_larger_one_or_is_as_large_as_it_can(name: str) -> None:
    """Every set can be made; odd sizes are met to the byte, except by files that end or have a header."""
    if name.startswith(("parquet-", "arrow")) and name != "parquet-like":
        pytest.importorskip("pyarrow")
        assert len(make(name, SMALL)) > SMALL // 2
        return
    assert SMALL == len(make(name, SMALL))


def test_generators_that_jump_ahead_agree_with_their_definition() -> None:
    """The vectorized LCG and xorshift64 give what a loop over the recurrence gives."""
    lcg, xor = 0xAAAAAAAA55555555, 0xDEADBEEFCAFEBABE
    values, states = [], []
    for _ in range(1000):
        lcg = (lcg * 6364136223846793005 + 1) % 2**64
        values.append(lcg % 2**40)
        xor ^= xor << 13 & (2**64 - 1)
        xor ^= xor >> 7
        xor ^= xor << 17 & (2**64 - 1)
        states.append(xor)
    assert (struct.pack("<1000Q", *values), struct.pack("<1000Q", *states)) == (
        make("doc_values", 8000),
        make("random", 8000),
    )


def test_honest_variants_are_random() -> None:
    """Gaps of 1 to 4 and jitter of 0 to 255, each about as often: the entropy that the bound is computed from."""
    ids = struct.unpack("<50000I", make("postings-honest", 200_000))
    gaps = [after - before for before, after in pairwise(ids)]
    times = struct.unpack("<50000q", make("timestamps-honest", 400_000))
    jitter = {after - before - 1_000_000 for before, after in pairwise(times)}
    counts = [gaps.count(gap) for gap in (1, 2, 3, 4)]
    assert (len(gaps), True, set(range(256))) == (sum(counts), min(counts) > 12_000, jitter)
