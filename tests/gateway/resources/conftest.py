"""A boto3 client whose requests go straight into the WSGI application over a memory backend."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from s4gw.gateway.app import create_app
from tests.gateway.in_process import client_of
from tests.gateway.kit import make_services


@pytest.fixture
def s3() -> Iterator[Any]:
    """Client of an empty server; it owns what it makes."""
    services = make_services(clock=time.time)
    yield client_of(create_app(services))
    services.objects.close()


@pytest.fixture
def bucket(s3: Any) -> str:
    """A bucket of the client's."""
    s3.create_bucket(Bucket="bucket")
    return "bucket"
