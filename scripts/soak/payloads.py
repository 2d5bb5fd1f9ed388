"""Request bodies for load runs: deterministic, made once, before any clock starts.

The same kind, size and seed give the same bytes on every machine. Text and numbers are generated up to
`GENERATED_BYTES_MAX` and then repeated from a moving offset; the repeats lie further apart than the window of any
compressor at its default level, so that they earn nothing.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Final

GENERATED_BYTES_MAX: Final = 8 * 1024**2  # about a second of Python per body
EPOCH_S: Final = 1_767_225_600  # 2026-01-01, the first second in the logs
AGENTS: Final = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
    "curl/8.9.1",
    "python-requests/2.32",
    "Go-http-client/2.0",
)
PATHS: Final = (
    "/api/v1/items/%d",
    "/static/js/app.%x.js",
    "/login?next=%d",
    "/search?q=term%d&page=2",
    "/img/%x.png",
)
POSTING_GAPS: Final = (1.5, 4, 20, 200, 5000)


def make(kind: str, size: int, seed: int) -> bytes:
    """Make one body.

    Args:
        kind: A key of `KINDS`.
        size: Length in bytes.
        seed: Different seeds give different bytes.
    """
    return KINDS[kind](size, random.Random(seed))


def _random(size: int, rng: random.Random) -> bytes:
    return rng.randbytes(size)


def _zeros(size: int, _rng: random.Random) -> bytes:
    return bytes(size)


def _log(size: int, rng: random.Random) -> bytes:
    return _fill(_log_lines(rng), size)


def _json(size: int, rng: random.Random) -> bytes:
    return _fill(_json_lines(rng), size)


def _u32(size: int, rng: random.Random) -> bytes:
    return _fill(_postings(rng), size)


KINDS: Final[Mapping[str, Callable[[int, random.Random], bytes]]] = {
    "random": _random,
    "log": _log,
    "json": _json,
    "u32": _u32,
    "zeros": _zeros,
}
"""What `make` can give: random bytes, nginx-like text, JSON lines, sorted document ids (u32), zeros."""


def _fill(blocks: Iterator[bytes], size: int) -> bytes:
    """Join *blocks* up to *size* bytes; past `GENERATED_BYTES_MAX` what is there is repeated."""
    made = bytearray()
    while len(made) < min(size, GENERATED_BYTES_MAX):
        made += next(blocks)
    while len(made) < size:
        made += made[len(made) // 7 :]
    return bytes(made[:size])


def _moment(rng: random.Random) -> Iterator[tuple[float, str, str]]:
    now = float(EPOCH_S + rng.randrange(10_000_000))
    while True:
        now += rng.random() * 0.2
        address = f"10.{rng.randint(0, 3)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}"
        yield now, address, rng.choice(PATHS) % rng.randint(1, 99_999)


def _log_lines(rng: random.Random) -> Iterator[bytes]:
    for now, address, path in _moment(rng):
        stamp = dt.datetime.fromtimestamp(now, dt.UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
        status = rng.choice((200, 200, 200, 304, 404))
        yield (
            f'{address} - - [{stamp}] "GET {path} HTTP/1.1" {status} {rng.randint(100, 50_000)} '
            f'"-" "{rng.choice(AGENTS)}" rt={rng.random():.3f}\n'
        ).encode()


def _json_lines(rng: random.Random) -> Iterator[bytes]:
    for now, address, path in _moment(rng):
        line = {
            "ts": round(now, 3),
            "level": rng.choice(("INFO", "INFO", "WARN")),
            "ip": address,
            "path": path,
            "status": rng.choice((200, 200, 304, 404)),
            "dur_ms": rng.randint(1, 900),
        }
        yield json.dumps(line).encode() + b"\n"


def _postings(rng: random.Random) -> Iterator[bytes]:
    """Runs of ascending ids whose gaps are roughly geometric, as the posting lists of a search index."""
    while True:
        count, mean, identity = rng.randint(64, 4096), rng.choice(POSTING_GAPS), rng.randint(0, 1000)
        run = []
        for _ in range(count):
            identity += 1 + int(rng.expovariate(1 / mean))
            run.append(identity & 0xFFFFFFFF)
        yield struct.pack(f"<{count}I", *run)
