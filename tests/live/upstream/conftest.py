"""`gateway` is one in front of each upstream in turn; everything else of the live tests stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import upstreams
from tests.live.gateway import Gateway

PECULIAR = {"test_move_remove_list_presign[seaweedfs]": "SeaweedFS lists folders without objects, directly too"}
"""Test -> what the upstream does otherwise than S3."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect what is known to fail, and fail when it passes."""
    for item in items:
        if item.name in PECULIAR and item.get_closest_marker("upstreams"):
            item.add_marker(pytest.mark.xfail(reason=PECULIAR[item.name]))


@pytest.fixture(scope="session", params=["s4gw", "seaweedfs"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Shared by all tests of this folder."""
    folder = tmp_path_factory.mktemp("upstream")
    with (
        upstreams.SERVERS[request.param](folder / request.param) as upstream,
        upstreams.in_front(folder / "front", upstream) as running,
    ):
        yield running


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway in front of an empty one of ours, with a bucket for what is large."""
    with (
        upstreams.s4gw(tmp_path / "up", "--codec", "passthrough") as upstream,
        upstreams.in_front(tmp_path / "front", upstream) as running,
    ):
        running.client().create_bucket(Bucket="large")
        yield running
