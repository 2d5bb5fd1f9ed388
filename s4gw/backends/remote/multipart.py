"""Multipart uploads of the remote backend: parts staged upstream, Complete makes one object of them.

All state is upstream, in the layout of `staging`: any gateway takes any request. Nothing is visible to clients until
the one request that makes the object (`completion`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final

import msgspec

from s4gw.backends.base import NO_CONDITIONS, Conditions, ObjectMeta, PartInfo, StoredObject, Upload, UploadPage
from s4gw.backends.bodies import Buffer, Writer
from s4gw.backends.remote import staging
from s4gw.backends.remote.completion import Completion, RemoteCompletion
from s4gw.backends.remote.part_writer import PartWriter
from s4gw.backends.remote.staging import PartFacts, UploadRecord
from s4gw.backends.remote.uploads import encryption
from s4gw.backends.remote.writing import check_writable
from s4gw.s3.errors import InternalError, InvalidPart, NoSuchUpload, S3Error

PAGE_MAX: Final = 1000


class RemoteMultipart(RemoteCompletion):
    """The port's multipart methods."""

    def create_upload(self, bucket: str, upload: Upload) -> None:
        check_writable(upload.key)
        self.create_record(bucket, upload)

    def get_upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        return self.find_record(bucket, key, upload_id).upload

    def open_part_writer(self, bucket: str, key: str, upload_id: str) -> Writer:
        meta = self.get_upload(bucket, key, upload_id).meta
        return PartWriter(self.call, self.pools.bodies, bucket, staging.staged_prefix(upload_id), encryption(meta))

    def put_part(self, bucket: str, key: str, upload_id: str, body: Writer, part: PartInfo) -> PartInfo:
        self.get_upload(bucket, key, upload_id)
        # It may have been ended elsewhere: asked while the part is on its way, which costs no time.
        still_open = self.pools.requests.submit(self.is_open, bucket, upload_id)
        part_id, made = self._stage(bucket, upload_id, _own(body), part)
        if not still_open.result():
            for name in made:
                self.remove(bucket, name)
            raise NoSuchUpload(UploadId=upload_id)
        return msgspec.structs.replace(
            part, part_id=part_id, stored_size=body.size, modified_ms=staging.arrived_ms(part_id)
        )

    def list_parts(
        self, bucket: str, key: str, upload_id: str, *, after: int = 0, limit: int = PAGE_MAX
    ) -> Sequence[PartInfo]:
        self.get_upload(bucket, key, upload_id)
        still_open = self.pools.requests.submit(self.is_open, bucket, upload_id)
        parts = self.staged_parts(bucket, upload_id, after, limit)
        if not still_open.result():
            raise NoSuchUpload(UploadId=upload_id)
        frames = self.pools.requests.map(lambda part: self.part_frames(bucket, part), parts)
        return [part.info(packed) for part, packed in zip(parts, frames, strict=True)]

    def list_uploads(  # noqa: PLR0913
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        after_key: str = "",
        after_upload_id: str = "",
        limit: int = PAGE_MAX,
    ) -> UploadPage:
        if limit < 1:
            self.check_bucket(bucket)
            return UploadPage(uploads=[], prefixes=[], truncated=False)
        records = [record for record in self.all_records(bucket) if record.upload.key.startswith(prefix)]
        records.sort(key=lambda record: (record.upload.key, record.upload.started_ms, record.created_ns))
        page = _rolled_up(_following(records, after_key, after_upload_id), prefix, delimiter, after_key)
        shown, truncated = page[:limit], len(page) > limit
        name, last = shown[-1] if truncated else ("", None)
        return UploadPage(
            uploads=[upload for _, upload in shown if upload is not None],
            prefixes=[common for common, upload in shown if upload is None],
            truncated=truncated,
            next_key=name,
            next_upload_id="" if last is None else last.upload_id,
        )

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        self.get_upload(bucket, key, upload_id)
        if not self.is_open(bucket, upload_id):
            raise NoSuchUpload(UploadId=upload_id)
        self.close_upload(bucket, upload_id)
        with contextlib.suppress(S3Error):  # what is left over is swept by age
            for unfinished in self.unfinished(bucket, staging.staged_prefix(upload_id)):
                self.abandon(bucket, str(unfinished["Key"]), str(unfinished["UploadId"]))

    def complete_upload(  # noqa: PLR0913
        self,
        bucket: str,
        key: str,
        upload_id: str,
        parts: Sequence[PartInfo],
        tail: Writer | None,
        *,
        size: int,
        etag: str,
        meta: ObjectMeta,
        conditions: Conditions = NO_CONDITIONS,
    ) -> StoredObject:
        self.get_upload(bucket, key, upload_id)
        end = b"" if tail is None else b"".join(_own(tail).taken())
        still_open = self.pools.requests.submit(self.is_open, bucket, upload_id)
        staged = self.staged(bucket, upload_id)
        if not still_open.result() or staged.done:
            done = self.read_done(bucket, upload_id)
            if done is None or done.key != key:
                raise NoSuchUpload(UploadId=upload_id)
            self.close_upload(bucket, upload_id)
            return done
        chosen = []
        for part in parts:
            found = staged.parts.get(part.number)
            if found is None or found.part_id != part.part_id:
                raise InvalidPart(UploadId=upload_id, PartNumber=str(part.number))
            chosen.append(found)
        work = Completion(
            bucket=bucket,
            key=key,
            upload_id=upload_id,
            parts=chosen,
            tail=end,
            size=size,
            etag=etag,
            meta=meta,
            conditions=conditions,
        )
        return self.carry_out(work, staged)

    def completed_upload(self, bucket: str, key: str, upload_id: str) -> StoredObject | None:
        done = self.read_done(bucket, upload_id)
        return done if done is not None and done.key == key else None

    # -- inside -------------------------------------------------------------------------------------------------------
    def _stage(self, bucket: str, upload_id: str, body: PartWriter, part: PartInfo) -> tuple[str, list[str]]:
        """Put a part and its entry upstream, the entry last. Returns: its id, and the keys that were made."""
        part_id, made = staging.new_part_id(), []
        facts = PartFacts(part.size, part.etag, part.crc32c, part.codec, part.checksums, part.frames)
        key = None if body.spilled else staging.part_key(upload_id, part.number, part_id, facts)
        entry: Buffer | list[bytearray] = b""
        if key is not None:
            entry = body.taken()
        else:
            made.append(body.data_key)
            stored_size = body.size
            etag = body.complete() if body.spilled else body.put()
            facts = msgspec.structs.replace(facts, data_id=body.data_id, data_etag=etag, stored_size=stored_size)
            key = staging.part_key(upload_id, part.number, part_id, facts)
        if key is None:
            entry = part.frames
            key = staging.part_key(upload_id, part.number, part_id, msgspec.structs.replace(facts, frames=None))
        if key is None:
            raise InternalError
        self.call("PutObject", Bucket=bucket, Key=key, Body=entry, **body.params)
        return part_id, [*made, key]


def _own(body: Writer) -> PartWriter:
    if not isinstance(body, PartWriter):
        raise InternalError
    return body


def _following(records: Sequence[UploadRecord], after_key: str, after_upload_id: str) -> list[Upload]:
    """Uploads behind a marker: those of later keys and, with an id, later ones of the same key."""
    uploads = [record.upload for record in records]
    place = next((n for n, upload in enumerate(uploads) if upload.upload_id == after_upload_id), -1)
    return [
        upload
        for n, upload in enumerate(uploads)
        if upload.key > after_key or (after_upload_id and upload.key == after_key and n > place)
    ]


def _rolled_up(
    uploads: Sequence[Upload], prefix: str, delimiter: str, after_key: str
) -> list[tuple[str, Upload | None]]:
    """Replace each run of uploads under one common prefix by (prefix, None); those not past the marker vanish."""
    page: list[tuple[str, Upload | None]] = []
    for upload in uploads:
        end = upload.key.find(delimiter, len(prefix)) if delimiter else -1
        if end < 0:
            page.append((upload.key, upload))
            continue
        common = upload.key[: end + len(delimiter)]
        if common > after_key and (not page or page[-1][0] != common):
            page.append((common, None))
    return page
