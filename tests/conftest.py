"""What all tests share: the rule that what takes long is asked for by name, and S3's model, read once."""

from __future__ import annotations

from functools import cache

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
