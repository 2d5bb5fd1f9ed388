"""What every test of the gateway needs."""

from __future__ import annotations

import io

import pytest

from s4gw.observability import log


@pytest.fixture(autouse=True)
def _log_of_its_own() -> None:
    """The request log is configured before an application is made, as in a worker; nobody reads it here."""
    log.configure("json", io.StringIO())
