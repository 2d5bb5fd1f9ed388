"""What is the gateway's own is told from what is a client's."""

from __future__ import annotations

import pytest

from s4gw.backends.remote import reserved


@pytest.mark.parametrize(
    ("key", "hidden"),
    [
        (".s4gw/mpu/1", True),
        (".s4dict/0", True),
        (".s4mpu/1/2", True),
        ("a/b.s4index", True),
        ("a.__s4ver__/0f", True),
        (".s4gw", False),
        ("a/.s4gw/b", False),
        ("a.s4index/b", False),
        ("s4gw/x", False),
    ],
)
def test_keys(key: str, hidden: bool) -> None:
    assert hidden == reserved.is_reserved(key)


@pytest.mark.parametrize(
    ("prefix", "hides", "may"),
    [
        (".s4gw/", True, True),
        (".s4gw/mpu/", True, False),
        ("a.__s4ver__/", True, True),
        ("a/", False, False),
        (".s4", False, True),
        (".", False, True),
        ("a.s4i", False, True),
        ("a.s4index", False, True),
        ("dir.s4index/", False, False),
    ],
)
def test_common_prefixes(prefix: str, hides: bool, may: bool) -> None:
    assert (hides, may) == (reserved.hides_all(prefix), reserved.may_hide_all(prefix))


def test_prefix_of_a_key() -> None:
    assert (".s4gw/", "") == (reserved.reserved_prefix_of(".s4gw/x"), reserved.reserved_prefix_of("x"))
