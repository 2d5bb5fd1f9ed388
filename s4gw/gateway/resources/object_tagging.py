"""Tags of objects; they change without touching the body or its modification time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from s4gw.bucketconfig import tagging
from s4gw.gateway.resources.base import Resource, answer, parameters
from s4gw.gateway.resources.body_checks import read_document
from s4gw.gateway.resources.object_get import load

if TYPE_CHECKING:
    import falcon

    from s4gw.backends.base import StoredObject
    from s4gw.gateway.request import S3Request

DOCUMENT_BYTES_MAX: Final = 64 * 1024


def _versioned(req: S3Request, obj: StoredObject) -> dict[str, str]:
    return {"VersionId": obj.version_id} if req.bucket_info is not None and req.bucket_info.versioning else {}


class GetObjectTagging(Resource):
    """The tags of one version."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """An empty set where there are none."""
        obj = load(self, req)
        tags = [{"Key": key, "Value": value} for key, value in sorted(obj.meta.tags.items())]
        answer(req, resp, {"TagSet": tags} | _versioned(req, obj))


class PutObjectTagging(Resource):
    """Replace the tags of one version."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """All or nothing."""
        params = parameters(req, read_document(req, DOCUMENT_BYTES_MAX))
        tags = tagging.parse_tag_set(params["Tagging"]["TagSet"], limit=tagging.OBJECT_TAGS_MAX)
        obj = load(self, req)
        self.backend.update_meta(req.bucket, obj, msgspec.structs.replace(obj.meta, tags=tags))
        answer(req, resp, _versioned(req, obj))


class DeleteObjectTagging(Resource):
    """Remove the tags of one version."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Answer 204."""
        obj = load(self, req)
        self.backend.update_meta(req.bucket, obj, msgspec.structs.replace(obj.meta, tags={}))
        answer(req, resp, _versioned(req, obj))
