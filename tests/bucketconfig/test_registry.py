"""The table of sub-resources: it names real operations, and each refusal says why."""

from __future__ import annotations

import pytest

from s4gw.bucketconfig import SUB_RESOURCES
from s4gw.s3 import operation


@pytest.mark.parametrize("name", sorted(SUB_RESOURCES))
def test_its_operations_exist(name: str) -> None:
    """Under names that the router knows."""
    assert set() == set(SUB_RESOURCES[name].operations) - operation.ROUTED.keys()


@pytest.mark.parametrize("name", sorted(SUB_RESOURCES))
def test_stored_or_refused(name: str) -> None:
    """Never neither: a refusal has a sentence for the client."""
    row = SUB_RESOURCES[name]
    assert row.stored == (row.refused == "")
    assert not row.refused or row.refused.endswith(".")


@pytest.mark.parametrize("name", ["encryption", "logging", "notification", "replication"])
def test_nothing_is_promised_in_vain(name: str) -> None:
    """What would be relied upon and is not done is refused."""
    assert not SUB_RESOURCES[name].stored
