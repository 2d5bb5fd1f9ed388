"""Writing objects upstream: one PUT while the body is small, else an upload of parts.

What stays below `writer.BUFFER_BYTES` goes up as one PutObject with all metadata, larger bodies as the parts of an
upload. Nothing is visible before the one request that makes the object.

Preconditions speak of the original's ETag. They are held against the object as it is, and the write goes up under the
condition that it still is (`If-Match` with the upstream's ETag), so that the upstream decides atomically. Such writes,
and uploads, carry a random mark: when an answer was lost and the request is sent again, the upstream refuses what it
has done already, and the mark says that it was ours.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from s4gw.backends.base import NO_CONDITIONS, NULL_VERSION, Conditions, ObjectMeta, StoredObject
from s4gw.backends.bodies import Writer
from s4gw.backends.remote import stored_meta
from s4gw.backends.remote.base import CONDITION_ATTEMPTS, Handle, upstream_condition
from s4gw.backends.remote.listing import RemoteListing
from s4gw.backends.remote.one_put import in_one_put
from s4gw.backends.remote.reserved import is_reserved
from s4gw.backends.remote.stored_meta import Facts, Stored
from s4gw.backends.remote.writer import RemoteWriter
from s4gw.codec import BodyKind
from s4gw.s3.errors import (
    ConditionalRequestConflict,
    InternalError,
    InvalidArgument,
    NoSuchKey,
    NoSuchUpload,
    PreconditionFailed,
    S3Error,
    ServiceUnavailable,
)


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
        params, meta = in_one_put(body.take(), meta, facts, mark)
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
