"""Ids of versions: opaque, whole, and only ours are understood."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from s4gw.store.ops import FLAG_NULL, NULL_VERSION, parse_version_id, version_id


@given(seq=st.integers(0, 2**64 - 1), nonce=st.binary(min_size=16, max_size=16))
def test_version_id_comes_back(seq: int, nonce: bytes) -> None:
    text = version_id(seq, 0, nonce)
    assert (32, (seq, nonce)) == (len(text), parse_version_id(text))
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.text(max_size=40))
def test_foreign_ids_are_not_understood_or_harmless(text: str) -> None:
    parsed = parse_version_id(text)
    assert parsed is None or text == version_id(*parsed[:1], 0, parsed[1])


def test_null_version_has_its_name() -> None:
    assert NULL_VERSION == version_id(5, FLAG_NULL, b"x" * 16)
