"""What the backend port speaks in: buckets, objects, conditions, uploads and pages of listings, as values.

Times are integers, milliseconds since the epoch; sizes are bytes; ETags are bare, without quotes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from s4gw.bucketconfig import DefaultRetention, ObjectLock

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
