"""What operations on buckets and multipart uploads do to the index; see `apply_objects` for the rules."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from s4gw.store import apply_mfa, locks, quota
from s4gw.store.apply_objects import add_version, check_write, new_version
from s4gw.store.errors import (
    BadOperation,
    BadState,
    BucketExists,
    BucketNotEmpty,
    MfaNeeded,
    NoBucket,
    NoPart,
    NoUpload,
)
from s4gw.store.ops import (
    AbortUpload,
    Complete,
    CreateBucket,
    CreateUpload,
    DeleteBucket,
    Outcome,
    PutConfig,
    PutPart,
    SetVersioning,
)
from s4gw.store.schema import pack_runs, unpack_runs
from s4gw.store.tables import BucketRow, Tables

REMEMBER_COMPLETED_MS: Final = 24 * 3600 * 1000
"""For how long a repeated Complete gets the first one's answer; longer than any client's retries."""


def create_bucket(tables: Tables, op: CreateBucket, _inline: bytes | None) -> Outcome:
    """Refused when the name is taken, with the owner as the fact."""
    if op.lock is not None and not (op.versioning == "Enabled" and locks.is_sound(op.lock)):
        raise BadOperation("locks without versions, or for no such period")
    try:
        raise BucketExists(tables.bucket(op.name).owner)
    except NoBucket:
        seq = tables.take_seq()
    tables.execute(
        "INSERT INTO buckets (name, changed_seq, owner, created_ms, region, versioning, configs, lock)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            op.name,
            seq,
            op.owner,
            op.created_ms,
            op.region,
            op.versioning,
            msgspec.msgpack.encode(op.configs),
            None if op.lock is None else msgspec.msgpack.encode(op.lock),
        ),
    )
    return Outcome(seq=seq)


def delete_bucket(tables: Tables, op: DeleteBucket, _inline: bytes | None) -> Outcome:
    """Refused while any version or marker is left; uploads in progress end."""
    bucket = tables.bucket(op.name)
    if tables.execute("SELECT 1 FROM objects WHERE bucket = ? LIMIT 1", (bucket.id,)).fetchone():
        raise BucketNotEmpty(op.name)
    seq = tables.take_seq()
    uploads: list[tuple[Any, ...]] = tables.execute("SELECT seq FROM uploads WHERE bucket = ?", (bucket.id,)).fetchall()
    for (upload,) in uploads:
        _end_upload(tables, bucket, upload, keep=frozenset())
    tables.execute("DELETE FROM completed WHERE bucket = ?", (bucket.id,))
    tables.execute("DELETE FROM buckets WHERE id = ?", (bucket.id,))
    tables.bucket_changed(op.name)
    return Outcome(seq=seq)


def put_config(tables: Tables, op: PutConfig, _inline: bytes | None) -> Outcome:
    """Replace or remove one document."""
    bucket = tables.bucket(op.bucket)
    seq = tables.take_seq()
    row = tables.execute("SELECT configs FROM buckets WHERE id = ?", (bucket.id,)).fetchone()
    assert row is not None
    configs = msgspec.msgpack.decode(row[0], type=dict[str, bytes])
    configs.pop(op.name, None)
    if op.document is not None:
        configs[op.name] = op.document
    tables.execute(
        "UPDATE buckets SET configs = ?, changed_seq = ? WHERE id = ?",
        (msgspec.msgpack.encode(configs), seq, bucket.id),
    )
    return Outcome(seq=seq)


def set_versioning(tables: Tables, op: SetVersioning, _inline: bytes | None) -> Outcome:
    """Set the versioning state, and whether removing versions wants a second factor."""
    bucket = tables.bucket(op.bucket)
    apply_mfa.check(bucket, shown=op.mfa)
    if op.mfa_delete == "Enabled" and not op.mfa:
        raise MfaNeeded
    if bucket.lock is not None and op.state != "Enabled":
        raise BadState("An Object Lock configuration is present on this bucket, so versioning cannot be suspended.")
    seq = tables.take_seq()
    mfa_delete = bucket.mfa_delete if op.mfa_delete is None else op.mfa_delete
    tables.execute(
        "UPDATE buckets SET versioning = ?, mfa_delete = ?, changed_seq = ? WHERE id = ?",
        (op.state, mfa_delete, seq, bucket.id),
    )
    tables.bucket_changed(op.bucket)
    return Outcome(seq=seq)


def create_upload(tables: Tables, op: CreateUpload, _inline: bytes | None) -> Outcome:
    """Start an upload; its sequence is its number in the index."""
    bucket = tables.bucket(op.bucket)
    if tables.execute("SELECT 1 FROM uploads WHERE upload_id = ?", (op.upload_id,)).fetchone():
        raise BadOperation("upload id is taken")
    seq = tables.take_seq()
    tables.execute(
        "INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?)",
        (seq, bucket.id, op.key, op.upload_id, op.started_ms, op.document),
    )
    return Outcome(seq=seq)


def put_part(tables: Tables, op: PutPart, _inline: bytes | None) -> Outcome:
    """Add a part, in place of one with its number."""
    bucket = tables.bucket(op.bucket)
    upload = _upload(tables, bucket.id, op.key, op.upload_id)
    tables.check_extents(op.extents)
    stored = sum(extent.size for extent in op.extents)
    old = tables.execute(
        "SELECT stored_size, extents FROM parts WHERE upload = ? AND number = ?", (upload, op.number)
    ).fetchone()
    more = stored if old is None else stored - old[0]
    quota.check(tables, bucket, more)
    seq = tables.take_seq()
    tables.count(bucket.id, size=more)
    if old is not None:
        tables.release(unpack_runs(old[1]))
    packed = pack_runs(tables.add_extents(op.extents))
    tables.execute(
        "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?, ?)",
        (upload, op.number, seq, stored, tables.now_ms, op.document, packed),
    )
    return Outcome(seq=seq, modified_ms=tables.now_ms, stored_size=stored)


def abort_upload(tables: Tables, op: AbortUpload, _inline: bytes | None) -> Outcome:
    """End the upload and release its parts."""
    bucket = tables.bucket(op.bucket)
    upload = _upload(tables, bucket.id, op.key, op.upload_id)
    seq = tables.take_seq()
    _end_upload(tables, bucket, upload, keep=frozenset())
    return Outcome(seq=seq)


def complete(tables: Tables, op: Complete, inline: bytes | None) -> Outcome:
    """Add a version whose extents are those of the parts; parts that were not chosen are released."""
    bucket = tables.bucket(op.bucket)
    upload = _upload(tables, bucket.id, op.key, op.upload_id)
    tables.check_extents(op.tail)
    rows = tables.execute("SELECT number, seq, stored_size, extents FROM parts WHERE upload = ?", (upload,))
    parts = {number: (seq, stored, packed) for number, seq, stored, packed in rows}
    runs: list[tuple[int, int, int]] = []
    stored = 0
    chosen = frozenset(number for number, _ in op.parts)
    if len(chosen) != len(op.parts):
        raise BadOperation("a part is named twice")
    for number, part_seq in op.parts:
        found = parts.get(number)
        if found is None or found[0] != part_seq:
            raise NoPart(str(number))
        stored += found[1]
        runs += unpack_runs(found[2])
    current = tables.current(bucket.id, op.key)
    check_write(op.key, current, op.when)
    lock = locks.wanted(tables, bucket, op.lock)
    stored += sum(extent.size for extent in op.tail)
    quota.check(tables, bucket, stored - sum(part[1] for part in parts.values()), current)
    seq = tables.take_seq()
    _end_upload(tables, bucket, upload, keep=chosen)
    runs += tables.add_extents(op.tail)
    tables.add_body(seq, op.meta, runs, inline)
    version = new_version(tables, bucket, seq, op.nonce, op.size, op.etag, stored, op.facts, lock)
    outcome = add_version(tables, bucket, op.key, current, version)
    tables.execute("DELETE FROM completed WHERE at_ms < ?", (tables.now_ms - REMEMBER_COMPLETED_MS,))
    tables.execute(
        "INSERT OR REPLACE INTO completed VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            op.upload_id,
            bucket.id,
            op.key,
            tables.now_ms,
            seq,
            version.flags,
            op.size,
            op.etag,
            stored,
            op.nonce,
            op.meta,
        ),
    )
    return outcome


def _upload(tables: Tables, bucket: int, key: bytes, upload_id: str) -> int:
    row = tables.execute(
        "SELECT seq FROM uploads WHERE upload_id = ? AND bucket = ? AND key = ?", (upload_id, bucket, key)
    ).fetchone()
    if row is None:
        raise NoUpload(upload_id)
    number: int = row[0]
    return number


def _end_upload(tables: Tables, bucket: BucketRow, upload: int, *, keep: frozenset[int]) -> None:
    """Remove the upload; the references of the parts in *keep* pass to whoever calls, and to count them too."""
    parts: list[tuple[Any, ...]] = tables.execute(
        "SELECT number, stored_size, extents FROM parts WHERE upload = ?", (upload,)
    ).fetchall()
    tables.count(bucket.id, size=-sum(size for _, size, _ in parts))
    for number, _, packed in parts:
        if number not in keep:
            tables.release(unpack_runs(packed))
    tables.execute("DELETE FROM parts WHERE upload = ?", (upload,))
    tables.execute("DELETE FROM uploads WHERE seq = ?", (upload,))
