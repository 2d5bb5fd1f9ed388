"""Quotas: how many stored bytes the versions in a bucket and the parts of its uploads in progress may have together.

What counts is what the disk holds, after compression, with what copies and equal extents share counted each time. Parts
count from the moment that they are stored: uploads that nobody completes fill a disk like any others.
"""

from __future__ import annotations

from s4gw.store.errors import BadOperation, QuotaFull
from s4gw.store.ops import Outcome, SetQuota
from s4gw.store.tables import BucketRow, Tables, Version


def set_quota(tables: Tables, op: SetQuota, _inline: bytes | None) -> Outcome:
    """Set or lift the limit; what is there already stays, however much it is."""
    bucket = tables.bucket(op.bucket)
    if op.limit is not None and op.limit < 0:
        raise BadOperation("a quota below nothing")
    seq = tables.take_seq()
    tables.execute("UPDATE buckets SET quota = ?, changed_seq = ? WHERE id = ?", (op.limit, seq, bucket.id))
    tables.bucket_changed(op.bucket)
    return Outcome(seq=seq)


def check(tables: Tables, bucket: BucketRow, size: int, replaced: Version | None = None) -> None:
    """Raises: QuotaFull, when *size* stored bytes more are too much.

    Args:
        tables: The transaction.
        bucket: Where they would go.
        size: Bytes; what they replace and what is counted already is taken off.
        replaced: The current version of the key; its bytes make room where there are no versions.
    """
    if bucket.quota is None or size <= 0 or tables.replaying:
        return
    room = replaced.stored_size if replaced is not None and not bucket.versioning else 0
    if tables.bucket_bytes(bucket.id) - room + size > bucket.quota:
        raise QuotaFull(str(bucket.quota))
