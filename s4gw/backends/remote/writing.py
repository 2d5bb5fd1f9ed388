"""Writing objects upstream: one PUT while the body is small, else an upload of parts, with bounded memory.

A body is buffered up to `BUFFER_BYTES`. What stays below goes up as one PutObject with all metadata. Beyond, an upload
begins whose parts go up while the body is still arriving; it says only that the body is framed, and the trailer, which
stands in its last part, says the rest. Nothing is visible before the one request that makes the object.

Preconditions speak of the original's ETag. They are held against the object as it is, and the write goes up under the
condition that it still is (`If-Match` with the upstream's ETag), so that the upstream decides atomically. Such writes,
and uploads, carry a random mark: when an answer was lost and the request is sent again, the upstream refuses what it
has done already, and the mark says that it was ours.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import msgspec

from s4gw.backends.base import (
    NO_CONDITIONS,
    NULL_VERSION,
    Conditions,
    ObjectMeta,
    StoredObject,
)
from s4gw.backends.bodies import Buffer, Writer
from s4gw.backends.remote import stored_meta
from s4gw.backends.remote.base import Handle, RemoteBase, upstream_condition
from s4gw.backends.remote.blocks import Blocks
from s4gw.backends.remote.errors import UpstreamUnavailable
from s4gw.backends.remote.listing import RemoteListing
from s4gw.backends.remote.reserved import is_reserved
from s4gw.backends.remote.stored_meta import Facts, Stored
from s4gw.codec import (
    FRAME_HEADER_SIZE,
    BodyKind,
    CodecId,
    FrameHeader,
    FrameIndex,
    Manifest,
    decode_frame,
    encode_trailer,
    parse_frame_header,
)
from s4gw.s3.errors import (
    ConditionalRequestConflict,
    InternalError,
    InvalidArgument,
    MetadataTooLarge,
    NoSuchKey,
    NoSuchUpload,
    PreconditionFailed,
    S3Error,
    ServiceUnavailable,
)

BUFFER_BYTES: Final = 16 * 1024 * 1024
"""Stored bytes that go up in one request."""
PART_BYTES: Final = 8 * 1024 * 1024
"""Of an upload; 10,000 of them are more than a PUT may hold."""
PARTS_IN_FLIGHT: Final = 2
"""Of one body: with what is buffered at most 32 MiB of it are held."""
CONDITION_ATTEMPTS: Final = 5
"""The object changed between look and write, and the condition may still hold for what is there now."""
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


class RemoteWriting(RemoteListing):
    """The port's writes of whole objects."""

    def open_writer(self, bucket: str, key: str, meta: ObjectMeta) -> Writer:
        check_writable(key)
        return RemoteWriter(self, bucket, key, meta)

    def put_object(  # noqa: PLR0913
        self,
        bucket: str,
        key: str,
        body: Writer,
        *,
        size: int,
        etag: str,
        meta: ObjectMeta,
        conditions: Conditions = NO_CONDITIONS,
    ) -> StoredObject:
        if not isinstance(body, RemoteWriter):
            raise InternalError
        facts = Facts(size=size, etag=etag, stored_size=body.size)
        if body.upload_id:
            if not meta.framed:
                raise InternalError  # only frames have a trailer to say what the upload could not
            made = self.conditional(bucket, key, conditions, body.mark, body.finish)
            body.done()
            return self.written(bucket, key, made, facts=facts, meta=meta)
        mark = "" if conditions == NO_CONDITIONS else secrets.token_hex(8)
        params, meta = _in_one_put(body.take(), meta, facts, mark)
        facts = msgspec.structs.replace(facts, stored_size=sum(map(len, params["Body"])))
        params |= {"Bucket": bucket, "Key": key}
        made = self.conditional(bucket, key, conditions, mark, lambda when: self.call("PutObject", **params, **when))
        return self.written(bucket, key, made, facts=facts, meta=meta)

    def conditional(
        self,
        bucket: str,
        key: str,
        conditions: Conditions,
        mark: str,
        write: Callable[[dict[str, str]], dict[str, Any]],
    ) -> dict[str, Any]:
        """Carry *write* out under *conditions*, which become the upstream's.

        Args:
            bucket: Where it writes.
            key: What it writes.
            conditions: In terms of the original.
            mark: Of the write; empty if it has none.
            write: Gets the parameters that say the condition, gives boto3's output.

        Raises: NoSuchKey, PreconditionFailed, ConditionalRequestConflict, and what *write* raises.
        """
        for attempt in range(CONDITION_ATTEMPTS):
            when = self._resolved(bucket, key, conditions)
            try:
                return write(when)
            except (PreconditionFailed, ConditionalRequestConflict, NoSuchUpload, NoSuchKey) as error:
                done = self._is_ours(bucket, key, mark)
                if done is not None:
                    return done
                if isinstance(error, NoSuchUpload):
                    raise ServiceUnavailable from error  # somebody aborted it: the client knows of no upload
                final = "IfMatch" not in when or isinstance(error, ConditionalRequestConflict)
                if final or attempt == CONDITION_ATTEMPTS - 1:
                    raise
        raise ConditionalRequestConflict

    def _resolved(self, bucket: str, key: str, conditions: Conditions) -> dict[str, str]:
        """The upstream's condition for the client's. Raises: NoSuchKey, PreconditionFailed."""
        if conditions == NO_CONDITIONS:
            return {}
        if conditions.if_match is None and conditions.if_none_match == "*":
            return {"IfNoneMatch": "*"}
        try:
            current: StoredObject | None = self.look(bucket, key)
        except NoSuchKey:
            current = None
        return upstream_condition(key, conditions, current)

    def _is_ours(self, bucket: str, key: str, mark: str) -> dict[str, Any] | None:
        """The object as a write would answer it, if it is the one with this *mark*."""
        if not mark:
            return None
        try:
            response = self.call("HeadObject", Bucket=bucket, Key=key)
        except S3Error:
            return None
        return response if stored_meta.read(response, 0).write_mark == mark else None

    def written(self, bucket: str, key: str, answer: dict[str, Any], *, facts: Facts, meta: ObjectMeta) -> StoredObject:
        """The version just written, from the upstream's *answer* to the write, which tells the time of copies only."""
        told = answer.get("LastModified")
        etag = str(answer.get("ETag", "")).strip('"')
        version_id = str(answer.get("VersionId") or NULL_VERSION)
        meta = msgspec.structs.replace(meta, owner=self.owner, forwarded=stored_meta.told(answer))
        stored = Stored(
            meta=meta,
            kind=BodyKind.FRAMED if meta.framed else BodyKind.RAW,
            size=facts.size,
            etag=facts.etag,
            stored_size=facts.stored_size,
            upstream_etag=etag,
            version_id=version_id,
            modified_ms=int(told.timestamp() if isinstance(told, datetime) else time.time()) * 1000,
            tag_count=len(meta.tags),
        )
        obj = StoredObject(
            key=key,
            version_id=version_id,
            size=facts.size,
            etag=facts.etag,
            stored_size=facts.stored_size,
            modified_ms=stored.modified_ms,
            meta=meta,
            body=Handle(bucket, key, etag, version_id=str(answer.get("VersionId") or ""), stored=stored),
        )
        self.learnt(bucket, obj, etag, modified_known=False)
        return obj


def check_writable(key: str) -> None:
    """Raises: InvalidArgument, for keys that belong to the gateway or to S4."""
    if is_reserved(key):
        raise InvalidArgument("This key is reserved", ArgumentName="key")


def _in_one_put(
    pieces: list[bytearray], meta: ObjectMeta, facts: Facts, mark: str
) -> tuple[dict[str, Any], ObjectMeta]:
    """Parameters of the PutObject that stores a small body, and its metadata as stored. Raises: MetadataTooLarge."""
    if stored_meta.fits(meta, facts, mark=mark):
        return stored_meta.parameters(meta, facts, mark=mark) | {"Body": pieces}, meta
    data = b"".join(pieces)
    body, described = with_trailer(data, facts, meta)
    try:
        params = stored_meta.parameters(described, msgspec.structs.replace(facts, stored_size=len(body)), mark=mark)
    except MetadataTooLarge:
        body, described = as_plain(data, meta)
        params = stored_meta.parameters(described, plain=True)
        params |= {f"Checksum{name}": value for name, value in meta.checksums.items()}
    return params | {"Body": [body]}, described


def as_plain(data: bytes, meta: ObjectMeta) -> tuple[bytes, ObjectMeta]:
    """Give the original of a small body, as what no gateway has touched. Returns: body, metadata.

    A client's metadata may then take all of S3's 2 KiB; the upstream keeps size, ETag and checksums by itself.

    Raises: MetadataTooLarge, for bodies of several frames and those that need a dictionary.
    """
    if meta.frames > 1 or meta.parts or meta.dictionary:
        raise MetadataTooLarge
    if meta.framed:
        data = bytes(decode_frame(parse_frame_header(data), memoryview(data)[FRAME_HEADER_SIZE:]))
    return data, msgspec.structs.replace(meta, framed=False, frames=0, codec=CodecId.PASSTHROUGH.label)


def with_trailer(data: bytes, facts: Facts, meta: ObjectMeta) -> tuple[bytes, ObjectMeta]:
    """Give a body of one frame, or an original without one, a trailer. Returns: body, metadata.

    A body of several frames has one already.
    """
    if meta.frames > 1 or meta.parts:
        return data, meta
    if not meta.framed:
        if meta.crc32c is None:
            return data, meta
        data = FrameHeader(CodecId.PASSTHROUGH, len(data), len(data), meta.crc32c).pack() + data
        meta = msgspec.structs.replace(meta, framed=True, frames=1)
    index = FrameIndex()
    index.append(facts.size, len(data))
    manifest = Manifest(
        original_size=facts.size,
        crc32c=meta.crc32c,
        etag=facts.etag,
        checksums=meta.checksums,
        checksum_type=meta.checksum_type,
    )
    return data + encode_trailer(index, manifest), meta
