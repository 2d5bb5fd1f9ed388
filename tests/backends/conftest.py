"""Every backend that this machine can run, each with an empty state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from s4gw.backends import Backend
from s4gw.backends.remote.backend import RemoteBackend
from s4gw.backends.remote.catalogue import Catalogue
from s4gw.observability import log
from tests.backends.kit import NEAR, OWNER, near
from tests.backends.remote import kit


@pytest.fixture(params=[*NEAR, "remote"])
def backend(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    if request.param == "remote":
        yield from remote(monkeypatch, tmp_path)
    else:
        with near(request.param) as made:
            yield made


def remote(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Backend]:
    """The remote backend over a second gateway of ours, in this process."""
    for name, value in kit.credentials().items():
        monkeypatch.setenv(name, value)
    log.configure("json", kit.quiet_log())
    for upstream in kit.own_gateway():
        made = RemoteBackend(upstream, owner=OWNER, catalogue=Catalogue(folder / "catalogue.db"))
        yield made
        made.close()
