"""What all tests share: the rule that what takes long is asked for by name."""

from __future__ import annotations

import pytest

ASKED_FOR = ("large", "upstreams")
"""Marks of tests that take many minutes together: `make test-large`, `make test-upstreams`."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests with a mark of `ASKED_FOR`, unless ``-m`` was given."""
    if config.option.markexpr:
        return
    left_out = [item for item in items if any(item.get_closest_marker(mark) for mark in ASKED_FOR)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
