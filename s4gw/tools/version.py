"""``s4gw version``: what is installed, for bug reports."""

from __future__ import annotations

import argparse
import platform
from importlib import metadata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from s4gw.tools.parsers import Subparsers

PARTS: Final = ("gunicorn", "falcon", "zstandard", "apsw", "awscrt", "botocore")


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("version", help="show versions")
    parser.set_defaults(run=run)


def run(_arguments: argparse.Namespace) -> int:
    """Print one line per part. Returns: exit status."""
    print(f"s4gw {metadata.version('s4gw')}")
    print(f"python {platform.python_version()} on {platform.machine()}")
    for part in PARTS:
        try:
            print(f"{part} {metadata.version(part)}")
        except metadata.PackageNotFoundError:
            print(f"{part} missing")
    return 0
