"""Fixtures of the remote backend's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from s4gw.backends.remote import Upstream
from s4gw.backends.remote.backend import RemoteBackend
from s4gw.backends.remote.multipart import RemoteMultipart
from s4gw.codec import SamplingDispatcher
from s4gw.objects import Objects
from s4gw.observability import log
from tests.backends.remote import kit, uploads
from tests.backends.remote_fake import FakeUpstream


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in kit.credentials().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """An empty gateway of ours as upstream, in this process."""
    log.configure("json", kit.quiet_log())
    yield from kit.own_gateway()


@pytest.fixture
def fake() -> FakeUpstream:
    """An upstream in memory, with a bucket."""
    return uploads.empty()


@pytest.fixture
def gateway(fake: FakeUpstream) -> Iterator[RemoteMultipart]:
    """A gateway in front of it."""
    made = uploads.another(fake)
    yield made
    made.pools.close()


@pytest.fixture
def objects(backend: RemoteBackend) -> Iterator[Objects]:
    """Originals over the module's own backend."""
    made = Objects(backend, SamplingDispatcher(), threads=2)
    yield made
    made.close()
