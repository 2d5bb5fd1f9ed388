"""Reading objects: GetObject, HeadObject, GetObjectAttributes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from s4gw.backends.bodies import Buffer, ObjectChanged
from s4gw.bucketconfig.object_lock import HOLD_HEADER, MODE_HEADER, UNTIL_HEADER
from s4gw.gateway.middleware.lookups import looked_up
from s4gw.gateway.resources import expiration
from s4gw.gateway.resources.base import Resource, answer, parameters, quoted
from s4gw.gateway.resources.part_number import part_number
from s4gw.s3 import conditions, headers, http_date
from s4gw.s3.errors import (
    AccessDenied,
    InvalidArgument,
    InvalidPart,
    InvalidRequest,
    MethodNotAllowed,
    NoSuchKey,
    NotModified,
    S3Error,
    ServiceUnavailable,
)
from s4gw.s3.range import ByteRange, parse_range

if TYPE_CHECKING:
    import falcon

    from s4gw.backends.base import StoredObject
    from s4gw.bucketconfig import ObjectLock
    from s4gw.gateway.request import S3Request

PARTS_MAX: Final = 1000
CHANGES_MAX: Final = 3
"""Looks at an object that is overwritten between the look and the first byte."""
LOCK_PERMISSIONS: Final = {
    "GetObjectRetention": (MODE_HEADER, UNTIL_HEADER),
    "GetObjectLegalHold": (HOLD_HEADER,),
}
"""Operation that would tell -> headers that tell the same."""
CHECKSUM_HEADER: Final = "x-amz-checksum-"
CACHING: Final = ("cache-control", "expires")


def load(resource: Resource, req: S3Request) -> StoredObject:
    """The version of the object that *req* names.

    Raises: NoSuchKey, NoSuchVersion, MethodNotAllowed for a delete marker that is named by its version.
    """
    version_id = _version_named(req)
    # Authorization has looked already where the object itself decides who may read it.
    obj = looked_up(req, req.bucket, req.key, version_id)
    return _readable(req, obj or resource.backend.head_object(req.bucket, req.key, version_id))


def _version_named(req: S3Request) -> str | None:
    version_id = req.query.get("versionId")
    if version_id == "":
        raise InvalidArgument("Version id cannot be the empty string", ArgumentName="versionId")
    return version_id


def _readable(req: S3Request, obj: StoredObject) -> StoredObject:
    """*obj*, unless it is a delete marker. Raises: NoSuchKey, MethodNotAllowed."""
    if not obj.delete_marker:
        return obj
    marker = {"x-amz-delete-marker": "true", "x-amz-version-id": obj.version_id}
    if req.query.get("versionId"):
        marker |= {"Last-Modified": http_date(obj.modified_ms), "Allow": "DELETE"}
        raise MethodNotAllowed(headers=marker, Method=req.method, ResourceType="DeleteMarker")
    raise NoSuchKey(headers=marker, Key=req.key)


def object_headers(req: S3Request, obj: StoredObject) -> dict[str, str]:
    """Response headers that GET and HEAD share, without the length and range."""
    meta, info = obj.meta, req.bucket_info
    found = {
        "ETag": quoted(obj.etag),
        "Last-Modified": http_date(obj.modified_ms),
        "Accept-Ranges": "bytes",
        "Content-Type": "binary/octet-stream",
    }
    if meta.headers:
        found.update({_title(name): value for name, value in meta.headers.items()})
    if meta.metadata:
        found.update({f"x-amz-meta-{name}": value for name, value in meta.metadata.items()})
    if info is not None and info.versioning:
        found["x-amz-version-id"] = obj.version_id
    if meta.tags:
        found["x-amz-tagging-count"] = str(len(meta.tags))
    if meta.storage_class != "STANDARD":
        found["x-amz-storage-class"] = meta.storage_class
    if meta.forwarded:
        found.update(meta.forwarded)
    if info is not None and expiration.CONFIG in info.configs:
        found.update(expiration.headers(req, obj))
    if meta.lock is not None:
        found.update(_lock_headers(req, meta.lock))
    return found


def _check_conditions(sent: Mapping[str, str], obj: StoredObject) -> None:
    """Raises: NotModified, PreconditionFailed."""
    try:
        conditions.check_read(
            etag=obj.etag,
            modified_ms=obj.modified_ms,
            if_match=sent.get("if-match"),
            if_none_match=sent.get("if-none-match"),
            if_modified_since=sent.get("if-modified-since"),
            if_unmodified_since=sent.get("if-unmodified-since"),
        )
    except NotModified as error:
        # RFC 9110, section 15.4.5: with what a cache lives by
        kept = {_title(name): obj.meta.headers[name] for name in CACHING if name in obj.meta.headers}
        error.headers.update(kept, **{"Last-Modified": http_date(obj.modified_ms)})
        raise


def _lock_headers(req: S3Request, lock: ObjectLock) -> dict[str, str]:
    """What the caller may know of the lock; as in S3, each part has a permission of its own."""
    found = lock.headers()
    for operation, names in LOCK_PERMISSIONS.items():
        if not found.keys().isdisjoint(names):
            try:
                req.authorize(operation, req.bucket, req.key, req.query.get("versionId"))
            except AccessDenied:
                found = {name: value for name, value in found.items() if name not in names}
    return found


def _title(name: str) -> str:
    return name if name.startswith("x-amz-") else name.title()


def checksum_headers(obj: StoredObject) -> dict[str, str]:
    """Stored checksums, given when ``x-amz-checksum-mode: ENABLED`` asks for them."""
    found = {f"{CHECKSUM_HEADER}{name.lower()}": value for name, value in obj.meta.checksums.items()}
    if found:
        found["x-amz-checksum-type"] = obj.meta.checksum_type
    return found


def _checksums_wanted(req: S3Request) -> bool:
    return req.header_map.get("x-amz-checksum-mode", "").upper() == "ENABLED"


def overrides(req: S3Request) -> dict[str, str]:
    """``response-*`` query parameters, which only signed requests may use."""
    found = headers.overrides_from(req.query)
    if found and req.principal.anonymous:
        raise InvalidRequest("Request specific response headers cannot be used for anonymous GET requests.")
    return found


class _Described(msgspec.Struct, frozen=True):
    """Header of an answer, and the half-open range of the original that is its body."""

    status: int
    headers: dict[str, str]
    start: int
    end: int


class _ReadObject(Resource):
    """What GET and HEAD share."""

    def _describe(self, req: S3Request, obj: StoredObject) -> _Described:
        """Work out the answer's header. Raises: NotModified, PreconditionFailed, InvalidRange, InvalidPart ..."""
        sent = req.header_map
        if not conditions.READ_HEADERS.isdisjoint(sent):
            _check_conditions(sent, obj)
        found = object_headers(req, obj)
        part: ByteRange | None = None
        if req.query:
            found.update(overrides(req))
            part, part_found = self._part(req, obj)
            found.update(part_found)
        ranged = conditions.range_holds(sent.get("if-range"), etag=obj.etag, modified_ms=obj.modified_ms)
        span = part or parse_range(sent.get("range") if ranged else None, obj.size)
        status = 200
        if span is None:
            start, end = 0, obj.size
            if _checksums_wanted(req):
                found.update(checksum_headers(obj))
        else:
            start, end = span.start, span.end
            if obj.size:
                status = 206
                found["Content-Range"] = f"bytes {start}-{end - 1}/{obj.size}"
        found["Content-Length"] = str(end - start)
        return _Described(status, found, start, end)

    def _answer(self, req: S3Request, resp: falcon.Response, obj: StoredObject, described: _Described) -> None:
        """Set status and headers."""
        resp.status = described.status
        resp.set_headers(described.headers)
        req.facts.codec = obj.meta.codec

    def _part(self, req: S3Request, obj: StoredObject) -> tuple[ByteRange | None, Mapping[str, str]]:
        """The range of ``partNumber`` and the headers that go with it."""
        wanted = req.query.get("partNumber")
        if wanted is None:
            return None, {}
        if "range" in req.header_map:
            raise InvalidRequest("Cannot specify both Range header and partNumber query parameter")
        number = part_number(req)
        parts = self.objects.parts(req.bucket, obj)
        if not parts:
            if number != 1:
                raise InvalidPart(PartNumberRequested=wanted, ActualPartCount="1")
            return ByteRange(0, obj.size), {}
        position = next((index for index, part in enumerate(parts) if part.number == number), None)
        if position is None:
            raise InvalidPart(PartNumberRequested=wanted, ActualPartCount=str(len(parts)))
        start = sum(part.original_size for part in parts[:position])
        part = parts[position]
        found = {"x-amz-mp-parts-count": str(len(parts))}
        if _checksums_wanted(req):
            found.update({f"{CHECKSUM_HEADER}{name.lower()}": value for name, value in part.checksums.items()})
            found["x-amz-checksum-type"] = obj.meta.checksum_type
        return ByteRange(start, start + part.original_size), found


class HeadObject(_ReadObject):
    """Everything about an object but its bytes."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Headers only."""
        obj = load(self, req)
        self._answer(req, resp, obj, self._describe(req, obj))


class GetObject(_ReadObject):
    """The original, whole or in part."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Small bodies go out with the header; longer ones stream, decoded ahead by a few frames."""
        version_id = _version_named(req) if req.query else None
        backend = self.backend
        obj = looked_up(req, req.bucket, req.key, version_id)
        if obj is None:
            told = _checksums_wanted(req) and ("range" not in req.header_map or "if-range" in req.header_map)
            obj = backend.open_object(req.bucket, req.key, version_id, checksums=told)
        for _ in range(CHANGES_MAX):
            look: Callable[..., StoredObject] = backend.head_object
            try:
                if self._send(req, resp, _readable(req, obj)):
                    return
            except ObjectChanged:
                look = backend.open_object
            except S3Error:
                if not obj.remembered:
                    raise
            obj = look(req.bucket, req.key, version_id)
        raise ServiceUnavailable  # it is overwritten faster than it can be read

    def _send(self, req: S3Request, resp: falcon.Response, obj: StoredObject) -> bool:
        """Answer with *obj*, unless it is remembered and nothing of its body is asked for that could confirm it."""
        described = self._describe(req, obj)
        start, end = described.start, described.end
        if obj.remembered and start >= end:
            return False
        blocks = self.objects.read(req.bucket, obj, start, end)
        if not req.ours:
            blocks = (bytes(block) for block in blocks)
        data = _joined(blocks) if end - start <= self.objects.squisher.frame_bytes else None
        self._answer(req, resp, obj, described)
        if data is None:
            resp.stream = blocks  # type: ignore[assignment] # as below
        else:
            resp.data = data
        return True


def _joined(blocks: Iterable[Buffer]) -> bytes:
    """All of *blocks*; a single one as it is, which our worker sends from where it lies."""
    pieces = list(blocks)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)  # type: ignore[return-value] # WSGI says bytes


class GetObjectAttributes(Resource):
    """ETag, checksums, parts, size and storage class in one document."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Only the attributes that the client asks for."""
        params = parameters(req)
        wanted = {name for item in params["ObjectAttributes"] for name in item.replace(" ", "").split(",")}
        obj = load(self, req)
        result: dict[str, Any] = {"LastModified": obj.modified_ms}
        if req.bucket_info is not None and req.bucket_info.versioning:
            result["VersionId"] = obj.version_id
        if "ETag" in wanted:
            result["ETag"] = obj.etag
        if "Checksum" in wanted and obj.meta.checksums:
            result["Checksum"] = {f"Checksum{name}": value for name, value in obj.meta.checksums.items()}
            result["Checksum"]["ChecksumType"] = obj.meta.checksum_type
        if "ObjectSize" in wanted:
            result["ObjectSize"] = obj.size
        if "StorageClass" in wanted:
            result["StorageClass"] = obj.meta.storage_class
        if "ObjectParts" in wanted and obj.meta.parts:
            result["ObjectParts"] = self._parts(req, obj, params)
        answer(req, resp, result)

    def _parts(self, req: S3Request, obj: StoredObject, params: dict[str, Any]) -> dict[str, Any]:
        largest = min(params.get("MaxParts", PARTS_MAX), PARTS_MAX)
        after = int(params.get("PartNumberMarker") or 0)
        parts = self.objects.parts(req.bucket, obj)
        rest = [part for part in parts if part.number > after]
        shown = rest[:largest]
        found: dict[str, Any] = {
            "TotalPartsCount": len(parts),
            "PartNumberMarker": after,
            "NextPartNumberMarker": shown[-1].number if shown else after,
            "MaxParts": largest,
            "IsTruncated": len(rest) > len(shown),
        }
        # As S3: parts are listed one by one only where the client chose a checksum for them.
        if obj.meta.checksums:
            found["Parts"] = [
                {"PartNumber": part.number, "Size": part.original_size}
                | {f"Checksum{name}": value for name, value in part.checksums.items()}
                for part in shown
            ]
        return found
