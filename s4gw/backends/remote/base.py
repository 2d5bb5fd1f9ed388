"""What all parts of the remote backend share: calls, looking at objects, reading spans of them.

`look` is the one way from an upstream's object to a `StoredObject`: one HEAD where the metadata say all, and one read
of the body's end where they do not. An object's handle is bound to the upstream's ETag: a span is read with If-Match,
so that bytes of two objects never meet; `ObjectChanged` tells that it went away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from s4gw.backends.base import NULL_VERSION, Conditions, ObjectMeta, StoredObject
from s4gw.backends.bodies import ObjectChanged
from s4gw.backends.remote import stored_meta
from s4gw.backends.remote.buckets import Buckets
from s4gw.backends.remote.client import Upstream
from s4gw.backends.remote.layouts import Layout, LayoutCache
from s4gw.backends.remote.pools import Pools
from s4gw.backends.remote.stored_meta import Stored
from s4gw.codec import BodyKind, FrameIndex, Manifest, ManifestPart
from s4gw.s3 import parse_http_date
from s4gw.s3.errors import (
    InternalError,
    InvalidArgument,
    InvalidRange,
    InvalidRequest,
    MethodNotAllowed,
    NoSuchKey,
    NoSuchVersion,
    PreconditionFailed,
    S3Error,
    ServiceUnavailable,
)

READ_ATTEMPTS: Final = 3
"""Of one span whose answer breaks off: the connection's fault, not the object's."""
CONDITION_ATTEMPTS: Final = 5
"""The object changed between look and write, and the client's condition may hold for what is there now."""
TAIL_BYTES: Final = 64 * 1024
"""Read with the first look of a GET: index and manifest of objects of up to 8 GiB, the whole of a small one."""


@dataclass(frozen=True, slots=True)
class Handle:
    """How to read a body at the upstream: which object it is, and what has been read of it already."""

    bucket: str
    key: str
    etag: str
    """The upstream's, without quotes."""
    version_id: str = ""
    """The upstream's; empty for the current one of an unversioned bucket."""
    stored: Stored | None = None
    """What the upstream said about it; None where nobody looked (just written)."""
    tail: bytes = b""
    """Last bytes of the stored body, as far as they came with the look."""
    asked: str | None = None
    """The version id that the client named."""
    checksums_known: bool = False
    """The upstream was asked for the checksums that it keeps itself."""

    @property
    def named(self) -> dict[str, str]:
        """Parameters that name exactly this object."""
        params = {"Bucket": self.bucket, "Key": self.key, "IfMatch": f'"{self.etag}"'}
        if self.version_id:
            params["VersionId"] = self.version_id
        return params

    def check(self, response: Mapping[str, Any]) -> None:
        """Hold an answer against the object. Raises: ObjectChanged; some servers do not heed If-Match."""
        etag = str(response.get("ETag") or "").strip('"')
        if self.etag and etag != self.etag:
            raise ObjectChanged

    def without_tail(self) -> Handle:
        """The same, holding none of the body."""
        return replace(self, tail=b"")


class RemoteBase:
    """Access to the upstream.

    Args:
        upstream: Carries calls out.
        owner: Canonical user id that everything upstream belongs to, as clients see it.
        region: Of buckets, where the upstream does not tell.
    """

    def __init__(self, upstream: Upstream, *, owner: str, region: str = "us-east-1") -> None:
        self.upstream = upstream
        self.owner = owner
        self.buckets = Buckets(upstream, owner=owner, region=region)
        self.layouts = LayoutCache()
        self.pools = Pools()

    def call(self, operation: str, /, **params: Any) -> dict[str, Any]:
        """Carry *operation* out upstream, in boto3's shapes. Raises: S3Error."""
        return self.upstream.call(operation, **params)

    # -- looking at objects -------------------------------------------------------------------------------------------
    def look(self, bucket: str, key: str, version_id: str | None = None) -> StoredObject:
        """One object as clients are to see it, delete markers included.

        Raises: NoSuchBucket, NoSuchKey, NoSuchVersion.
        """
        try:
            response = self.call("HeadObject", **_place(bucket, key, version_id), ChecksumMode="ENABLED")
        except S3Error as error:
            return self._missing(error, bucket, key, version_id)
        return self.found(bucket, key, version_id, response, int(response.get("ContentLength") or 0))

    def found(  # noqa: PLR0913 - an answer and where it came from
        self,
        bucket: str,
        key: str,
        version_id: str | None,
        response: Mapping[str, Any],
        stored_size: int,
        tail: bytes = b"",
    ) -> StoredObject:
        """Make a `StoredObject` of an upstream's answer to GET or HEAD.

        Args:
            bucket: Where the object is.
            key: Its key.
            version_id: As it was asked for.
            response: boto3's output.
            stored_size: Bytes of the whole stored object.
            tail: The end of its body, where that came along.
        """
        stored = stored_meta.read(response, stored_size)
        if version_id not in (None, NULL_VERSION, stored.version_id):
            raise NoSuchVersion(Key=key, VersionId=version_id or "")  # a server without versions takes any id
        handle = Handle(
            bucket,
            key,
            stored.upstream_etag,
            version_id=stored.version_id if "VersionId" in response else version_id or "",
            stored=stored,
            tail=tail,
            asked=version_id,
        )
        meta, size, etag = stored.meta, stored.size, stored.etag
        if stored.encrypted:
            size = stored_size if size is None else size  # its frames cannot be seen
            etag = etag or stored.upstream_etag
        elif size is None or etag is None:
            layout = self.layout_of(handle)
            meta, size, etag = _described(meta, layout, etag or stored.upstream_etag)
            if stored.foreign:
                meta = msgspec.structs.replace(meta, frames=0)  # the number speaks of frames of ours
        tags = self._tags(handle) if stored.tag_count else {}
        return StoredObject(
            key=key,
            version_id=stored.version_id,
            is_latest=version_id is None,
            size=size,
            etag=etag,
            stored_size=stored_size,
            modified_ms=stored.modified_ms,
            meta=msgspec.structs.replace(meta, owner=self.owner, tags=tags),
            body=handle,
        )

    def layout_of(self, handle: Handle) -> Layout:
        """Where the frames of a framed body are. Raises: InternalError for damaged ones, ObjectChanged."""
        stored = handle.stored
        if stored is None:
            raise InternalError
        name = (handle.bucket, handle.key, handle.etag, str(stored.stored_size))
        if stored.kind is BodyKind.PLAIN:
            known = self.layouts.get(name) or Layout(FrameIndex(), self._parts_of_plain(handle, stored))
            self.layouts.add(name, known)
            return known
        return self.layouts.load(
            name,
            stored,
            read=lambda start, end: self._fetch_or_tail(handle, stored, start, end),
            sidecar=lambda: self._sidecar(handle),
        )

    def _parts_of_plain(self, handle: Handle, stored: Stored) -> Manifest:
        """The part table of an object that the upstream made of parts: a HEAD each, since nothing lists them all."""

        def look(number: int) -> ManifestPart:
            try:
                answer = self.call("HeadObject", **handle.named, PartNumber=number)
            except (PreconditionFailed, NoSuchKey, NoSuchVersion, InvalidRange) as error:
                raise ObjectChanged from error
            handle.check(answer)
            return ManifestPart(number=number, original_size=int(answer.get("ContentLength") or 0), etag="")

        parts = list(self.pools.requests.map(look, range(1, stored.meta.parts + 1)))
        if sum(part.original_size for part in parts) != stored.stored_size:
            parts = []  # a server that does not know part numbers
        return Manifest(original_size=stored.stored_size, etag=stored.upstream_etag, parts=parts)

    def _tags(self, handle: Handle) -> dict[str, str]:
        params = {name: value for name, value in handle.named.items() if name != "IfMatch"}
        found = self.call("GetObjectTagging", **params).get("TagSet") or ()
        return {str(tag["Key"]): str(tag["Value"]) for tag in found}

    def _missing(self, error: S3Error, bucket: str, key: str, version_id: str | None) -> StoredObject:
        """Tell a delete marker, a missing bucket, a missing version and a missing key apart."""
        if error.headers.get("x-amz-delete-marker") == "true" and isinstance(error, NoSuchKey | MethodNotAllowed):
            modified = parse_http_date(error.headers.get("last-modified", ""))
            return StoredObject(
                key=key,
                version_id=error.headers.get("x-amz-version-id") or version_id or NULL_VERSION,
                is_latest=version_id is None,
                delete_marker=True,
                size=0,
                etag="",
                stored_size=0,
                modified_ms=0 if modified is None else int(modified.timestamp() * 1000),
                meta=ObjectMeta(owner=self.owner),
            )
        if isinstance(error, NoSuchKey):
            self.check_bucket(bucket)  # a HEAD that finds nothing does not say what is missing
            raise (
                NoSuchKey(Key=key) if version_id is None else NoSuchVersion(Key=key, VersionId=version_id)
            ) from error
        if version_id is not None and isinstance(error, InvalidArgument | InvalidRequest):
            raise NoSuchVersion(Key=key, VersionId=version_id) from error  # no version id of the upstream's looks so
        raise error

    def check_bucket(self, bucket: str) -> None:
        """Raises: NoSuchBucket."""
        self.buckets.get(bucket)

    # -- reading ------------------------------------------------------------------------------------------------------
    def fetch(self, handle: Handle, start: int, end: int) -> bytes:
        """Stored bytes ``[start, end)``, exactly.

        Raises: ObjectChanged, when that object is not there any more; ServiceUnavailable.
        """
        if start >= end:
            return b""
        for attempt in range(READ_ATTEMPTS):
            try:
                response = self.call("GetObject", **handle.named, Range=f"bytes={start}-{end - 1}")
                with response["Body"] as body:
                    handle.check(response)
                    data: bytes = body.read()
            except (PreconditionFailed, NoSuchKey, NoSuchVersion, InvalidRange) as error:
                raise ObjectChanged from error
            except ObjectChanged:
                raise
            except ServiceUnavailable:
                if attempt == READ_ATTEMPTS - 1:
                    raise
                continue
            if len(data) == end - start:
                return data
        raise ServiceUnavailable

    def _fetch_or_tail(self, handle: Handle, stored: Stored, start: int, end: int) -> bytes:
        """As `fetch`, from what came with the look if that is enough."""
        tail_start = stored.stored_size - len(handle.tail)
        if start >= tail_start:
            return handle.tail[start - tail_start : end - tail_start]
        return self.fetch(handle, start, end)

    def _sidecar(self, handle: Handle) -> bytes | None:
        """S4's index object of this one, if there is one of a sane size."""
        try:
            response = self.call("GetObject", Bucket=handle.bucket, Key=f"{handle.key}.s4index")
            with response["Body"] as body:
                if int(response.get("ContentLength") or 0) > SIDECAR_BYTES_MAX:
                    return None
                data: bytes = body.read()
        except NoSuchKey:
            return None
        return data


def upstream_condition(key: str, conditions: Conditions, current: StoredObject | None) -> dict[str, str]:
    """The condition under which a write goes up so that the client's, which speak of originals, hold.

    Args:
        key: What is written.
        conditions: One at least.
        current: What stands under the key; None or a delete marker: nothing.

    Raises: NoSuchKey, PreconditionFailed, when they do not hold now.
    """
    match, none_match = conditions.if_match, conditions.if_none_match
    if current is None or not isinstance(current.body, Handle):
        if match is not None:
            raise NoSuchKey(Key=key)
        return {"IfNoneMatch": "*"}
    if match is not None and match not in ("*", current.etag):
        raise PreconditionFailed(Condition="If-Match")
    if none_match is not None and none_match in ("*", current.etag):
        raise PreconditionFailed(Condition="If-None-Match")
    return {"IfMatch": f'"{current.body.etag}"'}


SIDECAR_BYTES_MAX: Final = 64 * 1024 * 1024
"""As S4 reads."""


def _place(bucket: str, key: str, version_id: str | None) -> dict[str, str]:
    return {"Bucket": bucket, "Key": key} | ({} if version_id is None else {"VersionId": version_id})


def _described(meta: ObjectMeta, layout: Layout, etag: str) -> tuple[ObjectMeta, int, str]:
    """Complete *meta* by what the body says about itself. Returns: metadata, original size, ETag."""
    manifest = layout.manifest
    if manifest is None:
        return meta, layout.index.original_size, etag
    meta = msgspec.structs.replace(
        meta,
        frames=len(layout.index),
        parts=len(manifest.parts),
        crc32c=manifest.crc32c,
        checksums=manifest.checksums,
        checksum_type=manifest.checksum_type,
        codec=layout.main_codec or meta.codec,
    )
    return meta, manifest.original_size, manifest.etag or etag
