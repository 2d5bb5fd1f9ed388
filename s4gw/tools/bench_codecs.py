"""``s4gw bench codecs``: make the data sets one after another, measure each, report.

Only one set is in memory at a time.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

from s4gw.gateway import malloc
from s4gw.settings import Settings
from s4gw.tools import bench_report
from s4gw.tools.bench_data import SETS, DataSet
from s4gw.tools.bench_measure import measure, measure_zstd3
from s4gw.tools.bench_report import Result

OK: Final = 0
MISUSE: Final = 2
MIB: Final = 1024**2
LIBRARIES: Final = ("zstandard", "numpy")


def run(arguments: argparse.Namespace) -> int:
    """Measure the sets that were asked for. Returns: exit status."""
    if arguments.list:
        for each in SETS.values():
            print(f"{each.name:20} {each.group:7} {each.size // MIB:4} MiB  {each.title}")
        return OK
    try:
        chosen = choose(arguments.sets)
    except ValueError as error:
        print(f"s4gw bench: {error}", file=sys.stderr)
        return MISUSE
    malloc.tune()  # as in the gateway
    results, skipped = [], []
    for number, each in enumerate(chosen, 1):
        try:
            results.append(_one(each, arguments, f"{number}/{len(chosen)}"))
        except ImportError as error:
            skipped.append(f"NOT RUN: {each.name}: {error}")
            progress(skipped[-1])
    facts = machine(arguments)
    print("\n".join([bench_report.table(results), "", *skipped, facts]))
    if arguments.out is not None:
        bench_report.write(arguments.out, results, facts)
        progress(f"written to {arguments.out}")
    return OK


def choose(text: str | None) -> Sequence[DataSet]:
    """Find the sets that a comma-separated list of names and groups means. Raises: ValueError."""
    if text is None:
        return list(SETS.values())
    wanted = [word.strip() for word in text.split(",") if word.strip()]
    known = {*SETS, *(each.group for each in SETS.values())}
    if unknown := [word for word in wanted if word not in known]:
        raise ValueError(f"no data set or group is called {', '.join(unknown)}; --list names them")
    return [each for each in SETS.values() if each.name in wanted or each.group in wanted]


def progress(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)


def machine(arguments: argparse.Namespace) -> str:
    """What the figures hold for, as one line."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    return (
        f"{_processor()}, {os.cpu_count()} cores, one thread; Python {platform.python_version()}, {versions}; "
        f"frames of {arguments.frame_bytes} bytes, best of {arguments.rounds}; {time.strftime('%Y-%m-%d')}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _one(each: DataSet, arguments: argparse.Namespace, place: str) -> Result:
    # late: the application's libraries; the chooser is the one that `s4gw serve` uses when nothing is set
    from s4gw.wsgi import dispatcher

    progress(f"[{place}] {each.name}: making it")
    data = each.build(arguments.size or each.size)
    options = {"frame_bytes": arguments.frame_bytes, "rounds": arguments.rounds}
    # in turn, so that another load on the machine meets both
    zstd3 = measure_zstd3(data, **options)
    ours = measure(data, dispatcher(Settings()), **options)
    result = Result(each.name, each.group, each.title, ours, zstd3, each.bound)
    progress(f"[{place}] {bench_report.line(result)}")
    return result
