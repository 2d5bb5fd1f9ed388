"""The backend port: S3's own operations on *stored* bytes.

``memory``, ``embedded`` (over ``s4gw.store``) and ``remote`` (an S3 upstream) implement `Backend`; one shared test
suite holds them equal. Nothing above the port knows where bytes end up; nothing below it knows that they are
compressed: a backend stores the body it is given and keeps, beside it, what clients are to be told about the object
(`size`, `etag` and `ObjectMeta` are always those of the original).

Beyond S3 the port offers *writers* (staged, invisible bytes that become an object or a part in one step) and
`complete_upload`, which makes an object of staged parts in order without rewriting them where the backend can.

Errors: backends raise classes of `s4gw.s3.errors` (``NoSuchBucket``, ``NoSuchKey``, ``PreconditionFailed`` ...) and
nothing else that a client may see. A backend that is briefly unable to answer raises ``ServiceUnavailable``.

Times are integers, milliseconds since the epoch; sizes are bytes; ranges are half-open.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from s4gw.backends.bodies import Span, Writer
from s4gw.backends.values import (
    NO_CONDITIONS,
    NULL_VERSION,
    BucketInfo,
    Conditions,
    Deleted,
    DeleteTarget,
    ListPage,
    ObjectMeta,
    PartInfo,
    StoredObject,
    Upload,
    UploadPage,
    Versioning,
)
from s4gw.bucketconfig import DefaultRetention, LockChange
from s4gw.codec import FrameIndex, Manifest

__all__ = [
    "NO_CONDITIONS",
    "NULL_VERSION",
    "Backend",
    "BucketInfo",
    "Conditions",
    "DeleteTarget",
    "Deleted",
    "ListPage",
    "ObjectMeta",
    "PartInfo",
    "StoredObject",
    "Upload",
    "UploadPage",
    "Versioning",
]
"""The port, and the values that it speaks in."""


class Backend(Protocol):
    """S3's operations on stored bytes. Safe to call from any thread of the process that made it."""

    # -- life -----------------------------------------------------------------------------------------------------
    def check(self) -> None:
        """Raise ServiceUnavailable when a write would not succeed now (``/ready``)."""

    def close(self) -> None: ...

    # -- buckets --------------------------------------------------------------------------------------------------
    def list_buckets(self, owner: str | None = None) -> Sequence[BucketInfo]:
        """All buckets (of *owner*, if given), ascending by name."""

    def get_bucket(self, bucket: str) -> BucketInfo:
        """Raises: NoSuchBucket."""

    def create_bucket(self, info: BucketInfo) -> None:
        """Raises: BucketAlreadyOwnedByYou, BucketAlreadyExists."""

    def delete_bucket(self, bucket: str) -> None:
        """Raises: NoSuchBucket, BucketNotEmpty (objects, old versions or delete markers; open uploads are dropped)."""

    def put_config(self, bucket: str, name: str, document: bytes | None) -> None:
        """Store (None: remove) one sub-resource document. Raises: NoSuchBucket."""

    def set_versioning(
        self, bucket: str, state: Versioning, *, mfa_delete: str | None = None, mfa: bool = False
    ) -> None:
        """Raises: NoSuchBucket, InvalidBucketState (Object Lock needs the versions), AccessDenied (*mfa* is needed)."""

    def use_mfa_code(self, device: str, step: int) -> None:
        """Take note of a one-time code. Raises: AccessDenied, when it was used before."""

    def put_object_lock(self, bucket: str, default: DefaultRetention) -> None:
        """Make locks possible, for good, and set what new versions get. Raises: InvalidBucketState (no versioning)."""

    # -- objects --------------------------------------------------------------------------------------------------
    def open_writer(self, bucket: str, key: str, meta: ObjectMeta) -> Writer:
        """Start a body for *key*; *meta* is what is known of it before its first byte."""

    def put_object(  # noqa: PLR0913 - one argument per fact of the object
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
        """Make the staged *body* the current version of *key*, durably, in one step.

        Raises: NoSuchBucket, NoSuchKey (If-Match on nothing), PreconditionFailed, ConditionalRequestConflict,
            InvalidRequest (a lock where none is possible).
        """

    def head_object(self, bucket: str, key: str, version_id: str | None = None) -> StoredObject:
        """The current or the named version, delete markers included (the caller looks at ``delete_marker``).

        Raises: NoSuchBucket, NoSuchKey, NoSuchVersion.
        """

    def open_object(
        self, bucket: str, key: str, version_id: str | None = None, *, checksums: bool = False
    ) -> StoredObject:
        """As `head_object` for whoever reads the body next: may cost less, be `remembered`, lack *checksums*."""

    def frames_of(self, obj: StoredObject) -> tuple[FrameIndex, Manifest | None] | None:
        """Where the frames of a framed body lie, where the backend finds that itself; None: read the trailer."""

    def open_span(self, obj: StoredObject, start: int, end: int) -> Span:
        """Read stored bytes ``[start, end)`` in order, however many they are. The caller closes it.

        Raises: what `read` raises; reading from it raises the same.
        """

    def read(self, obj: StoredObject, start: int, end: int) -> bytes | memoryview:
        """Stored bytes ``[start, end)`` of *obj*; the caller keeps the span to a few MiB, and they stay as they are.

        Raises: InternalError when the bytes are damaged or gone, ObjectChanged; never returns fewer or other bytes.
        """

    def delete_objects(self, bucket: str, targets: Sequence[DeleteTarget]) -> Sequence[Deleted | Exception]:
        """Delete each target, in order and in one commit; one that fails gives its S3Error and stops no other.

        Raises: NoSuchBucket.
        """

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
        """New object with body, size and etag of *source* and the given *meta*, without moving bytes where possible.

        Raises: NoSuchKey if *source* went away meanwhile, and what `put_object` raises.
        """

    def rename_object(
        self,
        bucket: str,
        key: str,
        new_key: str,
        *,
        conditions: Conditions = NO_CONDITIONS,
        source_conditions: Conditions = NO_CONDITIONS,
    ) -> None:
        """Move the current version of *key* to *new_key* in one transaction (RenameObject)."""

    def update_meta(self, bucket: str, obj: StoredObject, meta: ObjectMeta) -> None:
        """Replace the metadata of exactly this version (tags, ACL), but not its lock; its modification time stays.

        Raises: NoSuchKey when that version is gone or was overwritten since *obj* was read.
        """

    def set_lock(self, bucket: str, obj: StoredObject, change: LockChange) -> None:
        """Change the lock of exactly this version, as far as its present lock allows.

        Raises: NoSuchKey (it is gone), InvalidRequest (no locks here), AccessDenied (it would get weaker).
        """

    def list_objects(
        self, bucket: str, *, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000
    ) -> ListPage:
        """Current objects (no delete markers), keys and common prefixes > *after*, at most *limit* of both together.

        *after* equal to a common prefix skips everything under it. ``limit=0`` gives an empty page.
        """

    def list_versions(  # noqa: PLR0913
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        after_key: str = "",
        after_version_id: str = "",
        limit: int = 1000,
    ) -> ListPage:
        """All versions and delete markers, by key, newest first; goes on after (key, version) or after key."""

    # -- multipart ------------------------------------------------------------------------------------------------
    def create_upload(self, bucket: str, upload: Upload) -> None:
        """Raises: NoSuchBucket."""

    def get_upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        """Raises: NoSuchBucket, NoSuchUpload."""

    def open_part_writer(self, bucket: str, key: str, upload_id: str) -> Writer:
        """Start the body of a part, or the tail of `complete_upload`."""

    def put_part(self, bucket: str, key: str, upload_id: str, body: Writer, part: PartInfo) -> PartInfo:
        """Make the staged *body* part ``part.number``, replacing an earlier one. Raises: NoSuchUpload."""

    def list_parts(
        self, bucket: str, key: str, upload_id: str, *, after: int = 0, limit: int = 1000
    ) -> Sequence[PartInfo]:
        """Parts with a number > *after*, ascending. Raises: NoSuchUpload."""

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
        """Uploads in progress, by key, then by start time."""

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        """Raises: NoSuchUpload."""

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
        """Make the object of *parts* (each by its ``part_id``) in the order given, then *tail*; the upload ends.

        Raises: NoSuchUpload, InvalidPart (a part was replaced since it was listed), and what `put_object` raises.
        """

    def completed_upload(self, bucket: str, key: str, upload_id: str) -> StoredObject | None:
        """The object that this upload became, if it was completed within the last day; for retried Completes."""
