"""``s4gw lifecycle run``: carry the lifecycle rules of all buckets out now, or tell what that would do.

A running gateway does this by itself, every hour (`watch` is what its storaged starts). The command goes through the
same committer, so it may run beside a gateway at any time.
"""

from __future__ import annotations

import argparse
import select
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from s4gw.backends import EmbeddedBackend
from s4gw.backends.lifecycle import Event, Pass, Report
from s4gw.gateway.chores import PASSES_PER_DAY
from s4gw.observability import get_logger, log
from s4gw.s3.errors import S3Error
from s4gw.settings import LIFECYCLE_DAY_S, SettingsError
from s4gw.store import StoreError, upkeeping
from s4gw.tools.places import check_data_dir

if TYPE_CHECKING:
    from s4gw.tools.parsers import Subparsers

OK: Final = 0
FAILED: Final = 3
SHORTEST_WAIT_S: Final = 0.5
BREATH_S: Final = 0.02
"""Between two batches: leaves the committer to the clients, and still removes some thousand versions a second."""
STAYS_BELOW_S: Final = 60.0
"""With passes closer than this the process stays: starting it each time would cost more than the pass."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser("lifecycle", help="carry lifecycle rules out, or tell what they would do")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")
    run_now = actions.add_parser("run", help="one pass over all buckets, now")
    run_now.add_argument("--dry-run", action="store_true", help="tell what would be done, and do nothing")
    run_now.add_argument("--bucket", help="only this bucket")
    run_now.add_argument("--json", action="store_true", help="one JSON object per line")
    watch = actions.add_parser("watch")
    watch.add_argument("--log-format", choices=("pretty", "json"), default="pretty")
    for action in (run_now, watch):
        action.add_argument("--data-dir", type=Path, default=Path("data"), help="of the gateway (./data)")
        action.add_argument("--day-s", type=float, default=float(LIFECYCLE_DAY_S), help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command. Returns: the exit status. Raises: SettingsError."""
    if arguments.action == "watch":
        log.configure(arguments.log_format)
        return _watch(arguments.data_dir, arguments.day_s)
    check_data_dir(arguments.data_dir)
    try:
        backend = EmbeddedBackend(arguments.data_dir, read_only=arguments.dry_run)
    except StoreError as error:
        raise SettingsError(f"--data-dir: {error}") from error
    try:
        tell = _print_json if arguments.json else _print_line
        day_ms = int(arguments.day_s * 1000)
        work = Pass(backend, now_ms=_now_ms(), day_ms=day_ms, dry_run=arguments.dry_run, tell=tell)
        report = work.run(arguments.bucket)
    except S3Error as error:
        print(f"s4gw: {error.text}", file=sys.stderr)
        return FAILED
    finally:
        backend.close()
    print(msgspec.json.encode(report).decode() if arguments.json else _summary(report))
    return OK


def _watch(data_dir: Path, day_s: float) -> int:
    """Pass after pass while storaged lives, which is while standard input does; one only, when passes are rare."""
    wait_s = max(day_s / PASSES_PER_DAY, SHORTEST_WAIT_S)

    def stop() -> bool:
        return _storaged_ended(BREATH_S) or upkeeping.is_paused(data_dir)

    backend = EmbeddedBackend(data_dir, parent_pid=0)
    try:
        while True:
            if not upkeeping.is_paused(data_dir):
                _log(Pass(backend, now_ms=_now_ms(), day_ms=int(day_s * 1000), stop=stop).run())
            if wait_s >= STAYS_BELOW_S or _storaged_ended(wait_s):
                return OK
    except S3Error:
        return FAILED  # storaged is on its way out, or the disk is full: the next start tries again
    finally:
        backend.close()


def _log(report: Report) -> None:
    """One line, when something was done or kept by a lock."""
    counts = msgspec.structs.asdict(report)
    if any(counts[name] for name in ("expired", "removed", "markers_removed", "uploads_aborted", "kept")):
        del counts["dry_run"]
        get_logger().info("lifecycle", **counts)


def _now_ms() -> int:
    return int(time.time() * 1000)


def _storaged_ended(within_s: float) -> bool:
    """Nothing is ever written there: readable means that the other side is gone."""
    return bool(select.select([sys.stdin], [], [], within_s)[0])


def _print_line(event: Event) -> None:
    print(f"{event.action:13} {event.bucket}/{event.key} {event.version_id} ({event.rule})")


def _print_json(event: Event) -> None:
    print(msgspec.json.encode(event).decode())


def _summary(report: Report) -> str:
    would = "would be " if report.dry_run else ""
    return (
        f"{report.buckets} buckets with rules, {report.examined} versions examined; {would}expired {report.expired}, "
        f"{would}removed {report.removed}, markers {would}removed {report.markers_removed}, uploads {would}aborted "
        f"{report.uploads_aborted}; kept by locks {report.kept}"
    )
