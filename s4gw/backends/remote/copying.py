"""Copies that the upstream makes: no byte of a body is moved or decoded, and what decoding needs goes along."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec

from s4gw.backends.base import NO_CONDITIONS, Conditions, ObjectMeta, StoredObject
from s4gw.backends.remote import stored_meta
from s4gw.backends.remote.base import Handle
from s4gw.backends.remote.stored_meta import Facts
from s4gw.backends.remote.writing import RemoteWriting, check_writable
from s4gw.codec import BodyKind
from s4gw.s3.errors import (
    InternalError,
    MetadataTooLarge,
    NoSuchKey,
    NoSuchVersion,
    PreconditionFailed,
    S3Error,
)


class RemoteCopying(RemoteWriting):
    """The port's copies."""

    def copy_object(  # noqa: PLR0913
        self,
        source: StoredObject,
        source_bucket: str,
        bucket: str,
        key: str,
        *,
        meta: ObjectMeta,
        conditions: Conditions = NO_CONDITIONS,
    ) -> StoredObject:
        check_writable(key)
        handle = source.body
        if not isinstance(handle, Handle) or handle.stored is None:
            raise InternalError
        facts = Facts(size=source.size, etag=source.etag, stored_size=source.stored_size)
        plain = handle.stored.kind is BodyKind.PLAIN
        mark = "" if conditions == NO_CONDITIONS else secrets.token_hex(8)
        has_trailer = meta.frames > 1 or (meta.parts > 0 and not handle.stored.foreign)
        if meta.framed and not has_trailer and not stored_meta.fits(meta, facts, mark=mark):
            raise MetadataTooLarge  # nowhere else to keep what decoding needs
        params = stored_meta.parameters(meta, None if plain else facts, mark=mark, plain=plain)
        params |= {
            "Bucket": bucket,
            "Key": key,
            "CopySource": {"Bucket": source_bucket, "Key": source.key}
            | ({"VersionId": handle.version_id} if handle.version_id else {}),
            "CopySourceIfMatch": f'"{handle.etag}"',
            "MetadataDirective": "REPLACE",
            "TaggingDirective": "REPLACE",
        }
        try:
            answer = self.conditional(bucket, key, conditions, mark, lambda when: self._copy(params, when))
        except (PreconditionFailed, NoSuchKey, NoSuchVersion) as error:
            if self._went_away(source_bucket, source, handle):
                raise NoSuchKey(Key=source.key) from error
            raise
        etag = str(answer.get("ETag") or "").strip('"')
        if etag != handle.etag and self._went_away(source_bucket, source, handle):
            # SECURITY: a server that does not heed the condition has copied other bytes under these facts
            self.call("DeleteObject", Bucket=bucket, Key=key, VersionId=answer.get("VersionId"))
            raise NoSuchKey(Key=source.key)
        if plain:
            facts = msgspec.structs.replace(facts, etag=etag or facts.etag)
        return self.written(bucket, key, answer, facts=facts, meta=meta)

    def _copy(self, params: dict[str, Any], when: dict[str, str]) -> dict[str, Any]:
        answer = self.call("CopyObject", **params, **when)
        return answer | (answer.pop("CopyObjectResult", None) or {})

    def _went_away(self, bucket: str, source: StoredObject, handle: Handle) -> bool:
        """Whether the source is not what it was when the copy was asked for."""
        try:
            now = self.look(bucket, source.key, handle.version_id or None)
        except S3Error:
            return True
        return not isinstance(now.body, Handle) or now.body.etag != handle.etag
