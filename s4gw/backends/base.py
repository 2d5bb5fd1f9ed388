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

from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol

import msgspec

from s4gw.backends.bodies import Span, Writer
from s4gw.bucketconfig import DefaultRetention, LockChange, ObjectLock
from s4gw.codec import FrameIndex, Manifest

NULL_VERSION: Final = "null"
"""The version id of objects written while a bucket has never been versioned, or is suspended."""


Versioning = Literal["", "Enabled", "Suspended"]


class BucketInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One bucket, with the documents that its sub-resources hold."""

    name: str
    owner: str
    """Canonical user id of the account that created it."""
    created_ms: int
    region: str = "us-east-1"
    versioning: Versioning = ""
    owns_objects: bool = False
    """Every object in it belongs to its owner, whoever wrote it, and has no list of its own: nobody has to look."""
    object_lock: DefaultRetention | None = None
    """None: no version here can be locked. Once set it stays, and so does versioning."""
    mfa_delete: str = ""
    """"Enabled", "Disabled", or empty when it was never set."""
    configs: Mapping[str, bytes] = {}
    """Sub-resource name ("policy", "acl", "tagging", "cors" ...) -> the document as stored."""


class ObjectMeta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept about an object beside its body. Opaque to backends, except `tags` and `owner`."""

    owner: str = ""
    headers: dict[str, str] = {}
    """S3 system headers as the client sent them, lower-case names: content-type, cache-control, expires ..."""
    metadata: dict[str, str] = {}
    """User metadata: lower-case name without ``x-amz-meta-`` -> value."""
    tags: dict[str, str] = {}
    acl: bytes = b""
    """Canonical JSON of the access control list; empty means private to the owner."""
    storage_class: str = "STANDARD"
    checksums: dict[str, str] = {}
    """Algorithm name in S3's spelling ("CRC32C") -> base64, with "-N" for composite ones."""
    checksum_type: str = ""
    """"FULL_OBJECT" or "COMPOSITE"; empty when there is no checksum."""
    framed: bool = False
    """True: the body is S4F2 frames (and a trailer when there is more than one); False: the body is the original."""
    frames: int = 0
    codec: str = "passthrough"
    """Metadata name of the codec that most of the bytes went through, for logs and metrics."""
    crc32c: int | None = None
    """CRC-32C of the whole original, where known."""
    parts: int = 0
    """Number of parts of a multipart object, 0 for others."""
    dictionary: str = ""
    """Name of the zstd dictionary that frames need; empty for none."""
    forwarded: dict[str, str] = {}
    """Headers that are an upstream's matter (encryption, ACL, Object Lock, restore ...), lower-case names. In what a
    backend is given: as the client sent them; in what it gives back: as the upstream answered, fit for the client.
    Always empty where the gateway itself is the store."""
    lock: ObjectLock | None = None
    """Of a write: the lock asked for. Of a version that was looked up: the lock that it has; listings do not tell."""


class StoredObject(msgspec.Struct, frozen=True, kw_only=True):
    """One version of one object, as HEAD sees it."""

    key: str
    version_id: str = NULL_VERSION
    is_latest: bool = True
    delete_marker: bool = False
    size: int
    """Bytes of the original."""
    etag: str
    """Of the original, without quotes."""
    stored_size: int
    """Bytes of the body that the backend holds; `Backend.read` offsets count these."""
    modified_ms: int
    meta: ObjectMeta
    body: object = None
    """The backend's own handle for reading the body without another look-up."""
    remembered: bool = False
    """Known from before: true of this moment once a byte of its body was read, not earlier."""


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """Preconditions that the backend evaluates atomically with the write.

    ETags are bare or "*". ``if_match`` on a missing key raises NoSuchKey; any other miss raises PreconditionFailed.
    """

    if_match: str | None = None
    if_none_match: str | None = None
    if_size: int | None = None
    """``x-amz-if-match-size`` of deletes."""
    if_modified_s: int | None = None
    """``x-amz-if-match-last-modified-time`` of deletes, whole seconds since the epoch."""


NO_CONDITIONS: Final = Conditions()


class DeleteTarget(msgspec.Struct, frozen=True, kw_only=True):
    """One key (or one version of it) that is to go."""

    key: str
    version_id: str | None = None
    conditions: Conditions = NO_CONDITIONS
    bypass: bool = False
    """Go against GOVERNANCE: asked for, and allowed to the caller."""
    mfa: bool = False
    """The caller has shown a second factor."""


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a `DeleteTarget`; deleting what is not there succeeds, as in S3."""

    key: str
    version_id: str | None = None
    """Version that was removed, or None when none was named."""
    delete_marker: bool = False
    """A delete marker was made or, when a version was named, removed."""
    marker_version_id: str | None = None


class ListPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a listing: objects and common prefixes, each ascending by UTF-8 bytes."""

    objects: Sequence[StoredObject]
    prefixes: Sequence[str]
    truncated: bool
    next_key: str = ""
    """Where the next page goes on: the last key *or common prefix* of this one."""
    next_version_id: str = ""


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A multipart upload that was started and neither completed nor aborted."""

    key: str
    upload_id: str
    started_ms: int
    meta: ObjectMeta
    initiator: str = ""
    checksum_algorithm: str = ""
    checksum_type: str = ""
    checksum_chosen: bool = False
    """The client named the algorithm; otherwise it is S3's default, and answers do not speak of it."""


class PartInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One uploaded part. `part_id` names this very upload of it: uploading the number again makes another id."""

    number: int
    part_id: str = ""
    size: int
    etag: str
    stored_size: int = 0
    modified_ms: int = 0
    checksums: dict[str, str] = {}
    crc32c: int = 0
    frames: bytes = b""
    """Frame index of the part, packed by the codec layer; opaque here."""
    codec: str = "passthrough"


class UploadPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of ListMultipartUploads."""

    uploads: Sequence[Upload]
    prefixes: Sequence[str]
    truncated: bool
    next_key: str = ""
    next_upload_id: str = ""


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

    def read(self, obj: StoredObject, start: int, end: int) -> bytes:
        """Stored bytes ``[start, end)`` of *obj*; the caller keeps the span to a few MiB.

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
