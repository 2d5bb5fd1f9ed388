"""Multipart uploads, operation by operation."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from s4gw.backends.base import PartInfo, StoredObject, Upload
from s4gw.checksum import Algorithm
from s4gw.gateway import faults
from s4gw.gateway.resources import expiration
from s4gw.gateway.resources.base import XML_BODY_BYTES_MAX, Resource, answer, parameters, quoted
from s4gw.gateway.resources.body_checks import read_document
from s4gw.gateway.resources.grants import user
from s4gw.gateway.resources.keep_alive import UNDER_WAY_MAX, begun, kept_alive
from s4gw.gateway.resources.listing import encoder, page_size
from s4gw.gateway.resources.object_put import check_length, versions_are_told
from s4gw.gateway.resources.part_number import part_number
from s4gw.gateway.resources.upload_request import digest_plan, meta_of, write_conditions
from s4gw.objects import DEFAULT_ALGORITHM, Completion
from s4gw.s3 import checksums, model
from s4gw.s3.errors import InvalidRequest, NoSuchUpload
from s4gw.s3.multipart import choose_checksum_type, same_parts

if TYPE_CHECKING:
    import falcon

    from s4gw.gateway.request import S3Request
    from s4gw.gateway.services import Services

PAGE_MAX: Final = 1000


def location(req: S3Request) -> str:
    """URL of the request's object, as the client addressed this server."""
    scheme = "https" if req.secure else "http"
    return f"{scheme}://{req.header_map.get('host', '')}/{req.bucket}/{quote(req.key)}"


class CreateMultipartUpload(Resource):
    """Start an upload; what the object will be is said here."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Without a checksum algorithm, S3's default for the whole object."""
        sent = req.header_map
        chosen = checksums.parse_algorithm(sent.get("x-amz-checksum-algorithm"))
        algorithm = chosen or DEFAULT_ALGORITHM
        kind = choose_checksum_type(chosen, sent.get("x-amz-checksum-type")) or "FULL_OBJECT"
        upload = Upload(
            key=req.key,
            upload_id=f"{self.services.ids()}{self.services.ids()}".lower(),
            started_ms=int(self.services.clock() * 1000),
            meta=meta_of(req),
            initiator=req.principal.owner_id,
            checksum_algorithm=algorithm.value,
            checksum_type=kind,
            checksum_chosen=chosen is not None,
        )
        self.backend.create_upload(req.bucket, upload)
        result: dict[str, Any] = {"Bucket": req.bucket, "Key": req.key, "UploadId": upload.upload_id}
        if chosen is not None:
            result |= {"ChecksumAlgorithm": algorithm.value, "ChecksumType": kind}
        result |= expiration.of_upload(req, upload)
        answer(req, resp, result)
        resp.set_headers(_encryption(upload))


def _encryption(upload: Upload) -> dict[str, str]:
    """What S3 says about encryption with each step of an upload, where an upstream does it."""
    return {
        name: value
        for name, value in upload.meta.forwarded.items()
        if name.startswith("x-amz-server-side-encryption") and not name.endswith("-context")
    }


class UploadPart(Resource):
    """One part, squished as it arrives."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Uploading a number again replaces the part."""
        number = part_number(req)
        check_length(req.body.length)
        upload = self.backend.get_upload(req.bucket, req.key, req.query["uploadId"])
        default = Algorithm(upload.checksum_algorithm) if upload.checksum_algorithm else DEFAULT_ALGORITHM
        plan = digest_plan(req, default)
        if default not in plan.kept:
            if upload.checksum_chosen:
                raise InvalidRequest(
                    f"Checksum Type mismatch occurred, expected checksum Type: {default.value.lower()}, "
                    f"actual checksum Type: {plan.kept[0].value.lower()}"
                )
            # The whole object's checksum is S3's default one; the client's own is checked and given back.
            plan = plan.keeping(default)
        part = self.objects.put_part(req.bucket, upload, number, req.body, plan)
        req.facts.codec = part.codec
        req.facts.original_bytes, req.facts.stored_bytes = part.size, part.stored_size
        resp.set_header("ETag", quoted(part.etag))
        name = plan.kept[0].value
        resp.set_header(f"x-amz-checksum-{name.lower()}", part.checksums[name])
        resp.set_headers(_encryption(upload))
        resp.content_length = 0


class CompleteMultipartUpload(Resource):
    """Make the object of its parts."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._slots = threading.Semaphore(UNDER_WAY_MAX)

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """A retry of a Complete that succeeded gets the same answer; one that takes long is kept alive."""
        params = parameters(req, read_document(req, XML_BODY_BYTES_MAX, checksum_of_object=True))
        request, upload_id = _completion(req, params), req.query["uploadId"]
        outcome = begun(lambda: self._complete(req.bucket, req.key, upload_id, request), self._slots)
        if outcome.done():
            obj = outcome.result()
            req.facts.codec = obj.meta.codec
            answer(req, resp, self._result(req, obj))
            resp.set_headers(expiration.headers(req, obj))
            resp.set_headers(obj.meta.forwarded)
            return
        resp.content_type = "application/xml"
        resp.stream = kept_alive(outcome, lambda done: self._document(req, done))

    def _complete(self, bucket: str, key: str, upload_id: str, request: Completion) -> StoredObject:
        try:
            upload = self.backend.get_upload(bucket, key, upload_id)
            return self.objects.complete(bucket, upload, request)
        except NoSuchUpload:
            done = self.backend.completed_upload(bucket, key, upload_id)
            if done is None or not same_parts(request.parts, done.etag):
                raise
            return done

    def _document(self, req: S3Request, outcome: Future[StoredObject]) -> bytes:
        """What ends an answer that has begun: the status has left, so that errors stand in the document alone."""
        error = outcome.exception()
        if error is not None:
            return faults.document(req, error)
        obj = outcome.result()
        req.facts.codec = obj.meta.codec
        return model.write_response(req.operation.name, self._result(req, obj)).body

    def _result(self, req: S3Request, obj: StoredObject) -> dict[str, Any]:
        result: dict[str, Any] = {
            "Location": location(req),
            "Bucket": req.bucket,
            "Key": req.key,
            "ETag": quoted(obj.etag),
        }
        for name, value in obj.meta.checksums.items():
            result[f"Checksum{name}"] = value
            result["ChecksumType"] = obj.meta.checksum_type
        if versions_are_told(req):
            result["VersionId"] = obj.version_id
        return result


def _completion(req: S3Request, params: dict[str, Any]) -> Completion:
    sent = req.header_map
    size = sent.get("x-amz-mp-object-size")
    if size is not None and not (size.isascii() and size.isdigit()):
        raise InvalidRequest("Value for x-amz-mp-object-size header is invalid.")
    whole = next(
        ((algorithm, sent[header]) for header, algorithm in checksums.BY_HEADER.items() if header in sent), None
    )
    return Completion(
        parts=(params.get("MultipartUpload") or {}).get("Parts") or (),
        conditions=write_conditions(sent),
        object_size=None if size is None else int(size),
        algorithm=whole[0] if whole else None,
        checksum=whole[1] if whole else "",
        checksum_type=sent.get("x-amz-checksum-type", ""),
    )


class AbortMultipartUpload(Resource):
    """Give an upload and its parts up."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Answer 204."""
        self.backend.abort_upload(req.bucket, req.key, req.query["uploadId"])
        answer(req, resp, {})


class ListParts(Resource):
    """Parts uploaded so far, sizes and ETags of the originals."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """One page."""
        params = parameters(req)
        upload = self.backend.get_upload(req.bucket, req.key, params["UploadId"])
        limit = page_size(params, "MaxParts", PAGE_MAX)
        after = int(params.get("PartNumberMarker") or 0)
        found = self.backend.list_parts(req.bucket, req.key, upload.upload_id, after=after, limit=limit + 1)
        page = found[:limit]
        result: dict[str, Any] = {
            "Bucket": req.bucket,
            "Key": req.key,
            "UploadId": upload.upload_id,
            "PartNumberMarker": after,
            "NextPartNumberMarker": page[-1].number if page else 0,
            "MaxParts": limit,
            "IsTruncated": len(found) > len(page),
            "Parts": [_part_entry(part, upload) for part in page],
            "Initiator": user(req, upload.initiator),
            "Owner": user(req, upload.meta.owner),
            "StorageClass": upload.meta.storage_class,
        }
        if upload.checksum_chosen:
            result |= {"ChecksumAlgorithm": upload.checksum_algorithm, "ChecksumType": upload.checksum_type}
        result |= expiration.of_upload(req, upload)
        answer(req, resp, result)


def _part_entry(part: PartInfo, upload: Upload) -> dict[str, Any]:
    shown = {upload.checksum_algorithm} if upload.checksum_chosen else set()
    return {
        "PartNumber": part.number,
        "LastModified": part.modified_ms,
        "ETag": quoted(part.etag),
        "Size": part.size,
    } | {f"Checksum{name}": value for name, value in part.checksums.items() if name in shown}


class ListMultipartUploads(Resource):
    """Uploads in progress in a bucket."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """One page, by key, then by start."""
        params = parameters(req)
        encode = encoder(params)
        limit = page_size(params, "MaxUploads", PAGE_MAX)
        key_marker, upload_marker = params.get("KeyMarker") or "", params.get("UploadIdMarker") or ""
        page = self.backend.list_uploads(
            req.bucket,
            prefix=params.get("Prefix") or "",
            delimiter=params.get("Delimiter") or "",
            after_key=key_marker,
            after_upload_id=upload_marker if key_marker else "",
            limit=limit,
        )
        result: dict[str, Any] = {
            "Bucket": req.bucket,
            "KeyMarker": encode(key_marker),
            "UploadIdMarker": upload_marker,
            "Prefix": encode(params.get("Prefix") or ""),
            "MaxUploads": limit,
            "IsTruncated": page.truncated,
            "Uploads": [
                {
                    "Key": encode(upload.key),
                    "UploadId": upload.upload_id,
                    "Initiated": upload.started_ms,
                    "StorageClass": upload.meta.storage_class,
                    "Owner": user(req, upload.meta.owner),
                    "Initiator": user(req, upload.initiator),
                }
                | (
                    {"ChecksumAlgorithm": upload.checksum_algorithm, "ChecksumType": upload.checksum_type}
                    if upload.checksum_chosen
                    else {}
                )
                for upload in page.uploads
            ],
            "CommonPrefixes": [{"Prefix": encode(prefix)} for prefix in page.prefixes],
        }
        if params.get("Delimiter"):
            result["Delimiter"] = encode(params["Delimiter"])
        if params.get("EncodingType"):
            result["EncodingType"] = params["EncodingType"]
        if page.truncated:
            result |= {"NextKeyMarker": encode(page.next_key), "NextUploadIdMarker": page.next_upload_id}
        answer(req, resp, result)
