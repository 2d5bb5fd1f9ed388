"""What all tests share: what is slow is asked for by name, S3's model is read once, no committer outlives its test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import botocore.session
import pytest

ASKED_FOR = ("large", "upstreams")
"""Marks of tests that take many minutes together: `make test-large`, `make test-upstreams`."""

botocore.session.create_loader = cache(botocore.session.create_loader)
# of 62 ms that a client costs in a new session, 51 are for reading and parsing the same files again


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests with a mark of `ASKED_FOR`, unless ``-m`` was given."""
    if config.option.markexpr:
        return
    left_out = [item for item in items if any(item.get_closest_marker(mark) for mark in ASKED_FOR)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True)
def _committer_ends(request: pytest.FixtureRequest) -> Iterator[None]:
    """End the storaged that a test has left in its folder; by itself it ends with this process only."""
    folder: Path | None = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    for lock in (folder / "storaged.lock", folder / "data" / "storaged.lock") if folder else ():
        with suppress(OSError, ValueError):  # there was none, or it has ended
            pid = int(lock.read_text())
            if b"s4gw.store.storaged" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGTERM)
