"""Locks of versions: what they forbid, and where they are kept while a transaction runs.

A version may be under *retention* until a time, in mode GOVERNANCE (whoever may bypass it, can) or COMPLIANCE (nobody
can, it only ever gets longer), and under a legal *hold* without an end. Either keeps the version: it cannot be
removed or replaced. A marker may still be put in front of it.

SECURITY: whatever removes a version or replaces one in place asks `check_removal`, inside the transaction. In a bucket
with locks versioning stays enabled (`check_state`), so that nothing is ever replaced in place.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from s4gw.store.errors import BadState, Locked, NoLock
from s4gw.store.ops import FLAG_LOCKED, Lock, LockDefault
from s4gw.store.tables import BucketRow, Tables, Version

GOVERNANCE: Final = "GOVERNANCE"
COMPLIANCE: Final = "COMPLIANCE"
MODES: Final = frozenset({"", GOVERNANCE, COMPLIANCE})
DAYS_MAX: Final = 36_500
YEARS_MAX: Final = 100
UNLOCKED: Final = Lock()

_LOCKED: Final = "protected by object lock"


# -- pure rules ---------------------------------------------------------------------------------------------------
def default_lock(default: LockDefault, now_ms: int) -> Lock:
    """The lock that a version made at *now_ms* gets; years are those of the calendar."""
    if not default.mode:
        return UNLOCKED
    made = datetime.fromtimestamp(now_ms / 1000, UTC)
    leap = (made.month, made.day) == (2, 29)
    ends = made.replace(year=made.year + default.years, day=28 if leap and default.years else made.day)
    ends += timedelta(days=default.days + (leap and default.years > 0))
    return Lock(default.mode, int(ends.timestamp() * 1000))


def for_new(default: LockDefault, asked: Lock | None, now_ms: int) -> Lock:
    """The lock of a new version: the retention *asked* for, or else the bucket's, and the hold asked for."""
    if asked is None:
        return default_lock(default, now_ms)
    return asked if asked.mode else Lock(*_retention(default_lock(default, now_ms)), asked.hold)


def keeps(lock: Lock, now_ms: int, *, bypass: bool) -> bool:
    """Whether *lock* forbids to remove the version."""
    retained = bool(lock.mode) and now_ms < lock.until_ms
    return lock.hold or (retained and not (bypass and lock.mode == GOVERNANCE))


def may_change(held: Lock, mode: str, until_ms: int, now_ms: int, *, bypass: bool) -> bool:
    """Whether the retention may become *mode* until *until_ms*: longer always, weaker only as `keeps` allows."""
    if not held.mode or now_ms >= held.until_ms:
        return True
    if mode == held.mode and until_ms >= held.until_ms:
        return True
    return bypass and held.mode == GOVERNANCE


def _retention(lock: Lock) -> tuple[str, int]:
    return lock.mode, lock.until_ms


def is_sound(default: LockDefault) -> bool:
    """Whether *default* has a mode that is known, and a period that can be added to any date."""
    return default.mode in MODES and 0 <= default.days <= DAYS_MAX and 0 <= default.years <= YEARS_MAX


# -- in a transaction ---------------------------------------------------------------------------------------------
def check_state(bucket: BucketRow) -> None:
    """Raises: BadState, when versions of a bucket with locks could be replaced."""
    if bucket.lock is not None and bucket.versioning != "Enabled":
        raise BadState("A bucket with Object Lock must keep its versions")


def wanted(tables: Tables, bucket: BucketRow, asked: Lock | None) -> Lock:
    """The lock for a version that is about to be made. Raises: NoLock, BadState."""
    if bucket.lock is None:
        if asked is not None and asked != UNLOCKED:
            raise NoLock
        return UNLOCKED
    check_state(bucket)
    return for_new(bucket.lock, asked, tables.now_ms)


def check_removal(tables: Tables, version: Version, *, bypass: bool) -> None:
    """Raises: Locked."""
    if version.flags & FLAG_LOCKED and keeps(of(tables, version), tables.now_ms, bypass=bypass):
        raise Locked(_LOCKED)


def check_change(tables: Tables, held: Lock, mode: str, until_ms: int, *, bypass: bool) -> None:
    """Raises: Locked."""
    if not may_change(held, mode, until_ms, tables.now_ms, bypass=bypass):
        raise Locked(_LOCKED)


def of(tables: Tables, version: Version) -> Lock:
    """The lock of a version."""
    if not version.flags & FLAG_LOCKED:
        return UNLOCKED
    row = tables.execute("SELECT mode, until_ms, hold FROM locks WHERE seq = ?", (version.seq,)).fetchone()
    assert row is not None
    return Lock(row[0], row[1], bool(row[2]))


def keep(tables: Tables, seq: int, lock: Lock) -> int:
    """Write the lock of the version *seq*. Returns: the flag that its row has to carry."""
    if lock == UNLOCKED:
        tables.execute("DELETE FROM locks WHERE seq = ?", (seq,))
        return 0
    tables.execute("INSERT OR REPLACE INTO locks VALUES (?, ?, ?, ?)", (seq, lock.mode, lock.until_ms, lock.hold))
    return FLAG_LOCKED
