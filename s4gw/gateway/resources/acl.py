"""Access control lists of buckets and objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from s4gw.bucketconfig import ownership, public_access_block
from s4gw.gateway.resources.base import Resource, answer, parameters
from s4gw.gateway.resources.body_checks import read_document
from s4gw.gateway.resources.grants import bucket_acl, bucket_of, object_acl
from s4gw.gateway.resources.object_get import load
from s4gw.policy import Acl, acl_from_document, acl_from_headers, acl_to_document, check_acl_allowed
from s4gw.s3.errors import InvalidRequest, MissingSecurityHeader

if TYPE_CHECKING:
    import falcon

    from s4gw.gateway.request import S3Request

DOCUMENT_BYTES_MAX: Final = 256 * 1024


def _wanted(req: S3Request, owner: str, *, for_object: bool) -> Acl:
    """The list that a PutAcl asks for, by headers or by document, when the bucket allows it."""
    info = bucket_of(req)
    users = req.services.credentials
    document = read_document(req, DOCUMENT_BYTES_MAX)
    acl = acl_from_headers(req.header_map, owner=owner, users=users, bucket_owner=info.owner if for_object else None)
    if document:
        if acl is not None:
            raise InvalidRequest("This request cannot contain both an ACL header and an ACL document")
        acl = acl_from_document(parameters(req, document)["AccessControlPolicy"], owner=owner, users=users)
    if acl is None:
        raise MissingSecurityHeader("Your request was missing a required header: x-amz-acl")
    check_acl_allowed(
        acl,
        ownership=ownership.stored_ownership(info.configs),
        block_public_acls=public_access_block.stored_public_access_block(info.configs).block_public_acls,
    )
    return acl


class GetBucketAcl(Resource):
    """The bucket's list."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Owner and grants."""
        answer(req, resp, acl_to_document(bucket_acl(bucket_of(req)), self.services.credentials))


class PutBucketAcl(Resource):
    """Replace the bucket's list."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """By canned name, grant headers or document."""
        acl = _wanted(req, bucket_of(req).owner, for_object=False)
        self.backend.put_config(req.bucket, "acl", acl.to_json())
        answer(req, resp, {})


class GetObjectAcl(Resource):
    """The object's list."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Owner and grants."""
        answer(req, resp, acl_to_document(object_acl(load(self, req)), self.services.credentials))


class PutObjectAcl(Resource):
    """Replace the object's list; body and modification time stay."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """By canned name, grant headers or document."""
        obj = load(self, req)
        acl = _wanted(req, obj.meta.owner, for_object=True)
        self.backend.update_meta(req.bucket, obj, msgspec.structs.replace(obj.meta, acl=acl.to_json()))
        answer(req, resp, {})
