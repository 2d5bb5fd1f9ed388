"""Deleting: DeleteObject, DeleteObjects."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from s4gw.backends.base import Conditions, Deleted, DeleteTarget
from s4gw.bucketconfig.object_lock import wants_bypass
from s4gw.gateway.resources import mfa
from s4gw.gateway.resources.base import XML_BODY_BYTES_MAX, Resource, answer, parameters
from s4gw.gateway.resources.body_checks import read_document
from s4gw.s3 import names
from s4gw.s3.errors import InvalidArgument, MalformedXML, S3Error

if TYPE_CHECKING:
    import falcon

    from s4gw.gateway.request import S3Request

KEYS_MAX: Final = 1000


def delete_conditions(etag: str | None, size: int | None, modified: dt.datetime | None) -> Conditions:
    """Preconditions of one delete, from their three carriers."""
    return Conditions(
        if_match=None if etag is None else etag.strip().strip('"'),
        if_size=size,
        if_modified_s=None if modified is None else int(modified.timestamp()),
    )


class DeleteObject(Resource):
    """Delete one object, or one version of it; deleting what is not there succeeds."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Answer 204 with what was removed."""
        params = parameters(req)
        version_id = params.get("VersionId")
        if version_id == "":
            raise InvalidArgument("Version id cannot be the empty string", ArgumentName="versionId")
        target = DeleteTarget(
            key=req.key,
            version_id=version_id,
            bypass=wants_bypass(req.header_map),
            mfa=version_id is not None and mfa.shown_for_delete(req),
            conditions=delete_conditions(
                params.get("IfMatch"), params.get("IfMatchSize"), params.get("IfMatchLastModifiedTime")
            ),
        )
        (deleted,) = self.backend.delete_objects(req.bucket, [target])
        if isinstance(deleted, Exception):
            raise deleted
        result: dict[str, Any] = {}
        if deleted.delete_marker:
            result["DeleteMarker"] = True
        if deleted.version_id or deleted.marker_version_id:
            result["VersionId"] = deleted.version_id or deleted.marker_version_id
        answer(req, resp, result)


class DeleteObjects(Resource):
    """Delete up to 1,000 keys in one request; each is allowed, or not, by itself."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Answer 200 with a verdict per key."""
        params = parameters(req, read_document(req, XML_BODY_BYTES_MAX, digest_required=True))
        wanted = params["Delete"].get("Objects") or []
        if not 0 < len(wanted) <= KEYS_MAX:
            raise MalformedXML
        quiet = bool(params["Delete"].get("Quiet"))
        second_factor = any(item.get("VersionId") for item in wanted) and mfa.shown_for_delete(req)
        allowed: list[DeleteTarget] = []
        errors: list[dict[str, str]] = []
        for item in wanted:
            target = DeleteTarget(
                key=item["Key"],
                version_id=item.get("VersionId") or None,
                bypass=wants_bypass(req.header_map),
                mfa=second_factor,
                conditions=delete_conditions(item.get("ETag"), item.get("Size"), item.get("LastModifiedTime")),
            )
            try:
                names.check_key(target.key)
                req.authorize("DeleteObject", req.bucket, target.key, target.version_id)
            except S3Error as error:
                errors.append(_failure(target, error))
            else:
                allowed.append(target)
        deleted: list[dict[str, Any]] = []
        for target, outcome in zip(allowed, self.backend.delete_objects(req.bucket, allowed), strict=True):
            if isinstance(outcome, S3Error):
                errors.append(_failure(target, outcome))
            elif isinstance(outcome, Exception):
                raise outcome
            elif not quiet:
                deleted.append(_success(outcome))
        answer(req, resp, {"Deleted": deleted, "Errors": errors})


def _success(outcome: Deleted) -> dict[str, Any]:
    entry: dict[str, Any] = {"Key": outcome.key}
    if outcome.version_id:
        entry["VersionId"] = outcome.version_id
    if outcome.delete_marker:
        entry["DeleteMarker"] = True
        entry["DeleteMarkerVersionId"] = outcome.marker_version_id or outcome.version_id
    return entry


def _failure(target: DeleteTarget, error: S3Error) -> dict[str, str]:
    entry = {"Key": target.key, "Code": error.code, "Message": error.text}
    if target.version_id:
        entry["VersionId"] = target.version_id
    return entry
