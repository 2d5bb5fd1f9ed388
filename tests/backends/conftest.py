"""Every backend that this machine can run, each with an empty state."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from s4gw.backends import Backend, EmbeddedBackend, MemoryBackend
from s4gw.backends.remote.backend import RemoteBackend
from s4gw.backends.remote.catalogue import Catalogue
from s4gw.observability import log
from tests.backends.kit import OWNER
from tests.backends.remote import kit


@pytest.fixture(params=["memory", "embedded", "storaged", "remote"])
def backend(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    if request.param == "remote":
        yield from remote(monkeypatch, tmp_path)
        return
    made: Backend
    if request.param == "memory":
        made = MemoryBackend()
    else:
        made = EmbeddedBackend(tmp_path / "data", in_process=request.param == "embedded", parent_pid=os.getpid())
    yield made
    made.close()


def remote(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Backend]:
    """The remote backend over a second gateway of ours, in this process."""
    for name, value in kit.credentials().items():
        monkeypatch.setenv(name, value)
    log.configure("json", kit.quiet_log())
    for upstream in kit.own_gateway():
        made = RemoteBackend(upstream, owner=OWNER, catalogue=Catalogue(folder / "catalogue.db"))
        yield made
        made.close()
