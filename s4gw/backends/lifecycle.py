"""Carrying lifecycle rules out: one pass over the buckets that have them, page by page, in small transactions.

What to do is decided by `bucketconfig.lifecycle_plan`; here versions are listed and decisions submitted. Each is
carried out only if the version still is what it was when it was listed, and no lock holds it. Nothing is kept between
passes: a pass that was cut short is made good by the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, Protocol

import msgspec

from s4gw.backends.base import BucketInfo, ListPage, StoredObject, UploadPage
from s4gw.bucketconfig import Action, Rule, Seen, abort_of, plan, stored_lifecycle
from s4gw.bucketconfig.lifecycle_plan import DAY_MS
from s4gw.s3.errors import AccessDenied, NoSuchBucket, NoSuchKey, NoSuchUpload, NoSuchVersion

PAGE: Final = 1000
BATCH: Final = 100
"""Decisions in one transaction: some milliseconds, in which requests of clients wait."""


class Expiry(msgspec.Struct, frozen=True):
    """A version, and what is to become of it."""

    version: StoredObject
    action: Action


class Backend(Protocol):
    """What a pass needs of a backend."""

    def list_buckets(self) -> Sequence[BucketInfo]: ...

    def head_object(self, bucket: str, key: str, version_id: str | None = None) -> StoredObject: ...

    def list_versions(
        self, bucket: str, *, after_key: str = "", after_version_id: str = "", limit: int = 1000
    ) -> ListPage: ...

    def list_uploads(
        self, bucket: str, *, after_key: str = "", after_upload_id: str = "", limit: int = 1000
    ) -> UploadPage: ...

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None: ...

    def expire(self, bucket: str, expiries: Sequence[Expiry]) -> Sequence[bool | Exception]:
        """Carry decisions out in one commit; False where the version was no longer what it had been.

        A locked version gives AccessDenied. Raises: NoSuchBucket.
        """


class Report(msgspec.Struct):
    """What a pass did, or would do."""

    dry_run: bool
    buckets: int = 0
    """With rules."""
    examined: int = 0
    """Versions and markers."""
    expired: int = 0
    removed: int = 0
    markers_removed: int = 0
    uploads_aborted: int = 0
    kept: int = 0
    """By a lock."""
    stopped: bool = False


class Event(msgspec.Struct, frozen=True):
    """One thing that was done, or would be."""

    bucket: str
    key: str
    version_id: str
    action: str
    rule: str


def _nobody(_event: Event) -> None:
    """Where nobody looks."""


def _never() -> bool:
    return False


class Pass:
    """One pass.

    Args:
        backend: Where buckets are.
        now_ms: The time that counts, for the whole pass.
        day_ms: Length of a lifecycle day.
        dry_run: Decide, but do nothing.
        tell: Takes each decision.
        stop: Asked between batches whether to end early.
    """

    def __init__(  # noqa: PLR0913
        self,
        backend: Backend,
        *,
        now_ms: int,
        day_ms: int = DAY_MS,
        dry_run: bool = False,
        tell: Callable[[Event], None] = _nobody,
        stop: Callable[[], bool] = _never,
    ) -> None:
        self._backend = backend
        self._now_ms = now_ms
        self._day_ms = day_ms
        self._tell = tell
        self._stop = stop
        self.report = Report(dry_run=dry_run)

    def run(self, bucket: str | None = None) -> Report:
        """Go through all buckets, or one. Raises: ServiceUnavailable."""
        for info in self._backend.list_buckets():
            rules = stored_lifecycle(info.configs)
            if not rules or (bucket is not None and info.name != bucket):
                continue
            if self.report.stopped:
                break
            self.report.buckets += 1
            try:
                self._versions(info.name, rules)
                self._uploads(info.name, rules)
            except NoSuchBucket:
                continue  # deleted meanwhile
        return self.report

    def _versions(self, bucket: str, rules: Sequence[Rule]) -> None:
        listed: list[StoredObject] = []
        first = 0  # number of the first one in `listed`

        def seen() -> Iterator[Seen]:
            for obj in self._list(bucket):
                listed.append(obj)
                yield self._seen(bucket, obj)

        decisions = plan(rules, seen(), self._now_ms, self._day_ms)
        while batch := list(islice(decisions, BATCH)):
            chosen = [(listed[decision.place - first], decision) for decision in batch]
            events = [Event(bucket, obj.key, obj.version_id, d.action.value, d.rule) for obj, d in chosen]
            self._carry_out(bucket, [Expiry(obj, decision.action) for obj, decision in chosen], events)
            done = batch[-1].place + 1
            del listed[: done - first]
            first = done
            if self._stop():
                self.report.stopped = True
                return

    def _list(self, bucket: str) -> Iterator[StoredObject]:
        key = version = ""
        while True:
            page = self._backend.list_versions(bucket, after_key=key, after_version_id=version, limit=PAGE)
            self.report.examined += len(page.objects)
            yield from page.objects
            if not page.truncated:
                return
            key, version = page.next_key, page.next_version_id
            if self._stop():
                self.report.stopped = True
                return

    def _seen(self, bucket: str, obj: StoredObject) -> Seen:
        def tags() -> Mapping[str, str]:
            if obj.delete_marker:
                return {}
            try:
                return self._backend.head_object(bucket, obj.key, obj.version_id).meta.tags
            except (NoSuchKey, NoSuchVersion):
                return {}

        return Seen(
            key=obj.key,
            size=obj.size,
            modified_ms=obj.modified_ms,
            latest=obj.is_latest,
            marker=obj.delete_marker,
            tags=tags,
        )

    def _carry_out(self, bucket: str, expiries: Sequence[Expiry], events: Sequence[Event]) -> None:
        done: Sequence[bool | Exception] = [True] * len(expiries)
        if not self.report.dry_run:
            done = self._backend.expire(bucket, expiries)
        for expiry, outcome, event in zip(expiries, done, events, strict=True):
            if isinstance(outcome, AccessDenied):
                self.report.kept += 1
            elif isinstance(outcome, Exception):
                raise outcome
            elif outcome:
                self._count(expiry.action)
                self._tell(event)

    def _count(self, action: Action) -> None:
        report = self.report
        if action is Action.EXPIRE:
            report.expired += 1
        elif action is Action.REMOVE:
            report.removed += 1
        else:
            report.markers_removed += 1

    def _uploads(self, bucket: str, rules: Sequence[Rule]) -> None:
        if all(rule.abort_days is None for rule in rules):
            return
        key = upload_id = ""
        while not self.report.stopped:
            page = self._backend.list_uploads(bucket, after_key=key, after_upload_id=upload_id, limit=PAGE)
            for upload in page.uploads:
                end = abort_of(rules, upload.key, upload.started_ms, self._day_ms)
                if end is not None and self._now_ms >= end[0] and self._abort(bucket, upload.key, upload.upload_id):
                    self.report.uploads_aborted += 1
                    self._tell(Event(bucket, upload.key, upload.upload_id, "abort", end[1]))
            if not page.truncated:
                return
            key, upload_id = page.next_key, page.next_upload_id
            self.report.stopped = self._stop()

    def _abort(self, bucket: str, key: str, upload_id: str) -> bool:
        """Whether the upload was there to be ended."""
        if self.report.dry_run:
            return True
        try:
            self._backend.abort_upload(bucket, key, upload_id)
        except NoSuchUpload:
            return False
        return True
