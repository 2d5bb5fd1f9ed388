"""Multipart uploads of the memory backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from s4gw.backends.base import NO_CONDITIONS, Conditions, ObjectMeta, PartInfo, StoredObject, Upload, UploadPage
from s4gw.backends.bodies import Writer
from s4gw.backends.memory.rules import PartRow, UploadRow, check_write, latest, rolled_up
from s4gw.backends.memory.state import MemoryCore, MemoryWriter, taken
from s4gw.s3.errors import InvalidPart

_REMEMBER_COMPLETED_MS: Final = 24 * 3600 * 1000  # as long as a client may plausibly retry a Complete


class MemoryMultipart(MemoryCore):
    """The port's multipart methods."""

    def create_upload(self, bucket: str, upload: Upload) -> None:
        with self._lock:
            self._counter += 1
            self._bucket(bucket).uploads[upload.upload_id] = UploadRow(upload, self._counter, {})

    def get_upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        with self._lock:
            return self._upload(bucket, key, upload_id).upload

    def open_part_writer(self, bucket: str, key: str, upload_id: str) -> Writer:
        del bucket, key, upload_id
        return MemoryWriter()

    def put_part(self, bucket: str, key: str, upload_id: str, body: Writer, part: PartInfo) -> PartInfo:
        with self._lock:
            row = self._upload(bucket, key, upload_id)
            data = taken(body)
            self._counter += 1
            info = msgspec.structs.replace(
                part, part_id=f"{self._counter:x}", stored_size=len(data), modified_ms=self._now_ms()
            )
            row.parts[part.number] = PartRow(info, data)
            return info

    def list_parts(
        self, bucket: str, key: str, upload_id: str, *, after: int = 0, limit: int = 1000
    ) -> Sequence[PartInfo]:
        with self._lock:
            parts = self._upload(bucket, key, upload_id).parts
            return [parts[number].info for number in sorted(parts) if number > after][:limit]

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
        with self._lock:
            rows = [row for row in self._bucket(bucket).uploads.values() if row.upload.key.startswith(prefix)]
        rows.sort(key=lambda row: (row.upload.key.encode(), row.order))
        seen = next((row.order for row in rows if row.upload.upload_id == after_upload_id), 0)
        kept = [
            row.upload
            for row in rows
            if row.upload.key.encode() > after_key.encode()
            or (after_upload_id and row.upload.key == after_key and row.order > seen)
        ]
        entries = list(rolled_up(((upload.key, upload) for upload in kept), prefix, delimiter, after_key))
        page, truncated = entries[:limit], limit > 0 and len(entries) > limit
        name, last = page[-1] if truncated else ("", None)
        return UploadPage(
            uploads=[upload for _, upload in page if upload is not None],
            prefixes=[common for common, upload in page if upload is None],
            truncated=truncated,
            next_key=name,
            next_upload_id=last.upload_id if last else "",
        )

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        with self._lock:
            self._upload(bucket, key, upload_id)
            del self._buckets[bucket].uploads[upload_id]

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
        with self._lock:
            row, upload = self._bucket(bucket), self._upload(bucket, key, upload_id)
            data = bytearray()
            for part in parts:
                staged = upload.parts.get(part.number)
                if staged is None or staged.info.part_id != part.part_id:
                    raise InvalidPart(UploadId=upload_id, PartNumber=str(part.number))
                data += staged.data
            check_write(latest(row, key), key, conditions)
            if tail is not None:
                data += taken(tail)
            obj = self._add(row, key, bytes(data), size=size, etag=etag, meta=meta)
            del row.uploads[upload_id]
            row.completed[upload_id] = (key, obj)
            return obj

    def completed_upload(self, bucket: str, key: str, upload_id: str) -> StoredObject | None:
        with self._lock:
            done_key, obj = self._bucket(bucket).completed.get(upload_id, ("", None))
            if obj is None or done_key != key or self._now_ms() - obj.modified_ms > _REMEMBER_COMPLETED_MS:
                return None
            return obj
