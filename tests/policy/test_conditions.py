"""Conditions: every operator, absent keys, quantifiers, and refusal of what is unknown."""

from __future__ import annotations

from typing import Any

import pytest

from s4gw.policy import Context
from s4gw.policy.conditions import ConditionError, parse_conditions
from tests.policy.callers import ALICE, NOBODY

NOON = 1_700_000_000.0


def context(**changed: Any) -> Context:
    """A request of Alice's."""
    return Context(
        **{
            "caller": ALICE,
            "now": NOON,
            "secure": True,
            "source_ip": "10.1.2.3",
            "headers": {"user-agent": "aws-cli/1.46", "x-amz-acl": "public-read", "x-amz-tagging": "team=red&cost=1"},
            "query": {"prefix": "home/alice/", "max-keys": "10"},
            "existing_tags": lambda: {"Security": "public"},
            "auth_type": "header",
            "signature_version": "AWS4-HMAC-SHA256",
            "signature_age_ms": 5000,
            **changed,
        }
    )


def holds(block: object, **changed: Any) -> bool:
    """Whether all conditions of *block* hold."""
    return all(condition.holds(context(**changed)) for condition in parse_conditions(block))


CASES: list[tuple[dict[str, Any], bool]] = [
    ({"StringEquals": {"s3:prefix": "home/alice/"}}, True),
    ({"StringEquals": {"s3:prefix": ["x", "home/alice/"]}}, True),
    ({"StringEquals": {"s3:prefix": "HOME/alice/"}}, False),
    ({"StringEquals": {"s3:prefix": "home/*"}}, False),
    ({"StringEquals": {"s3:prefix": "home/${aws:username}/"}}, True),
    ({"StringEqualsIgnoreCase": {"s3:prefix": "HOME/alice/"}}, True),
    ({"StringNotEqualsIgnoreCase": {"s3:prefix": "HOME/alice/"}}, False),
    ({"StringNotEquals": {"s3:prefix": ["x", "y"]}}, True),
    ({"StringNotEquals": {"s3:prefix": ["x", "home/alice/"]}}, False),
    ({"StringLike": {"s3:prefix": "home/*"}}, True),
    ({"StringLike": {"s3:prefix": "home/${aws:username}/*"}}, True),
    ({"StringNotLike": {"s3:x-amz-acl": "public*"}}, False),
    ({"StringEquals": {"s3:delimiter": "/"}}, False),
    ({"StringNotEquals": {"s3:delimiter": "/"}}, True),
    ({"StringEqualsIfExists": {"s3:delimiter": "/"}}, True),
    ({"StringEqualsIfExists": {"s3:prefix": "x"}}, False),
    ({"NumericEquals": {"s3:max-keys": "10"}}, True),
    ({"NumericNotEquals": {"s3:max-keys": 10}}, False),
    ({"NumericLessThan": {"s3:max-keys": 10}}, False),
    ({"NumericLessThanEquals": {"s3:max-keys": 10}}, True),
    ({"NumericGreaterThan": {"s3:max-keys": 9.5}}, True),
    ({"NumericGreaterThanEquals": {"s3:max-keys": "11"}}, False),
    ({"NumericLessThan": {"s3:signatureAge": "600000"}}, True),
    ({"NumericEquals": {"s3:prefix": 1}}, False),
    ({"DateGreaterThan": {"aws:CurrentTime": "2023-11-14T00:00:00Z"}}, True),
    ({"DateLessThan": {"aws:CurrentTime": "2023-11-14T00:00:00Z"}}, False),
    ({"DateLessThan": {"aws:EpochTime": 1_800_000_000}}, True),
    ({"DateEquals": {"aws:CurrentTime": "2023-11-14T22:13:20Z"}}, True),
    ({"Bool": {"aws:SecureTransport": "true"}}, True),
    ({"Bool": {"aws:SecureTransport": False}}, False),
    ({"IpAddress": {"aws:SourceIp": ["192.168.0.0/16", "10.0.0.0/8"]}}, True),
    ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, False),
    ({"IpAddress": {"aws:SourceIp": "10.1.2.3"}}, True),
    ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/al*"}}, True),
    ({"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::alice-id:user/bob"}}, False),
    ({"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/al*"}}, False),
    ({"ArnNotEquals": {"aws:PrincipalArn": "arn:aws:iam::*:user/bob"}}, True),
    ({"Null": {"s3:delimiter": "true"}}, True),
    ({"Null": {"s3:prefix": True}}, False),
    ({"Null": {"s3:prefix": "false"}}, True),
    ({"StringEquals": {"s3:ExistingObjectTag/security": "public"}}, True),
    ({"StringEquals": {"s3:ExistingObjectTag/other": "public"}}, False),
    ({"StringEquals": {"s3:RequestObjectTag/team": "red"}}, True),
    ({"ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["team", "cost"]}}, True),
    ({"ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["team"]}}, False),
    ({"ForAnyValue:StringEquals": {"s3:RequestObjectTagKeys": ["team", "x"]}}, True),
    ({"ForAnyValue:StringEquals": {"s3:RequestObjectTagKeys": ["x"]}}, False),
    ({"ForAnyValue:StringNotEquals": {"s3:RequestObjectTagKeys": ["team"]}}, True),
    ({"ForAllValues:StringNotEquals": {"s3:RequestObjectTagKeys": ["x"]}}, True),
    ({"ForAllValues:StringEquals": {"s3:delimiter": "/"}}, True),
    ({"ForAnyValue:StringEquals": {"s3:delimiter": "/"}}, False),
    ({"StringEquals": {"s3:authType": "REST-HEADER", "s3:signatureversion": "AWS4-HMAC-SHA256"}}, True),
    ({"StringEquals": {"s3:prefix": "home/alice/"}, "Bool": {"aws:SecureTransport": "false"}}, False),
    ({"stringlike": {"AWS:USERAGENT": "aws-cli/*"}}, True),
    ({"StringEquals": {"aws:username": "alice", "aws:userid": "alice-id", "aws:PrincipalAccount": "alice-id"}}, True),
]


@pytest.mark.parametrize(("block", "expected"), CASES, ids=[str(block) for block, _ in CASES])
def test_conditions_hold_as_iam_says(block: dict[str, Any], expected: bool) -> None:
    """One row per operator and corner."""
    assert expected == holds(block)


def test_anonymous_callers_have_no_name() -> None:
    """Their keys are absent, which plain operators do not match."""
    outcome = [
        holds(block, caller=NOBODY)
        for block in (
            {"StringLike": {"aws:username": "*"}},
            {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/*"}},
            {"StringEquals": {"aws:PrincipalType": "Anonymous", "aws:userid": "anonymous"}},
        )
    ]
    assert [False, False, True] == outcome


def test_the_copy_source_is_shown_plainly() -> None:
    """Decoded, without leading slash and version."""
    headers = {"x-amz-copy-source": "/bucket/public%2Fa%20b?versionId=3"}
    assert holds({"StringEquals": {"s3:x-amz-copy-source": "bucket/public/a b"}}, headers=headers)


def test_existing_tags_are_looked_up_only_when_tested() -> None:
    """A look-up costs a read of the index."""

    def lookup() -> dict[str, str]:
        raise LookupError

    assert holds({"StringLike": {"s3:prefix": "*"}}, existing_tags=lookup)
    with pytest.raises(LookupError):
        holds({"StringLike": {"s3:ExistingObjectTag/a": "*"}}, existing_tags=lookup)


@pytest.mark.parametrize(
    "block",
    [
        [],
        {"StringEquals": {}},
        {"StringEquals": "x"},
        {"StringMatches": {"s3:prefix": "x"}},
        {"BinaryEquals": {"s3:prefix": "eA=="}},
        {"NullIfExists": {"s3:prefix": "true"}},
        {"ForAnyValue:Null": {"s3:prefix": "true"}},
        {"ForSomeValues:StringEquals": {"s3:prefix": "x"}},
        {"StringEquals": {"aws:SourceVpce": "vpce-1"}},
        {"StringEquals": {"s3:ExistingObjectTag": "x"}},
        {"StringEquals": {"s3:ExistingObjectTag/": "x"}},
        {"StringEquals": {"s3:prefix": []}},
        {"StringEquals": {"s3:prefix": None}},
        {"StringEquals": {"s3:prefix": {}}},
        {"StringEquals": {"s3:prefix": "${aws:nothing}"}},
        {"NumericEquals": {"s3:max-keys": "ten"}},
        {"DateEquals": {"aws:CurrentTime": "noon"}},
        {"Bool": {"aws:SecureTransport": "yes"}},
        {"Null": {"s3:prefix": "maybe"}},
        {"IpAddress": {"aws:SourceIp": "10.0.0.0/33"}},
        {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::${aws:userid}:root"}},
    ],
)
def test_what_is_not_known_is_refused(block: object) -> None:
    """When the policy is stored, not when it is too late."""
    with pytest.raises(ConditionError):
        parse_conditions(block)
