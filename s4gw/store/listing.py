"""Pages of keys and common prefixes, by seeking: a common prefix costs one look-up, however many keys it holds.

Keys are UTF-8, in which the byte 0xFF never occurs: everything that begins with P lies below P + 0xFF.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, Final

Row = tuple[Any, ...]
"""A row of the index; its first element is the key."""

_STEPS_MAX: Final = 8  # rows passed over inside a common prefix before seeking is cheaper than stepping
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
    rows_from: Callable[[bytes], Iterable[Row]],
    *,
    prefix: bytes,
    delimiter: bytes,
    start: bytes,
    limit: int,
    head: Iterable[Row] = (),
) -> tuple[list[Row], bool]:
    """Collect up to *limit* rows and common prefixes.

    Args:
        rows_from: Rows with keys >= its argument, ascending, that begin with *prefix*.
        prefix: What all keys begin with.
        delimiter: Where common prefixes end; empty for none.
        start: Where to begin, see `first_key`.
        limit: At least 1.
        head: Rows that come before those from *start* on.

    Returns: rows, a common prefix being a row of the prefix alone, and whether there are more.
    """
    page: list[Row] = []
    rows, common, steps = chain(head, rows_from(start)), None, 0
    while True:
        row = next(rows, None)
        if row is None:
            return page, False
        end = row[0].find(delimiter, len(prefix)) if delimiter else -1
        if end >= 0:
            found = row[0][: end + len(delimiter)]
            if found == common:
                steps += 1
                if steps > _STEPS_MAX:
                    rows, steps = chain((), rows_from(found + ABOVE_ALL)), 0
                continue
            row, common, steps = (found,), found, 0
        if len(page) == limit:
            return page, True
        page.append(row)
