"""Every backend that this machine can run, each with an empty state."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from s4gw.backends import Backend, EmbeddedBackend, MemoryBackend


@pytest.fixture(params=["memory", "embedded", "storaged"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    made: Backend
    if request.param == "memory":
        made = MemoryBackend()
    else:
        made = EmbeddedBackend(tmp_path / "data", in_process=request.param == "embedded", parent_pid=os.getpid())
    yield made
    made.close()
