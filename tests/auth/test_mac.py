"""The MAC of signatures is HMAC-SHA256."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4gw.auth.mac import Mac


@given(key=st.binary(max_size=64), text=st.binary(max_size=300))
def test_the_mac_is_hmac_sha256(key: bytes, text: bytes) -> None:
    """Taking the key in once changes nothing."""
    assert hmac.digest(key, text, "sha256").hex() == Mac(key).hexdigest(text)


def test_a_key_that_would_have_to_be_hashed_first_is_refused() -> None:
    """No signing key is that long."""
    with pytest.raises(ValueError, match="64 bytes"):
        Mac(bytes(65))
