"""Rolling up costs one seek for each common prefix, whatever lies under it."""

from __future__ import annotations

import bisect

from hypothesis import given
from hypothesis import strategies as st

from s4gw.store.listing import Row, first_key, roll_up


def test_a_common_prefix_is_left_by_seeking() -> None:
    keys = sorted(f"{group}/{number:05}".encode() for group in "abcde" for number in range(2000))
    touched = 0

    def fetch(start: bytes, count: int) -> list[Row]:
        nonlocal touched
        at = bisect.bisect_left(keys, start)
        touched += count
        return [(key,) for key in keys[at : at + count]]

    page, more = roll_up(fetch, lambda _: [], prefix=b"", delimiter=b"/", start=b"", limit=1000)
    assert ([(b"a/",), (b"b/",), (b"c/",), (b"d/",), (b"e/",)], False) == (page, more)
    assert touched <= 6 * 2


@given(
    versions=st.dictionaries(st.binary(min_size=1, max_size=3), st.integers(1, 9), max_size=12),
    limit=st.integers(1, 20),
)
def test_versions_of_one_key_are_never_split_by_a_fetch(versions: dict[bytes, int], limit: int) -> None:
    rows = [(key, -number) for key in sorted(versions) for number in range(versions[key])]

    def fetch(start: bytes, count: int) -> list[Row]:
        return [row for row in rows if row[0] >= start][:count]

    def rest(row: Row) -> list[Row]:
        return [other for other in rows if other[0] == row[0] and other[1] < row[1]]

    page, more = roll_up(fetch, rest, prefix=b"", delimiter=b"\xff\xff", start=b"", limit=limit)
    assert (rows[:limit], len(rows) > limit) == (page, more)


def test_first_key_is_past_what_was_seen() -> None:
    cases = {
        (b"", b"", b""): b"",
        (b"p", b"", b""): b"p",
        (b"p", b"", b"a"): b"p",
        (b"", b"", b"a"): b"a\0",
        (b"", b"/", b"a"): b"a\0",
        (b"", b"/", b"a/"): b"a/\xff",
        (b"", b"/", b"a/b"): b"a/\xff",
        (b"a/", b"/", b"a/b"): b"a/b\0",
        (b"a/", b"/", b"a/b/c"): b"a/b/\xff",
        (b"b", b"/", b"a/b/c"): b"b",
    }
    assert list(cases.values()) == [first_key(*case) for case in cases]
