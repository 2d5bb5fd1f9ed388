"""``s4gw serve``: run the gateway, and tell a newcomer how to talk to it."""

from __future__ import annotations

import argparse
import dataclasses
import os
import shlex
import stat
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from s4gw import settings as settings_module
from s4gw.settings import Settings

if TYPE_CHECKING:
    from s4gw.auth import Credentials
    from s4gw.tools.parsers import Subparsers

CONF: Final = Path("conf/gunicorn.conf.py")
"""Used when it lies in the working directory and no other file is named."""


ROOT_PROFILE: Final = "root"
"""Section of the generated credentials file, which aws-cli reads as well."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "serve",
        help="serve S3",
        description="Serve S3 from a data directory, or in front of another S3 service. Every flag can be set in the "
        "environment: --data-dir is S4GW_DATA_DIR. S4_ACCESS_KEY_ID and S4_SECRET_ACCESS_KEY set the root key pair.",
    )
    settings_module.add_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until stopped. Returns: exit status. Raises: SettingsError."""
    settings = settings_module.load(arguments, os.environ)
    if settings.gunicorn_conf is None and CONF.is_file():
        settings = dataclasses.replace(settings, gunicorn_conf=CONF.absolute())
    # Late: these import gunicorn and the metrics library, which reads the environment once.
    from s4gw.gateway import server
    from s4gw.wsgi import make_app

    return server.serve(settings, make_app, lambda actual, root_key: print(start_page(actual, root_key), flush=True))


def start_page(settings: Settings, root_key: Credentials | None) -> str:
    """What is shown when the listeners are bound: address, key and three commands to paste."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104 - to be replaced
    url = f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{settings.port}"
    where = f"from {settings.data_dir}" if settings.endpoint_url is None else f"in front of {settings.endpoint_url}"
    bucket = "first" if settings.endpoint_url is None else "BUCKET"
    lines = [f"s4gw {metadata.version('s4gw')} serves S3 at {url} {where}", ""]
    if root_key is not None:
        lines += [
            "A root key pair was made. It is shown this once and kept in",
            f"{settings.generated_credentials}:",
            "",
            f"  export AWS_ACCESS_KEY_ID={root_key.access_key}",
            f"  export AWS_SECRET_ACCESS_KEY={root_key.secret_key}",
        ]
    elif settings.root_access_key:
        lines += [
            "  export AWS_ACCESS_KEY_ID=$S4_ACCESS_KEY_ID",
            "  export AWS_SECRET_ACCESS_KEY=$S4_SECRET_ACCESS_KEY",
        ]
    else:
        path = settings.credentials_file or settings.generated_credentials
        profile = "NAME" if settings.credentials_file else ROOT_PROFILE
        lines += [f"  export AWS_SHARED_CREDENTIALS_FILE={shlex.quote(str(path))} AWS_PROFILE={profile}"]
    lines += [
        f"  export AWS_DEFAULT_REGION={settings.region}",
        "",
        f"  aws --endpoint-url {url} s3 {'mb s3://first' if settings.endpoint_url is None else 'ls'}",
        f"  aws --endpoint-url {url} s3 cp README.md s3://{bucket}/",
        f"  aws --endpoint-url {url} s3 ls s3://{bucket}",
        "",
    ]
    file = settings.credentials_file
    if file is not None and file.stat().st_mode & stat.S_IRWXO:
        lines += [f"  {file} can be read by every user of this machine: chmod 600 {shlex.quote(str(file))}", ""]
    if settings.metrics_port is not None:
        lines += [f"  metrics: http://{host}:{settings.metrics_port}/metrics", ""]
    return "\n".join(lines)
