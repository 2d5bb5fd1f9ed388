"""What a worker is built with."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from s4gw.gateway.services import request_ids


@given(start=st.binary(min_size=8, max_size=8))
def test_request_ids_differ_and_look_like_s3s(start: bytes) -> None:
    """Sixteen hexadecimal digits, wherever they begin."""
    ids = request_ids(start)
    made = [ids() for _ in range(100)]
    assert len(made) == len(set(made))
    assert all(re.fullmatch("[0-9A-F]{16}", one) for one in made)
