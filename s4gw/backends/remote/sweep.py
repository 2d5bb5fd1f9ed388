"""Clearing away what uploads leave behind upstream when a client or a gateway never came back.

What goes, and when: an upload in progress that nothing has touched for `Ages.idle_s`, as if it had been aborted;
objects of an upload that has ended, results for retries among them, after `Ages.ended_s`; unfinished uploads of the
upstream's that the gateway had begun, likewise. Nothing outside of the gateway's own prefix is looked at: a client's
uploads that bypass the gateway are its own.

Any number of sweeps may run beside each other and beside gateways.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from s4gw.backends.remote import staging
from s4gw.backends.remote.reserved import OWN_PREFIX
from s4gw.backends.remote.uploads import RemoteUploads
from s4gw.s3.errors import NoSuchUpload, S3Error

PUTS_PREFIX: Final = f"{OWN_PREFIX}put/"
"""Notes of large PUTs that are under way (`writing`)."""
BEGUN_MS: Final = 60_000
"""An upload of the noted key that began so long after the note, and is open a day later, is the note's."""
CLOCK_MS: Final = 1000
"""What an upstream rounds its times to."""
DAY_S: Final = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """How old what has to be."""

    idle_s: int = 7 * DAY_S
    """S3 itself keeps uploads for ever; clients that resume them do so within days."""
    ended_s: int = DAY_S
    """As long as a client may plausibly repeat a Complete."""


@dataclass(slots=True)
class Swept:
    """What was removed, or would be."""

    uploads: int = 0
    """In progress, of clients."""
    objects: int = 0
    bytes: int = 0
    """Stored, of those objects."""
    unfinished: int = 0
    """Uploads of the upstream's."""


class PutNote(msgspec.Struct, frozen=True):
    """A large PUT under way. Its upload begins right after the note, so that its id is not among the note's facts."""

    key: str


@dataclass(slots=True)
class _Found:
    """What there is of one upload."""

    open: bool = False
    newest_ms: int = 0
    items: list[Mapping[str, Any]] = field(default_factory=list)


def sweep(
    backend: RemoteUploads, bucket: str, now_ms: int, ages: Ages | None = None, *, dry_run: bool = False
) -> Swept:
    """Clear *bucket* of leftovers.

    Args:
        backend: Of the upstream.
        bucket: To sweep.
        now_ms: By the upstream's clock, within minutes.
        ages: What counts as left over.
        dry_run: Remove nothing.

    Raises: S3Error, when the upstream does not answer; a later sweep goes on.
    """
    swept, ages = Swept(), ages or Ages()
    for upload_id, found in _uploads(backend, bucket):
        age_s = (now_ms - found.newest_ms) // 1000
        if age_s < (ages.idle_s if found.open else ages.ended_s):
            continue
        swept.uploads += found.open
        swept.objects += len(found.items)
        swept.bytes += sum(int(item.get("Size") or 0) for item in found.items)
        if not dry_run:
            if found.open:
                backend.remove(bucket, staging.record_key(upload_id))
            backend.clear(bucket, found.items)
    _sweep_notes(backend, bucket, now_ms - ages.ended_s * 1000, swept, dry_run=dry_run)
    _sweep_unfinished(backend, bucket, now_ms - ages.ended_s * 1000, swept, dry_run=dry_run)
    return swept


def _uploads(backend: RemoteUploads, bucket: str) -> Iterator[tuple[str, _Found]]:
    """Every upload that anything is left of."""
    found: dict[str, _Found] = {}
    for prefix in (staging.UPLOADS_PREFIX, staging.STAGED_PREFIX):
        for item in backend.listed_versions(bucket, prefix):
            key = str(item["Key"])
            upload_id = staging.upload_of(key)
            try:
                staging.check_upload_id(upload_id)
            except NoSuchUpload:
                continue  # somebody else wrote it: not ours to remove
            one = found.setdefault(upload_id, _Found())
            one.newest_ms = max(one.newest_ms, _milliseconds(item.get("LastModified")))
            if prefix == staging.UPLOADS_PREFIX:
                one.open = True
            else:
                one.items.append(item)
    yield from found.items()


def _sweep_notes(backend: RemoteUploads, bucket: str, before_ms: int, swept: Swept, *, dry_run: bool) -> None:
    """Give up large PUTs whose gateway is gone."""
    for item in backend.listed_versions(bucket, PUTS_PREFIX):
        if _milliseconds(item.get("LastModified")) > before_ms:
            continue
        swept.unfinished += 1
        if dry_run:
            continue
        with contextlib.suppress(S3Error, msgspec.MsgspecError):
            with backend.call("GetObject", Bucket=bucket, Key=item["Key"])["Body"] as body:
                note = msgspec.json.decode(body.read(), type=PutNote)
            noted_ms = _milliseconds(item.get("LastModified"))
            for upload in backend.unfinished(bucket, note.key):
                begun_ms = _milliseconds(upload.get("Initiated"))
                if upload["Key"] == note.key and -CLOCK_MS <= begun_ms - noted_ms <= BEGUN_MS:
                    backend.abandon(bucket, note.key, str(upload["UploadId"]))
        backend.discard(bucket, [item])


def _sweep_unfinished(backend: RemoteUploads, bucket: str, before_ms: int, swept: Swept, *, dry_run: bool) -> None:
    """Give up large parts that were on their way."""
    for upload in backend.unfinished(bucket, staging.STAGED_PREFIX):
        if _milliseconds(upload.get("Initiated")) <= before_ms:
            swept.unfinished += 1
            if not dry_run:
                backend.abandon(bucket, str(upload["Key"]), str(upload["UploadId"]))


def _milliseconds(when: datetime | None) -> int:
    return 0 if when is None else round(when.timestamp() * 1000)
