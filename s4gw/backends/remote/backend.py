"""Backend over another S3 service: buckets, deletes, metadata; the rest is in the classes it is made of.

It holds no objects and no state that cannot be looked up again. What S3 itself does not offer, no upstream does: no
general purpose bucket renames objects, and metadata change by copying only; tags are the exception.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final

from s4gw.backends.base import (
    NO_CONDITIONS,
    BucketInfo,
    Conditions,
    Deleted,
    DeleteTarget,
    ObjectMeta,
    StoredObject,
    Versioning,
)
from s4gw.backends.remote.base import CONDITION_ATTEMPTS, Handle
from s4gw.backends.remote.buckets import RULES_KEYS
from s4gw.backends.remote.copying import RemoteCopying
from s4gw.backends.remote.delegate import Delegate
from s4gw.backends.remote.errors import translate
from s4gw.backends.remote.multipart import RemoteMultipart
from s4gw.backends.remote.reading import RemoteReading
from s4gw.backends.remote.reserved import is_reserved
from s4gw.backends.remote.writing import check_writable
from s4gw.bucketconfig import DefaultRetention, LockChange
from s4gw.codec import s4_metadata as s4
from s4gw.s3.errors import (
    AccessDenied,
    BucketNotEmpty,
    ConditionalRequestConflict,
    InternalError,
    NoSuchBucket,
    NoSuchKey,
    NoSuchVersion,
    PreconditionFailed,
    S3Error,
)
from s4gw.s3.errors import NotImplemented as S3NotImplemented

DICTIONARIES_PREFIX: Final = ".s4dict/"
"""Where S4 keeps a bucket's zstd dictionaries, each under its name."""
_DICTIONARY_DOCUMENT: Final = "s4-dictionary-"  # how `objects` calls them
DELETES_MAX: Final = 1000  # keys in one DeleteObjects, S3's own bound


class RemoteBackend(RemoteReading, RemoteCopying, RemoteMultipart):
    """`s4gw.backends.base.Backend` over an upstream; see `RemoteMultipart` for its arguments."""

    # -- life -----------------------------------------------------------------------------------------------------
    def check(self) -> None:
        with suppress(AccessDenied, S3NotImplemented):  # it answers, which is all that was asked
            self.call("ListBuckets", MaxBuckets=1)

    def close(self) -> None:
        self.pools.close()
        self.upstream.close()

    # -- buckets --------------------------------------------------------------------------------------------------
    def list_buckets(self, owner: str | None = None) -> Sequence[BucketInfo]:
        return self.buckets.list(owner)

    def get_bucket(self, bucket: str) -> BucketInfo:
        return self.buckets.get(bucket)

    def create_bucket(self, info: BucketInfo) -> None:
        self.buckets.create(info.name, info.region)

    def delete_bucket(self, bucket: str) -> None:
        try:
            self.buckets.delete(bucket)
        except BucketNotEmpty:
            if not self._empty(bucket):
                raise
            self.buckets.delete(bucket)
        self.records.drop_all(bucket)

    def put_config(self, bucket: str, name: str, document: bytes | None) -> None:
        if name in RULES_KEYS:
            key, metadata = RULES_KEYS[name], {}
        elif name.startswith(_DICTIONARY_DOCUMENT) and document is not None:
            key = DICTIONARIES_PREFIX + name.removeprefix(_DICTIONARY_DOCUMENT)
            metadata = {s4.DICTIONARY_SHA256: sha256(document).hexdigest()}
        else:
            self.check_bucket(bucket)
            raise S3NotImplemented  # the gateway hands these operations on as they are
        if document is None:
            self.call("DeleteObject", Bucket=bucket, Key=key)
        else:
            self.call("PutObject", Bucket=bucket, Key=key, Body=document, Metadata=metadata)
        self.buckets.forget(bucket)

    def put_object_lock(self, bucket: str, default: DefaultRetention) -> None:
        del default
        self.check_bucket(bucket)
        raise S3NotImplemented  # likewise

    def set_lock(self, bucket: str, obj: StoredObject, change: LockChange) -> None:
        del bucket, obj, change
        raise S3NotImplemented  # likewise

    def use_mfa_code(self, device: str, step: int) -> None:
        del device, step
        raise S3NotImplemented  # no bucket upstream asks the gateway for one

    def set_versioning(
        self, bucket: str, state: Versioning, *, mfa_delete: str | None = None, mfa: bool = False
    ) -> None:
        del mfa
        if mfa_delete == "Enabled":  # "Disabled" is what tools send that know of it and do not want it
            raise S3NotImplemented
        self.buckets.set_versioning(bucket, state)

    def _empty(self, bucket: str) -> bool:
        """Remove what clients do not see, if they see nothing. Returns: whether that is so."""
        # Looked at as a whole first: dictionaries and staged parts of a bucket that stays must stay, too.
        if self.list_versions(bucket, limit=1).objects:
            return False
        self.discard(bucket, [item for item in self.listed_versions(bucket, "") if is_reserved(item["Key"])])
        return True

    # -- objects --------------------------------------------------------------------------------------------------
    def delete_objects(self, bucket: str, targets: Sequence[DeleteTarget]) -> Sequence[Deleted | Exception]:
        results: list[Deleted | Exception | None] = [None] * len(targets)
        batch: list[int] = []
        for place, target in enumerate(targets):
            try:
                check_writable(target.key)
                if target.conditions != NO_CONDITIONS:
                    results[place] = self._delete_if(bucket, target)
                elif len(targets) == 1:
                    results[place] = self._delete(bucket, target)
                else:
                    batch.append(place)
            except NoSuchBucket:
                raise
            except S3Error as error:
                results[place] = error
        for first in range(0, len(batch), DELETES_MAX):
            places = batch[first : first + DELETES_MAX]
            outcomes = self._delete_batch(bucket, [targets[place] for place in places])
            for place, outcome in zip(places, outcomes, strict=True):
                results[place] = outcome
        for target in targets:
            self.deleted(bucket, target.key, target.version_id)
        return [InternalError() if result is None else result for result in results]

    def _delete(self, bucket: str, target: DeleteTarget, **when: Any) -> Deleted:
        when |= _bypass(target)
        answer = self.call("DeleteObject", Bucket=bucket, Key=target.key, VersionId=target.version_id, **when)
        return _deleted(target, bool(answer.get("DeleteMarker")), answer.get("VersionId"))

    def _delete_if(self, bucket: str, target: DeleteTarget) -> Deleted:
        """Delete under conditions, which speak of the original: the upstream gets its own ETag to check."""
        for attempt in range(CONDITION_ATTEMPTS):
            try:
                current = self.look(bucket, target.key, target.version_id)
            except (NoSuchKey, NoSuchVersion):
                return self._delete(bucket, target)
            _check_delete(current, target.conditions)
            when = {"IfMatch": f'"{current.body.etag}"'} if isinstance(current.body, Handle) else {}
            try:
                return self._delete(bucket, target, **when)
            except (PreconditionFailed, ConditionalRequestConflict):
                if attempt == CONDITION_ATTEMPTS - 1:
                    raise
        raise ConditionalRequestConflict

    def _delete_batch(self, bucket: str, targets: Sequence[DeleteTarget]) -> list[Deleted | Exception]:
        objects = [
            {"Key": target.key} | ({} if target.version_id is None else {"VersionId": target.version_id})
            for target in targets
        ]
        bypass = _bypass(targets[0])  # one header of the client's, the same for all
        answer = self.call("DeleteObjects", Bucket=bucket, Delete={"Objects": objects}, **bypass)
        done: dict[tuple[str, str | None], deque[Mapping[str, Any]]] = defaultdict(deque)
        for entry in (*(answer.get("Deleted") or ()), *(answer.get("Errors") or ())):
            done[entry["Key"], entry.get("VersionId")].append(entry)
        return [_outcome(target, done[target.key, target.version_id]) for target in targets]

    def rename_object(
        self,
        bucket: str,
        key: str,
        new_key: str,
        *,
        conditions: Conditions = NO_CONDITIONS,
        source_conditions: Conditions = NO_CONDITIONS,
    ) -> None:
        del bucket, key, new_key, conditions, source_conditions
        raise S3NotImplemented

    def update_meta(self, bucket: str, obj: StoredObject, meta: ObjectMeta) -> None:
        handle = obj.body
        if not isinstance(handle, Handle) or _client_side(meta) != _client_side(obj.meta):
            raise S3NotImplemented
        place = {"Bucket": bucket, "Key": obj.key} | ({"VersionId": handle.version_id} if handle.version_id else {})
        now = self.look(bucket, obj.key, handle.version_id or None)
        if not isinstance(now.body, Handle) or now.body.etag != handle.etag:
            raise NoSuchKey(Key=obj.key)
        change = Delegate(self.upstream, self.buckets).call
        if meta.tags:
            tags = [{"Key": name, "Value": value} for name, value in meta.tags.items()]
            change("PutObjectTagging", **place, Tagging={"TagSet": tags})
        else:
            change("DeleteObjectTagging", **place)


def _client_side(meta: ObjectMeta) -> tuple[object, ...]:
    """What only a copy could change."""
    return meta.owner, meta.headers, meta.metadata, meta.acl, meta.storage_class


def _bypass(target: DeleteTarget) -> dict[str, bool]:
    return {"BypassGovernanceRetention": True} if target.bypass else {}


def _deleted(target: DeleteTarget, marker: bool, version_id: str | None) -> Deleted:  # noqa: FBT001
    named = target.version_id
    return Deleted(
        key=target.key,
        version_id=named,
        delete_marker=marker,
        marker_version_id=(named or version_id) if marker else None,
    )


def _outcome(target: DeleteTarget, entries: deque[Mapping[str, Any]]) -> Deleted | Exception:
    """What became of one target of a batch."""
    if not entries:
        return InternalError()
    entry = entries.popleft()
    if "Code" in entry:
        return translate(str(entry["Code"]), InternalError.status, {"Key": target.key, "VersionId": target.version_id})
    return _deleted(target, bool(entry.get("DeleteMarker")), entry.get("DeleteMarkerVersionId"))


def _check_delete(doomed: StoredObject, conditions: Conditions) -> None:
    """Raises: PreconditionFailed. A delete marker is there, with no ETag."""
    if conditions.if_match is not None and conditions.if_match not in ("*", doomed.etag or None):
        raise PreconditionFailed(Condition="If-Match")
    if conditions.if_size is not None and conditions.if_size != doomed.size:
        raise PreconditionFailed(Condition="x-amz-if-match-size")
    if conditions.if_modified_s is not None and conditions.if_modified_s != doomed.modified_ms // 1000:
        raise PreconditionFailed(Condition="x-amz-if-match-last-modified-time")
