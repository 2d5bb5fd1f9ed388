"""Policy documents: what is known is read, everything else refuses the document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.policy import Context, Effect, PolicyError, parse_policy
from tests.policy.callers import ALICE, BOB, NOBODY, Person, document, statement


def says(text: str, caller: Person, action: str = "s3:GetObject", resource: str = "arn:aws:s3:::b/k") -> Effect:
    """What the policy *text* of bucket ``b`` says."""
    return parse_policy(text, bucket="b").evaluate(action, resource, Context(caller, 0.0))[0]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"Effect": None}, "Effect"),
        ({"Effect": "allow"}, "Effect"),
        ({"Principal": None}, "Principal"),
        ({"NotPrincipal": "*"}, "Principal"),
        ({"Principal": None, "NotPrincipal": {"AWS": "alice"}}, "NotPrincipal"),
        ({"Principal": {}}, "principal"),
        ({"Principal": {"AWS": []}}, "Principal"),
        ({"Principal": {"AWS": "arn:aws:iam::*:root"}}, "wildcard"),
        ({"Principal": {"Service": "s3.amazonaws.com"}}, "Service"),
        ({"Principal": "alice"}, "principal"),
        ({"Action": None}, "Action"),
        ({"Action": "s3:ReadObject"}, "invalid action"),
        ({"Action": "ec2:*"}, "invalid action"),
        ({"Action": ["s3:GetObject", 5]}, "Action"),
        ({"NotAction": "s3:GetObject"}, "Action"),
        ({"Resource": None}, "Resource"),
        ({"Resource": "*"}, "invalid resource"),
        ({"Resource": "arn:aws:s3:::other/*"}, "invalid resource"),
        ({"Resource": "arn:aws:s3:::"}, "invalid resource"),
        ({"Resource": "arn:aws:s3:us-east-1:1:accesspoint/x"}, "invalid resource"),
        ({"Resource": "arn:aws:s3:::b/${aws:unknown}"}, "unknown variable"),
        ({"Resource": "arn:aws:s3:::b/${aws:username"}, "not closed"),
        ({"Resource": "arn:aws:s3:::b/" + "x" * 3000}, "too long"),
        ({"Condition": []}, "condition"),
        ({"Sid": 5}, "Sid"),
        ({"Comment": "hello"}, "Comment"),
    ],
)
def test_what_is_not_known_is_refused(changed: dict[str, Any], reason: str) -> None:
    """Each fault refuses the document and is named."""
    with pytest.raises(PolicyError, match=reason):
        parse_policy(document(statement(**changed)), bucket="b")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "5",
        "{}",
        '{"Statement": []}',
        '{"Statement": [5]}',
        '{"Version": "2020-01-01", "Statement": [{}]}',
        '{"Version": "2012-10-17", "Version": "2012-10-17", "Statement": []}',
        '{"Extra": 1, "Statement": []}',
        '{"Id": 5, "Statement": []}',
        "[" * 15_000,
        " " * 20_481,
    ],
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    """Broken JSON, other JSON, bottomless JSON, too much JSON."""
    with pytest.raises(PolicyError):
        parse_policy(text)


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.sampled_from(["Allow", "*", "s3:GetObject", "arn:aws:s3:::b"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "Statement",
                        "Effect",
                        "Principal",
                        "Action",
                        "Resource",
                        "AWS",
                        "Condition",
                        "StringEquals",
                        "aws:username",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=20,
    )
)
def test_any_json_is_read_or_refused(value: object) -> None:
    """No document brings another error than ours."""
    try:
        policy = parse_policy(json.dumps(value))
    except PolicyError:
        return
    assert policy.statements


@pytest.mark.parametrize(
    ("principal", "included", "excluded"),
    [
        ("*", [ALICE, BOB, NOBODY], []),
        ({"AWS": "*"}, [ALICE, NOBODY], []),
        ({"AWS": "AKALICE"}, [ALICE], [BOB, NOBODY]),
        ({"AWS": ["alice"]}, [ALICE], [BOB, NOBODY]),
        ({"AWS": "alice-id"}, [ALICE], [BOB]),
        ({"AWS": "arn:aws:iam::alice-id:root"}, [ALICE], [BOB]),
        ({"AWS": "arn:aws:iam::alice:root"}, [ALICE], [BOB]),
        ({"AWS": "arn:aws:iam::alice-id:user/alice"}, [ALICE], [BOB]),
        ({"AWS": "arn:aws:iam::bob-id:user/alice"}, [], [ALICE, BOB]),
        ({"CanonicalUser": "alice-id"}, [ALICE], [BOB, NOBODY]),
        ({"CanonicalUser": "alice"}, [], [ALICE]),
    ],
)
def test_principals_are_recognised(principal: object, included: list[Person], excluded: list[Person]) -> None:
    """By key, name, id and ARN; the anonymous caller by ``*`` only."""
    text = document(statement(Principal=principal))
    assert [Effect.ALLOW] * len(included) == [says(text, caller) for caller in included]
    assert [Effect.SILENT] * len(excluded) == [says(text, caller) for caller in excluded]


def test_not_principal_denies_all_others() -> None:
    """And leaves the named alone."""
    text = document(statement(Effect="Deny", Principal=None, NotPrincipal={"AWS": "alice"}))
    assert [Effect.SILENT, Effect.DENY, Effect.DENY] == [says(text, caller) for caller in (ALICE, BOB, NOBODY)]


def test_deny_goes_before_allow() -> None:
    """Wherever it stands."""
    allow, deny = statement(), statement(Effect="Deny", Resource="arn:aws:s3:::b/secret/*")
    for order in ((allow, deny), (deny, allow)):
        text = document(*order)
        outcome = [says(text, BOB, resource=f"arn:aws:s3:::b/{key}") for key in ("k", "secret/k")]
        assert [Effect.ALLOW, Effect.DENY] == outcome


@pytest.mark.parametrize(
    ("action", "allowed", "silent"),
    [
        ("s3:*", ["s3:GetObject", "s3:PutBucketPolicy"], []),
        ("*", ["s3:GetObject"], []),
        ("s3:Get*", ["s3:GetObject", "s3:GetObjectVersion", "s3:GetBucketAcl"], ["s3:PutObject"]),
        ("S3:getobject", ["s3:GetObject"], ["s3:GetObjectVersion"]),
        (["s3:PutObject", "s3:List?ucket"], ["s3:PutObject", "s3:ListBucket"], ["s3:GetObject"]),
    ],
)
def test_actions_are_patterns(action: object, allowed: list[str], silent: list[str]) -> None:
    """Without regard to case."""
    text = document(statement(Action=action))
    assert [Effect.ALLOW] * len(allowed) == [says(text, BOB, one) for one in allowed]
    assert [Effect.SILENT] * len(silent) == [says(text, BOB, one) for one in silent]


def test_not_action_and_not_resource_turn_round() -> None:
    """Everything but the named."""
    text = document(statement(Action=None, NotAction="s3:Get*", Resource=None, NotResource="arn:aws:s3:::b/private/*"))
    asked = [("s3:PutObject", "k"), ("s3:GetObject", "k"), ("s3:PutObject", "private/k")]
    outcome = [says(text, BOB, action, f"arn:aws:s3:::b/{key}") for action, key in asked]
    assert [Effect.ALLOW, Effect.SILENT, Effect.SILENT] == outcome


def test_variables_are_filled_in_and_stay_literal() -> None:
    """Each user has a home; one whose name is a wildcard has no more than that."""
    text = document(statement(Resource="arn:aws:s3:::b/home/${aws:username}/*"))
    star = Person("AK", "*", "star-id")
    asked = [(ALICE, "alice"), (ALICE, "bob"), (NOBODY, "alice"), (star, "alice"), (star, "*")]
    outcome = [says(text, caller, resource=f"arn:aws:s3:::b/home/{home}/k") for caller, home in asked]
    assert [Effect.ALLOW, Effect.SILENT, Effect.SILENT, Effect.SILENT, Effect.ALLOW] == outcome


def test_variables_have_defaults_and_escapes() -> None:
    """``${aws:username, 'guest'}`` and ``${*}``."""
    text = document(statement(Resource=["arn:aws:s3:::b/${aws:username, 'guest'}", "arn:aws:s3:::b/lit${*}"]))
    asked = [(NOBODY, "guest"), (ALICE, "alice"), (ALICE, "guest"), (BOB, "lit*"), (BOB, "literal")]
    outcome = [says(text, caller, resource=f"arn:aws:s3:::b/{key}") for caller, key in asked]
    assert [Effect.ALLOW, Effect.ALLOW, Effect.SILENT, Effect.ALLOW, Effect.SILENT] == outcome


def test_variables_need_the_newer_version() -> None:
    """The older language would take them as text."""
    with pytest.raises(PolicyError, match="2012-10-17"):
        parse_policy(document(statement(Resource="arn:aws:s3:::b/${aws:username}"), version="2008-10-17"), bucket="b")


def test_a_gateway_policy_may_name_everything() -> None:
    """``*`` as resource, and the service itself."""
    policy = parse_policy(document(statement(Resource="*", Action="s3:*")))
    outcome = [
        policy.evaluate("s3:ListAllMyBuckets", arn, Context(BOB, 0.0))[0] for arn in ("arn:aws:s3:::", "arn:aws:s3:::b")
    ]
    assert [Effect.ALLOW, Effect.ALLOW] == outcome


def test_other_partitions_are_the_same() -> None:
    """Policies written for AWS in China or GovCloud keep their meaning."""
    assert Effect.ALLOW is says(document(statement(Resource="arn:aws-cn:s3:::b/*")), BOB)


def test_a_bucket_pattern_may_reach_the_bucket() -> None:
    """As in ``arn:aws:s3:::*``, which names the bucket among others."""
    assert Effect.ALLOW is says(document(statement(Resource=["arn:aws:s3:::*", "arn:aws:s3:::*/*"])), BOB)


def test_one_statement_needs_no_list() -> None:
    """Statement and Action may stand alone; the Sid is told."""
    policy = parse_policy(
        json.dumps({"Version": "2012-10-17", "Id": "x", "Statement": statement(Sid="open")}), bucket="b"
    )
    assert (Effect.ALLOW, "open") == policy.evaluate("s3:GetObject", "arn:aws:s3:::b/k", Context(BOB, 0.0))
