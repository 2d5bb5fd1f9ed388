"""Listings of a bucket: ListObjects, ListObjectsV2, ListObjectVersions."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from s4gw.gateway.resources.base import Resource, answer, parameters, quoted
from s4gw.gateway.resources.grants import bucket_of, user
from s4gw.s3.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable

    import falcon

    from s4gw.backends.base import ListPage, StoredObject
    from s4gw.gateway.request import S3Request

KEYS_MAX: Final = 1000
"""S3's page limit; a larger max-keys is cut to it."""


def encoder(params: dict[str, Any]) -> Callable[[str], str]:
    """How names appear in the document: percent-encoded on demand, so that XML can carry any key."""
    kind = params.get("EncodingType")
    if kind is None:
        return str
    if kind != "url":
        raise InvalidArgument("Invalid Encoding Method specified in Request", ArgumentName="encoding-type")
    return lambda name: quote(name, safe="/")


def page_size(params: dict[str, Any], name: str = "MaxKeys", largest: int = KEYS_MAX) -> int:
    """Wanted page size, cut to S3's limit. Raises: InvalidArgument when negative."""
    size = params.get(name)
    if size is None:
        return largest
    if size < 0:
        raise InvalidArgument(f"Argument {name} must be an integer between 0 and 2147483647")
    return min(int(size), largest)


def _entry(obj: StoredObject, encode: Callable[[str], str], owner: dict[str, str] | None) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "Key": encode(obj.key),
        "LastModified": obj.modified_ms,
        "ETag": quoted(obj.etag),
        "Size": obj.size,
        "StorageClass": obj.meta.storage_class,
    }
    if obj.meta.checksums:
        entry["ChecksumAlgorithm"] = list(obj.meta.checksums)
        entry["ChecksumType"] = obj.meta.checksum_type
    if owner is not None:
        entry["Owner"] = owner
    return entry


def _common(req: S3Request, params: dict[str, Any], page: ListPage, encode: Callable[[str], str]) -> dict[str, Any]:
    """Elements that all three listings share."""
    result: dict[str, Any] = {
        "Name": req.bucket,
        "Prefix": encode(params.get("Prefix") or ""),
        "MaxKeys": page_size(params),
        "IsTruncated": page.truncated,
    }
    if params.get("Delimiter"):
        result["Delimiter"] = encode(params["Delimiter"])
    if params.get("EncodingType"):
        result["EncodingType"] = params["EncodingType"]
    if page.prefixes:
        result["CommonPrefixes"] = [{"Prefix": encode(prefix)} for prefix in page.prefixes]
    return result


class ListObjects(Resource):
    """Version 1: pages by marker, owners always."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """One page."""
        params = parameters(req)
        encode = encoder(params)
        marker = params.get("Marker") or ""
        page = self.backend.list_objects(
            req.bucket,
            prefix=params.get("Prefix") or "",
            delimiter=params.get("Delimiter") or "",
            after=marker,
            limit=page_size(params),
        )
        result = _common(req, params, page, encode)
        result["Marker"] = encode(marker)
        result["Contents"] = [_entry(obj, encode, user(req, obj.meta.owner)) for obj in page.objects]
        if page.truncated and params.get("Delimiter"):
            result["NextMarker"] = encode(page.next_key)
        answer(req, resp, result)


class ListObjectsV2(Resource):
    """Version 2: pages by an opaque token, owners on demand."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """One page."""
        params = parameters(req)
        encode = encoder(params)
        token, start_after = params.get("ContinuationToken"), params.get("StartAfter") or ""
        page = self.backend.list_objects(
            req.bucket,
            prefix=params.get("Prefix") or "",
            delimiter=params.get("Delimiter") or "",
            after=_key_of(token) if token else start_after,
            limit=page_size(params),
        )
        owner = bool(params.get("FetchOwner"))
        result = _common(req, params, page, encode)
        result["Contents"] = [_entry(obj, encode, user(req, obj.meta.owner) if owner else None) for obj in page.objects]
        result["KeyCount"] = len(page.objects) + len(page.prefixes)
        if token is not None:
            result["ContinuationToken"] = token
        if start_after:
            result["StartAfter"] = encode(start_after)
        if page.truncated:
            result["NextContinuationToken"] = _token_of(page.next_key)
        answer(req, resp, result)


class ListObjectVersions(Resource):
    """All versions and delete markers."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """One page."""
        params = parameters(req)
        encode = encoder(params)
        key_marker, version_marker = params.get("KeyMarker") or "", params.get("VersionIdMarker") or ""
        if version_marker and not key_marker:
            raise InvalidArgument(
                "A version-id marker cannot be specified without a key marker.",
                ArgumentName="version-id-marker",
                ArgumentValue=version_marker,
            )
        page = self.backend.list_versions(
            req.bucket,
            prefix=params.get("Prefix") or "",
            delimiter=params.get("Delimiter") or "",
            after_key=key_marker,
            after_version_id=version_marker,
            limit=page_size(params),
        )
        result = _common(req, params, page, encode)
        result["KeyMarker"] = encode(key_marker)
        result["VersionIdMarker"] = version_marker
        result["Versions"] = [
            _entry(obj, encode, user(req, obj.meta.owner)) | {"VersionId": obj.version_id, "IsLatest": obj.is_latest}
            for obj in page.objects
            if not obj.delete_marker
        ]
        result["DeleteMarkers"] = [
            {
                "Key": encode(obj.key),
                "VersionId": obj.version_id,
                "IsLatest": obj.is_latest,
                "LastModified": obj.modified_ms,
                "Owner": user(req, obj.meta.owner or bucket_of(req).owner),
            }
            for obj in page.objects
            if obj.delete_marker
        ]
        if page.truncated:
            result["NextKeyMarker"] = encode(page.next_key)
            result["NextVersionIdMarker"] = page.next_version_id
        answer(req, resp, result)


def _token_of(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _key_of(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidArgument(
            "The continuation token provided is incorrect", ArgumentName="continuation-token"
        ) from error
