"""What operations on locks do to the index; see `locks` for the rules and `apply_objects` for how operations work."""

from __future__ import annotations

import msgspec

from s4gw.store import locks
from s4gw.store.apply_objects import find
from s4gw.store.errors import BadOperation, BadState, NoLock
from s4gw.store.ops import FLAG_LOCKED, Lock, Outcome, PutLock, SetLock
from s4gw.store.tables import Tables


def put_lock(tables: Tables, op: PutLock, _inline: bytes | None) -> Outcome:
    """Make locks possible, or set the default; versions that are there keep what they have."""
    bucket = tables.bucket(op.bucket)
    if not locks.is_sound(op.default):
        raise BadOperation("no such default lock")
    if bucket.versioning != "Enabled":
        raise BadState("Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
    seq = tables.take_seq()
    tables.execute(
        "UPDATE buckets SET lock = ?, changed_seq = ? WHERE id = ?",
        (msgspec.msgpack.encode(op.default), seq, bucket.id),
    )
    tables.bucket_changed(op.bucket)
    return Outcome(seq=seq)


def set_lock(tables: Tables, op: SetLock, _inline: bytes | None) -> Outcome:
    """Change retention, hold or both of one version."""
    bucket = tables.bucket(op.bucket)
    if op.mode is not None and op.mode not in locks.MODES:
        raise BadOperation("no such lock mode")
    if bucket.lock is None:
        raise NoLock(op.bucket)
    version = find(tables, bucket, op.key, op.seq)
    lock = locks.of(tables, version)
    if op.mode is not None:
        until_ms = op.until_ms if op.mode else 0
        locks.check_change(tables, lock, op.mode, until_ms, bypass=op.bypass)
        lock = Lock(op.mode, until_ms, lock.hold)
    if op.hold is not None:
        lock = Lock(lock.mode, lock.until_ms, op.hold)
    tables.take_seq()
    flags = version.flags & ~FLAG_LOCKED | locks.keep(tables, version.seq, lock)
    if flags != version.flags:
        for statement in (_MARK_CURRENT, _MARK_OLDER):
            tables.execute(statement, (flags, bucket.id, op.key, version.seq))
    return Outcome(seq=version.seq, modified_ms=version.modified_ms)


_MARK_CURRENT = "UPDATE objects SET flags = ? WHERE bucket = ? AND key = ? AND seq = ?"
_MARK_OLDER = "UPDATE versions SET flags = ? WHERE bucket = ? AND key = ? AND seq = ?"
