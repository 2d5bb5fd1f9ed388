"""The table of permissions: complete over what the router knows, and spelled as IAM spells it."""

from __future__ import annotations

import re

import pytest

from s4gw.policy import ACL_NEEDS, ACTIONS, KNOWN_ACTIONS, Target
from s4gw.s3 import operation

ROUTED = sorted({*operation.ROUTED, *operation.UNROUTED})


def test_every_operation_has_a_row() -> None:
    """An operation that the router knows and nobody may be asked about would be refused for ever."""
    assert len(ROUTED) > 100
    assert set() == set(ROUTED) - ACTIONS.keys()


def test_no_row_is_for_nothing() -> None:
    """A row that no operation uses is a typing mistake."""
    assert set() == ACTIONS.keys() - set(ROUTED)


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_rules_are_well_formed(name: str) -> None:
    """Actions are IAM's, object actions come with an object, and only the preflight asks nothing."""
    rules = ACTIONS[name]
    assert bool(rules) == (name != "Preflight")
    for rule in rules:
        assert re.fullmatch(r"(s3|s3express|s3-object-lambda):[A-Z][A-Za-z]+", rule.action)
        assert not rule.versioned or "Version" in rule.versioned
        assert not rule.versioned or rule.target in (Target.OBJECT, Target.SOURCE, Target.LATER)


def test_acl_grants_are_for_known_actions() -> None:
    """Every action that a grant allows can also be named by a policy."""
    assert set() == {action.lower() for action in ACL_NEEDS} - KNOWN_ACTIONS


@pytest.mark.parametrize(
    "action",
    [
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:DeleteObjectVersion",
        "s3:ListBucket",
        "s3:ListAllMyBuckets",
        "s3:ListBucketVersions",
        "s3:AbortMultipartUpload",
        "s3:ListMultipartUploadParts",
        "s3:PutLifecycleConfiguration",
        "s3:PutEncryptionConfiguration",
        "s3:PutBucketCORS",
        "s3:BypassGovernanceRetention",
        "s3:PutObjectVersionTagging",
    ],
)
def test_documented_actions_are_known(action: str) -> None:
    """Names taken from AWS's list of actions, not from our table."""
    assert action.lower() in KNOWN_ACTIONS
