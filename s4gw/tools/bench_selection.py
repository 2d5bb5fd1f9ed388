"""``s4gw bench selection``: what choosing a codec costs, and how good the choices are.

For each data set: CPU time of a choice without any knowledge (the best of some rounds, since other load on the machine
only adds); CPU time per 4 MiB of a long body in which a choice is trusted while it works, that is of all that is done
with an earlier choice at hand: glances, and the choices that they, a drift or 64 MiB ask for; the same with the first
choice of the body counted in; and the size with a choice for each frame beside the size with the best single codec for
each frame, which nobody can know beforehand.
"""

from __future__ import annotations

import statistics
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from s4gw.checksum import Buffer
from s4gw.codec import (
    AutoDispatcher,
    Choice,
    CodecId,
    Column,
    Dispatcher,
    Filter,
    PcoType,
    Selection,
    TypedFilter,
    encode_frame,
)
from s4gw.gateway import malloc
from s4gw.tools.bench_codecs import choose, machine, progress
from s4gw.tools.bench_data import DataSet

OK: Final = 0
MISUSE: Final = 2
MIB: Final = 1024**2
SIZE: Final = 64 * MIB
"""Bytes of a set: two choices' worth of trust."""
CHUNK_BYTES: Final = 4 * MIB
ROUNDS: Final = 5
STUDIED_FRAMES: Final = 4
"""Frames of each set that every codec is tried on."""

_KINDS: Final = (TypedFilter.DELTA, TypedFilter.DELTA_PLANES, TypedFilter.PACK)
SINGLES: Final = (
    *(Choice(CodecId.ZSTD_CASCADE, level) for level in (1, 2, 3)),
    *(Choice(CodecId.TYPED, 1, Filter(TypedFilter.PLANES, width)) for width in (2, 4, 8)),
    *(
        Choice(CodecId.TYPED, 1, Filter(kind, width, big))
        for kind in _KINDS
        for width in (2, 4, 8)
        for big in (False, True)
    ),
    *(Choice(CodecId.PCO, 0, Column(kind)) for kind in PcoType),
)
"""The single codecs that a frame is tried with, besides the one chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What choosing did for one set."""

    name: str
    choice: str
    """What was chosen for the last frame studied."""
    cold_ms: float
    """Of one choice, on average over the frames studied."""
    trusted_ms: float
    """Of choosing and glancing once there is a choice, per 4 MiB that come after the first frame."""
    whole_ms: float
    """Of choosing and glancing, the first choice included, per 4 MiB of the whole set."""
    again: int
    """Choices that were made anew in the whole set."""
    chosen_size: int
    """Bytes of the frames studied, each with its own choice."""
    best_size: int
    """The same with the best single codec for each."""

    @property
    def share(self) -> float:
        """Size of what was chosen beside the best single codec; less than 1 where segments beat all of them."""
        return self.chosen_size / self.best_size


class _Timed:
    """Passes on to a dispatcher and adds up the CPU time that it takes."""

    def __init__(self, inner: Dispatcher) -> None:
        self._inner = inner
        self.cpu_s = 0.0
        self.choices = 0

    def choose(self, sample: Buffer, size: int | None) -> Choice:
        start = time.process_time()
        choice = self._inner.choose(sample, size)
        self.cpu_s += time.process_time() - start
        self.choices += 1
        return choice

    def glance(self, choice: Choice, frame: Buffer) -> int:
        start = time.process_time()
        seen = self._inner.glance(choice, frame)
        self.cpu_s += time.process_time() - start
        return seen

    def hinted(self, hint: str) -> Dispatcher:
        return self._inner.hinted(hint)


def run(arguments: Namespace) -> int:
    """Study the sets that were asked for. Returns: exit status."""
    try:
        chosen = choose(arguments.sets)
    except ValueError as error:
        print(f"s4gw bench: {error}", file=sys.stderr)
        return MISUSE
    malloc.tune()  # as in the gateway
    studies, skipped = [], []
    for each in chosen:
        try:
            studies.append(study(each, arguments.size or SIZE, arguments.frame_bytes, arguments.rounds))
        except ImportError as error:
            skipped.append(f"NOT RUN: {each.name}: {error}")
            continue
        progress(_row(studies[-1]))
    print("\n".join([table(studies), "", *skipped, machine(arguments)]))
    return OK


def study(each: DataSet, size: int, frame_bytes: int, rounds: int) -> Study:
    """Choose for the frames of a set in all ways. Raises: ImportError, where the set needs what is not installed."""
    data = each.build(size)
    frames = [memoryview(data)[start : start + frame_bytes] for start in range(0, len(data), frame_bytes)]
    dispatcher = AutoDispatcher()
    colds, label, chosen_size, best_size = [], "", 0, 0
    for frame in frames[:STUDIED_FRAMES]:
        choice, cold_s = _cold(dispatcher, frame, rounds)
        colds.append(cold_s)
        stored = encode_frame(frame, choice).stored_size
        label, chosen_size = choice.label, chosen_size + stored
        singles = [encode_frame(frame, single).stored_size for single in SINGLES]
        best_size += min(singles) if choice.codec is CodecId.SEGMENTS else min(stored, *singles)
    streams = [_stream(frames, dispatcher) for _ in range(min(rounds, 2))]
    return Study(
        name=each.name,
        choice=label,
        cold_ms=1000 * statistics.fmean(colds),
        trusted_ms=min(trusted for trusted, _, _ in streams),
        whole_ms=min(whole for _, whole, _ in streams),
        again=streams[0][2],
        chosen_size=chosen_size,
        best_size=best_size,
    )


def _cold(dispatcher: Dispatcher, frame: memoryview, rounds: int) -> tuple[Choice, float]:
    """Choose for one frame. Returns: the choice, CPU seconds of the quickest round."""
    timed, best = _Timed(dispatcher), float("inf")
    choice = timed.choose(frame, None)
    for _ in range(rounds):
        timed.cpu_s = 0.0
        timed.choose(frame, None)
        best = min(best, timed.cpu_s)
    return choice, best


def _stream(frames: Sequence[memoryview], dispatcher: Dispatcher) -> tuple[float, float, int]:
    """Choose through a body: (CPU ms per 4 MiB after its first frame, the same in all, choices made anew)."""
    timed = _Timed(dispatcher)
    selection = Selection(timed)
    first_s = 0.0
    for number, frame in enumerate(frames):
        selection.observe(encode_frame(frame, selection.choose(frame, None)))
        if number == 0:
            first_s = timed.cpu_s
    size = sum(map(len, frames))
    trusted_s, trusted_bytes = timed.cpu_s - first_s, size - len(frames[0])
    trusted_ms = 1000 * trusted_s * CHUNK_BYTES / trusted_bytes if trusted_bytes else 0.0
    return trusted_ms, 1000 * timed.cpu_s * CHUNK_BYTES / size, timed.choices - 1


def table(studies: Sequence[Study]) -> str:
    """One row per set, then the averages."""
    share = sum(each.chosen_size for each in studies) / sum(each.best_size for each in studies)
    times = "cold choice, ms | trusted, ms per 4 MiB | whole body, ms per 4 MiB"
    lines = [
        f"| data | {times} | choices made anew | size beside the best single codec | choice |",
        "|---|---:|---:|---:|---:|---:|---|",
        *map(_row, studies),
        "",
        f"A cold choice: {_averages([each.cold_ms for each in studies])}.",
        f"Per 4 MiB with an earlier choice at hand: {_averages([each.trusted_ms for each in studies])}.",
        f"Per 4 MiB of whole bodies, first choice included: {_averages([each.whole_ms for each in studies])}.",
        f"Size: {share:.3f} of the best single codec of each frame.",
    ]
    return "\n".join(lines)


def _averages(values: Sequence[float]) -> str:
    mean, median = statistics.fmean(values), statistics.median(values)
    return f"{mean:.2f} ms on average, median {median:.2f}, at most {max(values):.2f}"


def _row(each: Study) -> str:
    times = f"{each.cold_ms:.2f} | {each.trusted_ms:.2f} | {each.whole_ms:.2f}"
    return f"| {each.name} | {times} | {each.again} | {each.share:.3f} | {each.choice} |"
