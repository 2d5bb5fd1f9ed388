"""The data sets of `s4gw bench codecs`: S4's published ones, the same with real randomness, real-like ones.

S4's sets were rebuilt from its source and give its published zstd-3 ratios; they are more regular than their names
say (every gap of "postings" is 1, the jitter of "timestamps" has a period of 32), so each has an honest variant whose
entropy is known. All sets are deterministic: the same name and size give the same bytes, except the two that are made
of the files of the running Python (`source`, `elf`) and what another C library or pyarrow rounds or packs differently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.random import RandomState

from s4gw.tools import bench_portfolio

MIB: Final = 1024**2
SEED: Final = 42

Group = Literal["s4", "honest", "real"]


@dataclass(frozen=True, slots=True)
class DataSet:
    """One set: what it is called, how large a full run of it is, and how it is made."""

    name: str
    group: Group
    size: int
    """Bytes in a full run."""
    title: str
    build: Callable[[int], bytes]
    """Size in bytes -> the set, cut to it."""
    bound: float | None = None
    """Ratio that its entropy allows, where that is known."""


def make(name: str, size: int) -> bytes:
    """Make a data set.

    Args:
        name: A key of `SETS`.
        size: Bytes wanted; the two sets made of files give fewer when the files end.

    Raises: KeyError; ImportError, where a set needs pyarrow and that is not installed.
    """
    return SETS[name].build(size)


# -- the sets of S4 ---------------------------------------------------------------------------------------------------

_LINE: Final = (
    b'203.0.113.42 - - [12/May/2026:10:30:45 +0000] "GET /api/v1/users/123 HTTP/1.1" 200 4521 '
    b'"https://example.com/dashboard" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) '
    b'Chrome/120.0.0.0 Safari/537.36"\n'
)
_COLUMN: Final = b"col=user_id,type=u32,encoding=plain\n"
_COLUMN_REPEATS: Final = 32
_BLOCK_VALUES: Final = 1024
_HEX: Final = np.frombuffer(b"0123456789abcdef", np.uint8)
_START_NS: Final = 1_700_000_000_000_000_000
_STEP_NS: Final = 1_000_000
_LCG_FACTOR: Final = 6364136223846793005
_LCG_SEED: Final = 0xAAAAAAAA55555555
_LOW_40_BITS: Final = np.uint64(2**40 - 1)
_XORSHIFT_SEED: Final = 0xDEADBEEFCAFEBABE
_U64: Final = 2**64 - 1


def _nginx(size: int) -> bytes:
    """One access-log line again and again, each followed by a counter of 16 hex digits."""
    head = np.frombuffer(_LINE + b" id=", np.uint8)
    count = -(-size // (len(head) + 17))
    rows = np.empty((count, len(head) + 17), np.uint8)
    rows[:, : len(head)] = head
    counter = np.arange(count, dtype=np.uint64)
    for digit in range(16):
        rows[:, len(head) + digit] = _HEX[(counter >> np.uint64(4 * (15 - digit))) & np.uint64(15)]
    rows[:, -1] = ord("\n")
    return rows.tobytes()[:size]


def _parquet_like(size: int) -> bytes:
    """Blocks of 1024 u32 that count on, then 32 times the same 36 bytes of text."""
    text = np.frombuffer(_COLUMN * _COLUMN_REPEATS, np.uint8)
    count = -(-size // (4 * _BLOCK_VALUES + len(text)))
    numbers = np.arange(count * _BLOCK_VALUES, dtype="<u4").view(np.uint8).reshape(count, -1)
    return np.hstack([numbers, np.broadcast_to(text, (count, len(text)))]).tobytes()[:size]


def _postings(size: int) -> bytes:
    """u32 that count from 0."""
    return np.arange(-(-size // 4), dtype="<u4").tobytes()[:size]


def _timestamps(size: int) -> bytes:
    """i64 nanoseconds, 1 ms apart, plus 8, 16 ... 248, 0 in turn."""
    count = -(-size // 8)
    steps = _STEP_NS + (8 * np.arange(1, count, dtype="<i8")) % 256
    return np.concatenate([np.array([_START_NS], "<i8"), _START_NS + np.cumsum(steps)]).tobytes()[:size]


def _doc_values(size: int) -> bytes:
    """The low 40 bits of a linear congruential generator: bit k has a period of 2**(k+1)."""
    count = -(-size // 8)
    states = np.array([(_LCG_SEED * _LCG_FACTOR + 1) & _U64], np.uint64)
    factor, term = _LCG_FACTOR, 1
    while len(states) < count:  # x -> factor * x + term goes len(states) steps ahead
        states = np.concatenate([states, states * np.uint64(factor) + np.uint64(term)])
        factor, term = factor * factor & _U64, (factor * term + term) & _U64
    return (states[:count] & _LOW_40_BITS).astype("<u8").tobytes()[:size]


def _xorshift(size: int) -> bytes:
    """xorshift64: what looks random and does not compress."""
    count = -(-size // 8)
    images = np.array([_xorshift_step(1 << bit) for bit in range(64)], np.uint64)  # of each bit, one step on
    states = np.array([_xorshift_step(_XORSHIFT_SEED)], np.uint64)
    while len(states) < count:
        states = np.concatenate([states, _apply(images, states[: count - len(states)])])
        images = _apply(images, images)
    return states.astype("<u8").tobytes()[:size]


def _xorshift_step(state: int) -> int:
    state ^= state << 13 & _U64
    state ^= state >> 7
    return state ^ state << 17 & _U64


def _apply(images: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Apply a linear map over bits, given by its *images* of the 64 single bits, to many states: a table per byte."""
    result = np.zeros_like(states)
    for byte in range(8):
        table = np.zeros(256, np.uint64)
        for bit in range(8):
            table[1 << bit : 2 << bit] = table[: 1 << bit] ^ images[8 * byte + bit]
        result ^= table[(states >> np.uint64(8 * byte)) & np.uint64(255)]
    return result


# -- the same with real randomness ------------------------------------------------------------------------------------


def _postings_honest(size: int) -> bytes:
    """u32 document ids whose gaps are 1, 2, 3 or 4 with equal chance: 2 bits each."""
    gaps = RandomState(SEED).randint(1, 5, -(-size // 4))
    return np.cumsum(gaps).astype("<u4").tobytes()[:size]


def _timestamps_honest(size: int) -> bytes:
    """i64 nanoseconds, 1 ms apart, plus 0 to 255: 8 bits each."""
    jitter = RandomState(SEED).randint(0, 256, -(-size // 8))
    return (_START_NS + np.cumsum(_STEP_NS + jitter)).astype("<i8").tobytes()[:size]


def _doc_values_honest(size: int) -> bytes:
    """i64 below 2**40, each with equal chance."""
    return RandomState(SEED).randint(0, 2**40, -(-size // 8), dtype=np.int64).astype("<i8").tobytes()[:size]


SETS: Final[Mapping[str, DataSet]] = {
    each.name: each
    for each in (
        DataSet("nginx", "s4", 256 * MIB, "nginx access log", _nginx),
        DataSet("parquet-like", "s4", 256 * MIB, "Parquet-like mixed", _parquet_like),
        DataSet("postings", "s4", 64 * MIB, "postings u32", _postings),
        DataSet("timestamps", "s4", 64 * MIB, "timestamps i64", _timestamps),
        DataSet("doc_values", "s4", 64 * MIB, "doc_values i64", _doc_values),
        DataSet("random", "s4", 64 * MIB, "already compressed", _xorshift, 1.0),
        DataSet("postings-honest", "honest", 64 * MIB, "postings, gaps uniform 1-4", _postings_honest, 16.0),
        DataSet("timestamps-honest", "honest", 64 * MIB, "timestamps, 1 ms + 0-255 ns", _timestamps_honest, 8.0),
        DataSet("doc_values-honest", "honest", 64 * MIB, "doc_values, uniform 40 bits", _doc_values_honest, 1.6),
        *(
            DataSet(name, "real", bench_portfolio.SIZE, title, build)
            for name, (title, build) in bench_portfolio.PORTFOLIO.items()
        ),
    )
}
"""Name -> set, in the order of the table."""
