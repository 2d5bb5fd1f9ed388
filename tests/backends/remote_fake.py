"""An upstream in memory with the one method that the remote backend uses: `call`, in boto3's shapes.

It keeps bodies as they are sent, versions included, over the memory backend. Requests are recorded and can be made to
fail before they happen, or after (a lost answer); operations can be missing, as they are on smaller servers.
"""

# ruff: noqa: N802, N803 - methods and parameters have the names of S3 and boto3
from __future__ import annotations

import hashlib
import io
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from s4gw.backends import (
    BucketInfo,
    Conditions,
    Deleted,
    DeleteTarget,
    MemoryBackend,
    ObjectMeta,
    StoredObject,
    read_all,
)
from s4gw.s3.errors import (
    EntityTooSmall,
    InvalidPart,
    NoSuchKey,
    NoSuchUpload,
    PreconditionFailed,
    S3Error,
)
from s4gw.s3.errors import NotImplemented as S3NotImplemented
from s4gw.s3.multipart import PART_BYTES_MIN, multipart_etag
from tests.backends.remote_values import bare, deleted_fields, etag_of, nothing, span_of, time_of

KEPT = ("ContentType", "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "StorageClass")

Hook = Callable[[str, Mapping[str, Any]], None]


class FakeBody(io.BytesIO):
    """A body as `Upstream.call` gives it."""


@dataclass
class FakeUpload:
    """A multipart upload in progress."""

    bucket: str
    key: str
    params: dict[str, Any]
    initiated_ms: int
    parts: dict[int, bytes] = field(default_factory=dict)


class FakeUpstream:
    """An S3 service in this process. Safe for threads.

    Attributes:
        calls: (operation, parameters) of every call, in order.
        before: Called first; what it raises is raised, and nothing happens.
        after: Called when the operation has been carried out; what it raises is raised instead of the answer.
        missing: Operations that are answered NotImplemented.
        part_bytes_min: Of every part but the last.
        page_size: Entries of a listing page at most.
        latency_s: Slept in every call.
        most_at_once: Calls that were under way at the same time.
    """

    def __init__(self, *, part_bytes_min: int = PART_BYTES_MIN) -> None:
        self.store = MemoryBackend()
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.before: Hook = nothing
        self.after: Hook = nothing
        self.missing: set[str] = set()
        self.part_bytes_min = part_bytes_min
        self.page_size = 1000
        self.latency_s = 0.0
        self.most_at_once = 0
        self._under_way = 0
        self.uploads: dict[str, FakeUpload] = {}
        self._ids = count(1)
        self._lock = threading.RLock()

    def call(self, operation: str, /, **params: Any) -> dict[str, Any]:
        """Carry *operation* out."""
        given = {name: value for name, value in params.items() if value is not None}
        with self._lock:
            self.calls.append((operation, given))
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            return self._answer(operation, given)
        finally:
            with self._lock:
                self._under_way -= 1

    def _answer(self, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        if self.latency_s:
            time.sleep(self.latency_s)
        self.before(operation, given)
        if operation in self.missing:
            raise S3NotImplemented
        if hasattr(given.get("Body"), "read"):
            given["Body"] = given["Body"].read()  # outside of the lock: it may ask us again
        elif isinstance(given.get("Body"), list):
            given["Body"] = b"".join(given["Body"])
        with self._lock:
            result: dict[str, Any] = getattr(self, f"_{operation}")(**given)
        self.after(operation, given)
        return result

    def close(self) -> None:
        """As of the real one."""

    def counts(self) -> Counter[str]:
        """Calls so far by operation."""
        with self._lock:
            return Counter(operation for operation, _ in self.calls)

    def keys(self, bucket: str) -> list[str]:
        """All current keys, those that the gateway hides included."""
        return [obj.key for obj in self.store.list_objects(bucket, limit=10**9).objects]

    def body(self, bucket: str, key: str) -> bytes:
        """The current body of *key*."""
        return b"".join(read_all(self.store, self._found(bucket, key), 1 << 30))

    # -- buckets --------------------------------------------------------------------------------------------------
    def _CreateBucket(self, *, Bucket: str, **_: Any) -> dict[str, Any]:
        self.store.create_bucket(BucketInfo(name=Bucket, owner="o", created_ms=self._now_ms()))
        return {}

    def _DeleteBucket(self, *, Bucket: str) -> dict[str, Any]:
        self.store.delete_bucket(Bucket)
        return {}

    def _HeadBucket(self, *, Bucket: str) -> dict[str, Any]:
        self.store.get_bucket(Bucket)
        return {}

    def _ListBuckets(self, **_: Any) -> dict[str, Any]:
        return {
            "Buckets": [{"Name": b.name, "CreationDate": time_of(b.created_ms)} for b in self.store.list_buckets()],
            "Owner": {"ID": "o"},
        }

    def _GetBucketVersioning(self, *, Bucket: str) -> dict[str, Any]:
        state = self.store.get_bucket(Bucket).versioning
        return {"Status": state} if state else {}

    def _PutBucketVersioning(self, *, Bucket: str, VersioningConfiguration: Any) -> dict[str, Any]:
        self.store.set_versioning(Bucket, VersioningConfiguration["Status"])
        return {}

    # -- objects --------------------------------------------------------------------------------------------------
    def _PutObject(self, *, Bucket: str, Key: str, Body: Any = b"", **more: Any) -> dict[str, Any]:
        data = bytes(Body)
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return self._written(Bucket, self._put(Bucket, Key, data, etag, more))

    def _GetObject(self, *, Bucket: str, Key: str, Range: str = "", **more: Any) -> dict[str, Any]:
        obj = self._found(Bucket, Key, more.get("VersionId"))
        if more.get("IfMatch") not in (None, f'"{obj.etag}"', obj.etag):
            raise PreconditionFailed(Condition="If-Match")
        start, end = span_of(Range, obj.size)
        return self._told(Bucket, obj) | {
            "Body": FakeBody(self.store.read(obj, start, end)),
            "ContentLength": end - start,
            "ContentRange": f"bytes {start}-{end - 1}/{obj.size}",
        }

    def _HeadObject(self, *, Bucket: str, Key: str, VersionId: str | None = None, **_: Any) -> dict[str, Any]:
        return self._told(Bucket, self._found(Bucket, Key, VersionId))

    def _DeleteObject(
        self,
        *,
        Bucket: str,
        Key: str,
        VersionId: str | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        done = self.store.delete_objects(Bucket, [DeleteTarget(key=Key, version_id=VersionId)])[0]
        if isinstance(done, Exception):
            raise done
        return deleted_fields(done)

    def _DeleteObjects(self, *, Bucket: str, Delete: Any, **_: Any) -> dict[str, Any]:
        results = self.store.delete_objects(
            Bucket, [DeleteTarget(key=t["Key"], version_id=t.get("VersionId")) for t in Delete["Objects"]]
        )
        return {
            "Deleted": [{"Key": done.key} | deleted_fields(done) for done in results if isinstance(done, Deleted)],
            "Errors": [{"Code": error.code} for error in results if isinstance(error, S3Error)],
        }

    def _CopyObject(self, *, Bucket: str, Key: str, CopySource: Any, **more: Any) -> dict[str, Any]:
        source = self._found(CopySource["Bucket"], CopySource["Key"], CopySource.get("VersionId"))
        data = b"".join(read_all(self.store, source, 1 << 30))
        if more.get("MetadataDirective") != "REPLACE":
            more = {name: value for name, value in more.items() if name not in (*KEPT, "Metadata")}
            more |= {"Metadata": source.meta.metadata, **source.meta.headers}
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        written = self._written(Bucket, self._put(Bucket, Key, data, etag, more))
        return {"CopyObjectResult": {"ETag": written["ETag"], "LastModified": time_of(self._now_ms())}} | written

    # -- listings -------------------------------------------------------------------------------------------------
    def _ListObjectsV2(self, *, Bucket: str, StartAfter: str = "", **more: Any) -> dict[str, Any]:
        after = more.get("ContinuationToken") or StartAfter
        page = self.store.list_objects(
            Bucket,
            prefix=more.get("Prefix", ""),
            delimiter=more.get("Delimiter", ""),
            after=after,
            limit=min(more.get("MaxKeys", 1000), self.page_size),
        )
        return {
            "Contents": [self._listed(obj) for obj in page.objects],
            "CommonPrefixes": [{"Prefix": prefix} for prefix in page.prefixes],
            "IsTruncated": page.truncated,
            "KeyCount": len(page.objects) + len(page.prefixes),
        } | ({"NextContinuationToken": page.next_key} if page.truncated else {})

    def _ListObjectVersions(self, *, Bucket: str, **more: Any) -> dict[str, Any]:
        page = self.store.list_versions(
            Bucket,
            prefix=more.get("Prefix", ""),
            delimiter=more.get("Delimiter", ""),
            after_key=more.get("KeyMarker", ""),
            after_version_id=more.get("VersionIdMarker", ""),
            limit=min(more.get("MaxKeys", 1000), self.page_size),
        )
        result: dict[str, Any] = {
            "CommonPrefixes": [{"Prefix": prefix} for prefix in page.prefixes],
            "IsTruncated": page.truncated,
            "Versions": [],
            "DeleteMarkers": [],
        }
        if page.truncated:
            result |= {"NextKeyMarker": page.next_key, "NextVersionIdMarker": page.next_version_id}
        for obj in page.objects:
            entry = self._listed(obj) | {"VersionId": obj.version_id, "IsLatest": obj.is_latest}
            result["DeleteMarkers" if obj.delete_marker else "Versions"].append(entry)
        return result

    # -- multipart ------------------------------------------------------------------------------------------------
    def _CreateMultipartUpload(self, *, Bucket: str, Key: str, **more: Any) -> dict[str, Any]:
        self.store.get_bucket(Bucket)
        upload_id = f"up-{next(self._ids)}"
        self.uploads[upload_id] = FakeUpload(Bucket, Key, more, self._now_ms())
        return {"UploadId": upload_id, "Bucket": Bucket, "Key": Key}

    def _UploadPart(self, *, UploadId: str, PartNumber: int, Body: Any = b"", **_: Any) -> dict[str, Any]:
        return {"ETag": self._part(UploadId, PartNumber, bytes(Body))}

    def _UploadPartCopy(
        self,
        *,
        UploadId: str,
        PartNumber: int,
        CopySource: Any,
        CopySourceRange: str = "",
        **_: Any,
    ) -> dict[str, Any]:
        source = self._found(CopySource["Bucket"], CopySource["Key"], CopySource.get("VersionId"))
        start, end = span_of(CopySourceRange, source.size)
        etag = self._part(UploadId, PartNumber, self.store.read(source, start, end))
        return {"CopyPartResult": {"ETag": etag, "LastModified": time_of(self._now_ms())}}

    def _ListParts(self, *, UploadId: str, PartNumberMarker: int = 0, **more: Any) -> dict[str, Any]:
        parts = self._upload(UploadId).parts
        numbers = [number for number in sorted(parts) if number > PartNumberMarker]
        page = numbers[: min(more.get("MaxParts", 1000), self.page_size)]
        return {
            "Parts": [{"PartNumber": n, "Size": len(parts[n]), "ETag": etag_of(parts[n])} for n in page],
            "IsTruncated": len(page) < len(numbers),
            "NextPartNumberMarker": page[-1] if page else 0,
        }

    def _ListMultipartUploads(self, *, Bucket: str, Prefix: str = "", **_: Any) -> dict[str, Any]:
        found = [(u.key, i, u) for i, u in self.uploads.items() if u.bucket == Bucket and u.key.startswith(Prefix)]
        return {
            "Uploads": [
                {"Key": key, "UploadId": upload_id, "Initiated": time_of(upload.initiated_ms)}
                for key, upload_id, upload in sorted(found, key=lambda entry: entry[:2])
            ],
            "IsTruncated": False,
        }

    def _AbortMultipartUpload(self, *, UploadId: str, **_: Any) -> dict[str, Any]:
        self._upload(UploadId)
        del self.uploads[UploadId]
        return {}

    def _CompleteMultipartUpload(
        self,
        *,
        Bucket: str,
        Key: str,
        UploadId: str,
        MultipartUpload: Any,
        **more: Any,
    ) -> dict[str, Any]:
        upload = self._upload(UploadId)
        bodies = []
        for wanted in MultipartUpload["Parts"]:
            data = upload.parts.get(wanted["PartNumber"])
            if data is None or wanted["ETag"].strip('"') != etag_of(data).strip('"'):
                raise InvalidPart
            bodies.append(data)
        if any(len(data) < self.part_bytes_min for data in bodies[:-1]):
            raise EntityTooSmall
        etag = multipart_etag(hashlib.md5(data, usedforsecurity=False).digest() for data in bodies)
        obj = self._put(Bucket, Key, b"".join(bodies), etag, upload.params | more)
        del self.uploads[UploadId]
        return self._written(Bucket, obj)

    # -- inside ---------------------------------------------------------------------------------------------------
    def _now_ms(self) -> int:
        return int(time.time() * 1000)

    def _upload(self, upload_id: str) -> FakeUpload:
        upload = self.uploads.get(upload_id)
        if upload is None:
            raise NoSuchUpload(UploadId=upload_id)
        return upload

    def _part(self, upload_id: str, number: int, data: bytes) -> str:
        self._upload(upload_id).parts[number] = data
        return etag_of(data)

    def _found(self, bucket: str, key: str, version_id: str | None = None) -> StoredObject:
        obj = self.store.head_object(bucket, key, version_id)
        if obj.delete_marker:
            raise NoSuchKey(Key=key)
        return obj

    def _put(self, bucket: str, key: str, data: bytes, etag: str, more: Mapping[str, Any]) -> StoredObject:
        writer = self.store.open_writer(bucket, key, ObjectMeta())
        writer.write(data)
        meta = ObjectMeta(
            headers={name: more[name] for name in KEPT if name in more},
            metadata=dict(more.get("Metadata", {})),
            storage_class=more.get("StorageClass", "STANDARD"),
        )
        when = Conditions(if_match=bare(more.get("IfMatch")), if_none_match=bare(more.get("IfNoneMatch")))
        return self.store.put_object(bucket, key, writer, size=len(data), etag=etag, meta=meta, conditions=when)

    def _written(self, bucket: str, obj: StoredObject) -> dict[str, Any]:
        versioned = self.store.get_bucket(bucket).versioning == "Enabled"
        return {"ETag": f'"{obj.etag}"'} | ({"VersionId": obj.version_id} if versioned else {})

    def _told(self, bucket: str, obj: StoredObject) -> dict[str, Any]:
        versioned = bool(self.store.get_bucket(bucket).versioning)
        return {
            "ETag": f'"{obj.etag}"',
            "ContentLength": obj.size,
            "LastModified": time_of(obj.modified_ms // 1000 * 1000),
            "Metadata": dict(obj.meta.metadata),
            **obj.meta.headers,
        } | ({"VersionId": obj.version_id} if versioned else {})

    def _listed(self, obj: StoredObject) -> dict[str, Any]:
        return {
            "Key": obj.key,
            "ETag": f'"{obj.etag}"',
            "Size": obj.size,
            "LastModified": time_of(obj.modified_ms),
            "StorageClass": obj.meta.storage_class,
        }
