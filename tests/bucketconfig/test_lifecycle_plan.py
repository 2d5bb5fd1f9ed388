"""What lifecycle rules decide, at any time: compared with the rules of S3's documentation, spelled out naively."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4gw.bucketconfig import Action, Rule, Seen, abort_of, expiry_header, expiry_of, plan
from s4gw.bucketconfig.lifecycle_plan import DAY_MS, due_ms

NOON = 20_000 * DAY_MS + DAY_MS // 2


def seen(
    key: str = "k", made: int = 0, *, latest: bool = True, marker: bool = False, size: int = 10, **tags: str
) -> Seen:
    return Seen(key=key, size=size, modified_ms=made, latest=latest, marker=marker, tags=lambda: tags)


def actions(rules: list[Rule], versions: list[Seen], now: int, day: int = 1) -> dict[int, Action]:
    return {decision.place: decision.action for decision in plan(rules, versions, now, day)}


@pytest.mark.parametrize(
    ("start", "days", "due"),
    [
        (NOON, 1, 20_002 * DAY_MS),
        (20_000 * DAY_MS, 1, 20_001 * DAY_MS),
        (20_000 * DAY_MS + 1, 1, 20_002 * DAY_MS),
    ],
)
def test_periods_end_at_the_next_midnight(start: int, days: int, due: int) -> None:
    assert (due, NOON + 5) == (due_ms(start, days), due_ms(NOON, 5, 1))


def test_current_versions_expire_by_age_or_date() -> None:
    versions = [seen("a", 0), seen("b", 5), seen("c", 9)]
    by_days = actions([Rule(id="r", days=5)], versions, 10)
    dates = [actions([Rule(id="r", date_ms=7)], versions, now) for now in (6, 7)]
    assert {0: Action.EXPIRE, 1: Action.EXPIRE} == by_days
    assert [{}, dict.fromkeys(range(3), Action.EXPIRE)] == dates


@pytest.mark.parametrize(
    ("rule", "places"),
    [
        (Rule(id="r", prefix="x/", days=1), {0, 1}),
        (Rule(id="r", tags={"t": "1"}, days=1), {1}),
        (Rule(id="r", larger=10, days=1), {2}),
        (Rule(id="r", smaller=10, days=1), {0}),
        (Rule(id="r", prefix="x/", tags={"t": "1"}, larger=5, smaller=11, days=1), {1}),
    ],
)
def test_filters_choose(rule: Rule, places: set[int]) -> None:
    versions = [seen("x/a", size=5), seen("x/b", t="1", u="2"), seen("y", size=11, t="2")]
    assert places == actions([rule], versions, 100).keys()


def test_noncurrent_versions_count_from_their_successor() -> None:
    """And the newest of them may be kept; markers among them go alike."""
    versions = [
        seen(made=90),
        seen(made=80, latest=False),
        seen(made=70, latest=False, marker=True),
        seen(made=1, latest=False),
        seen("other", made=1),
    ]
    rule = Rule(id="r", noncurrent_days=15)
    keeping = Rule(id="r", noncurrent_days=1, newer_versions=2)
    assert {2: Action.REMOVE, 3: Action.REMOVE} == actions([rule], versions, 95)
    assert {3: Action.REMOVE} == actions([keeping], versions, 95)


def test_markers_go_when_nothing_is_behind_them() -> None:
    versions = [seen("a", marker=True), seen("b", marker=True), seen("b", latest=False), seen("c", 95, marker=True)]
    by_flag = actions([Rule(id="r", markers=True)], versions, 100)
    by_days = actions([Rule(id="r", days=10)], versions, 100)
    assert {0: Action.REMOVE_MARKER, 3: Action.REMOVE_MARKER} == by_flag
    assert {0: Action.REMOVE_MARKER} == by_days


RULES = st.builds(
    Rule,
    id=st.text("abc", min_size=1, max_size=2),
    prefix=st.sampled_from(["", "a", "b"]),
    days=st.none() | st.integers(1, 5),
    markers=st.booleans(),
    noncurrent_days=st.none() | st.integers(1, 5),
    newer_versions=st.integers(0, 2),
)
HISTORIES = st.dictionaries(
    st.sampled_from(["a", "ab", "b", "c"]),
    st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=5),
)


@given(rules=st.lists(RULES, max_size=3), histories=HISTORIES, now=st.integers(0, 30))
def test_any_history_is_decided_as_the_documentation_says(
    rules: list[Rule], histories: dict[str, list[tuple[int, bool]]], now: int
) -> None:
    """Key by key, with everything at hand, instead of as a stream."""
    listed: list[Seen] = []
    expected: dict[int, Action] = {}
    for key, history in sorted(histories.items()):
        versions = sorted(history, reverse=True)
        for number, (made, marker) in enumerate(versions):
            about = [rule for rule in rules if key.startswith(rule.prefix)]
            aged = any(rule.days is not None and made + rule.days <= now for rule in about)
            flagged = any(rule.markers for rule in about)
            if number == 0 and not marker and aged:
                expected[len(listed)] = Action.EXPIRE
            if number == 0 and marker and len(versions) == 1 and (aged or flagged):
                expected[len(listed)] = Action.REMOVE_MARKER
            if number and any(
                rule.noncurrent_days is not None
                and number - 1 >= rule.newer_versions
                and versions[number - 1][0] + rule.noncurrent_days <= now
                for rule in about
            ):
                expected[len(listed)] = Action.REMOVE
            listed.append(seen(key, made, latest=number == 0, marker=marker))
    assert expected == actions(rules, listed, now)


def test_the_header_tells_the_rule_that_acts_first() -> None:
    rules = [Rule(id="late", days=9), Rule(id="so on & on", days=2), Rule(id="no", prefix="z", days=1)]
    found = expiry_of(rules, seen(made=NOON))
    assert (20_003 * DAY_MS, "so on & on") == found
    assert 'expiry-date="Thu, 01 Jan 1970 00:00:00 GMT", rule-id="a%20b"' == expiry_header(0, "a b")
    assert expiry_of(rules[2:], seen()) is None


def test_uploads_end_by_the_first_rule() -> None:
    rules = [Rule(id="a", abort_days=3), Rule(id="b", abort_days=2), Rule(id="c", prefix="x", abort_days=1)]
    assert ((12, "b"), None) == (abort_of(rules, "k", 10, 1), abort_of(rules[2:], "k", 10, 1))
