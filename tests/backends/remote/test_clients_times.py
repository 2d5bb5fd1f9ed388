"""Times in an upstream's answers are read as boto3 reads them, whatever their form."""

from __future__ import annotations

import pytest
from botocore.utils import parse_timestamp

from s4gw.backends.remote.clients import read_time


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-28T13:00:00.000Z",
        "2026-11-28T13:00:00Z",
        "2026-11-28T13:00:00.123456+02:00",
        "2026-11-28T13:00:00",
        "2026-11-28",
        "Sat, 28 Nov 2026 13:00:00 GMT",
        "1796000000",
        "1796000000.5",
    ],
)
def test_the_short_way_gives_what_boto3_gives(text: str) -> None:
    """S3's own form is read at once, all others by boto3's parser."""
    assert parse_timestamp(text) == read_time(text)
