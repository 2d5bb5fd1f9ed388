"""Second factors: which operations want one, and that a one-time code is used once.

That a code was right is found out by whoever knows the device's secret; here it is only remembered, for all workers
and over restarts.
"""

from __future__ import annotations

from s4gw.store.errors import CodeUsed, MfaNeeded
from s4gw.store.ops import Outcome, UseCode
from s4gw.store.tables import BucketRow, Tables


def use_code(tables: Tables, op: UseCode, _inline: bytes | None) -> Outcome:
    """Remember the step."""
    row = tables.execute("SELECT step FROM used_codes WHERE device = ?", (op.device,)).fetchone()
    if row is not None and op.step <= row[0]:
        raise CodeUsed
    seq = tables.take_seq()
    tables.execute("INSERT OR REPLACE INTO used_codes VALUES (?, ?)", (op.device, op.step))
    return Outcome(seq=seq)


def check(bucket: BucketRow, *, shown: bool) -> None:
    """Raises: MfaNeeded, unless the bucket wants none or one was *shown*."""
    if bucket.mfa_delete == "Enabled" and not shown:
        raise MfaNeeded
