"""Tests of s4gw.settings: flags over environment over defaults, and one clear line for what cannot be meant."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from s4gw import settings
from s4gw.settings import CODECS, CODECS_GPU, LATER, Settings, SettingsError


def load(*flags: str, **environment: str) -> Settings:
    """Settings of a command line and an environment."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    settings.add_arguments(parser)
    return settings.load(parser.parse_args(flags), environment)


def test_defaults_are_those_of_the_class() -> None:
    """An empty command line means the documented defaults."""
    assert Settings(data_dir=Path("data").absolute()) == load()


def test_flags_win_over_the_environment() -> None:
    """Every flag has a variable; the flag counts."""
    found = load("--port", "1", S4GW_PORT="2", S4GW_REGION="eu-west-1", S4GW_LOG_FORMAT="json")
    assert (1, "eu-west-1", "json") == (found.port, found.region, found.log_format)


def test_domains_and_proxies_are_lists() -> None:
    """Comma-separated, blanks ignored, case folded."""
    found = load("--domain", "S3.example.com, s3.internal", "--trusted-proxies", "10.0.0.0/8,::1")
    assert (("s3.example.com", "s3.internal"), ["10.0.0.0/8", "::1/128"]) == (
        found.domains,
        [str(network) for network in found.trusted_proxies],
    )


def test_the_root_pair_comes_from_the_environment_and_is_never_shown() -> None:
    """A secret has no flag, and no place in a repr that might be logged."""
    found = load(S4_ACCESS_KEY_ID="AK", S4_SECRET_ACCESS_KEY="hidden")
    assert ("AK", "hidden", False) == (found.root_access_key, found.root_secret_key, "hidden" in repr(found))


@pytest.mark.parametrize("flag", sorted(LATER))
def test_what_is_not_there_yet_is_refused(flag: str) -> None:
    """A flag of S4 that does nothing here would promise something; with or without a value."""
    for arguments in ((flag,), (flag, "x")):
        with pytest.raises(SettingsError, match=rf"^{flag}: .* is not there yet$"):
            load(*arguments)
    with pytest.raises(SettingsError):
        load(**{"S4GW_" + flag.removeprefix("--").replace("-", "_").upper(): "x"})


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (("--port", "x"), "--port: 'x' is no number"),
        (("--port", "65536"), "--port: 65536 is not in 0-65535"),
        (("--zstd-level", "23"), "--zstd-level: 23 is not in 1-22"),
        (("--zstd-level", "3", "--codec", "cpu-gzip"), "--zstd-level: has no meaning with --codec cpu-gzip"),
        (
            ("--codec", "lz4"),
            f"--codec: 'lz4' is none of {', '.join((*CODECS, *CODECS_GPU))}",
        ),
        (("--squish", "fast", "--codec", "cpu-gzip"), "--squish: has no meaning with --codec cpu-gzip"),
        (("--dispatcher", "always"), "--dispatcher: always has no meaning with --codec auto"),
        (("--s4-compatible", "yes", "--codec", "zstd-cascade"), "--s4-compatible: S4 cannot read zstd-cascade"),
        (("--codec", "nvcomp-zstd", "--gpu", "off"), "--codec: nvcomp-zstd is the GPU worker's, and --gpu is off"),
        (("--dispatcher", "never"), "--dispatcher: 'never' is none of sampling, always"),
        (("--log-format", "xml"), "--log-format: 'xml' is none of pretty, json"),
        (("--region", "a b"), "--region: 'a b' is not allowed"),
        (("--domain", "a_b"), "--domain: 'a_b' is no host name"),
        (("--host", "a b"), "--host: 'a b' is no address"),
        (("--policy", "/nowhere"), "--policy: /nowhere is no file"),
        (("--port", "9", "--metrics-port", "9"), "--metrics-port: must differ from --port"),
        (("--workers", "0"), "--workers: 0 is not in 1-512"),
        (("--trusted-proxies", "x"), "--trusted-proxies: 'x' does not appear to be an IPv4 or IPv6 network"),
    ],
)
def test_what_cannot_be_meant_is_one_clear_line(flags: tuple[str, ...], line: str) -> None:
    """The line names the flag and says why."""
    with pytest.raises(SettingsError) as caught:
        load(*flags)
    assert line == str(caught.value)


def test_half_a_root_pair_is_refused() -> None:
    """Neither variable means anything alone."""
    with pytest.raises(SettingsError, match="set both or neither"):
        load(S4_ACCESS_KEY_ID="AK")


@pytest.mark.parametrize(
    "flags",
    [
        ("--upstream-attempts", "2"),
        ("--listing", "cached"),
        ("--endpoint-url", "ftp://example.com"),
        ("--endpoint-url", "https://"),
        ("--endpoint-url", "https://user:secret@example.com"),
        ("--endpoint-url", "http://example.com?x=y"),
        ("--endpoint-url", "http://example.com:port"),
        ("--endpoint-url", "http://example.com", "--volume-bytes", "100000000"),
        ("--endpoint-url", "http://example.com", "--upstream-region", "not a region"),
    ],
)
def test_an_upstream_is_an_address(flags: tuple[str, ...]) -> None:
    """Its settings mean nothing without one, and a password in it comes out nowhere."""
    with pytest.raises(SettingsError) as caught:
        load(*flags)
    assert "secret" not in str(caught.value)


def test_an_upstream_is_signed_for_as_set() -> None:
    """Its own region where one is given; a slash at the end means nothing."""
    found = load("--endpoint-url", "https://example.com/", "--region", "eu-1", "--upstream-lean", "no")
    own = load("--endpoint-url", "https://example.com", "--upstream-region", "eu-2")
    assert ("https://example.com", None, False, "eu-2") == (
        found.endpoint_url,
        found.upstream_region,
        found.upstream_lean,
        own.upstream_region,
    )
