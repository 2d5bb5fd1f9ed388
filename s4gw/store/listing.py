"""Pages of keys and common prefixes, by seeking: a common prefix costs one look-up, however many keys it holds.

Keys are UTF-8, in which the byte 0xFF never occurs: everything that begins with P lies below P + 0xFF.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

Row = tuple[Any, ...]
"""A row of the index; its first element is the key."""

_FETCH_MIN: Final = 2  # rows looked up after a common prefix: enough when each prefix holds many keys
_FETCH_MAX: Final = 1024  # and where doubling ends when keys stand alone
ABOVE_ALL: Final = b"\xff"


def first_key(prefix: bytes, delimiter: bytes, after: bytes) -> bytes:
    """Lowest key that may be on the page after *after*, which is a key or a common prefix."""
    if not after:
        return prefix
    if delimiter and after.startswith(prefix):
        end = after.find(delimiter, len(prefix))
        if end >= 0:  # the common prefix is not greater than *after*, so nothing under it is listed
            return after[: end + len(delimiter)] + ABOVE_ALL
    return max(prefix, after + b"\0")


def roll_up(  # noqa: PLR0913
    fetch: Callable[[bytes, int], list[Row]],
    rest: Callable[[Row], list[Row]],
    *,
    prefix: bytes,
    delimiter: bytes,
    start: bytes,
    limit: int,
    head: Sequence[Row] = (),
) -> tuple[list[Row], bool]:
    """Collect up to *limit* rows and common prefixes.

    Args:
        fetch: Up to so many rows with keys >= its first argument, ascending, that begin with *prefix*.
        rest: The rows after this one that have the same key, as many as a page takes.
        prefix: What all keys begin with.
        delimiter: Where common prefixes end; empty for none.
        start: Where to begin, see `first_key`.
        limit: At least 1.
        head: Rows that come before those from *start* on.

    Returns: rows, a common prefix being a row of the prefix alone, and whether there are more.
    """
    if not delimiter:
        page = [*head, *fetch(start, limit + 1)]
        return page[:limit], len(page) > limit
    page, common, size = [], b"", _FETCH_MIN
    rows, last = [*head], False
    while True:
        for row in rows:
            end = row[0].find(delimiter, len(prefix))
            entry = row if end < 0 else (row[0][: end + len(delimiter)],)
            if end >= 0 and entry[0] == common:
                continue
            if len(page) == limit:
                return page, True
            page.append(entry)
            common = b"" if end < 0 else entry[0]
        if last:
            return page, False
        if rows and common:
            start, size = common + ABOVE_ALL, _FETCH_MIN
        elif rows:
            start, size = rows[-1][0] + b"\0", min(2 * size, _FETCH_MAX)
        rows = fetch(start, size)
        last = len(rows) < size
        if rows and not last and rows[-1][0].find(delimiter, len(prefix)) < 0:
            rows += rest(rows[-1])
