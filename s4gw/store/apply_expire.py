"""What expiry does to the index: exactly the version that was decided about goes, or nothing happens.

Between the decision and the transaction the world may have changed: a new version may hide the one that was to expire,
a marker may have got a version behind it. Then the operation does nothing. Locks hold, and a bucket that wants a second
factor keeps its versions.
"""

from __future__ import annotations

from s4gw.store import apply_mfa, locks
from s4gw.store.apply_objects import hide, remove_current, remove_older
from s4gw.store.errors import BadOperation
from s4gw.store.ops import EXPIRE_CURRENT, EXPIRE_MARKER, EXPIRE_NONCURRENT, FLAG_MARKER, Expire, Outcome
from s4gw.store.tables import Tables


def expire(tables: Tables, op: Expire, _inline: bytes | None) -> Outcome:
    """Carry one decision out. Returns: an outcome with the version's sequence, or with 0 when nothing happened."""
    bucket = tables.bucket(op.bucket)
    apply_mfa.check(bucket, shown=False)
    locks.check_state(bucket)
    if op.kind == EXPIRE_NONCURRENT:
        older = tables.older(bucket.id, op.key, op.seq)
        if older is None:
            return Outcome()
        locks.check_removal(tables, older, bypass=False)
        tables.take_seq()
        remove_older(tables, bucket, op.key, older)
        return Outcome(seq=op.seq)
    if op.kind not in (EXPIRE_CURRENT, EXPIRE_MARKER):
        raise BadOperation("no such kind of expiry")
    current = tables.current(bucket.id, op.key)
    marker = op.kind == EXPIRE_MARKER
    if current is None or current.seq != op.seq or bool(current.flags & FLAG_MARKER) != marker:
        return Outcome()
    if marker:
        if tables.execute("SELECT 1 FROM versions WHERE bucket = ? AND key = ?", (bucket.id, op.key)).fetchone():
            return Outcome()
    elif bucket.versioning:
        hide(tables, bucket, op.key, current, op.nonce)
        return Outcome(seq=op.seq)
    locks.check_removal(tables, current, bypass=False)
    tables.take_seq()
    remove_current(tables, bucket, op.key, current)
    return Outcome(seq=op.seq)
