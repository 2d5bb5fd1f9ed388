"""Command line and environment, read into one frozen `Settings`.

Flags win over the environment, the environment over defaults. What cannot be meant is refused with one clear line
(`SettingsError`) before anything is opened; what a later release will bring is refused too, never accepted in silence.
Secrets come from the environment or from files, never from flags, which every user of the machine can read.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

CODECS: Final = ("auto", "passthrough", "cpu-zstd", "cpu-gzip", "zstd-cascade")
CODECS_GPU: Final = {
    "nvcomp-zstd": "cpu-zstd",
    "nvcomp-gzip": "cpu-gzip",
    "nvcomp-bitcomp": "auto",
    "nvcomp-gdeflate": "auto",
}
"""Codecs of the GPU worker -> what is written where that does not serve. The first two are one format."""
CODECS_OF_S4: Final = frozenset({"auto", "passthrough", "cpu-zstd", "cpu-gzip", *CODECS_GPU})
CODECS_WITH_LEVEL: Final = frozenset({"auto", "cpu-zstd", "zstd-cascade"})
SQUISH: Final = ("balanced", "fast", "archive")
ZSTD_LEVELS: Final = range(1, 23)
VOLUME_BYTES_MIN: Final = 16 * 1024**2
VOLUME_BYTES_DEFAULT: Final = 1024**3
LIFECYCLE_DAY_S: Final = 86_400
UPKEEP_BYTES_PER_S: Final = 64 * 1024**2  # read and written: a tenth of what one SSD does
RECLAIM_GRACE_S: Final = 3600
DEDUP: Final = ("bucket", "store", "off")
THREADS_DEFAULT: Final = 8
"""Enough to overlap a commit's fsync with other requests; more only trade the interpreter lock (50-speed, rule 4)."""
THREADS_MAX: Final = 256
WORKERS_MAX: Final = 512
UPSTREAM_CONNECTIONS_MAX: Final = 4096
SECONDS_MAX: Final = 3600

GPU_MIN_BYTES_DEFAULT: Final = 256 * 1024
"""Below, a copy and two messages cost more than they save; to be measured on a GPU."""
GPU_VERIFY_DEFAULT: Final = 64

ENVIRONMENT_PREFIX: Final = "S4GW_"

LATER: Final = {
    **dict.fromkeys(("--tls-cert", "--tls-key"), "TLS"),
    **dict.fromkeys(("--acme", "--acme-contact", "--acme-cache-dir", "--acme-staging"), "ACME certificates"),
    **dict.fromkeys(("--otlp-endpoint", "--service-name"), "OpenTelemetry export"),
}
"""Flags of S4 that this release does not have; naming one is an error."""

_DOMAIN: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_GPU: Final = re.compile("auto|off|cpu|[0-9]{1,2}")
_REGION: Final = re.compile(r"[a-z0-9-]{1,64}")


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingsError(ValueError):
    """A setting cannot be used; the text is one line that says which and why, without secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this gateway runs."""

    host: str = "127.0.0.1"
    port: int = 8014
    """0 lets the kernel choose."""
    domains: tuple[str, ...] = ()
    """Hosts under which ``bucket.domain`` names a bucket."""
    region: str = "us-east-1"
    """What GetBucketLocation tells, and the region of buckets that name none."""
    codec: str = "auto"
    squish: str = "balanced"
    """How much time squishing may take, where the codec is chosen automatically."""
    s4_compatible: bool = False
    """Write only what S4 (Rust) can read."""
    zstd_level: int | None = None
    """None: chosen by trial, 1 or 3."""
    dispatcher: str = "sampling"
    gpu: str = "auto"
    """"auto", "off", "cpu" or the number of a GPU."""
    gpu_min_bytes: int = GPU_MIN_BYTES_DEFAULT
    """Smaller frames are compressed where they are."""
    gpu_verify: int = GPU_VERIFY_DEFAULT
    """One result in so many is decoded on the CPU before it is used."""
    data_dir: Path = Path("data")
    volume_bytes: int = VOLUME_BYTES_DEFAULT
    lifecycle_day_s: int = LIFECYCLE_DAY_S
    """How long a day of lifecycle rules lasts; shorter ones are for tests."""
    upkeep_rate: int = UPKEEP_BYTES_PER_S
    dedup: str = DEDUP[0]
    reclaim_grace_s: int = RECLAIM_GRACE_S
    """How fast compaction and scrubbing may be (0: no limit); for how long deleted bytes stay for their readers."""
    credentials_file: Path | None = None
    root_access_key: str = ""
    root_secret_key: str = field(default="", repr=False)
    policy: Path | None = None
    sigv2_headers: bool = False
    """Authorization headers of Signature Version 2 are accepted, for clients that know nothing newer."""
    sigv2_links: bool = True
    """Presigned URLs and forms may carry Signature Version 2: what SDKs still make for us-east-1 unless told."""
    trusted_proxies: tuple[Network, ...] = ()
    """Peers whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    workers: int | None = None
    """None: as the gunicorn configuration says, which is one per core by default."""
    threads: int | None = None
    pin_workers: bool = True
    """One worker per core, where there are at least as many workers as cores."""
    metrics_port: int | None = None
    """A second listener that answers probes and metrics only."""
    log_format: str = "pretty"
    log_level: str = "info"
    gunicorn_conf: Path | None = None
    endpoint_url: str | None = None
    """The upstream that objects are kept in; None: this gateway's own disk."""
    upstream_region: str | None = None
    """What requests to the upstream are signed for; None: as `region`."""
    upstream_addressing: str = "auto"
    upstream_connections: int = 32
    """Kept open per worker."""
    upstream_connect_timeout: int = 5
    """Seconds, as the next."""
    upstream_read_timeout: int = 60
    upstream_attempts: int = 3
    upstream_retries: str = "standard"
    upstream_ca_bundle: Path | None = None
    upstream_lean: bool = True
    """Operations on objects go past boto3."""
    listing: str = "exact"
    """How listings learn the original sizes of objects in an upstream."""

    @property
    def runtime_dir(self) -> Path:
        """Sockets and metric files of the running processes; emptied at start."""
        return self.data_dir / "run"

    @property
    def generated_credentials(self) -> Path:
        """Where the root key pair of the first start is kept."""
        return self.data_dir / "credentials"


UPSTREAM_FLAGS: Final = (
    (
        "--endpoint-url",
        "URL",
        "keep objects in this S3 service instead of --data-dir; credentials as for the AWS tools",
    ),
    ("--upstream-region", "NAME", "region that requests to it are signed for (--region)"),
    ("--upstream-addressing", "KIND", "path, virtual or auto: where its bucket names stand (auto)"),
    ("--upstream-connections", "N", "kept open to it, per process (32)"),
    ("--upstream-connect-timeout", "SECONDS", "until it must have taken a connection (5)"),
    ("--upstream-read-timeout", "SECONDS", "longest silence in the middle of an answer (60)"),
    ("--upstream-attempts", "N", "tries of a request that fails, the first included (3)"),
    ("--upstream-retries", "KIND", "standard, or adaptive: slow down when it throttles (standard)"),
    ("--upstream-ca-bundle", "FILE", "authorities that its certificate is checked by (the system's)"),
    ("--upstream-lean", "yes|no", "send operations on objects past boto3, which takes less CPU (yes)"),
    ("--listing", "KIND", "exact, cached or physical: where sizes in listings come from (exact)"),
)
"""Flag, kind of value and help of what concerns an upstream; but for the first, they mean nothing without one."""


def default_workers() -> int:
    """One per core that this process may use."""
    return len(os.sched_getaffinity(0))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``s4gw serve``; none has a default, so that the environment can be told apart."""
    default = Settings()
    flags: list[tuple[str, str, str]] = [
        ("--host", "ADDRESS", f"address to listen on ({default.host})"),
        ("--port", "PORT", f"port to listen on ({default.port})"),
        ("--domain", "HOST", "serve bucket.HOST as well as HOST/bucket; comma-separated"),
        ("--region", "NAME", f"region that clients are told ({default.region})"),
        ("--codec", "NAME", f"{', '.join((*CODECS, *CODECS_GPU))} ({default.codec})"),
        ("--squish", "KIND", "fast: zstd 1; balanced: the best of all codecs; archive: with zstd 9 or 19 (balanced)"),
        ("--s4-compatible", "yes|no", "write only what S4 (Rust) can read (no)"),
        ("--zstd-level", "N", "1-22; left out, each object's own sample decides between 1 and 3"),
        ("--dispatcher", "KIND", "sampling: skip what does not shrink; always: use --codec for everything (sampling)"),
        ("--gpu", "auto|off|cpu|N", "auto: a GPU, where s4gw[gpu] is installed; cpu: the same without one (auto)"),
        ("--gpu-min-bytes", "N", f"smaller frames stay in the process that receives them ({GPU_MIN_BYTES_DEFAULT})"),
        ("--gpu-verify", "N", f"decode one result in N on the CPU before it is used; 1: all ({GPU_VERIFY_DEFAULT})"),
        ("--data-dir", "DIR", "where objects are kept (./data)"),
        ("--volume-bytes", "N", f"size at which a new volume begins ({VOLUME_BYTES_DEFAULT})"),
        ("--lifecycle-day-s", "N", f"seconds that a day of lifecycle rules lasts, fewer for tests ({LIFECYCLE_DAY_S})"),
        ("--dedup", "KIND", "store equal frames once: within a bucket, within the store, or not: off (bucket)"),
        ("--upkeep-rate", "N", f"bytes per second for compaction and scrubbing; 0: no limit ({UPKEEP_BYTES_PER_S})"),
        ("--reclaim-grace-s", "N", f"seconds that deleted bytes stay for who is reading them ({RECLAIM_GRACE_S})"),
        ("--credentials-file", "FILE", "users and key pairs, in the format of AWS's credentials file"),
        ("--policy", "FILE", "AWS-style policy that every request has to pass as well"),
        ("--sigv2-headers", "yes|no", "take Authorization headers of Signature Version 2, for very old clients (no)"),
        ("--sigv2-links", "yes|no", "take presigned URLs and forms of Signature Version 2, the SDKs' default (yes)"),
        ("--trusted-proxies", "NETS", "proxies whose X-Forwarded-* count; comma-separated addresses or CIDR (none)"),
        ("--workers", "N", "processes (one per core)"),
        ("--threads", "N", f"threads per process ({THREADS_DEFAULT})"),
        ("--pin-workers", "yes|no", "bind each worker to a core when there are enough workers (yes)"),
        ("--metrics-port", "PORT", "a second listener for /health, /ready and /metrics only"),
        ("--log-format", "KIND", "pretty or json (pretty)"),
        ("--log-level", "KIND", "info; debug: also which codec was chosen and why (info)"),
        ("--gunicorn-conf", "FILE", "gunicorn settings (conf/gunicorn.conf.py beside the package, if present)"),
        *UPSTREAM_FLAGS,
    ]
    for flag, metavar, text in flags:
        parser.add_argument(flag, metavar=metavar, help=text)
    for flag in LATER:
        parser.add_argument(flag, nargs="?", const="", help=argparse.SUPPRESS)


def load(arguments: argparse.Namespace | None, environment: Mapping[str, str]) -> Settings:
    """Make settings of parsed flags (see `add_arguments`) and the environment.

    Raises: SettingsError.
    """
    given = {name: value for name, value in vars(arguments).items() if value is not None} if arguments else {}
    for flag, what in LATER.items():
        if _name(flag) in given or ENVIRONMENT_PREFIX + _name(flag).upper() in environment:
            raise SettingsError(f"{flag}: {what} is not there yet")
    values = _Values(given, environment)
    settings = Settings(
        host=values.text("--host", "127.0.0.1"),
        port=values.number("--port", 8014, range(65536)),
        domains=_domains(values.text("--domain", "")),
        region=values.matching("--region", "us-east-1", _REGION),
        codec=_codec(values.text("--codec", "auto")),
        squish=values.choice("--squish", SQUISH),
        s4_compatible=values.choice("--s4-compatible", ("no", "yes")) == "yes",
        zstd_level=values.optional_number("--zstd-level", ZSTD_LEVELS),
        dispatcher=values.choice("--dispatcher", ("sampling", "always")),
        gpu=values.matching("--gpu", "auto", _GPU),
        gpu_min_bytes=values.number("--gpu-min-bytes", GPU_MIN_BYTES_DEFAULT, range(1, 2**20 + 1)),
        gpu_verify=values.number("--gpu-verify", GPU_VERIFY_DEFAULT, range(1, 2**20)),
        data_dir=Path(values.text("--data-dir", "data")).absolute(),
        volume_bytes=values.number("--volume-bytes", VOLUME_BYTES_DEFAULT, range(VOLUME_BYTES_MIN, 2**40)),
        lifecycle_day_s=values.number("--lifecycle-day-s", LIFECYCLE_DAY_S, range(1, LIFECYCLE_DAY_S + 1)),
        dedup=values.choice("--dedup", DEDUP),
        upkeep_rate=values.number("--upkeep-rate", UPKEEP_BYTES_PER_S, range(2**40)),
        reclaim_grace_s=values.number("--reclaim-grace-s", RECLAIM_GRACE_S, range(30 * 86_400)),
        credentials_file=values.file("--credentials-file"),
        root_access_key=environment.get("S4_ACCESS_KEY_ID", ""),
        root_secret_key=environment.get("S4_SECRET_ACCESS_KEY", ""),
        policy=values.file("--policy"),
        sigv2_headers=values.choice("--sigv2-headers", ("no", "yes")) == "yes",
        sigv2_links=values.choice("--sigv2-links", ("yes", "no")) == "yes",
        trusted_proxies=_networks(values.text("--trusted-proxies", "")),
        workers=values.optional_number("--workers", range(1, WORKERS_MAX + 1)),
        threads=values.optional_number("--threads", range(1, THREADS_MAX + 1)),
        pin_workers=values.choice("--pin-workers", ("yes", "no")) == "yes",
        metrics_port=values.optional_number("--metrics-port", range(65536)),
        log_format=values.choice("--log-format", ("pretty", "json")),
        log_level=values.choice("--log-level", ("info", "debug")),
        gunicorn_conf=values.file("--gunicorn-conf"),
        endpoint_url=_endpoint(values.find("--endpoint-url")),
        upstream_region=values.find("--upstream-region") and values.matching("--upstream-region", "", _REGION),
        upstream_addressing=values.choice("--upstream-addressing", ("auto", "path", "virtual")),
        upstream_connections=values.number("--upstream-connections", 32, range(1, UPSTREAM_CONNECTIONS_MAX + 1)),
        upstream_connect_timeout=values.number("--upstream-connect-timeout", 5, range(1, SECONDS_MAX + 1)),
        upstream_read_timeout=values.number("--upstream-read-timeout", 60, range(1, SECONDS_MAX + 1)),
        upstream_attempts=values.number("--upstream-attempts", 3, range(1, 21)),
        upstream_retries=values.choice("--upstream-retries", ("standard", "adaptive")),
        upstream_ca_bundle=values.file("--upstream-ca-bundle"),
        upstream_lean=values.choice("--upstream-lean", ("yes", "no")) == "yes",
        listing=values.choice("--listing", ("exact", "cached", "physical")),
    )
    if settings.endpoint_url is None:
        for flag, *_ in UPSTREAM_FLAGS[1:]:
            if values.find(flag) is not None:
                raise SettingsError(f"{flag}: has no meaning without --endpoint-url")
    elif values.find("--volume-bytes") is not None:
        raise SettingsError("--volume-bytes: has no meaning with --endpoint-url")
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    """What no single value can tell."""
    if bool(settings.root_access_key) != bool(settings.root_secret_key):
        raise SettingsError("S4_ACCESS_KEY_ID and S4_SECRET_ACCESS_KEY: set both or neither")
    if settings.metrics_port is not None and settings.metrics_port == settings.port != 0:
        raise SettingsError("--metrics-port: must differ from --port")
    if settings.zstd_level is not None and settings.codec not in CODECS_WITH_LEVEL:
        raise SettingsError(f"--zstd-level: has no meaning with --codec {settings.codec}")
    if settings.squish != SQUISH[0] and settings.codec != "auto":
        raise SettingsError(f"--squish: has no meaning with --codec {settings.codec}")
    if settings.dispatcher == "always" and CODECS_GPU.get(settings.codec, settings.codec) == "auto":
        raise SettingsError(f"--dispatcher: always has no meaning with --codec {settings.codec}")
    if settings.gpu == "off" and settings.codec in CODECS_GPU:
        raise SettingsError(f"--codec: {settings.codec} is the GPU worker's, and --gpu is off")
    if settings.s4_compatible and settings.codec not in CODECS_OF_S4:
        raise SettingsError(f"--s4-compatible: S4 cannot read {settings.codec}")
    try:
        ipaddress.ip_address(settings.host.strip("[]"))
    except ValueError:
        if not _DOMAIN.fullmatch(settings.host.lower()):
            raise SettingsError(f"--host: {settings.host!r} is no address") from None


def _name(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _endpoint(url: str | None) -> str | None:
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


def _domains(text: str) -> tuple[str, ...]:
    domains = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    for domain in domains:
        if not _DOMAIN.fullmatch(domain):
            raise SettingsError(f"--domain: {domain!r} is no host name")
    return domains


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise SettingsError(f"--trusted-proxies: {error}") from None


def _codec(name: str) -> str:
    if name not in CODECS and name not in CODECS_GPU:
        raise SettingsError(f"--codec: {name!r} is none of {', '.join((*CODECS, *CODECS_GPU))}")
    return name


class _Values:
    """Looks a setting up under its flag, then in the environment."""

    def __init__(self, given: Mapping[str, str], environment: Mapping[str, str]) -> None:
        self._given = given
        self._environment = environment

    def find(self, flag: str) -> str | None:
        name = _name(flag)
        value = self._given.get(name, self._environment.get(ENVIRONMENT_PREFIX + name.upper()))
        return None if value is None else str(value)

    def text(self, flag: str, default: str) -> str:
        value = self.find(flag)
        return default if value is None else value

    def number(self, flag: str, default: int, allowed: range) -> int:
        value = self.optional_number(flag, allowed)
        return default if value is None else value

    def optional_number(self, flag: str, allowed: range) -> int | None:
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
        value = self.text(flag, choices[0])
        if value not in choices:
            raise SettingsError(f"{flag}: {value!r} is none of {', '.join(choices)}")
        return value

    def matching(self, flag: str, default: str, pattern: re.Pattern[str]) -> str:
        value = self.text(flag, default)
        if not pattern.fullmatch(value):
            raise SettingsError(f"{flag}: {value!r} is not allowed")
        return value

    def file(self, flag: str) -> Path | None:
        value = self.find(flag)
        if value is None:
            return None
        path = Path(value).absolute()
        if not path.is_file():
            raise SettingsError(f"{flag}: {value} is no file")
        return path
