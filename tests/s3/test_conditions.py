"""Preconditions decide as RFC 9110 and S3's pages order them."""

from __future__ import annotations

import pytest

from s4gw.s3 import errors
from s4gw.s3.conditions import bare_etag, check_copy_source, check_read, quoted, range_holds

MODIFIED_MS = 1_600_000_000_500
AT = "Sun, 13 Sep 2020 12:26:40 GMT"  # the same second
BEFORE = "Sun, 13 Sep 2020 12:26:39 GMT"
AFTER = "Sun, 13 Sep 2020 12:26:41 GMT"

READS: list[tuple[dict[str, str], int]] = [
    ({}, 200),
    ({"if_match": '"e"'}, 200),
    ({"if_match": "e"}, 200),
    ({"if_match": "*"}, 200),
    ({"if_match": '"x", "e"'}, 200),
    ({"if_match": '"x"'}, 412),
    ({"if_match": 'W/"e"'}, 412),
    ({"if_match": ""}, 412),
    ({"if_none_match": '"e"'}, 304),
    ({"if_none_match": 'W/"e"'}, 304),
    ({"if_none_match": "*"}, 304),
    ({"if_none_match": '"x"'}, 200),
    ({"if_modified_since": BEFORE}, 200),
    ({"if_modified_since": AT}, 304),
    ({"if_modified_since": AFTER}, 304),
    ({"if_modified_since": "yesterday"}, 200),
    ({"if_unmodified_since": BEFORE}, 412),
    ({"if_unmodified_since": AT}, 200),
    ({"if_unmodified_since": "Sunday, 13-Sep-20 12:26:39 GMT"}, 412),
    ({"if_unmodified_since": "Sun Sep 13 12:26:39 2020"}, 412),
    ({"if_unmodified_since": "tomorrow"}, 200),
    ({"if_match": '"e"', "if_unmodified_since": BEFORE}, 200),
    ({"if_none_match": '"x"', "if_modified_since": AFTER}, 200),
    ({"if_none_match": '"e"', "if_modified_since": BEFORE}, 304),
    ({"if_match": '"x"', "if_none_match": '"e"'}, 412),
    ({"if_match": '"e"', "if_none_match": '"e"'}, 304),
]


@pytest.mark.parametrize(("headers", "status"), READS)
def test_read(headers: dict[str, str], status: int) -> None:
    """GET and HEAD: 412 before 304, ETags before dates, whole seconds, dates that are none ignored."""
    try:
        check_read(etag="e", modified_ms=MODIFIED_MS, **headers)
        got = 200
    except errors.S3Error as refused:
        got = refused.status

    assert status == got


@pytest.mark.parametrize(("headers", "status"), READS)
def test_copy_source(headers: dict[str, str], status: int) -> None:
    """A copy decides the same, but whatever fails is a 412."""
    try:
        check_copy_source(etag="e", modified_ms=MODIFIED_MS, **headers)
        got = 200
    except errors.PreconditionFailed as refused:
        got = refused.status

    assert min(status, 412) == got if status == 200 else got == 412


@pytest.mark.parametrize(
    ("header", "holds"),
    [
        (None, True),
        ('"e"', True),
        ("e", True),
        (AT, True),
        ('"x"', False),
        ('W/"e"', False),
        ("*", False),
        (BEFORE, False),
        (AFTER, False),
        ("", False),
    ],
)
def test_a_range_holds_for_the_very_object(header: str | None, *, holds: bool) -> None:
    """If-Range: the strong ETag or the very second of the change, and nothing else."""
    assert holds == range_holds(header, etag="e", modified_ms=MODIFIED_MS)


def test_refusals_say_what_failed() -> None:
    """The error names the condition; a 304 carries the ETag."""
    with pytest.raises(errors.PreconditionFailed) as failed:
        check_read(etag="e", modified_ms=0, if_match='"x"')
    with pytest.raises(errors.NotModified) as unmodified:
        check_read(etag="e", modified_ms=0, if_none_match='"e"')

    assert ({"Condition": "If-Match"}, {"ETag": '"e"'}) == (failed.value.facts, unmodified.value.headers)


def test_quotes() -> None:
    """ETags are quoted on the wire and bare inside."""
    assert ('"e"', "e", "e", "*") == (quoted("e"), bare_etag(' "e" '), bare_etag("e"), bare_etag("*"))
