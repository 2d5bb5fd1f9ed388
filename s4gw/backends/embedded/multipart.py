"""Multipart uploads of the embedded backend."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from s4gw.backends.base import NO_CONDITIONS, Conditions, ObjectMeta, PartInfo, StoredObject, Upload, UploadPage
from s4gw.backends.bodies import Writer
from s4gw.backends.embedded import rows
from s4gw.backends.embedded.base import EmbeddedBase, made, nonce, staged, translated
from s4gw.s3.errors import InvalidPart
from s4gw.store import Extent, ops


class EmbeddedMultipart(EmbeddedBase):
    """The port's multipart methods."""

    def create_upload(self, bucket: str, upload: Upload) -> None:
        document = rows.encode_document(upload)
        self.submit(ops.CreateUpload(bucket, upload.key.encode(), upload.upload_id, upload.started_ms, document))

    def get_upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        with translated():
            return rows.upload_of(self._store.index.upload(bucket, key.encode(), upload_id))

    def open_part_writer(self, bucket: str, key: str, upload_id: str) -> Writer:
        del key, upload_id
        return self.writer(bucket)

    def put_part(self, bucket: str, key: str, upload_id: str, body: Writer, part: PartInfo) -> PartInfo:
        with translated():
            extents, _ = self._store.finish(staged(body))
        document = rows.encode_document(part)
        outcome = self.submit(ops.PutPart(bucket, key.encode(), upload_id, part.number, extents, document))
        return msgspec.structs.replace(
            part, part_id=f"{outcome.seq:x}", stored_size=outcome.stored_size, modified_ms=outcome.modified_ms
        )

    def list_parts(
        self, bucket: str, key: str, upload_id: str, *, after: int = 0, limit: int = 1000
    ) -> Sequence[PartInfo]:
        with translated():
            index = self._store.index
            upload = index.upload(bucket, key.encode(), upload_id)
            return [rows.part_of(row) for row in index.parts(upload.seq, after, limit)]

    def list_uploads(  # noqa: PLR0913
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        after_key: str = "",
        after_upload_id: str = "",
        limit: int = 1000,
    ) -> UploadPage:
        with translated():
            index = self._store.index
            if limit < 1:
                index.bucket_id(bucket)
                return UploadPage(uploads=[], prefixes=[], truncated=False)
            found, more = index.list_uploads(
                bucket,
                prefix=prefix.encode(),
                delimiter=delimiter.encode(),
                after=after_key.encode(),
                after_upload=after_upload_id,
                limit=limit,
            )
            return UploadPage(
                uploads=[rows.upload_of(row) for row in found if row.seq],
                prefixes=[row.key.decode() for row in found if not row.seq],
                truncated=more,
                next_key=found[-1].key.decode() if more else "",
                next_upload_id=found[-1].upload_id if more else "",
            )

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        self.submit(ops.AbortUpload(bucket, key.encode(), upload_id))

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
        extents: list[Extent] = []
        inline = None
        if tail is not None:
            with translated():
                extents, inline = self._store.finish(staged(tail))
        document, facts = rows.encode_meta(meta)
        chosen = [(part.number, _part_seq(part, upload_id)) for part in parts]
        operation = ops.Complete(
            bucket, key.encode(), upload_id, chosen, extents, size, etag, document, facts, nonce(),
            rows.when_of(conditions), rows.lock_of(meta),
        )  # fmt: skip
        outcome = self.submit(operation, None if parts else inline)
        return made(key, outcome, size=size, etag=etag, meta=meta)

    def completed_upload(self, bucket: str, key: str, upload_id: str) -> StoredObject | None:
        with translated():
            row = self._store.index.completed(bucket, key.encode(), upload_id)
        return None if row is None else rows.completed_object(key, row)


def _part_seq(part: PartInfo, upload_id: str) -> int:
    try:
        return int(part.part_id, 16)
    except ValueError:
        raise InvalidPart(UploadId=upload_id, PartNumber=str(part.number)) from None
