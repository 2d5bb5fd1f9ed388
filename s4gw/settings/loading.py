"""Reads flags and environment into `Settings`, and checks what no single value can tell."""

from __future__ import annotations

import argparse
import dataclasses
import ipaddress
from collections.abc import Mapping
from pathlib import Path

from s4gw.settings.flags import (
    LATER,
    UPSTREAM_FLAGS,
)
from s4gw.settings.model import (
    CODECS_GPU,
    CODECS_OF_S4,
    CODECS_WITH_LEVEL,
    DEDUP,
    GPU_MIN_BYTES_DEFAULT,
    GPU_VERIFY_DEFAULT,
    LIFECYCLE_DAY_S,
    RECLAIM_GRACE_S,
    SECONDS_MAX,
    SQUISH,
    THREADS_MAX,
    UPKEEP_BYTES_PER_S,
    UPSTREAM_CONNECTIONS_MAX,
    VOLUME_BYTES_DEFAULT,
    VOLUME_BYTES_MIN,
    WORKERS_MAX,
    ZSTD_LEVELS,
    Settings,
    SettingsError,
)
from s4gw.settings.values import (
    DOMAIN,
    ENVIRONMENT_PREFIX,
    GPU,
    REGION,
    Values,
    argument_name,
    parse_codec,
    parse_domains,
    parse_endpoint,
    parse_networks,
)


def load(arguments: argparse.Namespace | None, environment: Mapping[str, str]) -> Settings:
    """Make settings of parsed flags (see `add_arguments`) and the environment.

    Raises: SettingsError.
    """
    given = {name: value for name, value in vars(arguments).items() if value is not None} if arguments else {}
    for flag, what in LATER.items():
        if argument_name(flag) in given or ENVIRONMENT_PREFIX + argument_name(flag).upper() in environment:
            raise SettingsError(f"{flag}: {what} is not there yet")
    values = Values(given, environment)
    settings = Settings(
        host=values.text("--host", "127.0.0.1"),
        port=values.number("--port", 8014, range(65536)),
        domains=parse_domains(values.text("--domain", "")),
        region=values.matching("--region", "us-east-1", REGION),
        codec=parse_codec(values.text("--codec", "auto")),
        squish=values.choice("--squish", SQUISH),
        s4_compatible=values.choice("--s4-compatible", ("no", "yes")) == "yes",
        zstd_level=values.optional_number("--zstd-level", ZSTD_LEVELS),
        dispatcher=values.choice("--dispatcher", ("sampling", "always")),
        gpu=values.matching("--gpu", "auto", GPU),
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
        trusted_proxies=parse_networks(values.text("--trusted-proxies", "")),
        workers=values.optional_number("--workers", range(1, WORKERS_MAX + 1)),
        threads=values.optional_number("--threads", range(1, THREADS_MAX + 1)),
        pin_workers=values.choice("--pin-workers", ("yes", "no")) == "yes",
        metrics_port=values.optional_number("--metrics-port", range(65536)),
        log_format=values.choice("--log-format", ("pretty", "json")),
        log_level=values.choice("--log-level", ("info", "debug")),
        gunicorn_conf=values.file("--gunicorn-conf"),
    )
    settings = _with_upstream(settings, values)
    _check(settings)
    return settings


def _with_upstream(settings: Settings, values: Values) -> Settings:
    settings = dataclasses.replace(
        settings,
        endpoint_url=parse_endpoint(values.find("--endpoint-url")),
        upstream_region=values.find("--upstream-region") and values.matching("--upstream-region", "", REGION),
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
        if not DOMAIN.fullmatch(settings.host.lower()):
            raise SettingsError(f"--host: {settings.host!r} is no address") from None
