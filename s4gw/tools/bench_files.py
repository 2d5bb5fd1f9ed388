"""``s4gw bench files``: what the gateway would make of files, beside zstd 3.

Only one file is in memory at a time.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from s4gw.gateway import malloc
from s4gw.settings import Settings
from s4gw.tools import bench_report
from s4gw.tools.bench_codecs import machine, progress
from s4gw.tools.bench_measure import measure, measure_zstd3
from s4gw.tools.bench_report import Result

OK: Final = 0
MISUSE: Final = 2
FAILED: Final = 3


def run(arguments: argparse.Namespace) -> int:
    """Measure the files that were named, all below a folder. Returns: exit status. Raises: OSError."""
    if arguments.make is not None:
        from s4gw.tools import bench_make  # late: numpy

        try:
            arguments.paths.extend(bench_make.make(arguments.make))
        except ImportError as error:
            print(f"s4gw bench: --make: {error}", file=sys.stderr)
            return FAILED
    malloc.tune()  # as in the gateway
    results = [_one(path, arguments) for path in _files(arguments.paths) if path.stat().st_size]
    if not results:
        print("s4gw bench: name files or folders that are not empty, or --make DIR", file=sys.stderr)
        return MISUSE
    facts = machine(arguments)
    shown = table(results)
    print(f"{shown}\n\n{facts}")
    if arguments.out is not None:
        bench_report.write(arguments.out, results, facts)
        (arguments.out / "table.md").write_text(f"{shown}\n\n{facts}\n")
        progress(f"written to {arguments.out}")
    return OK


def table(results: Sequence[Result]) -> str:
    """One row per file: sizes as stored, and how much smaller ours is; then the average."""
    lines = [
        "| file | MiB | zstd 3 | S4GW | smaller by | codec |",
        "|---|---:|---:|---:|---:|---|",
    ]
    gains = []
    for result in results:
        gains.append(result.zstd3.stored_size / result.ours.stored_size)
        lines.append(
            f"| {result.title} | {result.ours.original_size / bench_report.MIB:.1f} | {result.zstd3.stored_ratio:.2f} "
            f"| {result.ours.stored_ratio:.2f} | {gains[-1]:.2f} | {result.ours.codec} |"
        )
    mean = math.exp(sum(map(math.log, gains)) / len(gains))
    return "\n".join(
        [*lines, "", f"Smaller than zstd 3 by {mean:.2f} on average (geometric), {min(gains):.3f} at least."]
    )


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(each for each in path.rglob("*") if each.is_file())
        else:
            yield path


def _one(path: Path, arguments: argparse.Namespace) -> Result:
    # late: the application's libraries; the chooser is the one that `s4gw serve` uses when nothing is set
    from s4gw.wsgi import dispatcher

    data = path.read_bytes()
    options = {"frame_bytes": arguments.frame_bytes, "rounds": arguments.rounds}
    zstd3 = measure_zstd3(data, **options)
    ours = measure(data, dispatcher(Settings()), **options)
    result = Result(path.name, "file", path.name, ours, zstd3)
    progress(bench_report.line(result))
    return result
