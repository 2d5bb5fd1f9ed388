"""What lifecycle rules do to the versions and uploads of a bucket at a given time: decided here, carried out elsewhere.

Days count from the moment an object was made (a noncurrent version: from the moment it became that) and end at the
following midnight in UTC. A day may be made shorter, for tests; then nothing is rounded. When several rules are about
one object, the one that acts first counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Final
from urllib.parse import quote

import msgspec

from s4gw.bucketconfig.lifecycle import Rule
from s4gw.s3 import http_date

DAY_MS: Final = 86_400_000


class Action(Enum):
    """What is to become of a version."""

    EXPIRE = "expire"
    """A current version: removed, or hidden by a delete marker where there are versions."""
    REMOVE = "remove"
    """A noncurrent version, or a noncurrent marker: removed for good."""
    REMOVE_MARKER = "remove marker"
    """A delete marker with nothing behind it: removed."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One version as a listing shows it."""

    key: str
    size: int
    modified_ms: int
    latest: bool
    marker: bool
    tags: Callable[[], Mapping[str, str]] | None = None
    """Looks its tags up, which only rules that ask for tags pay for."""


class Decision(msgspec.Struct, frozen=True):
    """One thing to do."""

    place: int
    """Number of the version in what was given to `plan`, from 0."""
    action: Action
    rule: str
    """ID of the rule."""


def due_ms(start_ms: int, days: int, day_ms: int = DAY_MS) -> int:
    """When a period of *days* that began at *start_ms* has passed."""
    end = start_ms + days * day_ms
    return -(-end // DAY_MS) * DAY_MS if day_ms == DAY_MS else end


def plan(rules: Sequence[Rule], versions: Iterable[Seen], now_ms: int, day_ms: int = DAY_MS) -> Iterator[Decision]:
    """Decide about versions in the order of a listing: by key, newest first.

    Args:
        rules: Those that are enabled.
        versions: All versions of a bucket, or all those of some keys.
        now_ms: The time.
        day_ms: Length of a day, in ms.

    Returns: What to do, a version behind *versions* at most, so that a listing is never held as a whole.
    """
    newer: Seen | None = None
    behind = 0
    for place, (version, following) in enumerate(_with_following(versions)):
        if version.latest or newer is None or newer.key != version.key:
            newer, behind = None, 0
        if newer is None:
            alone = following is None or following.key != version.key
            found = _current(rules, version, now_ms, day_ms, alone=alone)
        else:
            found = _noncurrent(rules, version, newer.modified_ms, behind, now_ms, day_ms)
            behind += 1
        newer = version
        if found is not None:
            yield Decision(place, *found)


def expiry_of(rules: Sequence[Rule], version: Seen) -> tuple[int, str] | None:
    """When the current *version* expires, in ms, and by which rule; None when it never does."""
    found: tuple[int, str] | None = None
    for rule in rules:
        when = rule.date_ms if rule.days is None else due_ms(version.modified_ms, rule.days)
        if when is not None and (found is None or when < found[0]) and _fits(rule, version):
            found = (when, rule.id)
    return found


def expiry_header(when_ms: int, rule: str) -> str:
    """Value of ``x-amz-expiration``."""
    return f'expiry-date="{http_date(when_ms)}", rule-id="{quote(rule, safe="")}"'


def abort_of(rules: Sequence[Rule], key: str, started_ms: int, day_ms: int = DAY_MS) -> tuple[int, str] | None:
    """When an upload of *key* that goes on is ended, in ms, and by which rule."""
    ends = [
        (due_ms(started_ms, rule.abort_days, day_ms), rule.id)
        for rule in rules
        if rule.abort_days is not None and key.startswith(rule.prefix)
    ]
    return min(ends, default=None)


def _with_following(versions: Iterable[Seen]) -> Iterator[tuple[Seen, Seen | None]]:
    before: Seen | None = None
    for version in versions:
        if before is not None:
            yield before, version
        before = version
    if before is not None:
        yield before, None


def _fits(rule: Rule, version: Seen) -> bool:
    if not rule.fits(version.key, version.size):
        return False
    return not rule.tags or rule.fits_tags({} if version.tags is None else version.tags())


def _current(
    rules: Sequence[Rule], version: Seen, now_ms: int, day_ms: int, *, alone: bool
) -> tuple[Action, str] | None:
    if version.marker and not alone:
        return None
    for rule in rules:
        if rule.days is not None:
            due = now_ms >= due_ms(version.modified_ms, rule.days, day_ms)
        else:
            due = rule.date_ms is not None and now_ms >= rule.date_ms
        # As in S3: a rule that counts days, or has a date, takes markers along once they are that old.
        if (due or (version.marker and rule.markers)) and _fits(rule, version):
            return (Action.REMOVE_MARKER if version.marker else Action.EXPIRE), rule.id
    return None


def _noncurrent(  # noqa: PLR0913
    rules: Sequence[Rule], version: Seen, since_ms: int, behind: int, now_ms: int, day_ms: int
) -> tuple[Action, str] | None:
    for rule in rules:
        if rule.noncurrent_days is None or behind < rule.newer_versions:
            continue
        if now_ms >= due_ms(since_ms, rule.noncurrent_days, day_ms) and _fits(rule, version):
            return Action.REMOVE, rule.id
    return None
