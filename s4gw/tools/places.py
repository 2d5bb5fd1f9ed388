"""Buckets as commands name them: ``s3://BUCKET/PREFIX``, on the gateway's own disk or in an upstream."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from s4gw import settings as settings_module
from s4gw.settings import UPSTREAM_FLAGS

if TYPE_CHECKING:
    from s4gw.backends.base import Backend

SCHEME: Final = "s3://"
_STAMP: Final = "FORMAT"
_UPSTREAM_FLAGS: Final = (
    *((flag, metavar, text) for flag, metavar, text in UPSTREAM_FLAGS if flag != "--listing"),
    ("--region", "NAME", "of the gateway (us-east-1)"),
)
_UPSTREAM_NAMES: Final = frozenset(row[0].removeprefix("--").replace("-", "_") for row in _UPSTREAM_FLAGS)


class PlaceError(Exception):
    """The command line names no bucket that can be opened: misuse."""


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Add the flag that says where the gateway keeps its buckets itself."""
    parser.add_argument("--data-dir", type=Path, help="data directory of the gateway that keeps the bucket itself")


def add_upstream(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say which upstream has the bucket."""
    for flag, metavar, text in _UPSTREAM_FLAGS:
        parser.add_argument(flag, metavar=metavar, help=text)


def is_data_dir(data_dir: Path) -> bool:
    """Whether it has the file that every data directory has: a mistyped path must not become one."""
    return (data_dir / _STAMP).is_file()


def check_data_dir(data_dir: Path) -> None:
    """Raises: SettingsError, unless it is a data directory."""
    if not is_data_dir(data_dir):
        raise settings_module.SettingsError(f"--data-dir: {data_dir} is no data directory")


def parse(text: str) -> tuple[str, str]:
    """Bucket and prefix. Raises: PlaceError."""
    bucket, _, prefix = text.removeprefix(SCHEME).partition("/")
    if not text.startswith(SCHEME) or not bucket:
        raise PlaceError(f"{text}: write {SCHEME}BUCKET/PREFIX")
    return bucket, prefix


@contextmanager
def opened(arguments: argparse.Namespace, bucket: str) -> Iterator[Backend]:
    """Where the bucket is, once it is sure that it is there. Raises: PlaceError, SettingsError."""
    from s4gw.s3.errors import S3Error  # late: only this needs the backends and their libraries

    backend = _backend(arguments)
    try:
        backend.get_bucket(bucket)
        yield backend
    except S3Error as error:
        raise PlaceError(f"{SCHEME}{bucket}: {error.text}") from error
    finally:
        backend.close()


def _backend(arguments: argparse.Namespace) -> Backend:
    if arguments.data_dir is not None:
        from s4gw.backends import EmbeddedBackend
        from s4gw.store import StoreError

        if not is_data_dir(arguments.data_dir):
            raise PlaceError(f"{arguments.data_dir} is no data directory")
        try:
            return EmbeddedBackend(arguments.data_dir)
        except StoreError as error:
            raise PlaceError(str(error)) from error
    from s4gw import wsgi
    from s4gw.backends import remote

    given = {name: value for name, value in vars(arguments).items() if name in _UPSTREAM_NAMES}
    settings = settings_module.load(argparse.Namespace(**given), os.environ)
    if settings.endpoint_url is None:
        raise PlaceError("--data-dir or --endpoint-url says where the bucket is")
    upstream = remote.Upstream(wsgi.upstream_settings(settings, settings.endpoint_url))
    return remote.RemoteBackend(upstream, owner="", region=settings.region)
