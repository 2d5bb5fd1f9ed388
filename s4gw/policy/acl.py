"""Access control lists: canned ones, grant headers, the XML document, and who may do what under one.

An `Acl` is kept as canonical JSON beside its bucket or object; an empty document means private to the owner. Users
are named by canonical id, groups by S3's URIs; an address is turned into an id when the list is made.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from s4gw.policy.context import Caller
from s4gw.s3.errors import (
    AccessControlListNotSupported,
    AccessDenied,
    InvalidArgument,
    InvalidRequest,
    MalformedACLError,
    UnresolvableGrantByEmailAddress,
)

ALL_USERS: Final = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED_USERS: Final = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
LOG_DELIVERY: Final = "http://acs.amazonaws.com/groups/s3/LogDelivery"
GROUPS: Final = frozenset({ALL_USERS, AUTHENTICATED_USERS, LOG_DELIVERY})
PUBLIC_GROUPS: Final = frozenset({ALL_USERS, AUTHENTICATED_USERS})
PERMISSIONS: Final = frozenset({"FULL_CONTROL", "READ", "WRITE", "READ_ACP", "WRITE_ACP"})
GRANTS_MAX: Final = 100
"""S3's limit for one list."""

_GRANT_HEADERS: Final = {
    "x-amz-grant-full-control": "FULL_CONTROL",
    "x-amz-grant-read": "READ",
    "x-amz-grant-write": "WRITE",
    "x-amz-grant-read-acp": "READ_ACP",
    "x-amz-grant-write-acp": "WRITE_ACP",
}
ACL_HEADERS: Final = frozenset({"x-amz-acl", *_GRANT_HEADERS})
_CANNED: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "private": (),
    "public-read": ((ALL_USERS, "READ"),),
    "public-read-write": ((ALL_USERS, "READ"), (ALL_USERS, "WRITE")),
    "authenticated-read": ((AUTHENTICATED_USERS, "READ"),),
    "log-delivery-write": ((LOG_DELIVERY, "WRITE"), (LOG_DELIVERY, "READ_ACP")),
    # Grants to an EC2 service account; there is none here.
    "aws-exec-read": (),
    "bucket-owner-read": (),
    "bucket-owner-full-control": (),
}
_GRANTEE_TYPES: Final = {
    "CanonicalUser": ("id", "ID"),
    "Group": ("uri", "URI"),
    "AmazonCustomerByEmail": ("emailAddress", "EmailAddress"),
}
"""Grantee type in documents -> its kind as headers spell it, and the element that names the grantee."""
_BUCKET_OWNER: Final = {"bucket-owner-read": "READ", "bucket-owner-full-control": "FULL_CONTROL"}


class Users(Protocol):
    """Who exists, as far as access control lists name them."""

    def owner_name(self, owner_id: str) -> str | None:
        """Name of the user with this canonical id, or None."""

    def owner_by_email(self, email: str) -> str | None:
        """Canonical id of the user with this address, or None."""


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """One permission for one user or group."""

    grantee: str
    """Canonical user id, or the URI of a group."""
    permission: str


class Acl(msgspec.Struct, frozen=True):
    """An access control list."""

    owner: str
    grants: tuple[Grant, ...]

    def to_json(self) -> bytes:
        """The form in which it is kept."""
        return msgspec.json.encode(self)

    @property
    def is_public(self) -> bool:
        """A grant reaches people outside the account."""
        return any(grant.grantee in PUBLIC_GROUPS for grant in self.grants)

    def allows(self, caller: Caller, permission: str, *, ignore_public: bool = False) -> bool:
        """Whether a grant gives *caller* the *permission*; *ignore_public* leaves out grants to public groups."""
        for grant in self.grants:
            if grant.permission in (permission, "FULL_CONTROL") and _reaches(grant.grantee, caller):
                if ignore_public and grant.grantee in PUBLIC_GROUPS:
                    continue
                return True
        return False


def _reaches(grantee: str, caller: Caller) -> bool:
    """Whether *caller* is, or belongs to, the grantee."""
    if grantee == ALL_USERS:
        return True
    return not caller.anonymous and grantee in (AUTHENTICATED_USERS, caller.owner_id)


def parse_acl(document: bytes, owner: str) -> Acl:
    """The list kept as *document*; an empty one is private to *owner*.

    Raises: MalformedACLError, when the document is damaged.
    """
    if not document:
        return private_acl(owner)
    try:
        return msgspec.json.decode(document, type=Acl)
    except msgspec.DecodeError as error:
        raise MalformedACLError from error


def private_acl(owner: str) -> Acl:
    """Full control for the owner and nothing for others."""
    return Acl(owner, (Grant(owner, "FULL_CONTROL"),))


def canned_acl(name: str, *, owner: str, bucket_owner: str | None = None) -> Acl:
    """The predefined list *name*.

    Args:
        name: As in ``x-amz-acl``.
        owner: Who owns the bucket or object that the list is for.
        bucket_owner: Owner of the object's bucket; None when the list is for a bucket, where S3 ignores the
            ``bucket-owner-`` lists.

    Raises: InvalidArgument.
    """
    if name not in _CANNED:
        raise InvalidArgument("Invalid canned ACL", ArgumentName="x-amz-acl", ArgumentValue=name)
    grants = [Grant(group, permission) for group, permission in _CANNED[name]]
    grants.append(Grant(owner, "FULL_CONTROL"))
    if name in _BUCKET_OWNER and bucket_owner and bucket_owner != owner:
        grants.append(Grant(bucket_owner, _BUCKET_OWNER[name]))
    return Acl(owner, tuple(grants))


def has_acl_headers(headers: Mapping[str, str]) -> bool:
    """Whether a request sets an access control list in its headers."""
    return not ACL_HEADERS.isdisjoint(headers)


def acl_from_headers(
    headers: Mapping[str, str], *, owner: str, users: Users, bucket_owner: str | None = None
) -> Acl | None:
    """The list that ``x-amz-acl`` or ``x-amz-grant-*`` headers ask for, or None when there are none.

    Raises: InvalidRequest (both kinds), InvalidArgument, UnresolvableGrantByEmailAddress.
    """
    given = [(name, permission) for name, permission in _GRANT_HEADERS.items() if name in headers]
    canned = headers.get("x-amz-acl")
    if canned is not None:
        if given:
            raise InvalidRequest("Specifying both Canned ACLs and Header Grants is not allowed")
        return canned_acl(canned, owner=owner, bucket_owner=bucket_owner)
    if not given:
        return None
    grants = [
        Grant(_grantee(kind, value, users), permission)
        for name, permission in given
        for kind, value in _header_grantees(name, headers[name])
    ]
    return Acl(owner, _checked(grants))


def acl_from_document(document: Mapping[str, Any], *, owner: str, users: Users) -> Acl:
    """The list that an AccessControlPolicy asks for.

    Args:
        document: boto3-shaped, ``{"Owner": {"ID": ...}, "Grants": [{"Grantee": {...}, "Permission": ...}]}``.
        owner: Who owns the bucket or object; a document cannot change that.
        users: Who exists.

    Raises: MalformedACLError, AccessDenied (another owner), InvalidArgument, UnresolvableGrantByEmailAddress.
    """
    stated = (document.get("Owner") or {}).get("ID")
    if stated is not None and stated != owner:
        raise AccessDenied
    if document.get("Grants") is None:
        raise MalformedACLError  # without a list the document says nothing, which is not "nobody"
    grants: list[Grant] = []
    for entry in document["Grants"]:
        grantee, permission = entry.get("Grantee") or {}, entry.get("Permission")
        if permission not in PERMISSIONS:
            raise MalformedACLError
        kind, member = _GRANTEE_TYPES.get(str(grantee.get("Type")), ("", ""))
        value = grantee.get(member)
        if not value:
            raise MalformedACLError
        grants.append(Grant(_grantee(kind, value, users), permission))
    return Acl(owner, _checked(grants))


def acl_to_document(acl: Acl, users: Users) -> dict[str, Any]:
    """*acl* boto3-shaped, as GetBucketAcl and GetObjectAcl answer."""
    return {
        "Owner": _user(acl.owner, users),
        "Grants": [
            {
                "Grantee": {"Type": "Group", "URI": grant.grantee}
                if grant.grantee in GROUPS
                else {"Type": "CanonicalUser", **_user(grant.grantee, users)},
                "Permission": grant.permission,
            }
            for grant in acl.grants
        ],
    }


def acl_for_write(  # noqa: PLR0913 - one argument per fact
    headers: Mapping[str, str],
    *,
    writer: str,
    bucket_owner: str,
    users: Users,
    ownership: str = "",
    block_public_acls: bool = False,
) -> tuple[str, Acl | None]:
    """Who will own a new object, and the list it gets.

    Args:
        headers: Of the request that creates it, lower-case names.
        writer: Canonical id of the caller; empty for an anonymous one.
        bucket_owner: Canonical id of the bucket's owner.
        users: Who exists.
        ownership: The bucket's object ownership; empty when not configured, which is ``ObjectWriter``.
        block_public_acls: The bucket's BlockPublicAcls.

    Returns: Owner id, and the list, or None for a private one.
    Raises: AccessControlListNotSupported, AccessDenied (public and blocked), what `acl_from_headers` raises.
    """
    stated = has_acl_headers(headers)
    if ownership == "BucketOwnerEnforced":
        if stated and headers.get("x-amz-acl") != "bucket-owner-full-control":
            raise AccessControlListNotSupported
        return bucket_owner, None
    if not stated:
        return writer or bucket_owner, None
    taken_over = ownership == "BucketOwnerPreferred" and headers.get("x-amz-acl") == "bucket-owner-full-control"
    # What nobody owns, its bucket's owner does; an anonymous upload would be out of everybody's reach otherwise.
    owner = bucket_owner if taken_over else writer or bucket_owner
    acl = acl_from_headers(headers, owner=owner, users=users, bucket_owner=bucket_owner)
    if acl is not None:
        check_acl_allowed(acl, ownership=ownership, block_public_acls=block_public_acls)
    return owner, acl


def check_acl_allowed(acl: Acl, *, ownership: str = "", block_public_acls: bool = False) -> None:
    """Refuse to set *acl* where the bucket's configuration forbids it.

    Raises: AccessControlListNotSupported (lists are disabled, whatever this one says), AccessDenied.
    """
    if ownership == "BucketOwnerEnforced":
        raise AccessControlListNotSupported
    if block_public_acls and acl.is_public:
        raise AccessDenied


def _user(owner_id: str, users: Users) -> dict[str, str]:
    """Owner or CanonicalUser element."""
    name = users.owner_name(owner_id)
    return {"ID": owner_id} if name is None else {"ID": owner_id, "DisplayName": name}


def _grantee(kind: str, value: str, users: Users) -> str:
    """Canonical id or group URI of a grantee as a client names it."""
    if kind == "emailAddress":
        owner = users.owner_by_email(value)
        if owner is None:
            raise UnresolvableGrantByEmailAddress(GranteeEmailAddress=value)
        return owner
    if kind == "uri":
        if value not in GROUPS:
            raise InvalidArgument("Invalid group uri", ArgumentName="Group/URI", ArgumentValue=value)
        return value
    if users.owner_name(value) is None:
        raise InvalidArgument("Invalid id", ArgumentName="CanonicalUser/ID", ArgumentValue=value)
    return value


def _header_grantees(header: str, text: str) -> Iterator[tuple[str, str]]:
    """(kind, value) of each grantee in ``id="...", uri="..."``."""
    kinds = {"id": "id", "uri": "uri", "emailaddress": "emailAddress"}
    for part in text.split(","):
        name, sign, value = part.strip().partition("=")
        kind = kinds.get(name.strip().lower())
        if not sign or kind is None:
            raise InvalidArgument("Argument format not recognized", ArgumentName=header, ArgumentValue=text)
        yield kind, value.strip().strip('"')


def _checked(grants: Sequence[Grant]) -> tuple[Grant, ...]:
    """The grants without repetitions, within S3's limit."""
    unique = tuple(dict.fromkeys(grants))
    if len(unique) > GRANTS_MAX:
        raise InvalidRequest(f"An ACL can hold at most {GRANTS_MAX} grants")
    return unique
