"""One setting's text made a value, or refused with a line that names its flag."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from s4gw.settings.model import CODECS, CODECS_GPU, Network, SettingsError

ENVIRONMENT_PREFIX: Final = "S4GW_"

DOMAIN: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
GPU: Final = re.compile("auto|off|cpu|[0-9]{1,2}")
REGION: Final = re.compile(r"[a-z0-9-]{1,64}")


def argument_name(flag: str) -> str:
    """What argparse calls *flag*; in capitals and after `ENVIRONMENT_PREFIX`, its variable."""
    return flag.removeprefix("--").replace("-", "_")


def parse_endpoint(url: str | None) -> str | None:
    """An upstream's address, as boto3 takes it."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or parts.username is not None:
        # SECURITY: the address may hold a password, which must not come out in a log
        raise SettingsError("--endpoint-url: must be http[s]://HOST[:PORT], without credentials")
    return url.rstrip("/")


def parse_domains(text: str) -> tuple[str, ...]:
    """Host names, comma-separated."""
    domains = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    for domain in domains:
        if not DOMAIN.fullmatch(domain):
            raise SettingsError(f"--domain: {domain!r} is no host name")
    return domains


def parse_networks(text: str) -> tuple[Network, ...]:
    """Addresses and CIDR blocks, comma-separated."""
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise SettingsError(f"--trusted-proxies: {error}") from None


def parse_codec(name: str) -> str:
    """The name of a codec, the GPU worker's included."""
    if name not in CODECS and name not in CODECS_GPU:
        raise SettingsError(f"--codec: {name!r} is none of {', '.join((*CODECS, *CODECS_GPU))}")
    return name


class Values:
    """Looks a setting up under its flag, then in the environment.

    All but the first two raise `SettingsError`.
    """

    def __init__(self, given: Mapping[str, str], environment: Mapping[str, str]) -> None:
        self._given = given
        self._environment = environment

    def find(self, flag: str) -> str | None:
        """The text given for *flag*, if any."""
        name = argument_name(flag)
        value = self._given.get(name, self._environment.get(ENVIRONMENT_PREFIX + name.upper()))
        return None if value is None else str(value)

    def text(self, flag: str, default: str) -> str:
        """Any text."""
        value = self.find(flag)
        return default if value is None else value

    def number(self, flag: str, default: int, allowed: range) -> int:
        """A whole number of a range."""
        value = self.optional_number(flag, allowed)
        return default if value is None else value

    def optional_number(self, flag: str, allowed: range) -> int | None:
        """The same, or nothing."""
        value = self.find(flag)
        if value is None:
            return None
        try:
            number = int(value)
        except ValueError:
            raise SettingsError(f"{flag}: {value!r} is no number") from None
        if number not in allowed:
            raise SettingsError(f"{flag}: {number} is not in {allowed[0]}-{allowed[-1]}")
        return number

    def choice(self, flag: str, choices: Sequence[str]) -> str:
        """One of some words, the first unless told."""
        value = self.text(flag, choices[0])
        if value not in choices:
            raise SettingsError(f"{flag}: {value!r} is none of {', '.join(choices)}")
        return value

    def matching(self, flag: str, default: str, pattern: re.Pattern[str]) -> str:
        """Text that a pattern matches as a whole."""
        value = self.text(flag, default)
        if not pattern.fullmatch(value):
            raise SettingsError(f"{flag}: {value!r} is not allowed")
        return value

    def file(self, flag: str) -> Path | None:
        """The absolute path of a file that is there, or nothing."""
        value = self.find(flag)
        if value is None:
            return None
        path = Path(value).absolute()
        if not path.is_file():
            raise SettingsError(f"{flag}: {value} is no file")
        return path
