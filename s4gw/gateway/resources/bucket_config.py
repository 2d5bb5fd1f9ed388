"""Configuration of buckets: each sub-resource is a document that is checked, kept and given back, or refused.

`bucketconfig.SUB_RESOURCES` says which is which. The classes of a sub-resource differ in nothing but its name and its
check, so they are made from `_CHECKS`: one class for each operation, named as S3 names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from s4gw.bucketconfig import cors, lifecycle, ownership, public_access_block, tagging
from s4gw.bucketconfig.documents import dump_document, load_document
from s4gw.bucketconfig.registry import SUB_RESOURCES, SubResource
from s4gw.bucketconfig.versioning import parse_versioning
from s4gw.gateway.resources import mfa
from s4gw.gateway.resources.base import Resource, answer, parameters
from s4gw.gateway.resources.body_checks import read_document
from s4gw.gateway.resources.grants import bucket_acl, bucket_of
from s4gw.policy import private_acl
from s4gw.s3.errors import InvalidArgument, InvalidBucketAclWithObjectOwnership, InvalidBucketState
from s4gw.s3.errors import NotImplemented as S3NotImplemented

if TYPE_CHECKING:
    import falcon

    from s4gw.backends.base import BucketInfo
    from s4gw.gateway.request import S3Request

DOCUMENT_BYTES_MAX: Final = 64 * 1024

Document = Mapping[str, Any]
Check = Callable[["BucketInfo", Document], Document]


def _tags(_info: BucketInfo, document: Document) -> Document:
    tags = tagging.parse_tag_set(document["TagSet"], limit=tagging.BUCKET_TAGS_MAX)
    return {"TagSet": tagging.tag_set(tags)}


def _cors(_info: BucketInfo, document: Document) -> Document:
    cors.parse_cors(document)
    return document


def _lifecycle(info: BucketInfo, document: Document) -> Document:
    if info.mfa_delete == "Enabled":
        raise InvalidBucketState("Lifecycle configuration on MFA-enabled buckets is not supported.")
    return lifecycle.parse_lifecycle(document)


def _ownership(info: BucketInfo, document: Document) -> Document:
    wanted = ownership.parse_ownership(document)
    if wanted == "BucketOwnerEnforced" and bucket_acl(info).grants != private_acl(info.owner).grants:
        raise InvalidBucketAclWithObjectOwnership
    return ownership.ownership_document(wanted)


def _public_access(_info: BucketInfo, document: Document) -> Document:
    block = public_access_block.parse_public_access_block(document)
    return public_access_block.public_access_block_document(block)


_CHECKS: Final[Mapping[str, tuple[str, bool, Check]]] = {
    "tagging": ("Tagging", False, _tags),
    "cors": ("CORSConfiguration", False, _cors),
    "lifecycle": ("LifecycleConfiguration", False, _lifecycle),
    "ownershipControls": ("OwnershipControls", True, _ownership),
    "publicAccessBlock": ("PublicAccessBlockConfiguration", True, _public_access),
}
"""Sub-resource -> (parameter that holds the document, whether the answer wraps it in that too, check)."""


class _SubResource(Resource):
    """An operation on one sub-resource."""

    row: SubResource


class _Get(_SubResource):
    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """The document, or S3's error for its absence."""
        kept = bucket_of(req).configs.get(self.row.name)
        if kept is None:
            if self.row.missing is not None:
                raise self.row.missing(BucketName=req.bucket)
            answer(req, resp, {})
            return
        payload, wrapped, _ = _CHECKS[self.row.name]
        document = load_document(kept)
        answer(req, resp, {payload: document} if wrapped else document)


class _Put(_SubResource):
    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Check the document and keep it."""
        payload, _, check = _CHECKS[self.row.name]
        params = parameters(req, read_document(req, DOCUMENT_BYTES_MAX))
        document = check(bucket_of(req), params[payload])
        self.backend.put_config(req.bucket, self.row.name, dump_document(document))
        answer(req, resp, {})


class _Delete(_SubResource):
    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Succeeds, whether there was a document or not."""
        bucket_of(req)
        self.backend.put_config(req.bucket, self.row.name, None)
        answer(req, resp, {})


class _Refuse(_SubResource):
    def respond(self, req: S3Request, _resp: falcon.Response) -> None:
        """Say why, rather than accept what would not be done."""
        raise S3NotImplemented(self.row.refused, Resource=req.bucket)


def _made() -> Iterator[type[Resource]]:
    """The classes of every sub-resource that the table of checks covers or that is refused."""
    for row in SUB_RESOURCES.values():
        put = _Refuse if row.refused else _Put
        if row.refused or row.name in _CHECKS:
            for name, base in ((row.get, _Get), (row.put, put), (row.delete, _Delete)):
                if name:
                    yield type(name, (base,), {"row": row, "__doc__": f"{name}: see `{base.__name__}`."})


class GetBucketVersioning(Resource):
    """Whether the bucket keeps old versions."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Empty while it was never enabled."""
        info = bucket_of(req)
        state = {"Status": info.versioning} if info.versioning else {}
        answer(req, resp, state | ({"MFADelete": info.mfa_delete} if info.mfa_delete else {}))


class PutBucketVersioning(Resource):
    """Enable versioning, or suspend it."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """It never goes back to unversioned. A second factor counts where MFA delete is, or is to be set."""
        params = parameters(req, read_document(req, DOCUMENT_BYTES_MAX))
        state, mfa_delete = parse_versioning(params["VersioningConfiguration"])
        if mfa_delete == "Enabled" and "lifecycle" in bucket_of(req).configs:
            raise InvalidBucketState("MFA delete on buckets with a lifecycle configuration is not supported.")
        second_factor = "Enabled" in (mfa_delete, bucket_of(req).mfa_delete) and mfa.shown(req)
        if mfa_delete is None and not second_factor:
            self.backend.set_versioning(req.bucket, state)
        else:
            self.backend.set_versioning(req.bucket, state, mfa_delete=mfa_delete, mfa=second_factor)
        answer(req, resp, {})


class GetBucketRequestPayment(Resource):
    """Who pays for requests: the owner, always."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """One element."""
        bucket_of(req)
        answer(req, resp, {"Payer": "BucketOwner"})


class PutBucketRequestPayment(Resource):
    """Only what is the case anyway can be set."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Requester pays is refused."""
        params = parameters(req, read_document(req, DOCUMENT_BYTES_MAX))
        if params["RequestPaymentConfiguration"]["Payer"] != "BucketOwner":
            raise InvalidArgument("Requester pays is not supported", ArgumentName="Payer")
        answer(req, resp, {})


CLASSES: Final[tuple[type[Resource], ...]] = (
    *_made(),
    GetBucketVersioning,
    PutBucketVersioning,
    GetBucketRequestPayment,
    PutBucketRequestPayment,
)
"""Every operation of this module."""
