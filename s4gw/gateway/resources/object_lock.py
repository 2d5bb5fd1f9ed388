"""Object Lock: the bucket's configuration, and retention and legal hold of versions.

What a lock forbids is decided by the store, inside the transaction; here documents are read and written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from s4gw.bucketconfig import object_lock
from s4gw.bucketconfig.object_lock import HOLD_HEADER, MODE_HEADER, UNTIL_HEADER, LockChange, ObjectLock
from s4gw.gateway.resources.base import Resource, answer, parameters
from s4gw.gateway.resources.body_checks import read_document
from s4gw.gateway.resources.grants import bucket_of
from s4gw.gateway.resources.object_get import load
from s4gw.s3 import iso8601
from s4gw.s3.errors import InvalidRequest, MalformedXML, NoSuchObjectLockConfiguration
from s4gw.s3.errors import ObjectLockConfigurationNotFoundError as NotFoundError

if TYPE_CHECKING:
    import falcon

    from s4gw.gateway.request import S3Request


DOCUMENT_BYTES_MAX: Final = 64 * 1024


class GetObjectLockConfiguration(Resource):
    """Whether versions in the bucket can be locked, and what new ones get."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """An error where they cannot."""
        default = bucket_of(req).object_lock
        if default is None:
            raise NotFoundError(BucketName=req.bucket)
        answer(req, resp, {"ObjectLockConfiguration": object_lock.configuration_document(default)})


class PutObjectLockConfiguration(Resource):
    """Make locks possible for good, or change the default retention."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Versions that are there already keep what they have."""
        params = parameters(req, read_document(req, DOCUMENT_BYTES_MAX, digest_required=True))
        document = params.get("ObjectLockConfiguration")
        if document is None:
            raise MalformedXML
        self.backend.put_object_lock(req.bucket, object_lock.parse_configuration(document))
        answer(req, resp, {})


class _OfVersion(Resource):
    """What the operations on one version share."""

    def _lock(self, req: S3Request) -> ObjectLock:
        """Its lock, perhaps an empty one. Raises: InvalidRequest, where none is possible."""
        _need_lock(req)
        return load(self, req).meta.lock or ObjectLock()

    def _change(self, req: S3Request, change: LockChange) -> None:
        _need_lock(req)
        self.backend.set_lock(req.bucket, load(self, req), change)


class _Change(_OfVersion):
    """An operation whose document policies may test, as if it were headers of an upload."""

    payload: str

    def document(self, req: S3Request) -> Mapping[str, Any]:
        """The document, read once. Raises: MalformedXML and what `read_document` raises."""
        found = req.lock_document
        if found is None:
            params = parameters(req, read_document(req, DOCUMENT_BYTES_MAX, digest_required=True))
            if self.payload not in params:
                raise MalformedXML
            found = req.lock_document = params[self.payload]
        return found


def _need_lock(req: S3Request) -> None:
    if bucket_of(req).object_lock is None:
        raise InvalidRequest("Bucket is missing Object Lock Configuration", BucketName=req.bucket)


class GetObjectRetention(_OfVersion):
    """Until when a version is kept."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """An error where it has no retention."""
        lock = self._lock(req)
        if not lock.mode:
            raise NoSuchObjectLockConfiguration
        answer(req, resp, {"Retention": {"Mode": lock.mode, "RetainUntilDate": lock.until_ms}})


class PutObjectRetention(_Change):
    """Keep a version, or keep it longer; with a bypass of GOVERNANCE also less."""

    payload = "Retention"

    def told(self, req: S3Request) -> Mapping[str, str]:
        """For authorization: what the document says."""
        mode, until = (self.document(req).get(name) for name in ("Mode", "RetainUntilDate"))
        return ({MODE_HEADER: mode} if mode else {}) | ({UNTIL_HEADER: iso8601(until)} if until else {})

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """An empty document removes the retention."""
        retention = object_lock.parse_retention(self.document(req), int(self.services.clock() * 1000))
        bypass = object_lock.wants_bypass(req.header_map)
        self._change(req, LockChange(retention=retention, bypass=bypass))
        answer(req, resp, {})


class GetObjectLegalHold(_OfVersion):
    """Whether a version is under legal hold."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """ON or OFF."""
        lock = self._lock(req)
        answer(req, resp, {"LegalHold": {"Status": "ON" if lock.hold else "OFF"}})


class PutObjectLegalHold(_Change):
    """Put a version under legal hold, or end it."""

    payload = "LegalHold"

    def told(self, req: S3Request) -> Mapping[str, str]:
        """For authorization: what the document says."""
        status = self.document(req).get("Status")
        return {HOLD_HEADER: status} if status else {}

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Its retention stays as it is."""
        self._change(req, LockChange(hold=object_lock.parse_legal_hold(self.document(req))))
        answer(req, resp, {})
