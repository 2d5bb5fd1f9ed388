"""Decisions: Deny before Allow before silence, over policies, owners and lists together."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from s4gw.policy import (
    BucketRules,
    Context,
    Decision,
    ObjectFacts,
    Policy,
    canned_acl,
    decide,
    is_public,
    parse_policy,
    private_acl,
)
from tests.policy.callers import ALICE, BOB, NOBODY, Person, document, statement

ALLOW = statement(Action="s3:*", Resource=["arn:aws:s3:::b", "arn:aws:s3:::b/*"])
DENY = ALLOW | {"Effect": "Deny"}
GATEWAY_ALLOW = statement(Action="s3:*", Resource="*")
GATEWAY_DENY = GATEWAY_ALLOW | {"Effect": "Deny"}


def policy(*statements: dict[str, Any], bucket: str | None = "b") -> Policy | None:
    """A policy, or none."""
    return parse_policy(document(*statements), bucket=bucket) if statements else None


def rules(*statements: dict[str, Any], acl: str = "private", **changed: Any) -> BucketRules:
    """A bucket ``b`` of Alice's."""
    parsed = policy(*statements)
    return BucketRules(
        "b",
        "alice-id",
        canned_acl(acl, owner="alice-id"),
        parsed,
        policy_is_public=parsed is not None and is_public(parsed),
        **changed,
    )


def ask(
    caller: Person,
    action: str,
    bucket: BucketRules | None = None,
    *,
    key: str = "",
    owner: str = "alice-id",
    acl: str = "private",
    baseline: Policy | None = None,
    **more: Any,
) -> Decision:
    """A decision about an object of *owner*'s, or about the bucket."""
    facts = ObjectFacts(owner, canned_acl(acl, owner=owner, bucket_owner="alice-id"), {})
    return decide(
        action,
        Context(caller, 0.0),
        rules=bucket or rules(),
        key=key,
        baseline=baseline,
        lookup=lambda: facts,
        **more,
    )


@pytest.mark.parametrize("gateway", [None, (), (GATEWAY_ALLOW,), (GATEWAY_DENY,), (GATEWAY_ALLOW, GATEWAY_DENY)])
@pytest.mark.parametrize("of_bucket", [(), (ALLOW,), (DENY,), (ALLOW, DENY)])
@pytest.mark.parametrize("caller", [ALICE, BOB])
def test_the_truth_table(
    gateway: tuple[dict[str, Any], ...] | None, of_bucket: tuple[dict[str, Any], ...], caller: Person
) -> None:
    """Every combination: any Deny refuses; a gateway policy must allow; then any Allow, or ownership, is enough."""
    other = statement(Principal={"AWS": "carol"}, Resource="*")
    baseline = None if gateway is None else policy(*(gateway or (other,)), bucket=None)
    denied = DENY in of_bucket or (gateway is not None and GATEWAY_DENY in gateway)
    silent = gateway == ()
    granted = ALLOW in of_bucket or (gateway is not None and GATEWAY_ALLOW in gateway) or caller is ALICE
    expected = not denied and not silent and granted
    assert expected == ask(caller, "s3:ListBucket", rules(*of_bucket), baseline=baseline).allowed


def test_an_explicit_deny_is_told_apart() -> None:
    """For logs, and for rules that may excuse mere silence."""
    decisions = [ask(BOB, "s3:ListBucket", rules(DENY)), ask(BOB, "s3:ListBucket")]
    assert [(False, True), (False, False)] == [(one.allowed, one.explicit_deny) for one in decisions]


@pytest.mark.parametrize("action", ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"])
def test_an_owner_is_never_locked_out_of_the_policy(action: str) -> None:
    """A policy that denies everything can be taken back by the owner, and by nobody else."""
    assert [True, False] == [ask(caller, action, rules(DENY)).allowed for caller in (ALICE, BOB)]


def test_the_gateway_policy_does_lock_out() -> None:
    """It is the operator's."""
    assert not ask(ALICE, "s3:GetBucketPolicy", baseline=policy(GATEWAY_DENY, bucket=None))


READS = ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectAcl", "s3:PutObjectAcl"]
WRITES = ["s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObjectTagging", "s3:PutObjectTagging"]


@pytest.mark.parametrize(("action", "owner"), list(itertools.product(READS + WRITES, ["alice-id", "bob-id", ""])))
def test_owners_of_bucket_and_object(action: str, owner: str) -> None:
    """In a bucket of Alice's: she does all but read what is Bob's; he reads what is his; others do nothing."""
    alice, bob, nobody = (ask(caller, action, key="k", owner=owner).allowed for caller in (ALICE, BOB, NOBODY))
    assert (action in WRITES or owner != "bob-id", action in READS and owner == "bob-id", False) == (alice, bob, nobody)


@pytest.mark.parametrize(
    ("acl", "action", "allowed"),
    [
        ("private", "s3:GetObject", [False, False]),
        ("public-read", "s3:GetObject", [True, True]),
        ("public-read", "s3:GetObjectAttributes", [True, True]),
        ("public-read", "s3:GetObjectAcl", [False, False]),
        ("public-read", "s3:GetObjectTagging", [False, False]),
        ("public-read-write", "s3:DeleteObject", [False, False]),
        ("authenticated-read", "s3:GetObject", [True, False]),
    ],
)
def test_lists_of_objects(acl: str, action: str, allowed: list[bool]) -> None:
    """An object of Alice's, asked for by Bob and by nobody."""
    assert allowed == [ask(caller, action, key="k", acl=acl).allowed for caller in (BOB, NOBODY)]


@pytest.mark.parametrize(
    ("acl", "action", "allowed"),
    [
        ("private", "s3:ListBucket", [False, False]),
        ("public-read", "s3:ListBucket", [True, True]),
        ("public-read", "s3:PutObject", [False, False]),
        ("public-read", "s3:GetObject", [False, False]),
        ("public-read-write", "s3:PutObject", [True, True]),
        ("public-read-write", "s3:DeleteObject", [True, True]),
        ("public-read-write", "s3:DeleteBucket", [False, False]),
        ("public-read-write", "s3:PutBucketAcl", [False, False]),
        ("authenticated-read", "s3:ListBucketVersions", [True, False]),
        ("log-delivery-write", "s3:PutObject", [False, False]),
    ],
)
def test_lists_of_buckets(acl: str, action: str, allowed: list[bool]) -> None:
    """The bucket's list says who lists and writes, and never who reads objects."""
    assert allowed == [ask(caller, action, rules(acl=acl), key="k").allowed for caller in (BOB, NOBODY)]


def test_disabled_lists_allow_nothing() -> None:
    """BucketOwnerEnforced: the bucket's owner owns it all."""
    bucket = rules(acl="public-read", acls_disabled=True)
    outcome = [
        ask(BOB, "s3:ListBucket", bucket).allowed,
        ask(BOB, "s3:GetObject", bucket, key="k", owner="bob-id", acl="public-read").allowed,
        ask(ALICE, "s3:GetObject", bucket, key="k", owner="bob-id").allowed,
    ]
    assert [False, False, True] == outcome


def test_ignored_public_lists_allow_nothing() -> None:
    """IgnorePublicAcls, on bucket and object."""
    bucket = rules(acl="public-read", ignore_public_acls=True)
    asked = [ask(BOB, "s3:ListBucket", bucket), ask(BOB, "s3:GetObject", bucket, key="k", acl="public-read")]
    assert [False, False] == [one.allowed for one in asked]


def test_restricted_public_buckets_serve_their_owner() -> None:
    """RestrictPublicBuckets leaves a public policy without effect for others, a private one as it is."""
    private = statement(Action="s3:*", Resource="arn:aws:s3:::b/*", Principal={"AWS": "bob"})
    public = rules(ALLOW, restrict_public_buckets=True)
    named = rules(private, restrict_public_buckets=True)
    outcome = [
        ask(caller, "s3:GetObject", bucket, key="k").allowed
        for caller, bucket in ((BOB, public), (ALICE, public), (BOB, named))
    ]
    assert [False, True, True] == outcome


def test_a_missing_object_is_told_apart() -> None:
    """Others may learn of it if they may list; that is for the one who asks."""
    absent = decide("s3:GetObject", Context(BOB, 0.0), rules=rules(), key="k")
    present = ask(BOB, "s3:GetObject", key="k")
    assert [(False, True), (False, False)] == [(one.allowed, one.absent) for one in (absent, present)]


def test_objects_are_looked_up_only_when_nothing_else_decides() -> None:
    """A policy or the ownership of the bucket answers without."""

    def lookup() -> ObjectFacts | None:
        raise LookupError

    for caller, action, bucket in (
        (BOB, "s3:GetObject", rules(ALLOW)),
        (BOB, "s3:GetObject", rules(DENY)),
        (ALICE, "s3:PutObject", rules()),
        (BOB, "s3:PutObject", rules(acl="public-read-write")),
    ):
        decide(action, Context(caller, 0.0), rules=bucket, key="k", lookup=lookup)
    with pytest.raises(LookupError):
        decide("s3:GetObject", Context(BOB, 0.0), rules=rules(), key="k", lookup=lookup)


def test_what_comes_with_creating_can_be_denied() -> None:
    """Setting the ACL of one's new object needs no grant, and obeys a Deny."""
    deny = statement(Effect="Deny", Action="s3:PutObjectAcl")
    outcome = [
        ask(BOB, "s3:PutObjectAcl", bucket, key="k", deny_only=True).allowed for bucket in (rules(), rules(deny))
    ]
    assert [True, False] == outcome


def test_what_lists_cannot_express_goes_with_what_they_can() -> None:
    """Tagging one's upload goes with a grant to write."""
    outcome = [
        ask(BOB, "s3:PutObjectTagging", rules(acl=acl), key="k", acl_action="s3:PutObject").allowed
        for acl in ("private", "public-read-write")
    ]
    assert [False, True] == outcome


def test_own_accounts() -> None:
    """Whoever has a name makes and lists buckets; nobody lists none."""
    outcome = [
        decide(action, Context(caller, 0.0), bucket=bucket).allowed
        for action, bucket in (("s3:CreateBucket", "new"), ("s3:ListAllMyBuckets", ""))
        for caller in (ALICE, NOBODY)
    ]
    assert [True, False, True, True] == outcome


def test_a_nameless_owner_owns_nothing() -> None:
    """The anonymous caller does not match a bucket without owner."""
    orphan = BucketRules("b", "", private_acl(""))
    assert [False, False] == [ask(caller, "s3:ListBucket", orphan).allowed for caller in (NOBODY, BOB)]
