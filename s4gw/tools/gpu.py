"""``s4gw gpu check``: run the GPU worker through everything that continuous integration cannot, and write a report.

It starts a real worker process, as a gateway does, and never touches a running gateway. ``--engine cpu`` runs the same
check without a GPU: it shows that processes, ring and fallbacks work on this machine, and says so in the report.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from s4gw.gateway import malloc
from s4gw.gpu import Unavailable, require_device, wanted
from s4gw.observability import log
from s4gw.settings import SettingsError
from s4gw.tools import gpu_check
from s4gw.tools.gpu_check import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s4gw.tools.parsers import Subparsers

OK: Final = 0
DIFFERENCE: Final = 1
FAILED: Final = 3
MIB: Final = 1024**2

HEAD: Final = """\
# s4gw gpu check

**{verdict}** with engine `{engine}`, {date}, {where}.
"""
FIGURES_HEAD: Final = """
Throughput in MB of originals per second of wall clock, and CPU seconds of both processes per GB. *Direct* is to
compress in a gateway worker's own threads, one per core; *ring* is through the GPU worker, verification included. Best
of the rounds, which take turns. *Done*: share of frames that the CPU did not have to do after all.

| data | codec | ratio direct | ratio ring | direct MB/s | ring MB/s | ring/direct | direct s/GB | ring s/GB | done |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser("gpu", help="check the GPU worker on this machine")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")
    check = actions.add_parser(
        "check",
        help="round trips, faults and throughput, as a report in Markdown",
        description="Starts a GPU worker of its own. Exit status: 0 all is well, 1 something is not, 3 no GPU.",
    )
    check.add_argument("--engine", choices=("nvcomp", "cpu"), default="nvcomp", help="cpu: without a GPU (nvcomp)")
    check.add_argument("--device", type=int, default=0, metavar="N", help="number of the GPU (0)")
    check.add_argument("--size", type=int, default=64, metavar="MIB", help="data for each throughput figure (64)")
    check.add_argument("--rounds", type=int, default=3, metavar="N", help="best of so many (3)")
    check.add_argument("--output", type=Path, metavar="FILE", help="where the report goes (standard output)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the check. Returns: the exit status. Raises: SettingsError."""
    if arguments.size < 1 or arguments.rounds < 1 or arguments.device < 0:
        raise SettingsError("--size, --rounds and --device: no such number")
    log.configure("pretty")
    malloc.tune()  # as the gateway's workers do
    what = wanted("cpu" if arguments.engine == "cpu" else str(arguments.device))
    assert what is not None
    try:
        if arguments.engine == "nvcomp":
            require_device(arguments.device)
        with gpu_check.rig(what) as gpu:
            engine = gpu.link.ring.engine
            outcomes = [*gpu_check.round_trips(gpu), *gpu_check.faults(gpu)]
            figures = gpu_check.throughput(gpu, arguments.size * MIB, arguments.rounds)
    except Unavailable as error:
        print(f"s4gw: gpu check: NOT RUN: {error}", file=sys.stderr)
        return FAILED
    text = report(engine, outcomes, figures, on_gpu=arguments.engine == "nvcomp")
    if arguments.output is None:
        print(text, end="")
    else:
        arguments.output.write_text(text, encoding="utf-8")
    return OK if all(outcome.ok for outcome in outcomes) else DIFFERENCE


def report(engine: str, outcomes: Sequence[Outcome], figures: Sequence[gpu_check.Figure], *, on_gpu: bool) -> str:
    """The report, in Markdown."""
    failed = [outcome.name for outcome in outcomes if not outcome.ok]
    verdict = f"FAILED: {', '.join(failed)}" if failed else "passed"
    machine = f"{_processor()}, {len(os.sched_getaffinity(0))} cores"
    versions = f"s4gw {metadata.version('s4gw')}, Python {platform.python_version()}"
    lines = [
        HEAD.format(verdict=verdict, engine=engine, date=time.strftime("%Y-%m-%d"), where=f"{versions}, {machine}")
    ]
    if not on_gpu:
        lines += ["**Not run on a GPU:** the CPU engine did all of this.", ""]
    lines += ["| check | result | detail |", "| --- | --- | --- |"]
    lines += [f"| {each.name} | {'ok' if each.ok else '**FAILED**'} | {each.detail} |" for each in outcomes]
    lines += [FIGURES_HEAD]
    lines += [
        f"| {each.data} | {each.codec} | {each.direct.ratio:.2f} | {each.ring.ratio:.2f} "
        f"| {each.direct.mb_per_s:.0f} | {each.ring.mb_per_s:.0f} | {each.ring.mb_per_s / each.direct.mb_per_s:.2f} "
        f"| {each.direct.cpu_s_per_gb:.2f} | {each.ring.cpu_s_per_gb:.2f} | {each.share:.0%} |"
        for each in figures
    ]
    return "\n".join([*lines, ""])


def _processor() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if "model name" in line]
    return names[0].partition(":")[2].strip() if names else platform.machine()
