"""Fixtures of the live tests: one gateway for all, buckets for each, and real files to store."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.live import gateway as live
from tests.live import upstreams
from tests.live.fault_proxy import FaultProxy, proxied
from tests.live.gateway import ALT, Gateway
from tests.live.upstreams import Upstream

COMMAND_S_MAX: Final = 100
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The gateway that all live tests share, unless they stop or hurt theirs."""
    with live.running(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture(scope="session")
def s3(gateway: Gateway) -> Any:
    """boto3 as the main user."""
    return gateway.client()


@pytest.fixture(scope="session")
def alt_s3(gateway: Gateway) -> Any:
    """boto3 as the other user."""
    return gateway.client(ALT)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """A second gateway, as an upstream; it stores what it gets, so that its disk shows what the first one sent."""
    with upstreams.s4gw(tmp_path_factory.mktemp("store") / "up", "--codec", "passthrough") as running:
        yield running


@pytest.fixture(scope="module")
def proxy(store: Upstream) -> Iterator[FaultProxy]:
    """What stands between a gateway and that upstream."""
    with proxied(store.url) as between:
        yield between


@pytest.fixture
def bucket(s3: Any) -> str:
    """A new bucket of the main user."""
    name = f"live-{next(_numbers):04d}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `datasets.make` puts what it makes, once for all tests."""
    return tmp_path_factory.mktemp("datasets")


@pytest.fixture
def command(gateway: Gateway, tmp_path: Path) -> Callable[..., str]:
    """Run a client as a user would; it must succeed. Gives what it prints."""
    home = tmp_path / "home"
    home.mkdir()

    def run(*words: str | Path, **environment: str) -> str:
        done = subprocess.run(
            [str(word) for word in words],
            env=gateway.environment(home) | environment,
            cwd=home,
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        assert done.returncode == 0, f"{words[0]} failed ({done.returncode}):\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run
