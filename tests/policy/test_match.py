"""Wildcards, ARNs and networks: what matches is what a simple definition says, in bounded time."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.policy.match import Literally, arn_matches, compile_glob, glob, in_network, parse_network


def by_definition(pattern: str, text: str) -> bool:
    """Wildcard matching as its definition reads."""

    @cache
    def fits(i: int, j: int) -> bool:
        if i == len(pattern):
            return j == len(text)
        if pattern[i] == "*":
            return fits(i + 1, j) or (j < len(text) and fits(i, j + 1))
        return j < len(text) and pattern[i] in ("?", text[j]) and fits(i + 1, j + 1)

    return fits(0, 0)


@settings(max_examples=100, deadline=None)
@given(st.text("ab*?", max_size=12), st.text("ab", max_size=12))
def test_globs_match_as_defined(pattern: str, text: str) -> None:
    """Every small pattern agrees with the definition."""
    assert by_definition(pattern, text) == glob(pattern).matches(text)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30), st.text(max_size=30))
def test_literal_text_stands_for_itself(text: str, other: str) -> None:
    """Wildcards in a literal part match only themselves."""
    pattern = compile_glob([Literally(text), "*"])
    assert other.startswith(text) == pattern.matches(other)


def test_hostile_patterns_are_cheap() -> None:
    """A pattern made to backtrack does bounded work: no more comparisons than text times pattern."""
    pattern = glob("*a?" * 600 + "b")
    assert not pattern.matches("a" * 1024)
    assert glob("*" * 2000).matches("a" * 1024)


@pytest.mark.parametrize(
    ("pattern", "arn", "expected"),
    [
        ("arn:aws:iam::*:user/al*", "arn:aws:iam::alice-id:user/alice", True),
        ("arn:aws:iam::*", "arn:aws:iam::alice-id:user/alice", False),
        ("arn:*:user/alice", "arn:aws:iam::alice-id:user/alice", False),
        ("arn:aws:iam::alice-id:user/alice", "arn:aws:iam::alice-id:user/alice", True),
        ("*", "arn:aws:iam::alice-id:user/alice", False),
    ],
)
def test_arns_match_part_by_part(pattern: str, arn: str, expected: bool) -> None:
    """A star does not reach across a colon."""
    assert expected == arn_matches(pattern, arn)


@pytest.mark.parametrize(
    ("address", "network", "expected"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("::ffff:10.1.2.3", "10.0.0.0/8", True),
        ("2001:db8::1", "2001:db8::/32", True),
        ("10.1.2.3", "2001:db8::/32", False),
        ("unix", "0.0.0.0/0", False),
        ("", "::/0", False),
    ],
)
def test_networks_hold_their_addresses(address: str, network: str, expected: bool) -> None:
    """IPv4, IPv6 and the one inside the other."""
    assert expected == in_network(address, parse_network(network))
