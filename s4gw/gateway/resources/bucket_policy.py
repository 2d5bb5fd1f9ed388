"""Bucket policies: checked when they are stored, enforced on every request since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s4gw.bucketconfig import public_access_block
from s4gw.gateway.resources.base import Resource, answer
from s4gw.gateway.resources.body_checks import read_document
from s4gw.gateway.resources.grants import bucket_acl, bucket_of
from s4gw.policy import POLICY_BYTES_MAX, PolicyError, is_public, parse_policy
from s4gw.s3.errors import AccessDenied, MalformedPolicy, NoSuchBucketPolicy

if TYPE_CHECKING:
    import falcon

    from s4gw.gateway.request import S3Request


def stored_policy(req: S3Request) -> bytes:
    """The document as stored. Raises: NoSuchBucketPolicy."""
    document = bucket_of(req).configs.get("policy")
    if document is None:
        raise NoSuchBucketPolicy(BucketName=req.bucket)
    return document


class GetBucketPolicy(Resource):
    """The document, byte for byte as it was put."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """JSON, not XML."""
        resp.content_type = "application/json"
        resp.data = stored_policy(req)


class PutBucketPolicy(Resource):
    """Replace the policy."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """What the engine does not know is refused here, never ignored later."""
        document = read_document(req, POLICY_BYTES_MAX)
        try:
            policy = parse_policy(document, bucket=req.bucket)
        except PolicyError as error:
            raise MalformedPolicy(str(error)) from error
        block = public_access_block.stored_public_access_block(bucket_of(req).configs)
        if block.block_public_policy and is_public(policy):
            raise AccessDenied
        self.backend.put_config(req.bucket, "policy", document)
        answer(req, resp, {})
        resp.status = 204


class DeleteBucketPolicy(Resource):
    """Remove the policy."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Succeeds, whether there was one or not."""
        self.backend.put_config(req.bucket, "policy", None)
        answer(req, resp, {})


class GetBucketPolicyStatus(Resource):
    """Whether the policy makes the bucket public."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Public by policy or by list."""
        info = bucket_of(req)
        document = info.configs.get("policy")
        public = bucket_acl(info).is_public or (document is not None and is_public(parse_policy(document)))
        answer(req, resp, {"PolicyStatus": {"IsPublic": public}})
