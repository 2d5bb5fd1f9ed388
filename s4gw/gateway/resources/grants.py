"""Who may see a new object, and who is shown as the owner: ACL headers under the bucket's ownership rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from s4gw.bucketconfig import ownership, public_access_block
from s4gw.policy import Acl, acl_for_write, parse_acl
from s4gw.s3.errors import NoSuchBucket

if TYPE_CHECKING:
    from s4gw.backends.base import BucketInfo, StoredObject
    from s4gw.gateway.request import S3Request


def bucket_of(req: S3Request) -> BucketInfo:
    """The bucket that authorization has loaded. Raises: NoSuchBucket."""
    if req.bucket_info is None:
        raise NoSuchBucket(BucketName=req.bucket)
    return req.bucket_info


def object_owner_and_acl(req: S3Request, fields: Mapping[str, str]) -> tuple[str, bytes]:
    """Owner and stored ACL of the object that *req* creates; *fields* are its headers or form fields.

    Raises: AccessControlListNotSupported, AccessDenied, InvalidArgument, InvalidRequest.
    """
    info = bucket_of(req)
    if not fields and ownership.CONFIG not in info.configs:
        return req.principal.owner_id or info.owner, b""  # PERF: as below, for most uploads
    owner, acl = acl_for_write(
        fields,
        writer=req.principal.owner_id,
        bucket_owner=info.owner,
        users=req.services.credentials,
        ownership=ownership.stored_ownership(info.configs),
        block_public_acls=public_access_block.stored_public_access_block(info.configs).block_public_acls,
    )
    return owner, b"" if acl is None else acl.to_json()


def bucket_acl(info: BucketInfo) -> Acl:
    """The bucket's list."""
    return parse_acl(info.configs.get("acl", b""), info.owner)


def object_acl(obj: StoredObject) -> Acl:
    """The object's list."""
    return parse_acl(obj.meta.acl, obj.meta.owner)


def user(req: S3Request, owner_id: str) -> dict[str, str]:
    """Owner or Initiator element."""
    name = req.services.credentials.owner_name(owner_id)
    return {"ID": owner_id} if name is None else {"ID": owner_id, "DisplayName": name}
