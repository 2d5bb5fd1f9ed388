"""What a run of ``s4gw bench`` leaves behind: a table (Markdown), all figures (CSV, JSON) and one picture (SVG).

The picture is written by hand: a bar chart is not worth a plotting library.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from s4gw.tools.bench_measure import GIGA, Measured
from s4gw.tools.bench_published import PUBLISHED, best

MIB: Final = 1024**2
OURS: Final = "S4GW"
YARDSTICK: Final = "zstd 3 here"
PEER: Final = "S4"
LABEL_WIDTH, CHART_WIDTH, BAR_HEIGHT, BAR_GAP = 190, 560, 9, 8
COLOURS: Final = {PEER: "#e07a3f", YARDSTICK: "#9aa5b1", OURS: "#2a6f97"}


@dataclass(frozen=True, slots=True)
class Result:
    """One body: what we made of it, and what zstd 3 made of it in the same run."""

    name: str
    group: str
    title: str
    ours: Measured
    zstd3: Measured
    bound: float | None = None
    """Ratio that its entropy allows, where that is known."""


def line(result: Result) -> str:
    """A result as one line of progress."""
    ours, zstd3 = result.ours, result.zstd3
    return (
        f"{result.name:20} {ours.ratio:>11.2f}x {ours.compress_gb_s:6.2f} / {ours.decompress_gb_s:6.2f} GB/s  "
        f"{ours.codec}   (zstd 3: {zstd3.ratio:.2f}x {zstd3.compress_gb_s:.2f} / {zstd3.decompress_gb_s:.2f})"
    )


def table(results: Sequence[Result]) -> str:
    """Everything in one Markdown table, S4's published rows above ours; then the sums."""
    lines = [
        "| data | by | codec | ratio | as stored | compress GB/s | decompress GB/s |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for result in results:
        title = f"{result.title}, {_size(result.ours.original_size)}"
        for row in PUBLISHED.get(result.name, ()):
            speeds = f"{row.compress_gb_s:.2f} | {row.decompress_gb_s:.2f}"
            lines.append(f"| {result.title} | {PEER} (published) | {row.codec} | {row.ratio:.2f} | | {speeds} |")
        lines.append(_row(title, YARDSTICK, result.zstd3))
        lines.append(_row(title, f"**{OURS}**", result.ours, result.bound))
    return "\n".join([*lines, "", *_sums(results)])


def summary(results: Sequence[Result]) -> str:
    """A row per body, for a page of documentation: S4's best published row, zstd 3 of this run, ours."""
    lines = [
        f"| data | {PEER}, best published | {YARDSTICK} | {OURS} | as stored | codec |",
        "|---|---|---|---|---:|---|",
    ]
    for result in results:
        published = best(result.name)
        peer = "" if published is None else _cell(published.ratio, published.compress_gb_s, published.decompress_gb_s)
        ours, zstd3 = (
            _cell(each.ratio, each.compress_gb_s, each.decompress_gb_s) for each in (result.ours, result.zstd3)
        )
        bound = f", bound {result.bound:g}" if result.bound else ""
        peer += f" {published.codec}" if published is not None else ""
        lines.append(
            f"| {result.title}{bound} | {peer} | {zstd3} | **{ours}** | {result.ours.stored_ratio:,.2f} "
            f"| {result.ours.codec} |"
        )
    return "\n".join(lines)


def write(folder: Path, results: Sequence[Result], facts: str) -> None:
    """Write results.json, results.csv, ratios.svg, table.md and summary.md into *folder*; it is made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row for result in results for row in _flat(result)]
    (folder / "results.json").write_text(json.dumps({"machine": facts, "results": rows}, indent=1) + "\n")
    (folder / "table.md").write_text(f"{table(results)}\n\n{facts}\n")
    (folder / "summary.md").write_text(f"{summary(results)}\n\n{facts}\n")
    (folder / "ratios.svg").write_text(picture(results))
    with (folder / "results.csv").open("w", newline="") as sink:
        writer = csv.DictWriter(sink, fieldnames=list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)


def total(results: Sequence[Result]) -> tuple[float, float, float, float] | None:
    """Ratio and GB per CPU second of all *results* together: ours, then zstd 3's; None of nothing."""
    if not results:
        return None
    original = sum(result.ours.original_size for result in results)
    figures = []
    for measured in ([result.ours for result in results], [result.zstd3 for result in results]):
        figures.append(original / sum(each.stored_size for each in measured))
        figures.append(original / sum(each.compress_cpu_s for each in measured) / GIGA)
    return figures[0], figures[1], figures[2], figures[3]


def _row(title: str, by: str, measured: Measured, bound: float | None = None) -> str:
    ratio = f"{measured.ratio:,.2f}" + (f" ({measured.ratio / bound:.1%} of the bound)" if bound else "")
    codec = "zstd level 3" if by == YARDSTICK else measured.codec
    speeds = f"{measured.compress_gb_s:.2f} | {measured.decompress_gb_s:.2f}"
    return f"| {title} | {by} | {codec} | {ratio} | {measured.stored_ratio:,.2f} | {speeds} |"


def _cell(ratio: float, compress: float, decompress: float) -> str:
    return f"{ratio:,.2f} ({compress:.2f} / {decompress:.2f})"


def _sums(results: Sequence[Result]) -> Iterator[str]:
    """Sums over the sets that are like real data; those of S4 would drown them."""
    yield (
        "ratio counts compressed bytes alone, as S4's table does; as stored adds the frame headers and the trailer. "
        "Speeds are original bytes per second of CPU time of one thread, the choice of codec included; on a quiet "
        "machine that is wall time."
    )
    sums = total([result for result in results if result.group != "s4"])
    if sums is not None:
        ratio, speed, ratio3, speed3 = sums
        yield ""
        yield (
            f"All but S4's sets together, as stored: {OURS} {ratio:.3f}x at {speed:.3f} GB/s, "
            f"zstd 3 {ratio3:.3f}x at {speed3:.3f}."
        )


def _flat(result: Result) -> Iterator[dict[str, object]]:
    base = {"data": result.name, "group": result.group, "original_bytes": result.ours.original_size}
    for row in PUBLISHED.get(result.name, ()):
        yield {
            **base,
            "by": PEER,
            "codec": row.codec,
            "ratio": row.ratio,
            "compress_gb_s": row.compress_gb_s,
            "decompress_gb_s": row.decompress_gb_s,
            **dict.fromkeys(("payload_bytes", "stored_bytes", "compress_wall_s", "decompress_wall_s", "entropy_bound")),
        }
    for by, codec, measured in ((YARDSTICK, "zstd-3", result.zstd3), (OURS, result.ours.codec, result.ours)):
        yield {
            **base,
            "by": by,
            "codec": codec,
            "ratio": round(measured.ratio, 4),
            "compress_gb_s": round(measured.compress_gb_s, 4),
            "decompress_gb_s": round(measured.decompress_gb_s, 4),
            "payload_bytes": measured.payload_size,
            "stored_bytes": measured.stored_size,
            "compress_wall_s": round(measured.compress_s, 4),
            "decompress_wall_s": round(measured.decompress_s, 4),
            "entropy_bound": result.bound,
        }


def picture(results: Sequence[Result]) -> str:
    """Bars of the ratios on a logarithmic scale: S4's best published one, zstd 3 and ours."""
    top = max((result.ours.ratio for result in results), default=10.0)
    decades = max(1, math.ceil(math.log10(max(top, 10.0))))
    scale, bars = CHART_WIDTH / decades, len(COLOURS)
    step = BAR_HEIGHT * bars + BAR_GAP
    height = 44 + step * len(results)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABEL_WIDTH + CHART_WIDTH + 80}" height="{height}"',
        ' font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>',
    ]
    for index, (by, colour) in enumerate(COLOURS.items()):
        text = f"{by}, best published" if by == PEER else by
        parts.append(f'<text x="{LABEL_WIDTH + 170 * index}" y="14" fill="{colour}">{escape(text)}</text>')
    for decade in range(decades + 1):
        x = LABEL_WIDTH + decade * scale
        parts.append(f'<line x1="{x:.0f}" y1="32" x2="{x:.0f}" y2="{height}" stroke="#ddd"/>')
        parts.append(f'<text x="{x + 2:.0f}" y="30" fill="#777">{10**decade:,}x</text>')
    for row, result in enumerate(results):
        y = 38 + row * step
        parts.append(f'<text x="6" y="{y + 2 * BAR_HEIGHT}">{escape(result.title)}</text>')
        published = best(result.name)
        ratios = {
            PEER: None if published is None else published.ratio,
            YARDSTICK: result.zstd3.ratio,
            OURS: result.ours.ratio,
        }
        for index, (by, ratio) in enumerate(ratios.items()):
            if ratio is not None:
                width, at = max(1.0, math.log10(max(ratio, 1.0)) * scale), y + index * BAR_HEIGHT
                bar = f'x="{LABEL_WIDTH}" y="{at}" width="{width:.1f}" height="{BAR_HEIGHT - 1}" fill="{COLOURS[by]}"'
                label = f'x="{LABEL_WIDTH + width + 4:.1f}" y="{at + 8}" font-size="9"'
                parts.append(f"<rect {bar}/><text {label}>{ratio:,.2f}</text>")
    return "\n".join([*parts, "</svg>\n"])


def _size(size: int) -> str:
    return f"{size // MIB} MiB" if size >= MIB else f"{size} B"
