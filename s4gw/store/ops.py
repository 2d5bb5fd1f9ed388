"""Operations that change the index, and their answers, as they travel to the committer and stand in the journal.

msgpack arrays; the first element of an operation is its tag. Fields are only ever added at the end, with a default,
since journals of all released versions are read. Metadata (`meta`, `facts`, `document`) is opaque here.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec

from s4gw.store.volume import Extent
from s4gw.store.volume_ops import VolumeOperation

NULL_VERSION: Final = "null"
NONCE_BYTES: Final = 16  # makes version and upload ids unguessable; with 8 of sequence 32 characters of base64
FLAG_MARKER: Final = 1
FLAG_NULL: Final = 2
FLAG_LOCKED: Final = 4  # the index has a lock of this version


class When(msgspec.Struct, array_like=True, frozen=True):
    """Preconditions; ETags are bare or "*"."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_size: int | None = None
    if_modified_s: int | None = None


EXPIRE_CURRENT: Final = 0
EXPIRE_NONCURRENT: Final = 1
EXPIRE_MARKER: Final = 2  # the current version is a marker, with nothing behind it


class Lock(msgspec.Struct, array_like=True, frozen=True):
    """What keeps one version from being removed; see `locks`."""

    mode: str = ""
    """"GOVERNANCE", "COMPLIANCE" or, without retention, empty."""
    until_ms: int = 0
    hold: bool = False


class LockDefault(msgspec.Struct, array_like=True, frozen=True):
    """Locks are possible in a bucket, and new versions get this retention unless they bring one; no mode: none."""

    mode: str = ""
    days: int = 0
    years: int = 0


class _Op(msgspec.Struct, array_like=True, frozen=True):
    """Base of the operations."""


class CreateBucket(_Op, frozen=True, tag="cb"):
    """Refused: bucket_exists."""

    name: str
    owner: str
    created_ms: int
    region: str
    versioning: str
    configs: dict[str, bytes]
    lock: LockDefault | None = None


class DeleteBucket(_Op, frozen=True, tag="db"):
    """Refused: no_bucket, bucket_not_empty."""

    name: str


class PutConfig(_Op, frozen=True, tag="pc"):
    """Store or remove (None) one document."""

    bucket: str
    name: str
    document: bytes | None


class SetVersioning(_Op, frozen=True, tag="sv"):
    """*state* is "", "Enabled" or "Suspended". Refused: bad_state, when locks need the versions; mfa_needed."""

    bucket: str
    state: str
    mfa_delete: str | None = None
    """"Enabled" or "Disabled"; None leaves it as it is."""
    mfa: bool = False
    """The sender has shown a second factor, see `UseCode`."""


class PutLock(_Op, frozen=True, tag="pl"):
    """Make locks possible in a bucket for good, or change its default. Refused: bad_state, without versioning."""

    bucket: str
    default: LockDefault


class SetQuota(_Op, frozen=True, tag="sq"):
    """Limit the stored bytes of a bucket, or (None) no longer."""

    bucket: str
    limit: int | None


class SetLock(_Op, frozen=True, tag="sl"):
    """Change the lock of the version with this sequence. Refused: no_lock, locked, no_key."""

    bucket: str
    key: bytes
    seq: int
    mode: str | None
    """None leaves the retention as it is, "" removes it."""
    until_ms: int
    hold: bool | None
    """None leaves the legal hold as it is."""
    bypass: bool = False
    """The sender may go against GOVERNANCE, and wants to."""


class Put(_Op, frozen=True, tag="po"):
    """New current version of *key*."""

    bucket: str
    key: bytes
    extents: list[Extent]
    size: int
    etag: str
    meta: bytes
    facts: bytes
    """What listings show of *meta*; few distinct values, so they are stored once."""
    nonce: bytes
    when: When | None = None
    lock: Lock | None = None


class Copy(_Op, frozen=True, tag="co"):
    """New current version of *key* with the body of another version. Refused: no_key, when that is gone."""

    source_bucket: str
    source_key: bytes
    source_seq: int
    bucket: str
    key: bytes
    meta: bytes
    facts: bytes
    nonce: bytes
    when: When | None = None
    lock: Lock | None = None


class Rename(_Op, frozen=True, tag="rn"):
    """Move the current version."""

    bucket: str
    key: bytes
    new_key: bytes
    nonce: bytes
    when: When | None = None
    source_when: When | None = None


class SetMeta(_Op, frozen=True, tag="sm"):
    """Replace the metadata of the version with this sequence."""

    bucket: str
    key: bytes
    seq: int
    meta: bytes
    facts: bytes


class Delete(_Op, frozen=True, tag="do"):
    """Delete the current version (or hide it with a marker), or the named one for good.

    Refused: locked, mfa_needed.
    """

    bucket: str
    key: bytes
    version_id: str | None
    nonce: bytes
    when: When | None = None
    bypass: bool = False
    """See `SetLock`."""
    mfa: bool = False
    """See `SetVersioning`."""


class Expire(_Op, frozen=True, tag="ex"):
    """Remove or hide the version with this sequence, if it still is what *kind* says. Refused: locked, mfa_needed."""

    bucket: str
    key: bytes
    seq: int
    kind: int
    """One of `EXPIRE_CURRENT`, `EXPIRE_NONCURRENT`, `EXPIRE_MARKER`."""
    nonce: bytes


class UseCode(_Op, frozen=True, tag="uc"):
    """Take note that the one-time code of a step was used. Refused: code_used, for that step and earlier ones."""

    device: str
    step: int


class CreateUpload(_Op, frozen=True, tag="cu"):
    """Start a multipart upload."""

    bucket: str
    key: bytes
    upload_id: str
    started_ms: int
    document: bytes


class PutPart(_Op, frozen=True, tag="pp"):
    """Store or replace one part."""

    bucket: str
    key: bytes
    upload_id: str
    number: int
    extents: list[Extent]
    document: bytes


class AbortUpload(_Op, frozen=True, tag="au"):
    """End an upload and release its parts."""

    bucket: str
    key: bytes
    upload_id: str


class Complete(_Op, frozen=True, tag="cm"):
    """Make the object of the parts named by (number, sequence), in order, then *tail*; the upload ends."""

    bucket: str
    key: bytes
    upload_id: str
    parts: list[tuple[int, int]]
    tail: list[Extent]
    size: int
    etag: str
    meta: bytes
    facts: bytes
    nonce: bytes
    when: When | None = None
    lock: Lock | None = None


Operation = (
    CreateBucket
    | DeleteBucket
    | PutConfig
    | SetVersioning
    | PutLock
    | SetLock
    | SetQuota
    | UseCode
    | Expire
    | Put
    | Copy
    | Rename
    | SetMeta
    | Delete
    | CreateUpload
    | PutPart
    | AbortUpload
    | Complete
    | VolumeOperation
)


PAYLOAD_BYTES_MAX: Final = 16 * 1024
"""Larger bodies are appended by the worker: copying them through the socket would cost more than it saves."""


class Order(msgspec.Struct, array_like=True, frozen=True):
    """One operation on its way to the committer."""

    operation: msgspec.Raw
    """Encoded already: these very bytes go into the journal."""
    inline: bytes | None = None
    """Bytes of the body that the index keeps beside the extents; not in the journal, since the volume has them."""
    payload: bytes | None = None
    """A small body on its way: the committer appends it, and it becomes the only extent of a `Put` that has none.

    PERF: one append for all small bodies of a batch, instead of two system calls in the worker for each.
    """
    digest: bytes = b""
    """Of that body, for its extent."""
    keep: bool = False
    """Whether that body is to be inline as well."""


class Request(msgspec.Struct, array_like=True, frozen=True):
    """Orders to be carried out in one transaction; each may be refused alone. None at all asks for the state."""

    orders: list[Order]


class Outcome(msgspec.Struct, array_like=True, frozen=True):
    """What became of one order."""

    error: str = ""
    """A code of `errors.REFUSALS`, or empty."""
    fact: str = ""
    seq: int = 0
    flags: int = 0
    nonce: bytes = b""
    modified_ms: int = 0
    stored_size: int = 0


class Reply(msgspec.Struct, array_like=True, frozen=True):
    """Answer to a `Request`."""

    volume: int
    """Where to append from now on; 0 while there is none."""
    outcomes: list[Outcome]


class JournalEntry(msgspec.Struct, array_like=True, frozen=True):
    """One applied operation."""

    seq: int
    """First sequence that the operation used."""
    operation: msgspec.Raw


class Journal(msgspec.Struct, array_like=True, frozen=True):
    """Payload of a JOURNAL record."""

    now_ms: int
    entries: list[JournalEntry]
    last_seq: int
    """Last sequence that the batch used."""


def version_id(seq: int, flags: int, nonce: bytes) -> str:
    """Opaque id of a version: 32 characters, safe in URLs; "null" for null versions."""
    if flags & FLAG_NULL:
        return NULL_VERSION
    return base64.urlsafe_b64encode(seq.to_bytes(8, "big") + nonce).decode()


def parse_version_id(text: str) -> tuple[int, bytes] | None:
    """Sequence and nonce of a version id, or None when it cannot be one of ours ("null" included)."""
    if len(text) != 4 * (8 + NONCE_BYTES) // 3:
        return None
    try:
        raw = base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return int.from_bytes(raw[:8], "big"), raw[8:]
