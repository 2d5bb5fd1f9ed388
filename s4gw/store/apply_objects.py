"""What operations on objects do to the index: versions, markers, copies, renames, metadata.

Each function checks first, then writes (see `tables`), and gives the `Outcome`.
"""

# ruff: noqa: S608 - the interpolated columns are constants of ours
from __future__ import annotations

from typing import Final

from s4gw.store import apply_mfa, locks, quota
from s4gw.store.errors import NoKey, PreconditionMissed
from s4gw.store.ops import (
    FLAG_LOCKED,
    FLAG_MARKER,
    FLAG_NULL,
    NULL_VERSION,
    Copy,
    Delete,
    Lock,
    Outcome,
    Put,
    Rename,
    SetMeta,
    When,
    parse_version_id,
)
from s4gw.store.schema import VERSION_COLUMNS, unpack_runs
from s4gw.store.tables import BucketRow, Tables, Version


def put(tables: Tables, op: Put, inline: bytes | None) -> Outcome:
    """Add a version with a body of its own."""
    bucket = tables.bucket(op.bucket)
    tables.check_extents(op.extents)
    current = tables.current(bucket.id, op.key)
    check_write(op.key, current, op.when)
    lock = locks.wanted(tables, bucket, op.lock)
    stored = sum(extent.size for extent in op.extents)
    quota.check(tables, bucket, stored, current)
    seq = tables.take_seq()
    tables.add_body(seq, op.meta, tables.add_extents(op.extents), inline)
    version = new_version(tables, bucket, seq, op.nonce, op.size, op.etag, stored, op.facts, lock)
    return add_version(tables, bucket, op.key, current, version)


def copy(tables: Tables, op: Copy, _inline: bytes | None) -> Outcome:
    """Add a version with the extents of another one."""
    bucket = tables.bucket(op.bucket)
    source = find(tables, tables.bucket(op.source_bucket), op.source_key, op.source_seq)
    current = tables.current(bucket.id, op.key)
    check_write(op.key, current, op.when)
    lock = locks.wanted(tables, bucket, op.lock)
    quota.check(tables, bucket, source.stored_size, current)
    seq = tables.take_seq()
    _copy_body(tables, source.seq, seq, op.meta)
    version = new_version(tables, bucket, seq, op.nonce, source.size, source.etag, source.stored_size, op.facts, lock)
    return add_version(tables, bucket, op.key, current, version)


def rename(tables: Tables, op: Rename, _inline: bytes | None) -> Outcome:
    """Give the current version another key; in a bucket with versions this is a copy and a delete."""
    bucket = tables.bucket(op.bucket)
    source = tables.current(bucket.id, op.key)
    if source is None or source.flags & FLAG_MARKER:
        raise NoKey(op.key.decode())
    check_write(op.key, source, op.source_when)
    target = tables.current(bucket.id, op.new_key)
    check_write(op.new_key, target, op.when)
    if op.key == op.new_key:
        return Outcome(seq=source.seq, modified_ms=source.modified_ms)
    lock = locks.wanted(tables, bucket, None)
    if not bucket.versioning:
        locks.check_removal(tables, source, bypass=False)
    seq = tables.take_seq()
    row = tables.execute("SELECT meta FROM bodies WHERE seq = ?", (source.seq,)).fetchone()
    assert row is not None
    _copy_body(tables, source.seq, seq, row[0])
    flags = locks.keep(tables, seq, lock) | (0 if bucket.versioning == "Enabled" else FLAG_NULL)
    modified_ms = tables.now_ms if bucket.versioning else source.modified_ms
    version = source._replace(seq=seq, flags=flags, nonce=op.nonce, modified_ms=modified_ms)
    outcome = add_version(tables, bucket, op.new_key, target, version)
    if bucket.versioning:
        hide(tables, bucket, op.key, source, op.nonce)
    else:
        remove_current(tables, bucket, op.key, source)
    return outcome


def set_meta(tables: Tables, op: SetMeta, _inline: bytes | None) -> Outcome:
    """Replace the metadata of one version; nothing else of it changes."""
    bucket = tables.bucket(op.bucket)
    version = find(tables, bucket, op.key, op.seq)
    tables.take_seq()
    tables.execute("UPDATE bodies SET meta = ? WHERE seq = ?", (op.meta, op.seq))
    facts = tables.facts_id(op.facts)
    if facts != version.facts:
        for table in ("objects", "versions"):
            tables.execute(
                f"UPDATE {table} SET facts = ? WHERE bucket = ? AND key = ? AND seq = ?",
                (facts, bucket.id, op.key, op.seq),
            )
    return Outcome(seq=version.seq, modified_ms=version.modified_ms)


def delete(tables: Tables, op: Delete, _inline: bytes | None) -> Outcome:
    """Delete; what is not there is deleted already.

    The outcome's flags tell of the marker: made by this operation (no version named) or removed by it.
    """
    bucket = tables.bucket(op.bucket)
    current = tables.current(bucket.id, op.key)
    if op.version_id is None:
        _check_delete(current, op.when)
        locks.check_state(bucket)
        if bucket.versioning:
            return hide(tables, bucket, op.key, current, op.nonce)
        if current is not None:
            locks.check_removal(tables, current, bypass=op.bypass)
            tables.take_seq()
            remove_current(tables, bucket, op.key, current)
        return Outcome()
    doomed = _named(tables, bucket, op.key, op.version_id, current)
    _check_delete(doomed, op.when)
    if doomed is None:
        return Outcome()
    apply_mfa.check(bucket, shown=op.mfa)
    locks.check_removal(tables, doomed, bypass=op.bypass)
    tables.take_seq()
    if doomed is current:
        remove_current(tables, bucket, op.key, doomed)
        _promote(tables, bucket, op.key)
    else:
        remove_older(tables, bucket, op.key, doomed)
    return Outcome(seq=doomed.seq, flags=doomed.flags, nonce=doomed.nonce)


# -- parts of the above, used by multipart too --------------------------------------------------------------------
def find(tables: Tables, bucket: BucketRow, key: bytes, seq: int) -> Version:
    """The version with this sequence. Raises: NoKey, also for a marker."""
    current = tables.current(bucket.id, key)
    version = current if current is not None and current.seq == seq else tables.older(bucket.id, key, seq)
    if version is None or version.flags & FLAG_MARKER:
        raise NoKey(key.decode())
    return version


def check_write(key: bytes, current: Version | None, when: When | None) -> None:
    """For writes a marker is nothing. Raises: NoKey (If-Match on nothing), PreconditionMissed."""
    if when is None:
        return
    exists = current is not None and not current.flags & FLAG_MARKER
    etag = current.etag if current is not None and exists else None
    if when.if_match is not None:
        if not exists:
            raise NoKey(key.decode())
        if when.if_match not in ("*", etag):
            raise PreconditionMissed("If-Match")
    if when.if_none_match is not None and exists and when.if_none_match in ("*", etag):
        raise PreconditionMissed("If-None-Match")


def _check_delete(doomed: Version | None, when: When | None) -> None:
    """Nothing to delete meets every condition; a marker is there, with no ETag and no bytes."""
    if when is None or doomed is None:
        return
    if when.if_match is not None and when.if_match not in ("*", doomed.etag or None):
        raise PreconditionMissed("If-Match")
    if when.if_size is not None and when.if_size != doomed.size:
        raise PreconditionMissed("x-amz-if-match-size")
    if when.if_modified_s is not None and when.if_modified_s != doomed.modified_ms // 1000:
        raise PreconditionMissed("x-amz-if-match-last-modified-time")


def new_version(  # noqa: PLR0913 - the columns of a row
    tables: Tables,
    bucket: BucketRow,
    seq: int,
    nonce: bytes,
    size: int,
    etag: str,
    stored: int,
    facts: bytes,
    lock: Lock = locks.UNLOCKED,
) -> Version:
    """Row of a version that is being made now; its lock is written."""
    flags = 0 if bucket.versioning == "Enabled" else FLAG_NULL
    if lock is not locks.UNLOCKED:
        flags |= locks.keep(tables, seq, lock)
    return Version(seq, flags, size, etag, stored, tables.now_ms, tables.facts_id(facts), nonce)


def add_version(tables: Tables, bucket: BucketRow, key: bytes, current: Version | None, version: Version) -> Outcome:
    """Make *version* the current one; a null version replaces the null version, others push the current one back."""
    null = version.flags & FLAG_NULL
    if current is not None:
        if null and current.flags & FLAG_NULL:
            _forget(tables, bucket, current, visible=True)
        else:
            tables.execute(_PUSH_BACK, (bucket.id, key))
            tables.count(bucket.id, objects=-_visible(current))
    if null and bucket.versioning and (current is None or not current.flags & FLAG_NULL):
        older = tables.older_null(bucket.id, key)
        if older is not None:
            remove_older(tables, bucket, key, older)
    tables.execute(_REPLACE_CURRENT, (bucket.id, key, *version))
    tables.count(bucket.id, objects=_visible(version), versions=1, size=version.stored_size)
    return Outcome(
        seq=version.seq,
        flags=version.flags,
        nonce=version.nonce,
        modified_ms=version.modified_ms,
        stored_size=version.stored_size,
    )


def hide(tables: Tables, bucket: BucketRow, key: bytes, current: Version | None, nonce: bytes) -> Outcome:
    """Put a delete marker in front."""
    marker = new_version(tables, bucket, tables.take_seq(), nonce, 0, "", 0, b"")
    return add_version(tables, bucket, key, current, marker._replace(flags=marker.flags | FLAG_MARKER))


def _named(tables: Tables, bucket: BucketRow, key: bytes, version_id: str, current: Version | None) -> Version | None:
    if version_id == NULL_VERSION:
        if current is not None and current.flags & FLAG_NULL:
            return current
        return tables.older_null(bucket.id, key)
    parsed = parse_version_id(version_id)
    if parsed is None:
        return None
    seq, nonce = parsed
    found = current if current is not None and current.seq == seq else tables.older(bucket.id, key, seq)
    return found if found is not None and found.nonce == nonce and not found.flags & FLAG_NULL else None


def remove_current(tables: Tables, bucket: BucketRow, key: bytes, version: Version) -> None:
    """Remove the current version; nothing takes its place."""
    tables.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", (bucket.id, key))
    _forget(tables, bucket, version, visible=True)


def remove_older(tables: Tables, bucket: BucketRow, key: bytes, version: Version) -> None:
    """Remove a version that is not the current one."""
    tables.execute("DELETE FROM versions WHERE bucket = ? AND key = ? AND seq = ?", (bucket.id, key, version.seq))
    _forget(tables, bucket, version, visible=False)


def _forget(tables: Tables, bucket: BucketRow, version: Version, *, visible: bool) -> None:
    """Drop the body and the counts of a version whose row goes."""
    if not version.flags & FLAG_MARKER:
        tables.drop_body(version.seq, version.stored_size)
    if version.flags & FLAG_LOCKED:
        locks.keep(tables, version.seq, locks.UNLOCKED)
    tables.count(bucket.id, objects=-_visible(version) if visible else 0, versions=-1, size=-version.stored_size)


def _promote(tables: Tables, bucket: BucketRow, key: bytes) -> None:
    """Make the newest older version the current one."""
    row = tables.execute(_SELECT_NEWEST, (bucket.id, key)).fetchone()
    if row is None:
        return
    version = Version(*row)
    tables.execute("DELETE FROM versions WHERE bucket = ? AND key = ? AND seq = ?", (bucket.id, key, version.seq))
    tables.execute(_REPLACE_CURRENT, (bucket.id, key, *version))
    tables.count(bucket.id, objects=_visible(version))


def _copy_body(tables: Tables, source_seq: int, seq: int, meta: bytes) -> None:
    row = tables.execute("SELECT extents, inline FROM bodies WHERE seq = ?", (source_seq,)).fetchone()
    assert row is not None
    packed, inline = row
    runs = unpack_runs(packed)
    tables.retain(runs)
    tables.add_body(seq, meta, runs, inline)


def _visible(version: Version) -> int:
    return 0 if version.flags & FLAG_MARKER else 1


_PUSH_BACK: Final = f"""
    INSERT INTO versions (bucket, key, {VERSION_COLUMNS})
    SELECT bucket, key, {VERSION_COLUMNS} FROM objects WHERE bucket = ? AND key = ?"""
_REPLACE_CURRENT: Final = f"""
    INSERT OR REPLACE INTO objects (bucket, key, {VERSION_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_SELECT_NEWEST: Final = f"""
    SELECT {VERSION_COLUMNS} FROM versions WHERE bucket = ? AND key = ? ORDER BY seq DESC LIMIT 1"""
