"""Copies and renames: CopyObject, UploadPartCopy, RenameObject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from s4gw.backends.base import Conditions, ObjectMeta, StoredObject
from s4gw.bucketconfig import tagging
from s4gw.gateway.resources import expiration, grants
from s4gw.gateway.resources.base import Resource, answer, parameters, quoted
from s4gw.gateway.resources.object_put import OBJECT_BYTES_MAX, note, versions_are_told
from s4gw.gateway.resources.part_number import part_number
from s4gw.gateway.resources.upload_request import (
    forwarded_from,
    lock_of,
    storage_class_of,
    write_conditions,
)
from s4gw.objects import DigestPlan, copied_meta
from s4gw.s3 import checksums, conditions, headers, names, uri
from s4gw.s3.errors import (
    InvalidArgument,
    InvalidRequest,
    NoSuchKey,
)
from s4gw.s3.range import parse_copy_range

if TYPE_CHECKING:
    import falcon

    from s4gw.gateway.request import S3Request

DIRECTIVES: Final = frozenset({"COPY", "REPLACE"})


def _load_source(resource: Resource, req: S3Request) -> tuple[str, StoredObject]:
    """The object to copy, when its preconditions hold; that the caller may read it was decided by authorization.

    Raises: NoSuchBucket, NoSuchKey, NoSuchVersion, InvalidRequest, PreconditionFailed.
    """
    named = uri.parse_copy_source(req.header_map["x-amz-copy-source"])
    bucket, key, version_id = named.bucket, named.key, named.version_id
    names.check_key(key)
    obj = resource.backend.head_object(bucket, key, version_id)
    if obj.delete_marker:
        if version_id:
            raise InvalidRequest(
                "The source of a copy request may not specifically refer to a delete marker by version id."
            )
        raise NoSuchKey(Key=key)
    sent = req.header_map
    conditions.check_copy_source(
        etag=obj.etag,
        modified_ms=obj.modified_ms,
        if_match=sent.get("x-amz-copy-source-if-match"),
        if_none_match=sent.get("x-amz-copy-source-if-none-match"),
        if_modified_since=sent.get("x-amz-copy-source-if-modified-since"),
        if_unmodified_since=sent.get("x-amz-copy-source-if-unmodified-since"),
    )
    return bucket, obj


class CopyObject(Resource):
    """A new object with the bytes of another; the store re-points, nothing is decoded."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Metadata and tags are copied or replaced, as the directives say."""
        source_bucket, source = _load_source(self, req)
        if source.size > OBJECT_BYTES_MAX:
            raise InvalidRequest(
                "The specified copy source is larger than the maximum allowable size for a copy source: "
                f"{OBJECT_BYTES_MAX}"
            )
        meta = self._meta(req, source_bucket, source)
        wanted = checksums.parse_algorithm(req.header_map.get("x-amz-checksum-algorithm"))
        preconditions = write_conditions(req.header_map)
        if wanted is not None and wanted.value not in source.meta.checksums:
            plan = DigestPlan(kept=(wanted,))
            written = self.objects.rewrite(
                source_bucket, source, req.bucket, req.key, meta=meta, plan=plan, conditions=preconditions
            )
            note(req, written)
            copy = written.object
        else:
            self.objects.dictionaries.carry(source_bucket, source, req.bucket)
            copy = self.backend.copy_object(
                source,
                source_bucket,
                req.bucket,
                req.key,
                meta=copied_meta(source.meta, meta),
                conditions=preconditions,
            )
        req.facts.codec = copy.meta.codec
        result: dict[str, Any] = {
            "CopyObjectResult": {"ETag": quoted(copy.etag), "LastModified": copy.modified_ms}
            | {f"Checksum{name}": value for name, value in copy.meta.checksums.items()}
            | ({"ChecksumType": copy.meta.checksum_type} if copy.meta.checksums else {})
        }
        if versions_are_told(req):
            result["VersionId"] = copy.version_id
        if source.version_id != "null":
            result["CopySourceVersionId"] = source.version_id
        answer(req, resp, result)
        resp.set_headers(expiration.headers(req, copy))

    def _meta(self, req: S3Request, source_bucket: str, source: StoredObject) -> ObjectMeta:
        sent = req.header_map
        upstream = self.services.upstream is not None
        directive = _directive(sent.get("x-amz-metadata-directive"), "x-amz-metadata-directive")
        tag_directive = _directive(sent.get("x-amz-tagging-directive"), "x-amz-tagging-directive")
        storage_class = sent.get("x-amz-storage-class", "STANDARD") if upstream else storage_class_of(sent)
        forwarded = forwarded_from(req, sent) if upstream else req.encryption.told
        changed = (
            "REPLACE" in (directive, tag_directive) or bool(forwarded) or storage_class != source.meta.storage_class
        )
        same = (source_bucket, source.key) == (req.bucket, req.key)
        if same and not changed and source.is_latest and headers.REDIRECT not in sent:
            raise InvalidRequest(
                "This copy request is illegal because it is trying to copy an object to itself without changing the "
                "object's metadata, storage class, website redirect location or encryption attributes."
            )
        replaced = directive == "REPLACE"
        tags = source.meta.tags
        if tag_directive == "REPLACE":
            tags = tagging.parse_header(sent.get("x-amz-tagging", ""))
        owner, acl = (grants.bucket_of(req).owner, b"") if upstream else grants.object_owner_and_acl(req, sent)
        return ObjectMeta(
            owner=owner,
            headers=headers.system_from(sent) if replaced else headers.system_copied(source.meta.headers, sent),
            metadata=headers.metadata_from(sent) if replaced else source.meta.metadata,
            tags=tags,
            acl=acl,
            storage_class=storage_class,
            forwarded=forwarded,
            lock=None if upstream else lock_of(req, sent),
        )


def _directive(value: str | None, header: str) -> str:
    if value is None:
        return "COPY"
    if value not in DIRECTIVES:
        raise InvalidArgument(f"Unknown {header.removeprefix('x-amz-')}.", ArgumentName=header, ArgumentValue=value)
    return value


class UploadPartCopy(Resource):
    """A part made of an object or of a range of it."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """The range is of the original; its frames are cut anew."""
        number = part_number(req)
        upload = self.backend.get_upload(req.bucket, req.key, req.query["uploadId"])
        source_bucket, source = _load_source(self, req)
        span = parse_copy_range(req.header_map.get("x-amz-copy-source-range"), source.size)
        start, end = (span.start, span.end) if span else (0, source.size)
        if end - start > OBJECT_BYTES_MAX:
            raise InvalidRequest("The specified copy source range is larger than the maximum allowable size.")
        part = self.objects.copy_part(req.bucket, upload, number, source_bucket, source, start, end)
        req.facts.codec = part.codec
        req.facts.original_bytes, req.facts.stored_bytes = part.size, part.stored_size
        result: dict[str, Any] = {
            "CopyPartResult": {"ETag": quoted(part.etag), "LastModified": part.modified_ms}
            | {f"Checksum{name}": value for name, value in part.checksums.items()}
        }
        if source.version_id != "null":
            result["CopySourceVersionId"] = source.version_id
        answer(req, resp, result)


class RenameObject(Resource):
    """Move an object to another key of its bucket, in one transaction."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """The source's preconditions and the target's both hold, or nothing happens."""
        params = parameters(req)
        named = uri.parse_copy_source(params["RenameSource"])
        bucket, key = named.bucket, named.key
        if bucket != req.bucket:
            raise InvalidRequest("The source of a rename must lie in the same bucket.")
        names.check_key(key)
        sent = req.header_map
        source_match = sent.get("x-amz-rename-source-if-match")
        self.backend.rename_object(
            bucket,
            key,
            req.key,
            conditions=write_conditions(sent),
            source_conditions=Conditions(if_match=None if source_match is None else source_match.strip().strip('"')),
        )
        answer(req, resp, {})
