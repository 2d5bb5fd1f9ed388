"""``s4gw bench``: measure compression on this machine, against figures that others published and against zstd 3.

``codecs`` runs the data sets of S4's benchmark, honest variants of them and real-like data; ``files`` runs files;
``selection`` studies the choice of codecs. The gateway's speed under load is another matter: ``make bench``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from s4gw.codec import FRAME_BYTES

if TYPE_CHECKING:
    from s4gw.tools.parsers import Subparsers

_UNITS: Final = {"k": 1024, "m": 1024**2, "g": 1024**3}


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand and its own subcommands."""
    parser = subparsers.add_parser(
        "bench",
        help="measure ratio and speed of compression",
        description="Measure what this machine makes of data sets or files: ratio, speed, codec chosen.",
    )
    kinds = parser.add_subparsers(title="what to measure", metavar="WHAT", required=True)
    _add_codecs(kinds)
    _add_files(kinds)
    _add_selection(kinds)


def _add_codecs(kinds: Subparsers) -> None:
    parser = kinds.add_parser(
        "codecs",
        help="S4's published benchmark, honest variants of it, real-like data",
        description="Build the data sets, run the gateway's own path over them in one thread (selection included) and "
        "zstd 3 beside it, and print S4's published table with ours. A full run takes about two minutes and 1 GiB.",
    )
    parser.add_argument("--sets", metavar="NAMES", help="comma-separated names or groups: s4, honest, real (all)")
    parser.add_argument("--size", type=size, metavar="N", help="bytes of each set, with K, M or G (as S4 has them)")
    add_measuring(parser)
    parser.add_argument("--list", action="store_true", help="list the data sets and stop")
    parser.set_defaults(run=_run_codecs)


def _add_files(kinds: Subparsers) -> None:
    parser = kinds.add_parser(
        "files",
        help="files of yours, or of twelve usual formats",
        description="Measure what the gateway would make of files, beside zstd 3. Whole files are read into memory.",
    )
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="files, or folders with all that is in them"
    )
    parser.add_argument(
        "--make", type=Path, metavar="DIR", help="write files of twelve formats into DIR first (pyarrow)"
    )
    add_measuring(parser)
    parser.set_defaults(run=_run_files)


def _add_selection(kinds: Subparsers) -> None:
    parser = kinds.add_parser(
        "selection",
        help="what choosing a codec costs, and how good the choices are",
        description="Time the automatic choice, cold and trusted, and hold its sizes against the best single codec of "
        "each frame, which is found by trying all of them.",
    )
    parser.add_argument("--sets", metavar="NAMES", help="comma-separated names or groups: s4, honest, real (all)")
    parser.add_argument("--size", type=size, metavar="N", help="bytes of each set, with K, M or G (64M)")
    add_measuring(parser)
    parser.set_defaults(run=_run_selection)


def add_measuring(parser: argparse.ArgumentParser) -> None:
    """Add what all kinds of runs can be told."""
    parser.add_argument(
        "--frame-bytes", type=size, default=FRAME_BYTES, metavar="N", help="original bytes per frame (1M)"
    )
    parser.add_argument("--rounds", type=int, default=2, metavar="N", help="times to repeat; the best time counts (2)")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write results.csv, results.json, table.md, summary.md, ratios.svg"
    )


def size(text: str) -> int:
    """Read a size as people write it: 1048576, 1024K, 1M. Raises: ArgumentTypeError."""
    digits, unit = (text[:-1], _UNITS.get(text[-1:].lower())) if text[-1:].isalpha() else (text, 1)
    if unit is None or not digits.isdecimal() or int(digits) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write 1048576, 1024K, 1M or 1G")
    return int(digits) * unit


def _run_files(arguments: argparse.Namespace) -> int:
    from s4gw.tools import bench_files  # late: as below

    return bench_files.run(arguments)


def _run_selection(arguments: argparse.Namespace) -> int:
    from s4gw.tools import bench_selection  # late: as below

    return bench_selection.run(arguments)


def _run_codecs(arguments: argparse.Namespace) -> int:
    from s4gw.tools import bench_codecs  # late: numpy, and the data that it makes

    return bench_codecs.run(arguments)
