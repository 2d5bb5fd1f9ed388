"""Uploads in progress as they lie upstream: reading them, finding their parts, clearing them away.

The layout is `staging`'s. Nothing here makes an object visible.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from s4gw.backends.base import NULL_VERSION, ObjectMeta, StoredObject, Upload
from s4gw.backends.remote import staging, stored_meta
from s4gw.backends.remote.base import Handle
from s4gw.backends.remote.catalogue import Catalogue
from s4gw.backends.remote.client import Upstream
from s4gw.backends.remote.listing import ListingMode, RemoteListing
from s4gw.backends.remote.staging import Done, Intent, StagedPart, UploadRecord
from s4gw.s3.errors import InternalError, MethodNotAllowed, NoSuchKey, NoSuchUpload, S3Error
from s4gw.s3.errors import NotImplemented as S3NotImplemented

RECORDS_CACHED_MAX: Final = 1000
"""Uploads whose record a process remembers; it never changes. Some KiB each."""
DELETES_MAX: Final = 1000
"""Keys in one DeleteObjects."""


class RecordCache:
    """Records of uploads by bucket and id; the least recently used go first. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], UploadRecord] = OrderedDict()

    def get(self, bucket: str, upload_id: str) -> UploadRecord | None:
        """A record that is known."""
        with self._lock:
            known = self._known.get((bucket, upload_id))
            if known is not None:
                self._known.move_to_end((bucket, upload_id))
            return known

    def add(self, bucket: str, record: UploadRecord) -> None:
        """Remember a record."""
        with self._lock:
            self._known[bucket, record.upload.upload_id] = record
            if len(self._known) > RECORDS_CACHED_MAX:
                self._known.popitem(last=False)

    def drop(self, bucket: str, upload_id: str) -> None:
        """The upload has ended."""
        with self._lock:
            self._known.pop((bucket, upload_id), None)

    def drop_all(self, bucket: str) -> None:
        """The bucket is gone."""
        with self._lock:
            for name in [name for name in self._known if name[0] == bucket]:
                del self._known[name]


class StagedObjects(msgspec.Struct):
    """What one listing of an upload's objects tells."""

    parts: dict[int, StagedPart]
    """The newest of each number."""
    intents: list[str]
    """Keys."""
    done: bool
    """It became an object."""


class RemoteUploads(RemoteListing):
    """Access to uploads in progress. Arguments as of `RemoteListing`."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        owner: str,
        region: str = "us-east-1",
        catalogue: Catalogue | None = None,
        listing_mode: ListingMode = "exact",
    ) -> None:
        super().__init__(upstream, owner=owner, region=region, catalogue=catalogue, listing_mode=listing_mode)
        self.records = RecordCache()
        self.can_copy_parts = True
        """Until the upstream shows that it does not."""

    def create_record(self, bucket: str, upload: Upload) -> None:
        """Begin an upload. Raises: NoSuchBucket, MetadataTooLarge (also of what is forwarded and added)."""
        stored_meta.parameters(upload.meta)
        record = UploadRecord(upload=upload, created_ns=time.time_ns())
        body, key = msgspec.json.encode(record), staging.record_key(upload.upload_id)
        self.call("PutObject", Bucket=bucket, Key=key, Body=body, **encryption(upload.meta))
        self.records.add(bucket, record)

    def find_record(self, bucket: str, key: str, upload_id: str) -> UploadRecord:
        """The record of an upload; one that another process has just ended may still be given. Raises: NoSuchUpload."""
        record = self.records.get(bucket, upload_id)
        if record is None:
            record = self._read_record(bucket, upload_id)
            self.records.add(bucket, record)
        if record.upload.key != key:
            raise NoSuchUpload(UploadId=upload_id)
        return record

    def is_open(self, bucket: str, upload_id: str) -> bool:
        """Ask the upstream whether the upload is still in progress."""
        try:
            self.call("HeadObject", Bucket=bucket, Key=staging.record_key(upload_id))
        except NoSuchKey:
            self.records.drop(bucket, upload_id)
            return False
        return True

    def all_records(self, bucket: str) -> list[UploadRecord]:
        """Every upload in progress in *bucket*."""
        ids = [
            str(item["Key"]).removeprefix(staging.UPLOADS_PREFIX)
            for item in self.listed(bucket, staging.UPLOADS_PREFIX)
        ]
        found = self.pools.requests.map(lambda upload_id: self._record_or_none(bucket, upload_id), ids)
        return [record for record in found if record is not None]

    def staged(self, bucket: str, upload_id: str) -> StagedObjects:
        """All that lies upstream of an upload."""
        found = StagedObjects({}, [], done=False)
        prefix = staging.staged_prefix(upload_id)
        for item in self.listed(bucket, prefix):
            key = str(item["Key"])
            if key == staging.done_key(upload_id):
                found.done = True
            elif key.startswith(f"{prefix}intent/"):
                found.intents.append(key)
            else:
                _keep_newest(found.parts, staging.staged_part(upload_id, item))
        return found

    def staged_parts(self, bucket: str, upload_id: str, after: int, limit: int) -> list[StagedPart]:
        """At most *limit* parts with numbers > *after*, ascending."""
        found: dict[int, StagedPart] = {}
        prefix = f"{staging.staged_prefix(upload_id)}parts/"
        for item in self.listed(bucket, prefix, staging.parts_after(upload_id, after)):
            _keep_newest(found, staging.staged_part(upload_id, item))
            if len(found) > limit:
                break
        return [found[number] for number in sorted(found)][:limit]

    def handle_of(self, bucket: str, upload_id: str, part: StagedPart) -> Handle:
        """How to read the stored bytes of a part."""
        data_id = part.facts.data_id
        if not data_id:
            return Handle(bucket, part.key, part.etag)
        return Handle(bucket, staging.data_key(upload_id, data_id), part.facts.data_etag)

    def part_frames(self, bucket: str, part: StagedPart) -> bytes:
        """The packed frame index of a part. Raises: S3Error."""
        if part.facts.frames is not None:
            return part.facts.frames
        with self.call("GetObject", Bucket=bucket, Key=part.key)["Body"] as body:
            data: bytes = body.read()
        return data

    # -- the end of an upload -----------------------------------------------------------------------------------------
    def read_done(self, bucket: str, upload_id: str) -> StoredObject | None:
        """The object that an upload became, within a day."""
        done = self.done_record(bucket, upload_id)
        if done is None or now_ms() - done.modified_ms > staging.REMEMBER_DONE_MS:
            return None
        return self.made(bucket, done)

    def done_record(self, bucket: str, upload_id: str) -> Done | None:
        """What is written down about the object that an upload became."""
        try:
            with self.call("GetObject", Bucket=bucket, Key=staging.done_key(upload_id))["Body"] as body:
                return msgspec.json.decode(body.read(), type=Done)
        except (NoSuchKey, NoSuchUpload):
            return None
        except msgspec.MsgspecError as error:
            raise InternalError from error

    def write_done(self, bucket: str, upload_id: str, done: Done) -> None:
        """Remember what an upload became."""
        self.call("PutObject", Bucket=bucket, Key=staging.done_key(upload_id), Body=msgspec.json.encode(done))

    def made(self, bucket: str, done: Done) -> StoredObject:
        """The object as the port gives it."""
        version_id = "" if done.version_id == NULL_VERSION else done.version_id
        return StoredObject(
            key=done.key,
            version_id=done.version_id,
            size=done.size,
            etag=done.etag,
            stored_size=done.stored_size,
            modified_ms=done.modified_ms,
            meta=done.meta,
            body=Handle(bucket, done.key, done.upstream_etag, version_id=version_id),
        )

    def close_upload(self, bucket: str, upload_id: str) -> None:
        """End an upload: its record first, then all its objects but the result; what is left over is swept by age.

        Raises: S3Error, when the record could not be removed: the upload goes on.
        """
        self.records.drop(bucket, upload_id)
        self.remove(bucket, staging.record_key(upload_id))
        kept = staging.done_key(upload_id)
        with contextlib.suppress(S3Error):
            found = self.listed_versions(bucket, staging.staged_prefix(upload_id))
            self.clear(bucket, [item for item in found if item["Key"] != kept])

    def clear(self, bucket: str, items: Sequence[Mapping[str, Any]]) -> None:
        """Remove objects of an ended upload, and give up what their intents speak of. Raises: S3Error."""
        names = {str(item["Key"]) for item in items if staging.is_intent(str(item["Key"]))}
        intents = [self.read_intent(bucket, name) for name in names]
        self.discard(bucket, items)
        for intent in intents:
            if intent is not None:
                self.abandon(bucket, intent.key, intent.upstream_id)

    def read_intent(self, bucket: str, intent_key: str) -> Intent | None:
        """The upload of the upstream's that a Complete goes by; None when it is gone or makes no sense."""
        try:
            with self.call("GetObject", Bucket=bucket, Key=intent_key)["Body"] as body:
                return msgspec.json.decode(body.read(), type=Intent)
        except (NoSuchKey, msgspec.MsgspecError):
            return None

    def abandon(self, bucket: str, key: str, upstream_id: str) -> None:
        """Give an upload of the upstream's up; what fails here is swept by age."""
        with contextlib.suppress(S3Error):
            self.call("AbortMultipartUpload", Bucket=bucket, Key=key, UploadId=upstream_id)

    def unfinished(self, bucket: str, prefix: str) -> list[dict[str, Any]]:
        """Uploads of the upstream's under *prefix*, a page of them: large parts that are on their way."""
        page = self.call("ListMultipartUploads", Bucket=bucket, Prefix=prefix)
        return [upload for upload in page.get("Uploads") or () if str(upload["Key"]).startswith(prefix)]

    # -- keys of the gateway's own ------------------------------------------------------------------------------------
    def listed(self, bucket: str, prefix: str, after: str = "") -> Iterator[dict[str, Any]]:
        """Objects under *prefix*, as the upstream lists them."""
        token: str | None = None
        while True:
            page = self.call(
                "ListObjectsV2",
                Bucket=bucket,
                Prefix=prefix,
                StartAfter=after or None if token is None else None,
                ContinuationToken=token,
            )
            # SECURITY: what is listed here may be deleted, so that no server is trusted to have kept to the prefix
            yield from (item for item in page.get("Contents") or () if str(item["Key"]).startswith(prefix))
            token = page.get("NextContinuationToken") if page.get("IsTruncated") else None
            if token is None:
                return

    def listed_versions(self, bucket: str, prefix: str) -> list[dict[str, Any]]:
        """All versions and delete markers under *prefix*; of a bucket without any, its objects."""
        if not self.buckets.get(bucket).versioning:
            return list(self.listed(bucket, prefix))
        found: list[dict[str, Any]] = []
        markers: dict[str, str] = {}
        while True:
            page = self.call("ListObjectVersions", Bucket=bucket, Prefix=prefix, **markers)
            listed = [*(page.get("Versions") or ()), *(page.get("DeleteMarkers") or ())]
            found += [item for item in listed if str(item["Key"]).startswith(prefix)]
            following = {
                name: str(page[f"Next{name}"]) for name in ("KeyMarker", "VersionIdMarker") if page.get(f"Next{name}")
            }
            if not page.get("IsTruncated") or following in ({}, markers):
                return found
            markers = following

    def remove(self, bucket: str, key: str) -> None:
        """Delete an object of the gateway's own, with all its versions. Raises: S3Error."""
        if self.buckets.get(bucket).versioning:
            self.discard(bucket, [item for item in self.listed_versions(bucket, key) if item["Key"] == key])
        else:
            self.call("DeleteObject", Bucket=bucket, Key=key)

    def discard(self, bucket: str, items: Sequence[Mapping[str, Any]]) -> None:
        """Delete exactly these versions. Raises: S3Error."""
        targets = [{"Key": item["Key"]} | _version_of(item) for item in items]
        for start in range(0, len(targets), DELETES_MAX):
            page = targets[start : start + DELETES_MAX]
            try:
                self.call("DeleteObjects", Bucket=bucket, Delete={"Objects": page, "Quiet": True})
            except (S3NotImplemented, MethodNotAllowed):
                for target in page:
                    self.call("DeleteObject", Bucket=bucket, **target)

    def _read_record(self, bucket: str, upload_id: str) -> UploadRecord:
        try:
            with self.call("GetObject", Bucket=bucket, Key=staging.record_key(upload_id))["Body"] as body:
                return msgspec.json.decode(body.read(), type=UploadRecord)
        except NoSuchKey as error:
            raise NoSuchUpload(UploadId=upload_id) from error
        except msgspec.MsgspecError as error:
            raise InternalError from error

    def _record_or_none(self, bucket: str, upload_id: str) -> UploadRecord | None:
        known = self.records.get(bucket, upload_id)
        if known is None:
            try:
                known = self._read_record(bucket, upload_id)
            except NoSuchUpload:
                return None
            self.records.add(bucket, known)
        return known


def encryption(meta: ObjectMeta) -> dict[str, Any]:
    """Parameters of staged objects: what the object is to be encrypted with, they are as well."""
    params = stored_meta.forwarded(meta.forwarded)
    return {name: value for name, value in params.items() if name in _ENCRYPTION}


_ENCRYPTION: Final = frozenset({"ServerSideEncryption", "SSEKMSKeyId", "SSEKMSEncryptionContext", "BucketKeyEnabled"})


def now_ms() -> int:
    """The gateway's clock."""
    return time.time_ns() // 1_000_000


def _version_of(item: Mapping[str, Any]) -> dict[str, str]:
    """Of what was listed by versions; the null version has to be named as well, or a marker would hide it."""
    version_id = item.get("VersionId")
    return {"VersionId": str(version_id)} if version_id else {}


def _keep_newest(parts: dict[int, StagedPart], part: StagedPart | None) -> None:
    if part is not None:
        have = parts.get(part.number)
        if have is None or have.order < part.order:
            parts[part.number] = part
