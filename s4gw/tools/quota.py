"""``s4gw quota``: what each bucket holds, and how much it may hold.

A quota counts stored bytes, after compression, of all versions in the bucket and of the parts of its uploads in
progress. It is looked at inside the transaction of each write; what is there already stays. The command goes through
the committer of a running gateway, or its own.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from s4gw.backends import EmbeddedBackend
from s4gw.s3.errors import S3Error
from s4gw.settings import SettingsError
from s4gw.store import StoreError
from s4gw.tools.places import check_data_dir

if TYPE_CHECKING:
    from s4gw.tools.parsers import Subparsers

OK: Final = 0
FAILED: Final = 3
_SIZE: Final = re.compile(r"(\d{1,18})\s*([KMGTP]i?B?|B?)", re.IGNORECASE)
_POWERS: Final = {"": 0, "B": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser("quota", help="show what buckets hold, limit what they may hold")
    parser.add_argument("bucket", nargs="?", help="set the quota of this one; left out, all are shown")
    parser.add_argument("size", nargs="?", help="stored bytes, as 500GB (powers of 1000) or 500GiB (of 1024); or none")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="of the gateway (./data)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command. Returns: the exit status. Raises: SettingsError."""
    changing = arguments.size is not None
    limit = parse_size(arguments.size) if changing else None
    check_data_dir(arguments.data_dir)
    try:
        backend = EmbeddedBackend(arguments.data_dir, read_only=not changing)
    except StoreError as error:
        raise SettingsError(f"--data-dir: {error}") from error
    try:
        if changing:
            backend.set_quota(arguments.bucket, limit)
        for row in backend.usage():
            if arguments.bucket in (None, row.bucket):
                quota = "none" if row.quota_bytes is None else str(row.quota_bytes)
                print(f"{row.bucket:40} {row.objects:10} objects {row.stored_bytes:15} bytes, quota {quota}")
    except S3Error as error:
        print(f"s4gw: {error.text}", file=sys.stderr)
        return FAILED
    finally:
        backend.close()
    return OK


def parse_size(text: str) -> int | None:
    """Bytes, None for "none". Raises: SettingsError."""
    if text.lower() == "none":
        return None
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise SettingsError(f"{text!r} is no size")
    unit = found[2].upper()
    return int(found[1]) * int((1024 if "I" in unit else 1000) ** _POWERS[unit[:1]])
