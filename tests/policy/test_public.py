"""What counts as a public policy."""

from __future__ import annotations

from typing import Any

import pytest

from s4gw.policy import is_public, parse_policy
from tests.policy.callers import document, statement


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, True),
        ({"Principal": {"AWS": "*"}}, True),
        ({"Principal": {"AWS": ["alice", "*"]}}, True),
        ({"Principal": {"AWS": "alice"}}, False),
        ({"Effect": "Deny"}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/32"}}}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "192.168.0.0/16"}}}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}}, True),
        ({"Condition": {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "0.0.0.0/1"]}}}, True),
        ({"Condition": {"IpAddressIfExists": {"aws:SourceIp": "10.0.0.0/32"}}}, True),
        ({"Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/32"}}}, True),
        ({"Condition": {"StringEquals": {"aws:username": "alice"}}}, False),
        ({"Condition": {"StringLike": {"aws:username": "al*"}}}, True),
        ({"Condition": {"ForAllValues:StringEquals": {"aws:username": "alice"}}}, True),
        ({"Condition": {"StringEquals": {"s3:prefix": "a"}}}, True),
        ({"Condition": {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/alice"}}}, True),
    ],
)
def test_public_is_what_lets_everybody_in(changed: dict[str, Any], expected: bool) -> None:
    """Unless a condition leaves fixed callers only."""
    assert expected == is_public(parse_policy(document(statement(**changed)), bucket="b"))
