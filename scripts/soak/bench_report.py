"""What a bench run leaves behind: a table of ratios (Markdown), all figures (CSV, JSON) and one picture (SVG).

The picture is written by hand: a bar chart is not worth a plotting library.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from load import Report

OURS: Final = ("s4gw", "gateway")
"""Whichever of them is in a run is set against all others of it."""
NOBODY: Final = float("nan")
KIB: Final = 1024
MIB: Final = 1024**2
# operation, size, payload or "" for all, peer -> the ratio to reach at 8 clients (4 at 64 MiB)
GOALS: Final[Mapping[tuple[str, int, str, str], float]] = {
    ("put", KIB, "", "seaweedfs"): 2.0,
    ("put", 64 * KIB, "", "seaweedfs"): 1.4,
    ("get", KIB, "", "seaweedfs"): 1.1,
    ("get", 64 * KIB, "", "seaweedfs"): 1.6,
    ("put", MIB, "log", "seaweedfs"): 2.2,
    ("put", 64 * MIB, "log", "seaweedfs"): 2.8,
    ("get", MIB, "log", "seaweedfs"): 2.3,
    ("get", 64 * MIB, "log", "seaweedfs"): 2.7,
    ("put", 64 * MIB, "random", "seaweedfs"): 2.2,
    ("get", 64 * MIB, "random", "seaweedfs"): 1.7,
    ("list", KIB, "", "seaweedfs"): 1.0,
    ("put", KIB, "", "rclone"): 0.8,
    ("put", 64 * KIB, "", "rclone"): 0.75,
    ("get", KIB, "", "rclone"): 0.55,
    ("get", 64 * KIB, "", "rclone"): 0.9,
    ("put", MIB, "log", "rclone"): 1.0,
    ("put", 64 * MIB, "log", "rclone"): 1.0,
    ("get", MIB, "log", "rclone"): 1.5,
    ("get", 64 * MIB, "log", "rclone"): 2.4,
    ("put", 64 * MIB, "random", "rclone"): 1.2,
    ("get", 64 * MIB, "random", "rclone"): 4.0,
}
GATEWAY_GOALS: Final[Mapping[tuple[str, int, str, str], float]] = {
    ("put", MIB, "log", "seaweedfs"): 0.9,
    ("put", 64 * MIB, "log", "seaweedfs"): 0.9,
}
"""Ours in front of the peer over the peer alone."""
BAR_HEIGHT, BAR_GAP, LABEL_WIDTH, CHART_WIDTH, RATIO_MAX = 9, 7, 210, 560, 8.0
COLOURS: Final = ("#2a6f97", "#e07a3f", "#6a994e")


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """One row of the table."""

    operation: str
    size: int
    payload: str
    clients: int

    @property
    def name(self) -> str:
        """Give it as people write it, the words that --only takes."""
        size = f"{self.size // MIB}MiB" if self.size >= MIB else f"{self.size // KIB}KiB"
        return f"{self.operation.upper()} {size} {self.payload} {self.clients}c"

    def goal(self, ours: str, peer: str) -> float | None:
        """Look up the ratio of *ours* to reach against *peer*, None where there is none."""
        if self.clients == 1:
            return None
        goals = GATEWAY_GOALS if ours == "gateway" else GOALS
        general = goals.get((self.operation, self.size, "", peer))
        return goals.get((self.operation, self.size, self.payload, peer), general)


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """One case, one server, once."""

    server: str
    case: Case
    round_number: int
    report: Report


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """What objects of one kind took on the disk of one server."""

    server: str
    payload: str
    original_bytes: int
    disk_bytes: int


_HOW: Final = {
    "s4gw": "s4gw durable (fsync before every answer)",
    "gateway": "gateway: s4gw in front of a SeaweedFS of its own, CPU of s4gw alone",
}


def line(run: Run) -> str:
    """Give a run as one line of progress."""
    figures = run.report.operations[run.case.operation]
    errors = sum(run.report.errors.values())
    return (
        f"{run.case.name:24} {run.server:10} {figures.per_s:9.1f}/s {figures.mb_per_s:8.1f} MB/s "
        f"p50 {figures.p50_ms:8.2f} p99 {figures.p99_ms:8.2f} ms  cpu {run.report.server_us_per_operation:9.0f} us/op "
        f"gen {run.report.generator_cpu_s / run.report.wall_s:4.2f} cores" + (f"  {errors} errors" if errors else "")
    )


def write(folder: Path, runs: Sequence[Run], stored: Sequence[Stored], *, machine: str, seconds: float) -> str:
    """Write results.json, results.csv, ratios.svg and table.md into *folder*. Returns the table."""
    rows = [_flat(run) for run in runs]
    table = _table(runs, stored, machine=machine, seconds=seconds)
    everything = {
        "machine": machine,
        "seconds": seconds,
        "runs": rows,
        "stored": [dataclasses.asdict(s) for s in stored],
    }
    (folder / "results.json").write_text(json.dumps(everything, indent=1))
    (folder / "table.md").write_text(table)
    (folder / "ratios.svg").write_text(_picture(runs))
    with (folder / "results.csv").open("w", newline="") as sink:
        writer = csv.DictWriter(sink, fieldnames=list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)
    return table


def _flat(run: Run) -> dict[str, object]:
    figures = run.report.operations[run.case.operation]
    return (
        {"server": run.server, "round": run.round_number}
        | dataclasses.asdict(run.case)
        | dataclasses.asdict(figures)
        | {
            "errors": sum(run.report.errors.values()),
            "error_kinds": "; ".join(run.report.errors),
            "server_us_per_op": round(run.report.server_us_per_operation, 1),
            "server_cores": round(run.report.server_cpu_s / run.report.wall_s, 3),
            "generator_cores": round(run.report.generator_cpu_s / run.report.wall_s, 3),
        }
    )


def _median(runs: Sequence[Run], server: str, case: Case, field: str) -> float:
    found = [getattr(r.report.operations[case.operation], field) for r in runs if r.server == server and r.case == case]
    return statistics.median(found) if found else NOBODY


def _cpu(runs: Sequence[Run], server: str, case: Case) -> float:
    found = [run.report.server_us_per_operation for run in runs if run.server == server and run.case == case]
    return statistics.median(found) if found else NOBODY


def _ratio(runs: Sequence[Run], peer: str, case: Case) -> float:
    theirs = _median(runs, peer, case, "per_s")
    return _median(runs, _ours(runs), case, "per_s") / theirs if theirs else NOBODY


def _ours(runs: Sequence[Run]) -> str:
    return next((run.server for run in runs if run.server in OURS), OURS[0])


def _peers(runs: Sequence[Run]) -> list[str]:
    return [name for name in dict.fromkeys(run.server for run in runs) if name not in OURS]


def _table(runs: Sequence[Run], stored: Sequence[Stored], *, machine: str, seconds: float) -> str:
    ours, peers = _ours(runs), _peers(runs)
    names = [ours, *peers]
    titles = ["case", *(f"{name} /s" for name in names), *(f"over {peer}" for peer in peers)]
    titles += [f"{name} p50 / p99 ms" for name in names] + [f"{name} cpu us/op" for name in names]
    lines = [f"{machine}; {seconds:g} s a case; {_HOW[ours]}, peers as they come", ""]
    lines += ["| " + " | ".join(titles) + " |", "|---" + "|---:" * (len(titles) - 1) + "|"]
    for case in dict.fromkeys(run.case for run in runs):
        cells = [case.name, *(f"{_median(runs, name, case, 'per_s'):.1f}" for name in names)]
        cells += [_verdict(_ratio(runs, peer, case), case.goal(ours, peer)) for peer in peers]
        cells += [
            f"{_median(runs, name, case, 'p50_ms'):.2f} / {_median(runs, name, case, 'p99_ms'):.2f}" for name in names
        ]
        cells += [f"{_cpu(runs, name, case):.0f}" for name in names]
        lines.append("| " + " | ".join(cells) + " |")
    if stored:
        lines += ["", "| stored | server | original bytes | on disk | ratio |", "|---|---|---:|---:|---:|"]
        lines += [
            f"| {s.payload} | {s.server} | {s.original_bytes} | {s.disk_bytes} | "
            f"{s.original_bytes / max(1, s.disk_bytes):.2f} |"
            for s in stored
        ]
    failed = {run.server: "; ".join(run.report.errors) for run in runs if run.report.errors}
    lines += [f"\n{name} had errors: {kinds}" for name, kinds in failed.items()]
    return "\n".join(lines) + "\n"


def _verdict(ratio: float, goal: float | None) -> str:
    if goal is None:
        return f"{ratio:.2f}"
    return f"{ratio:.2f} ({'reached' if ratio >= goal else 'BELOW'} {goal:g})"


def _picture(runs: Sequence[Run]) -> str:
    """Draw one bar for each case and peer: how many times the peer's rate ours is, cut off at `RATIO_MAX`."""
    peers, rows = _peers(runs), list(dict.fromkeys(run.case for run in runs))
    step = BAR_HEIGHT * max(1, len(peers)) + BAR_GAP
    height, scale = 40 + step * len(rows), CHART_WIDTH / RATIO_MAX
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABEL_WIDTH + CHART_WIDTH + 60}" height="{height}"',
        ' font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>',
        f'<line x1="{LABEL_WIDTH + scale:.0f}" y1="28" x2="{LABEL_WIDTH + scale:.0f}" y2="{height}" stroke="#999"/>',
    ]
    for index, peer in enumerate(peers):
        label = escape(f"{_ours(runs)}: requests/s over {peer}")
        parts.append(f'<text x="{LABEL_WIDTH + 220 * index}" y="16" fill="{COLOURS[index]}">{label}</text>')
    for row, case in enumerate(rows):
        top = 32 + row * step
        parts.append(f'<text x="6" y="{top + BAR_HEIGHT + 2}">{escape(case.name)}</text>')
        for index, peer in enumerate(peers):
            ratio, y = _ratio(runs, peer, case), top + index * BAR_HEIGHT
            if ratio == ratio:  # noqa: PLR0124 - false for NaN, where one of the two has no figure
                width = min(ratio, RATIO_MAX) * scale
                bar = f'x="{LABEL_WIDTH}" y="{y}" width="{width:.1f}" height="{BAR_HEIGHT - 1}" fill="{COLOURS[index]}"'
                parts.append(f'<rect {bar}/><text x="{LABEL_WIDTH + width + 4:.1f}" y="{y + 8}">{ratio:.2f}</text>')
    return "\n".join([*parts, "</svg>"])
