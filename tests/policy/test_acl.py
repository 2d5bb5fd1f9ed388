"""Access control lists: canned ones, headers, documents, and what they allow."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.policy import (
    Acl,
    Grant,
    acl_for_write,
    acl_from_document,
    acl_from_headers,
    acl_to_document,
    canned_acl,
    check_acl_allowed,
    parse_acl,
    private_acl,
)
from s4gw.policy.acl import ALL_USERS, AUTHENTICATED_USERS, GROUPS, PERMISSIONS
from s4gw.s3.errors import (
    AccessControlListNotSupported,
    AccessDenied,
    InvalidArgument,
    InvalidRequest,
    MalformedACLError,
    S3Error,
    UnresolvableGrantByEmailAddress,
)
from tests.policy.callers import ALICE, BOB, NOBODY, USERS

GRANTS = st.builds(
    Grant, st.sampled_from([*sorted(GROUPS), "alice-id", "bob-id"]), st.sampled_from(sorted(PERMISSIONS))
)


@pytest.mark.parametrize(
    ("name", "grants"),
    [
        ("private", [("alice-id", "FULL_CONTROL")]),
        ("public-read", [(ALL_USERS, "READ"), ("alice-id", "FULL_CONTROL")]),
        ("public-read-write", [(ALL_USERS, "READ"), (ALL_USERS, "WRITE"), ("alice-id", "FULL_CONTROL")]),
        ("authenticated-read", [(AUTHENTICATED_USERS, "READ"), ("alice-id", "FULL_CONTROL")]),
        ("bucket-owner-read", [("alice-id", "FULL_CONTROL"), ("bob-id", "READ")]),
        ("bucket-owner-full-control", [("alice-id", "FULL_CONTROL"), ("bob-id", "FULL_CONTROL")]),
        ("aws-exec-read", [("alice-id", "FULL_CONTROL")]),
    ],
)
def test_canned_lists_grant_what_s3_documents(name: str, grants: list[tuple[str, str]]) -> None:
    """For an object of Alice's in a bucket of Bob's."""
    acl = canned_acl(name, owner="alice-id", bucket_owner="bob-id")
    assert grants == [(grant.grantee, grant.permission) for grant in acl.grants]


def test_bucket_owner_lists_mean_nothing_for_buckets() -> None:
    """S3 ignores them there."""
    assert private_acl("alice-id") == canned_acl("bucket-owner-read", owner="alice-id")


def test_an_unknown_canned_list_is_refused() -> None:
    """A typing mistake must not become private, nor public."""
    with pytest.raises(InvalidArgument):
        canned_acl("public-ready", owner="alice-id")


@settings(max_examples=60, deadline=None)
@given(st.lists(GRANTS, max_size=6))
def test_a_list_survives_keeping_and_showing(grants: list[Grant]) -> None:
    """Stored and read back, shown and put back: the same list."""
    acl = Acl("alice-id", tuple(dict.fromkeys(grants)))
    shown = acl_to_document(acl, USERS)
    assert [acl, acl] == [parse_acl(acl.to_json(), "other"), acl_from_document(shown, owner="alice-id", users=USERS)]


def test_no_list_is_a_private_one() -> None:
    """An empty document."""
    assert private_acl("alice-id") == parse_acl(b"", "alice-id")


@pytest.mark.parametrize("document", [b"{", b"[]", b'{"owner": 5, "grants": []}', b'{"owner": "a", "grants": [["x"]]}'])
def test_a_damaged_list_is_refused(document: bytes) -> None:
    """Never taken for an open one."""
    with pytest.raises(MalformedACLError):
        parse_acl(document, "alice-id")


@pytest.mark.parametrize(
    ("grantee", "permission", "allowed"),
    [
        (ALL_USERS, "READ", [True, True, True]),
        (AUTHENTICATED_USERS, "READ", [True, True, False]),
        ("bob-id", "READ", [False, True, False]),
        ("bob-id", "FULL_CONTROL", [False, True, False]),
        ("bob-id", "WRITE", [False, False, False]),
        (ALL_USERS, "READ_ACP", [False, False, False]),
    ],
)
def test_grants_reach_whom_they_name(grantee: str, permission: str, allowed: list[bool]) -> None:
    """Reading, by Alice, Bob and nobody."""
    acl = Acl("other-id", (Grant(grantee, permission),))
    assert allowed == [acl.allows(caller, "READ") for caller in (ALICE, BOB, NOBODY)]


def test_public_grants_can_be_ignored() -> None:
    """Others stay."""
    acl = Acl("alice-id", (Grant(ALL_USERS, "READ"), Grant(AUTHENTICATED_USERS, "READ"), Grant("bob-id", "READ")))
    assert [True, False] == [acl.allows(caller, "READ", ignore_public=True) for caller in (BOB, ALICE)]


def test_an_empty_id_is_not_the_anonymous_caller() -> None:
    """A grant to nobody in particular gives nobody anything."""
    assert not Acl("alice-id", (Grant("", "READ"),)).allows(NOBODY, "READ")


def test_grant_headers_are_read() -> None:
    """Quoted or not, by id, group or address."""
    headers = {
        "x-amz-grant-read": f'uri="{ALL_USERS}", emailAddress="bob@example.com"',
        "x-amz-grant-full-control": "id=alice-id",
    }
    acl = acl_from_headers(headers, owner="alice-id", users=USERS)
    assert acl is not None
    assert {("alice-id", "FULL_CONTROL"), (ALL_USERS, "READ"), ("bob-id", "READ")} == {
        tuple(vars_of(g)) for g in acl.grants
    }


def vars_of(grant: Grant) -> tuple[str, str]:
    """A grant as a pair."""
    return grant.grantee, grant.permission


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({"x-amz-acl": "private", "x-amz-grant-read": "id=bob-id"}, InvalidRequest),
        ({"x-amz-grant-read": "id=nobody-id"}, InvalidArgument),
        ({"x-amz-grant-read": "uri=http://example.com/group"}, InvalidArgument),
        ({"x-amz-grant-read": "emailAddress=no@example.com"}, UnresolvableGrantByEmailAddress),
        ({"x-amz-grant-read": "bob-id"}, InvalidArgument),
        ({"x-amz-grant-read": "name=bob"}, InvalidArgument),
        ({"x-amz-grant-read": ""}, InvalidArgument),
    ],
)
def test_malformed_headers_are_refused(headers: dict[str, str], error: type[S3Error]) -> None:
    """Each by S3's code."""
    with pytest.raises(error):
        acl_from_headers(headers, owner="alice-id", users=USERS)


def grant_of(**grantee: str) -> dict[str, Any]:
    """One grant, boto3-shaped."""
    return {"Grants": [{"Grantee": grantee, "Permission": "READ"}]}


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"Owner": {"ID": "bob-id"}, "Grants": []}, AccessDenied),
        (grant_of(Type="CanonicalUser", ID="nobody-id"), InvalidArgument),
        (grant_of(Type="CanonicalUser"), MalformedACLError),
        (grant_of(Type="Person", ID="bob-id"), MalformedACLError),
        (grant_of(Type="AmazonCustomerByEmail", EmailAddress="no@example.com"), UnresolvableGrantByEmailAddress),
        ({"Grants": [{"Grantee": {"Type": "CanonicalUser", "ID": "bob-id"}, "Permission": "OWN"}]}, MalformedACLError),
        ({"Grants": [{"Permission": "READ"}]}, MalformedACLError),
    ],
)
def test_malformed_documents_are_refused(document: dict[str, Any], error: type[S3Error]) -> None:
    """Each by S3's code; the owner cannot be changed."""
    with pytest.raises(error):
        acl_from_document(document, owner="alice-id", users=USERS)


def test_too_many_grants_are_refused() -> None:
    """S3's limit is a hundred; repetitions do not count."""

    class Everybody:
        def owner_name(self, owner_id: str) -> str | None:
            return owner_id

        def owner_by_email(self, email: str) -> str | None:
            return email or None

    ids = [f"id=user-{number}" for number in range(101)]
    with pytest.raises(InvalidRequest):
        acl_from_headers({"x-amz-grant-read": ",".join(ids)}, owner="a", users=Everybody())
    acl = acl_from_headers({"x-amz-grant-read": ",".join(["id=user-1"] * 200)}, owner="a", users=Everybody())
    assert acl is not None
    assert 1 == len(acl.grants)


@pytest.mark.parametrize(
    ("headers", "ownership", "writer", "owner", "public"),
    [
        ({}, "", "bob-id", "bob-id", None),
        ({}, "", "", "alice-id", None),
        ({"x-amz-acl": "public-read"}, "", "bob-id", "bob-id", True),
        ({"x-amz-acl": "bucket-owner-full-control"}, "", "bob-id", "bob-id", False),
        ({"x-amz-acl": "bucket-owner-full-control"}, "ObjectWriter", "bob-id", "bob-id", False),
        ({"x-amz-acl": "bucket-owner-full-control"}, "BucketOwnerPreferred", "bob-id", "alice-id", False),
        ({"x-amz-acl": "private"}, "BucketOwnerPreferred", "bob-id", "bob-id", False),
        ({"x-amz-acl": "bucket-owner-full-control"}, "BucketOwnerEnforced", "bob-id", "alice-id", None),
        ({}, "BucketOwnerEnforced", "bob-id", "alice-id", None),
    ],
)
def test_ownership_decides_whose_an_object_is(
    headers: dict[str, str],
    ownership: str,
    writer: str,
    owner: str,
    public: bool | None,
) -> None:
    """In a bucket of Alice's."""
    found, acl = acl_for_write(headers, writer=writer, bucket_owner="alice-id", users=USERS, ownership=ownership)
    assert (owner, public) == (found, None if acl is None else acl.is_public)


@pytest.mark.parametrize(
    "headers", [{"x-amz-acl": "public-read"}, {"x-amz-acl": "private"}, {"x-amz-grant-read": "id=bob-id"}]
)
def test_lists_are_refused_where_they_are_disabled(headers: dict[str, str]) -> None:
    """BucketOwnerEnforced takes no list."""
    with pytest.raises(AccessControlListNotSupported):
        acl_for_write(headers, writer="bob-id", bucket_owner="alice-id", users=USERS, ownership="BucketOwnerEnforced")


def test_public_lists_can_be_blocked() -> None:
    """BlockPublicAcls refuses them and no other."""
    blocked = {"writer": "bob-id", "bucket_owner": "alice-id"}
    with pytest.raises(AccessDenied):
        acl_for_write({"x-amz-acl": "public-read"}, users=USERS, block_public_acls=True, **blocked)
    with pytest.raises(AccessDenied):
        check_acl_allowed(canned_acl("authenticated-read", owner="a"), block_public_acls=True)
    assert "bob-id" == acl_for_write({"x-amz-acl": "private"}, users=USERS, block_public_acls=True, **blocked)[0]


@pytest.mark.parametrize("name", ["private", "public-read", "bucket-owner-full-control"])
def test_no_list_is_set_where_lists_are_disabled(name: str) -> None:
    """Not even one that says what holds anyway."""
    with pytest.raises(AccessControlListNotSupported):
        check_acl_allowed(canned_acl(name, owner="a"), ownership="BucketOwnerEnforced")
