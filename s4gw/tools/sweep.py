"""``s4gw sweep``: remove what uploads have left behind in the buckets of an upstream.

For a timer, once a day (`systemd/s4gw-sweep.timer`); it may run beside any number of gateways and other sweeps. What is
removed, and when, is said in `s4gw.backends.remote.sweep`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING, Final

from s4gw import settings as settings_module
from s4gw import wsgi
from s4gw.s3.errors import S3Error
from s4gw.settings import UPSTREAM_FLAGS, SettingsError

if TYPE_CHECKING:
    from s4gw.backends.remote import RemoteBackend
    from s4gw.backends.remote.sweep import Ages, Swept
    from s4gw.tools.parsers import Subparsers

OK: Final = 0
FAILED: Final = 3
DAY_S: Final = 24 * 3600
IDLE_DAYS: Final = 7.0


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "sweep",
        help="remove what uploads have left behind in an upstream",
        description="Abort uploads that nothing has touched for a week, and remove staged parts that no upload in "
        "progress owns. Flags can be set in the environment, as those of serve.",
    )
    for flag, metavar, text in (*UPSTREAM_FLAGS, ("--region", "NAME", "of the gateway (us-east-1)")):
        if flag != "--listing":
            parser.add_argument(flag, metavar=metavar, help=text)
    parser.add_argument("--bucket", action="append", metavar="NAME", help="only this bucket; may be repeated")
    parser.add_argument(
        "--idle-days", type=_days, default=IDLE_DAYS, metavar="N", help=f"age of uploads to abort ({IDLE_DAYS:g})"
    )
    parser.add_argument("--dry-run", action="store_true", help="tell what would be removed, and remove nothing")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Sweep. Returns: 0; 3 when a bucket could not be swept. Raises: SettingsError."""
    from s4gw.backends import remote
    from s4gw.backends.remote.sweep import Ages

    settings = settings_module.load(arguments, os.environ)
    if settings.endpoint_url is None:
        raise SettingsError("--endpoint-url: is missing; on its own disk a gateway leaves nothing behind")
    upstream = remote.Upstream(wsgi.upstream_settings(settings, settings.endpoint_url))
    backend = remote.RemoteBackend(upstream, owner="", region=settings.region)
    ages = Ages(idle_s=int(arguments.idle_days * DAY_S))
    status = OK
    try:
        for bucket in arguments.bucket or [info.name for info in backend.list_buckets()]:
            status = max(status, _sweep(backend, bucket, ages, dry_run=arguments.dry_run))
    except S3Error as error:
        print(f"s4gw: {error.text}", file=sys.stderr)
        return FAILED
    finally:
        backend.close()
    return status


def _sweep(backend: RemoteBackend, bucket: str, ages: Ages, *, dry_run: bool) -> int:
    from s4gw.backends.remote.sweep import sweep

    try:
        swept = sweep(backend, bucket, int(time.time() * 1000), ages, dry_run=dry_run)
    except S3Error as error:
        print(f"s4gw: {bucket}: {error.text}", file=sys.stderr)
        return FAILED
    print(f"{bucket}: {_said(swept)}{' would be removed' if dry_run else ' removed'}")
    return OK


def _said(swept: Swept) -> str:
    return (
        f"{swept.uploads} idle uploads, {swept.objects} staged objects of {swept.bytes} bytes, "
        f"{swept.unfinished} unfinished uploads of the upstream's"
    )


def _days(text: str) -> float:
    days = float(text)
    if not days >= 0:
        raise ValueError(text)
    return days
