"""Embedded append-only object store: volumes of self-describing records, one committer, an SQLite index.

It knows keys, bodies and opaque metadata, neither S3 nor codecs.
"""

from s4gw.store import errors, locks, ops, upkeeping
from s4gw.store.chores import Chore
from s4gw.store.client import ensure_running
from s4gw.store.committer import VOLUME_BYTES
from s4gw.store.engine import Store
from s4gw.store.errors import (
    BadState,
    BucketExists,
    BucketNotEmpty,
    CodeUsed,
    DataDirError,
    Locked,
    MfaNeeded,
    NoBucket,
    NoKey,
    NoLock,
    NoPart,
    NoSpace,
    NoUpload,
    NoVersion,
    PreconditionMissed,
    QuotaFull,
    RecordDamaged,
    Refused,
    StoreError,
    StoreLocked,
    Unavailable,
)
from s4gw.store.index import (
    BucketRecord,
    CompletedRecord,
    IndexReader,
    ListedVersion,
    PartRecord,
    UploadRecord,
    VersionRecord,
)
from s4gw.store.ops import FLAG_LOCKED, FLAG_MARKER, NONCE_BYTES, Lock, LockDefault, Outcome, When, version_id
from s4gw.store.rebuild import Rebuilt, rebuild_index
from s4gw.store.recovery import INLINE_BYTES
from s4gw.store.schema import unpack_runs
from s4gw.store.span import BodySpan
from s4gw.store.staging import StagedBody
from s4gw.store.volume import Extent

__all__ = [
    "FLAG_LOCKED",
    "FLAG_MARKER",
    "INLINE_BYTES",
    "NONCE_BYTES",
    "VOLUME_BYTES",
    "BadState",
    "BodySpan",
    "BucketExists",
    "BucketNotEmpty",
    "BucketRecord",
    "Chore",
    "CodeUsed",
    "CompletedRecord",
    "DataDirError",
    "Extent",
    "IndexReader",
    "ListedVersion",
    "Lock",
    "LockDefault",
    "Locked",
    "MfaNeeded",
    "NoBucket",
    "NoKey",
    "NoLock",
    "NoPart",
    "NoSpace",
    "NoUpload",
    "NoVersion",
    "Outcome",
    "PartRecord",
    "PreconditionMissed",
    "QuotaFull",
    "Rebuilt",
    "RecordDamaged",
    "Refused",
    "StagedBody",
    "Store",
    "StoreError",
    "StoreLocked",
    "Unavailable",
    "UploadRecord",
    "VersionRecord",
    "When",
    "ensure_running",
    "errors",
    "locks",
    "ops",
    "rebuild_index",
    "unpack_runs",
    "upkeeping",
    "version_id",
]
