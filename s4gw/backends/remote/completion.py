"""Making an object of an upload's parts, once, whatever happens on the way.

A small object is read and sent in one PUT. A larger one is an upload of the upstream's, filled by the plan of
`compose`; its id is written down before the first part (the *intent*), under a name that stands for parts and plan.
Another Complete of the same parts, beside this one or after its death, finds the intent and goes on with that upload.

The object carries the upload's id as its mark. When the answer to the last request is lost, or a condition does not
hold any more, the mark tells whether it was us who wrote. Nothing is visible before that request.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from s4gw.backends.base import NO_CONDITIONS, NULL_VERSION, Conditions, ObjectMeta, StoredObject
from s4gw.backends.bodies import ObjectChanged
from s4gw.backends.remote import staging, stored_meta
from s4gw.backends.remote.assembly import Assembly, CannotCopyParts, Pieces, read_whole
from s4gw.backends.remote.base import CONDITION_ATTEMPTS, upstream_condition
from s4gw.backends.remote.compose import PLAN_VERSION, S3_LIMITS, Limits, PlannedPart, plan_parts
from s4gw.backends.remote.staging import Done, Intent, StagedPart
from s4gw.backends.remote.uploads import RemoteUploads, StagedObjects, now_ms
from s4gw.s3.errors import (
    InternalError,
    InvalidArgument,
    MetadataTooLarge,
    NoSuchKey,
    NoSuchUpload,
    PreconditionFailed,
    S3Error,
    ServiceUnavailable,
    SlowDown,
)
from s4gw.s3.errors import NotImplemented as S3NotImplemented

ONE_PUT_BYTES: Final = 16 * 1024 * 1024
"""An object up to here is sent in one PUT."""
BEGINNINGS_MAX: Final = 3
"""An upload of the upstream's may be gone: ended by another Complete, or lost by a server that forgets on restart."""

_PASSING: Final = (ServiceUnavailable, InternalError, SlowDown)
"""What a repeated request may not meet again, or what may hide a success."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """An object to be made."""

    bucket: str
    key: str
    upload_id: str
    parts: Sequence[StagedPart]
    tail: bytes
    size: int
    """Of the original."""
    etag: str
    meta: ObjectMeta
    conditions: Conditions

    @property
    def stored_size(self) -> int:
        """Bytes of the object upstream."""
        return sum(part.stored_size for part in self.parts) + len(self.tail)

    def params(self) -> dict[str, Any]:
        """The object's facts, for PutObject and CreateMultipartUpload."""
        facts = stored_meta.Facts(size=self.size, etag=self.etag, stored_size=self.stored_size)
        try:
            return stored_meta.parameters(self.meta, facts, mark=self.upload_id)
        except MetadataTooLarge:  # by the mark: better unmarked than refused after all parts have come
            return stored_meta.parameters(self.meta, facts)

    def digest(self, *, can_copy: bool) -> str:
        """Names what is made of which parts, and how."""
        said = [PLAN_VERSION, can_copy, self.etag, [part.part_id for part in self.parts], self.tail]
        return hashlib.blake2b(msgspec.msgpack.encode(said), digest_size=16).hexdigest()


class RemoteCompletion(RemoteUploads):
    """The last step of an upload."""

    limits: Limits = S3_LIMITS
    one_put_bytes: int = ONE_PUT_BYTES

    def carry_out(self, work: Completion, staged: StagedObjects) -> StoredObject:
        """Make the object, or find that it has been made. The upload's objects are gone then, but for the result.

        Raises: NoSuchUpload, InvalidPart, NoSuchKey, PreconditionFailed and what the upstream answers; the upload can
            be completed again.
        """
        done = self._made_or_found(work, staged)
        self.write_done(work.bucket, work.upload_id, done)
        obj = self.made(work.bucket, done)
        self.learnt(work.bucket, obj, done.upstream_etag, modified_known=False)
        with contextlib.suppress(S3Error):  # it is written down: whoever asks again is told so
            self.close_upload(work.bucket, work.upload_id)
        return obj

    def _made_or_found(self, work: Completion, staged: StagedObjects) -> Done:
        attempts = CONDITION_ATTEMPTS
        while True:
            standing = self._standing(work)
            done = _ours(work, standing)
            if done is not None:
                return done
            wanted = self._wanted(work, standing)
            attempts -= 1
            try:
                return self._make(work, staged, wanted)
            except PreconditionFailed:
                if "IfMatch" not in wanted or not attempts:
                    raise

    def _make(self, work: Completion, staged: StagedObjects, wanted: dict[str, str]) -> Done:
        pieces = Pieces(
            [self.handle_of(work.bucket, work.upload_id, part) for part in work.parts], work.tail, self.fetch
        )
        try:
            if work.stored_size <= self.one_put_bytes:
                return self._put(work, pieces, wanted)
            return self._compose(work, pieces, wanted, staged)
        except (ObjectChanged, NoSuchKey) as error:
            # a piece is gone: another Complete has made the object, or an Abort has removed them
            return self._found_or(work, NoSuchUpload(UploadId=work.upload_id), error)

    def _wanted(self, work: Completion, standing: dict[str, Any] | None) -> dict[str, str]:
        """The client's conditions, which speak of originals, as the upstream can check them.

        Held against what stands under the key first: servers that do not know such conditions take every write.

        Raises: NoSuchKey, PreconditionFailed.
        """
        if work.conditions == NO_CONDITIONS:
            return {}
        current = None
        if standing is not None:
            size = int(standing.get("ContentLength") or 0)
            current = self.found(work.bucket, work.key, None, standing, size)
        return upstream_condition(work.key, work.conditions, current)

    def _put(self, work: Completion, pieces: Pieces, wanted: dict[str, str]) -> Done:
        body = read_whole(self.pools, pieces, [part.stored_size for part in work.parts])
        if len(body) != work.stored_size:
            raise InternalError
        try:
            answer = self._write("PutObject", work, wanted, Body=body, **work.params())
        except (PreconditionFailed, *_PASSING) as error:
            return self._found_or(work, error, error)
        return _done(work, answer)

    def _write(self, operation: str, work: Completion, wanted: dict[str, str], **params: Any) -> dict[str, Any]:
        """The one request that makes the object. An object that has to stand, and went away, fails the condition."""
        try:
            return self.call(operation, Bucket=work.bucket, Key=work.key, **params, **wanted)
        except NoSuchKey as error:
            if "IfMatch" not in wanted:
                raise
            raise PreconditionFailed(Condition="If-Match") from error

    def _compose(self, work: Completion, pieces: Pieces, wanted: dict[str, str], staged: StagedObjects) -> Done:
        sizes = [part.stored_size for part in work.parts]
        can_copy = self.can_copy_parts
        known = staged.intents
        beginnings = BEGINNINGS_MAX
        while True:
            plan = plan_parts(sizes, len(work.tail), can_copy=can_copy, limits=self.limits)
            name = staging.intent_key(work.upload_id, work.digest(can_copy=can_copy))
            try:
                return self._filled(work, pieces, wanted, plan, name, known=name in known)
            except CannotCopyParts as error:
                self._give_up(work, name)
                can_copy = False
                if error.lasting:
                    self.can_copy_parts = False
            except NoSuchUpload as error:
                done = self._marked(work) or self.done_record(work.bucket, work.upload_id)
                if done is not None:
                    return done
                self.discard(work.bucket, [{"Key": name}])
                known = []
                beginnings -= 1
                if not beginnings:
                    raise ServiceUnavailable from error

    def _filled(  # noqa: PLR0913 - one Complete's state
        self,
        work: Completion,
        pieces: Pieces,
        wanted: dict[str, str],
        plan: Sequence[PlannedPart],
        name: str,
        *,
        known: bool,
    ) -> Done:
        """Go on with the upload that the intent *name* speaks of, or begin one.

        Raises: NoSuchUpload, when it is gone; CannotCopyParts.
        """
        intent, joined = self._intent(work, name, known=known)
        upstream_id = intent.upstream_id
        place = {"Bucket": work.bucket, "Key": work.key, "UploadId": upstream_id}
        assembly = Assembly(self.call, self.pools, pieces, place)
        try:
            parts = {"Parts": assembly.fill(plan, assembly.present() if joined else {})}
            answer = self._write("CompleteMultipartUpload", work, wanted, UploadId=upstream_id, MultipartUpload=parts)
        except NoSuchUpload:
            raise
        except PreconditionFailed:
            done = self._marked(work)
            if done is None:
                self._give_up(work, name)
                raise
            return done
        except _PASSING as error:
            return self._found_or(work, error, error)  # the intent stays: the next Complete goes on from here
        except S3Error:
            self._give_up(work, name)
            raise
        return _done(work, answer)

    def _intent(self, work: Completion, name: str, *, known: bool) -> tuple[Intent, bool]:
        """Find or write the intent *name*. Returns: it, and whether it was somebody else's."""
        if known:
            found = self.read_intent(work.bucket, name)
            if found is not None:
                return found, True
        created = self.call("CreateMultipartUpload", Bucket=work.bucket, Key=work.key, **work.params())
        mine = Intent(key=work.key, upstream_id=str(created["UploadId"]))
        body = msgspec.json.encode(mine)
        try:
            self.call("PutObject", Bucket=work.bucket, Key=name, Body=body, IfNoneMatch="*")
        except PreconditionFailed:
            found = self.read_intent(work.bucket, name)
            if found is not None and found.upstream_id != mine.upstream_id:
                self.abandon(work.bucket, work.key, mine.upstream_id)
                return found, True
        except (S3NotImplemented, InvalidArgument):
            self.call("PutObject", Bucket=work.bucket, Key=name, Body=body)
        return mine, False

    def _give_up(self, work: Completion, name: str) -> None:
        """Take an intent back, then what it speaks of."""
        intent = self.read_intent(work.bucket, name)
        self.discard(work.bucket, [{"Key": name}])
        if intent is not None:
            self.abandon(work.bucket, work.key, intent.upstream_id)

    # -- was it us ----------------------------------------------------------------------------------------------------
    def _standing(self, work: Completion) -> dict[str, Any] | None:
        """What the upstream says about the object under the key; None where there is none."""
        try:
            return self.call("HeadObject", Bucket=work.bucket, Key=work.key)
        except NoSuchKey:
            return None

    def _marked(self, work: Completion) -> Done | None:
        """The object, if it stands under the key and carries this upload's mark."""
        return _ours(work, self._standing(work))

    def _found_or(self, work: Completion, answer: S3Error, cause: Exception) -> Done:
        """The object, if this upload has become it after all. Raises: *answer*, otherwise."""
        done = self._marked(work)
        if done is not None:
            return done
        raise answer from (cause if cause is not answer else answer.__cause__)


def _ours(work: Completion, standing: dict[str, Any] | None) -> Done | None:
    if standing is None:
        return None
    stored = stored_meta.read(standing, int(standing.get("ContentLength") or 0))
    if stored.write_mark != work.upload_id or stored.stored_size != work.stored_size:
        return None
    return _done(work, standing)


def _done(work: Completion, answer: dict[str, Any]) -> Done:
    return Done(
        key=work.key,
        version_id=str(answer.get("VersionId") or NULL_VERSION),
        size=work.size,
        etag=work.etag,
        stored_size=work.stored_size,
        modified_ms=now_ms(),
        meta=msgspec.structs.replace(work.meta, forwarded=stored_meta.told(answer)),
        upstream_etag=str(answer.get("ETag") or "").strip('"'),
    )
