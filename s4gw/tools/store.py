"""``s4gw store``: look after the embedded store of a data directory, served or not.

Where a gateway runs, its storaged carries the changes out; otherwise one is started for as long as the command takes.
`upkeep` is what a gateway has done every few minutes.
"""

from __future__ import annotations

import argparse
import select
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from s4gw.settings import RECLAIM_GRACE_S, UPKEEP_BYTES_PER_S, VOLUME_BYTES_DEFAULT, SettingsError
from s4gw.store import (
    DataDirError,
    RecordDamaged,
    Store,
    StoreError,
    StoreLocked,
    Unavailable,
    rebuild_index,
    upkeeping,
)
from s4gw.tools import store_report as report

if TYPE_CHECKING:
    from collections.abc import Callable

    from s4gw.tools.parsers import Subparsers

OK: Final = 0
DAMAGE: Final = 1
FAILED: Final = 3

_ACTIONS: Final = {
    "compact": "give back the space of deleted and overwritten objects, now",
    "scrub": "read everything and note what is damaged, now",
    "check": "compare index and volumes; changes nothing",
    "stats": "what is stored, what is dead, what is stored once for several objects",
    "rebuild-index": "make the index anew from the volumes; nothing may be serving them",
    "backup": "copy the store into a directory, while it is served",
    "restore": "copy a backup into an empty data directory",
    "pause": "let compaction and scrubbing rest",
    "resume": "let them go on",
}


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("store", help="compact, scrub, check, back up the store of a data directory")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")
    added = {name: actions.add_parser(name, help=text, description=text) for name, text in _ACTIONS.items()}
    added["upkeep"] = actions.add_parser("upkeep")
    for name, action in added.items():
        action.add_argument("--data-dir", type=Path, default=Path("data"), help="of the gateway (./data)")
        if name not in ("pause", "resume", "stats", "rebuild-index"):
            action.add_argument(
                "--rate", type=int, default=0 if name != "upkeep" else UPKEEP_BYTES_PER_S, metavar="N",
                help="bytes per second, read and written; 0: no limit",
            )  # fmt: skip
        if name in ("compact", "scrub", "check", "stats", "rebuild-index", "backup", "restore"):
            action.add_argument("--json", action="store_true", help="one JSON object")
        if name in ("compact", "upkeep"):
            action.add_argument(
                "--grace-s", type=float, default=RECLAIM_GRACE_S, metavar="S",
                help=f"leave what was deleted less than S seconds ago: somebody may be reading it ({RECLAIM_GRACE_S})",
            )  # fmt: skip
            action.add_argument("--volume-bytes", type=int, default=VOLUME_BYTES_DEFAULT, help=argparse.SUPPRESS)
    added["compact"].add_argument("--dry-run", action="store_true", help="tell what would be done, and do nothing")
    added["compact"].add_argument("--full", action="store_true", help="every volume of which 4 %% are dead, not 30 %%")
    added["check"].add_argument("--read", action="store_true", help="read every byte that is alive as well")
    added["backup"].add_argument("target", type=Path, help="directory; what it holds of an earlier backup is kept")
    added["restore"].add_argument("source", type=Path, help="the backup")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the action. Returns: the exit status. Raises: SettingsError, OSError."""
    try:
        return _RUN[arguments.action](arguments)
    except (StoreLocked, Unavailable, RecordDamaged) as error:
        print(f"s4gw: {error}", file=sys.stderr)
        return FAILED
    except DataDirError as error:
        raise SettingsError(f"--data-dir: {error}") from error
    except StoreError as error:
        print(f"s4gw: {error}", file=sys.stderr)
        return FAILED
    except upkeeping.Stopped:
        return FAILED


def _compact(arguments: argparse.Namespace) -> int:
    policy = upkeeping.FULL if arguments.full else upkeeping.ROUTINE
    with closing(_open(arguments)) as store:
        if arguments.dry_run:
            plan = upkeeping.plan(store, policy, grace_s=arguments.grace_s)
            report.show(arguments, plan, report.plan(plan))
            return OK
        done = upkeeping.compact(
            store, policy, upkeeping.Pace(store.data_dir, arguments.rate), volume_bytes=arguments.volume_bytes,
            grace_s=arguments.grace_s,
        )  # fmt: skip
    report.show(arguments, done, report.compacted(done))
    return DAMAGE if done.damaged else OK


def _scrub(arguments: argparse.Namespace) -> int:
    with closing(_open(arguments)) as store:
        found = upkeeping.scrub_all(store, upkeeping.Pace(store.data_dir, arguments.rate))
    report.show(arguments, found, report.scrubbed(found))
    return DAMAGE if found.damaged else OK


def _check(arguments: argparse.Namespace) -> int:
    upkeeping.prepare(arguments.data_dir, read_only=True)
    found = upkeeping.check(
        arguments.data_dir, pace=upkeeping.Pace(arguments.data_dir, arguments.rate), read=arguments.read
    )
    report.show(arguments, found, report.checked(found))
    return DAMAGE if found.lines else OK


def _stats(arguments: argparse.Namespace) -> int:
    stats = upkeeping.stats(arguments.data_dir)
    report.show(arguments, {**msgspec.structs.asdict(stats), "ratio": stats.ratio}, report.stats(stats))
    return OK


def _rebuild(arguments: argparse.Namespace) -> int:
    upkeeping.prepare(arguments.data_dir, read_only=True)
    done = rebuild_index(arguments.data_dir)
    report.show(arguments, done, report.rebuilt(done))
    return OK if done.whole else DAMAGE


def _backup(arguments: argparse.Namespace) -> int:
    pace = upkeeping.Pace(arguments.data_dir, arguments.rate)
    done = upkeeping.backup(arguments.data_dir.absolute(), arguments.target.absolute(), pace)
    report.show(arguments, done, report.backed_up(done))
    return OK


def _restore(arguments: argparse.Namespace) -> int:
    pace = upkeeping.Pace(arguments.data_dir, arguments.rate)
    done = upkeeping.restore(arguments.source.absolute(), arguments.data_dir.absolute(), pace)
    report.show(arguments, done, report.backed_up(done))
    return OK


def _pause(arguments: argparse.Namespace) -> int:
    upkeeping.prepare(arguments.data_dir, read_only=True)
    upkeeping.pause(arguments.data_dir)
    return OK


def _resume(arguments: argparse.Namespace) -> int:
    upkeeping.resume(arguments.data_dir)
    return OK


def _upkeep(arguments: argparse.Namespace) -> int:
    """What is due now; it ends with storaged, which holds the other end of standard input."""

    def storaged_ended() -> bool:
        return bool(select.select([sys.stdin], [], [], 0)[0])

    with closing(Store(arguments.data_dir, parent_pid=0)) as store:
        pace = upkeeping.Pace(store.data_dir, arguments.rate, stop=storaged_ended)
        try:
            lines = upkeeping.tend(store, pace, volume_bytes=arguments.volume_bytes, grace_s=arguments.grace_s)
        except (StoreLocked, upkeeping.Stopped):
            return OK  # a command is at it, or the gateway ends: the next one goes on
    for line in lines:
        print(f"upkeep: {line}", file=sys.stderr)
    return OK


def _open(arguments: argparse.Namespace) -> Store:
    upkeeping.prepare(arguments.data_dir, read_only=True)
    return Store(arguments.data_dir)


_RUN: Final[dict[str, Callable[[argparse.Namespace], int]]] = {
    "compact": _compact,
    "scrub": _scrub,
    "check": _check,
    "stats": _stats,
    "rebuild-index": _rebuild,
    "backup": _backup,
    "restore": _restore,
    "pause": _pause,
    "resume": _resume,
    "upkeep": _upkeep,
}
