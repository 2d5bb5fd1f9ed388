"""Buckets themselves: ListBuckets, CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final

import msgspec

from s4gw.backends.base import BucketInfo
from s4gw.bucketconfig import DefaultRetention
from s4gw.gateway.resources.base import Resource, answer, parameters
from s4gw.gateway.resources.body_checks import read_document
from s4gw.gateway.resources.grants import bucket_of
from s4gw.gateway.resources.listing import page_size
from s4gw.policy import acl_from_headers
from s4gw.s3 import names
from s4gw.s3.errors import (
    BucketAlreadyOwnedByYou,
    InvalidArgument,
    InvalidBucketAclWithObjectOwnership,
)

if TYPE_CHECKING:
    import falcon

    from s4gw.gateway.request import S3Request

BUCKETS_PAGE_MAX: Final = 10_000
DOCUMENT_BYTES_MAX: Final = 64 * 1024
CLASSIC_REGION: Final = "us-east-1"
"""The region that GetBucketLocation shows as an empty LocationConstraint, and where creating twice succeeds."""


class ListBuckets(Resource):
    """The caller's own buckets."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """One page; without max-buckets, all of them."""
        params = parameters(req)
        principal = req.principal
        prefix, region = params.get("Prefix") or "", params.get("BucketRegion")
        after = _name_of(params["ContinuationToken"]) if params.get("ContinuationToken") else ""
        found = [
            info
            for info in self.backend.list_buckets(principal.owner_id)
            if info.name.startswith(prefix) and info.name > after and info.region == (region or info.region)
        ]
        limit = page_size(params, "MaxBuckets", BUCKETS_PAGE_MAX)
        page = found[:limit]
        result: dict[str, Any] = {
            "Buckets": [
                {"Name": info.name, "CreationDate": info.created_ms}
                | ({"BucketRegion": info.region} if "MaxBuckets" in params else {})
                for info in page
            ],
            "Owner": {"ID": principal.owner_id, "DisplayName": principal.name},
        }
        if prefix:
            result["Prefix"] = prefix
        if len(found) > len(page) and page:
            result["ContinuationToken"] = base64.urlsafe_b64encode(page[-1].name.encode()).decode()
        answer(req, resp, result)


def _name_of(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidArgument("The continuation token provided is incorrect") from error


class CreateBucket(Resource):
    """A new, empty bucket, owned by the caller."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Creating one's own bucket again succeeds in the classic region, and changes nothing."""
        names.check_bucket_name(req.bucket)
        params = parameters(req, read_document(req, DOCUMENT_BYTES_MAX))
        lock = bool(params.get("ObjectLockEnabledForBucket"))
        wanted = params.get("CreateBucketConfiguration") or {}
        region = wanted.get("LocationConstraint") or self.services.settings.region
        configs: dict[str, bytes] = {}
        if ownership := params.get("ObjectOwnership"):
            configs["ownershipControls"] = msgspec.json.encode({"Rules": [{"ObjectOwnership": ownership}]})
        acl = acl_from_headers(req.header_map, owner=req.principal.owner_id, users=self.services.credentials)
        if acl is not None:
            if ownership == "BucketOwnerEnforced":
                raise InvalidBucketAclWithObjectOwnership
            configs["acl"] = acl.to_json()
        info = BucketInfo(
            name=req.bucket,
            owner=req.principal.owner_id,
            created_ms=int(self.services.clock() * 1000),
            region=region,
            versioning="Enabled" if lock else "",
            object_lock=DefaultRetention() if lock else None,
            configs=configs,
        )
        try:
            self.backend.create_bucket(info)
        except BucketAlreadyOwnedByYou:
            if region != CLASSIC_REGION:
                raise
        answer(req, resp, {"Location": f"/{req.bucket}"})


class HeadBucket(Resource):
    """Does it exist, may I use it, where is it."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Headers only."""
        info = bucket_of(req)
        answer(req, resp, {"BucketRegion": info.region, "AccessPointAlias": False})


class DeleteBucket(Resource):
    """Remove an empty bucket."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Answer 204."""
        self.backend.delete_bucket(req.bucket)
        answer(req, resp, {})


class GetBucketLocation(Resource):
    """The region, as the oldest of S3's documents gives it."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """An empty element stands for the classic region."""
        region = bucket_of(req).region
        answer(req, resp, {"LocationConstraint": "" if region == CLASSIC_REGION else region})
