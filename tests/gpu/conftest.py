"""What all tests of this folder share: those marked ``gpu`` need a device, and it is said aloud when there is none."""

from __future__ import annotations

import pytest

from tests.gpu.device import has_device

NOT_RUN = "NOT RUN: no CUDA device"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked ``gpu`` where there is no device."""
    for item in items:
        if item.get_closest_marker("gpu") and not has_device():
            item.add_marker(pytest.mark.skip(reason=NOT_RUN))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count them, also where reasons of skips are not shown."""
    skipped = terminalreporter.stats.get("skipped", [])
    count = sum(isinstance(each.longrepr, tuple) and NOT_RUN in each.longrepr[2] for each in skipped)
    if count:
        terminalreporter.write_line(f"{NOT_RUN} ({count} tests)")
