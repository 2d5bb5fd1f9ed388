"""A body on its way up: kept while it is small, else an upload whose parts go up as they fill, with bounded memory.

A body is buffered up to `BUFFER_BYTES`. Beyond, an upload begins whose parts go up while the body is still arriving; it
says only that the body is framed, and the trailer, which stands in its last part, says the rest. It carries a random
mark, by which the object is known again when the answer to its end was lost.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final

import msgspec

from s4gw.backends.base import ObjectMeta
from s4gw.backends.bodies import Buffer
from s4gw.backends.remote import stored_meta
from s4gw.backends.remote.base import RemoteBase
from s4gw.backends.remote.blocks import Blocks
from s4gw.backends.remote.errors import UpstreamUnavailable
from s4gw.s3.errors import NoSuchUpload, S3Error

BUFFER_BYTES: Final = 16 * 1024 * 1024
"""Stored bytes that go up in one request."""
PART_BYTES: Final = 8 * 1024 * 1024
"""Of an upload; 10,000 of them are more than a PUT may hold."""
PARTS_IN_FLIGHT: Final = 2
"""Of one body: with what is buffered at most 32 MiB of it are held."""
OPEN_UPLOADS: Final = ".s4gw/put/"
"""Under it, a note names the key of each large PUT under way, so that a sweep finds what a crash has left."""


class RemoteWriter:
    """Staged bytes of one object.

    Args:
        base: Carries calls out.
        bucket: Where the object will be.
        key: Its key.
        meta: What is known of it now.
    """

    shares = False

    def __init__(self, base: RemoteBase, bucket: str, key: str, meta: ObjectMeta) -> None:
        self._base = base
        self._bucket = bucket
        self._key = key
        self._meta = meta
        self._held = Blocks()
        self._size = 0
        self._parts: list[dict[str, Any]] = []
        self._flying: deque[Future[dict[str, Any]]] = deque()
        self._marker: tuple[str, str | None] | None = None
        self.upload_id = ""
        """Of the upstream's upload; empty while all is in memory."""
        self.mark = ""
        """What makes the write known again."""

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._size

    def divide(self) -> None: ...

    def write(self, *buffers: Buffer) -> None:
        """Append *buffers*; parts that are full go up. Raises: S3Error."""
        for buffer in buffers:
            self._held.add(buffer)
            self._size += len(buffer)
        if self._held.size > BUFFER_BYTES and not self.upload_id:
            self._begin()
        while self.upload_id and self._held.size >= PART_BYTES:
            self._send(PART_BYTES)

    def abort(self) -> None:
        """Give the bytes up."""
        self._held.clear()
        if not self.upload_id:
            self._unmark()
            return
        for future in self._flying:
            future.cancel()
        for future in self._flying:
            if not future.cancelled():
                future.exception()
        self._flying.clear()
        upload_id, self.upload_id = self.upload_id, ""
        try:
            self._base.call("AbortMultipartUpload", Bucket=self._bucket, Key=self._key, UploadId=upload_id)
        except NoSuchUpload:
            pass
        except S3Error:
            return  # the note stays: the sweep tries again
        self._unmark()

    def take(self) -> list[bytearray]:
        """The whole body, when it did not become an upload."""
        return self._held.take()

    def finish(self, conditions: dict[str, str]) -> dict[str, Any]:
        """Make the object of the parts. Returns: boto3's output of CompleteMultipartUpload. Raises: S3Error."""
        if self._held.size:
            self._send(self._held.size)
        while self._flying:
            self._land()
        return self._base.call(
            "CompleteMultipartUpload",
            Bucket=self._bucket,
            Key=self._key,
            UploadId=self.upload_id,
            MultipartUpload={"Parts": self._parts},
            **conditions,
        )

    def done(self) -> None:
        """The object is there; a later `abort` has nothing to give up."""
        if self.upload_id:
            self.upload_id = ""
            self._unmark()

    def _begin(self) -> None:
        """Start an upload; the note about it goes first, so that a sweep finds an upload whose id nobody has got."""
        self.mark = secrets.token_hex(8)
        framed = msgspec.structs.replace(self._meta, framed=True)
        params = stored_meta.parameters(framed, mark=self.mark)
        name = f"{OPEN_UPLOADS}{int(time.time())}-{self.mark}"
        note = msgspec.json.encode({"key": self._key})
        put = self._base.call("PutObject", Bucket=self._bucket, Key=name, Body=note)
        self._marker = name, put.get("VersionId")
        try:
            made = self._base.call("CreateMultipartUpload", Bucket=self._bucket, Key=self._key, **params)
        except UpstreamUnavailable as error:
            if error.sent:
                self._marker = None  # it may have begun: the note stays, for the sweep
            raise
        self.upload_id = str(made["UploadId"])

    def _unmark(self) -> None:
        if self._marker is not None:
            name, version_id = self._marker
            self._marker = None
            with suppress(S3Error):  # the sweep finds that its upload is gone
                self._base.call("DeleteObject", Bucket=self._bucket, Key=name, VersionId=version_id)

    def _send(self, size: int) -> None:
        """Let the next *size* bytes go up as a part."""
        while len(self._flying) >= PARTS_IN_FLIGHT:
            self._land()
        body = self._held.take(size)
        number = len(self._parts) + len(self._flying) + 1
        call = self._base.pools.bodies.submit(
            self._base.call,
            "UploadPart",
            Bucket=self._bucket,
            Key=self._key,
            UploadId=self.upload_id,
            PartNumber=number,
            Body=body,
        )
        self._flying.append(call)

    def _land(self) -> None:
        made = self._flying[0].result()
        self._flying.popleft()
        self._parts.append({"PartNumber": len(self._parts) + 1, "ETag": made["ETag"]})
