"""Ratio, memory and several GiB, through a gateway in front of a second one."""

from __future__ import annotations

import pytest

from tests.live.test_large import (
    test_five_gib_by_multipart,
    test_five_gib_by_single_put,
    test_memory_of_a_long_upload,
    test_memory_of_parts_at_once,
    test_ratio_of_plain_aws_cp,
)

pytestmark = pytest.mark.upstreams

__all__ = [
    "test_five_gib_by_multipart",
    "test_five_gib_by_single_put",
    "test_memory_of_a_long_upload",
    "test_memory_of_parts_at_once",
    "test_ratio_of_plain_aws_cp",
]
