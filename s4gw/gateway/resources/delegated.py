"""What a gateway in front of an upstream does with each operation of S3.

Four ways. *Squished* operations see originals where the upstream holds frames. *Transparent* ones go through the
backend as well, which hides what is the gateway's own. *Delegated* ones are none of the gateway's business: it reads
the request by S3's model, asks the upstream the same, and writes the answer by the model; most of S3 is configuration
of this kind, and an operation that a new service model brings is delegated from the first day. *Refused* are those
whose answer would be made of stored bytes, or would lead clients past the gateway.

Authorization has decided before, on every one of them alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from s4gw.gateway.resources import RESOURCES
from s4gw.gateway.resources.base import XML_BODY_BYTES_MAX, Resource, answer, parameters
from s4gw.gateway.resources.body_checks import read_document
from s4gw.gateway.resources.buckets import CLASSIC_REGION
from s4gw.s3 import names
from s4gw.s3.errors import NoSuchKey
from s4gw.s3.errors import NotImplemented as S3NotImplemented
from s4gw.s3.operation import POST_OBJECT, ROUTED, Scope

if TYPE_CHECKING:
    from collections.abc import Callable

    import falcon

    from s4gw.gateway.request import S3Request
    from s4gw.gateway.services import Services


class Way(StrEnum):
    """What becomes of an operation."""

    SQUISHED = "squished"
    TRANSPARENT = "transparent"
    DELEGATED = "delegated"
    REFUSED = "refused"


SQUISHED: Final = frozenset(
    {
        "CompleteMultipartUpload",
        "CopyObject",
        "CreateMultipartUpload",
        "GetObject",
        "GetObjectAttributes",
        "HeadObject",
        "ListObjectVersions",
        "ListObjects",
        "ListObjectsV2",
        "ListParts",
        POST_OBJECT.name,
        "PutObject",
        "UploadPart",
        "UploadPartCopy",
    }
)
TRANSPARENT: Final = frozenset(
    {
        "AbortMultipartUpload",
        "DeleteBucket",
        "DeleteObject",
        "DeleteObjects",
        "ListBuckets",
        "ListMultipartUploads",
        "Preflight",
    }
)
_ANNOTATED: Final = "annotations are bodies of their own, which this gateway does not stream yet"
REFUSED: Final[Mapping[str, str]] = {
    "CreateSession": "its credentials would let clients reach the upstream without this gateway",
    "DeleteObjectAnnotation": _ANNOTATED,
    "GetObjectAnnotation": _ANNOTATED,
    "GetObjectTorrent": "a torrent would share the stored bytes instead of the original",
    "ListObjectAnnotations": _ANNOTATED,
    "PutObjectAnnotation": _ANNOTATED,
    "RenameObject": "an upstream cannot move an object in one step",
    "SelectObjectContent": "the upstream would read the stored bytes instead of the original",
    "WriteGetObjectResponse": "it answers for a Lambda function that S3 has called, not this gateway",
}
"""Operation -> why not."""

_NOT_PASSED: Final = frozenset(
    {
        # The account that the client expects is this gateway's user, which authorization has compared.
        "ExpectedBucketOwner",
        "ExpectedSourceBucketOwner",
        # Digests of the document as the client wrote it; it is written anew.
        "ContentMD5",
        "ChecksumAlgorithm",
    }
)
_STATUS: Final[Mapping[str, int]] = {"PutBucketPolicy": 204}
"""Statuses that the model does not tell."""


def way_of(operation: str) -> Way:
    """What becomes of *operation* in front of an upstream."""
    if operation in SQUISHED:
        return Way.SQUISHED
    if operation in TRANSPARENT:
        return Way.TRANSPARENT
    return Way.REFUSED if operation in REFUSED else Way.DELEGATED


class Delegated(Resource):
    """An operation that the upstream carries out."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """The upstream's answer, in the model's words."""
        answer(req, resp, self.ask(req))
        resp.status = _STATUS.get(req.operation.name, resp.status)

    def ask(self, req: S3Request) -> dict[str, Any]:
        """Say to the upstream what the client said. Raises: S3 errors."""
        operation = req.operation
        upstream = self.services.upstream
        assert upstream is not None, "delegated without an upstream"
        if operation.scope is Scope.KEY and upstream.hides(req.key):
            raise NoSuchKey(Key=req.key)
        params = self.params(req)
        try:
            return upstream.call(operation.name, **params)
        finally:
            if req.method != "GET" and operation.scope is Scope.BUCKET:
                upstream.forget(req.bucket)

    def params(self, req: S3Request) -> dict[str, Any]:
        """The request in boto3's shape, without what speaks of the way to this gateway only."""
        document = b""
        if req.operation.has_body:
            document = read_document(req, XML_BODY_BYTES_MAX)
        params = parameters(req, document)
        return {name: value for name, value in params.items() if not _passes_not(name)}


def _passes_not(name: str) -> bool:
    return name in _NOT_PASSED or name.startswith("Checksum")


class CreateBucket(Delegated):
    """A new bucket of the upstream's account."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Where it is, is told relative to this gateway."""
        names.check_bucket_name(req.bucket)
        answer(req, resp, self.ask(req) | {"Location": f"/{req.bucket}"})

    def params(self, req: S3Request) -> dict[str, Any]:
        """In the upstream's region where the client names none: clients of a gateway know no other."""
        params = super().params(req)
        settings = self.services.settings
        region = settings.upstream_region or settings.region
        if region != CLASSIC_REGION:
            params.setdefault("CreateBucketConfiguration", {}).setdefault("LocationConstraint", region)
        return params


class RestoreObject(Delegated):
    """A copy of an archived object for a while."""

    def params(self, req: S3Request) -> dict[str, Any]:
        """Without a query: it would read the stored bytes. Raises: NotImplemented."""
        params = super().params(req)
        if {"Type", "SelectParameters", "OutputLocation"} & (params.get("RestoreRequest") or {}).keys():
            raise S3NotImplemented(REFUSED["SelectObjectContent"], Resource=req.key)
        return params


class Refused(Resource):
    """An operation that cannot be had through a gateway."""

    def respond(self, req: S3Request, _resp: falcon.Response) -> None:
        """Say why."""
        raise S3NotImplemented(REFUSED[req.operation.name], Operation=req.operation.name)


_OWN: Final[Mapping[str, type[Delegated]]] = {"CreateBucket": CreateBucket, "RestoreObject": RestoreObject}


def _class_of(operation: str) -> Callable[[Services], Resource]:
    way = way_of(operation)
    if way is Way.REFUSED:
        return Refused
    return _OWN.get(operation, Delegated) if way is Way.DELEGATED else RESOURCES[operation]


UPSTREAM_RESOURCES: Final[Mapping[str, Callable[[Services], Resource]]] = {name: _class_of(name) for name in ROUTED}
"""Operation name -> its resource, where an upstream keeps the objects."""
