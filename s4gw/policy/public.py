"""Whether a policy is public in the sense of S3's Block Public Access.

A policy is public when a statement allows something to everybody, unless a condition narrows everybody down to fixed
values: addresses in ranges of limited size, or named principals.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
"""

from __future__ import annotations

import ipaddress
from typing import Final

from s4gw.policy.conditions import Condition, Operand
from s4gw.policy.document import Effect, Policy, Statement
from s4gw.policy.match import Network
from s4gw.policy.template import Template

_NARROWING_OPERATORS: Final = frozenset(
    {"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike", "IpAddress"}
)
_NARROWING_KEYS: Final = frozenset(
    {"aws:sourceip", "aws:principalarn", "aws:principalaccount", "aws:userid", "aws:username"}
)
_PREFIX_MIN: Final = {4: 8, 6: 32}
"""Shortest network prefix that counts as a fixed range, by IP version."""


def is_public(policy: Policy) -> bool:
    """Whether some statement lets everybody in."""
    return any(_is_public(statement) for statement in policy.statements)


def _is_public(statement: Statement) -> bool:
    if statement.effect is not Effect.ALLOW or not statement.principals.anyone:
        return False
    return not any(_narrows(condition) for condition in statement.conditions)


def _narrows(condition: Condition) -> bool:
    """Whether the condition leaves only fixed callers."""
    if condition.if_exists or condition.quantifier == "ForAllValues":
        return False
    if condition.operator not in _NARROWING_OPERATORS or condition.key not in _NARROWING_KEYS:
        return False
    return all(_is_fixed(operand) for operand in condition.operands)


def _is_fixed(operand: Operand) -> bool:
    """Whether the value names somebody in particular."""
    if isinstance(operand, Template):
        return not operand.is_open and "*" not in operand.source
    if isinstance(operand, ipaddress.IPv4Network | ipaddress.IPv6Network):
        return _is_narrow(operand)
    return False


def _is_narrow(network: Network) -> bool:
    return network.prefixlen >= _PREFIX_MIN[network.version] or network.is_private
