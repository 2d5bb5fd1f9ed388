"""``s4gw hint``: say what the objects of a bucket, or those under a prefix, are made of, and what was said.

A hint is tried first and never trusted, so nothing that is stored depends on it. A running gateway follows it from the
next request on, in front of an upstream within half a minute.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final

from s4gw.tools import places
from s4gw.tools.places import PlaceError

if TYPE_CHECKING:
    from s4gw.tools.parsers import Subparsers

OK: Final = 0
NONE_THERE: Final = 1
MISUSE: Final = 2
NO_HINT: Final = "none"


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "hint",
        help="say what the objects of a bucket or prefix are made of",
        description="Say what objects are made of, for --codec auto to try first. The longest prefix of a key counts, "
        "before it the object's own x-amz-meta-s4gw-type. The gateway may be running; it needs no restart.",
    )
    parser.add_argument("place", metavar="s3://BUCKET/PREFIX", help="what it is said of; without TYPE, all are shown")
    parser.add_argument(
        "type", nargs="?", help="u16 to u64, i16 to i64, f32, f64, record:24 (bytes of a record), text, raw; or none"
    )
    places.add_data_dir(parser)
    places.add_upstream(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Set, forget or list. Returns: 0; 1 if there is nothing to forget; 2 for misuse. Raises: SettingsError."""
    from s4gw.objects import Hints  # late: it brings the backends and their libraries

    try:
        bucket, prefix = places.parse(arguments.place)
        with places.opened(arguments, bucket) as backend:
            hints = Hints(backend)
            if arguments.type == NO_HINT:
                if not hints.rules.remove(bucket, prefix):
                    print(f"s4gw hint: {arguments.place} has no hint", file=sys.stderr)
                    return NONE_THERE
            elif arguments.type is not None:
                hints.put(bucket, prefix, arguments.type)
            else:
                for each, word in sorted(hints.rules.table(bucket).items()):
                    if each.startswith(prefix):
                        print(f"{word:10} {places.SCHEME}{bucket}/{each}")
    except (PlaceError, ValueError) as error:
        print(f"s4gw hint: {error}", file=sys.stderr)
        return MISUSE
    return OK
