"""Times, numbers and booleans are written as S3 writes them and read back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4gw.s3.scalars import (
    INTEGER_MAX,
    as_datetime,
    http_date,
    iso8601,
    parse_boolean,
    parse_http_date,
    parse_integer,
    parse_iso8601,
)

moments = st.integers(-30_000_000_000_000, 250_000_000_000_000)


@given(moments)
def test_iso8601_comes_back(when_ms: int) -> None:
    """A written time is the one that was meant, to the millisecond, from a number or a datetime."""
    when = as_datetime(when_ms)

    assert [when, when] == [parse_iso8601(iso8601(when_ms)), parse_iso8601(iso8601(when))]
    assert when.strftime(f"%Y-%m-%dT%H:%M:%S.{when_ms % 1000:03}Z") == iso8601(when_ms)


@given(moments)
def test_http_date_comes_back(when_ms: int) -> None:
    """An HTTP date keeps whole seconds."""
    assert as_datetime(when_ms // 1000 * 1000) == parse_http_date(http_date(when_ms))


def test_http_date_is_in_the_one_fixed_form() -> None:
    """IMF-fixdate, whatever the zone of the datetime was."""
    east = datetime(2009, 10, 12, 19, 50, 30, 999_000, tzinfo=timezone(timedelta(hours=2)))

    assert "Mon, 12 Oct 2009 17:50:30 GMT" == http_date(east) == http_date(datetime(2009, 10, 12, 17, 50, 30))  # noqa: DTZ001


@pytest.mark.parametrize(
    "text",
    [
        "Mon, 12 Oct 2009 17:50:30 GMT",
        "Monday, 12-Oct-09 17:50:30 GMT",
        "Mon Oct 12 17:50:30 2009",
        "Mon, 12 Oct 2009 19:50:30 +0200",
    ],
)
def test_every_form_of_http_date_is_read(text: str) -> None:
    """All forms of RFC 9110, and the zones of mail, mean the same moment."""
    assert datetime(2009, 10, 12, 17, 50, 30, tzinfo=UTC) == parse_http_date(text)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "Mon, 45 Oct 2009 17:50:30 GMT", "Mon, 12 Oct 99999 17:50:30 GMT", "1255369830"]
)
def test_what_is_no_http_date(text: str) -> None:
    """Nonsense is None, never an exception."""
    assert parse_http_date(text) is None


@pytest.mark.parametrize(("text", "number"), [("0", 0), (" 007 ", 7), (str(INTEGER_MAX), INTEGER_MAX)])
def test_integer(text: str, number: int) -> None:
    """Decimal digits, spaces around them allowed."""
    assert number == parse_integer(text)


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1.0", "1e3", "0x1", "\u0661", "1_000", str(INTEGER_MAX + 1), "9" * 100_000]
)
def test_what_is_no_integer(text: str) -> None:
    """Everything else is refused, quickly."""
    with pytest.raises(ValueError, match="must be an integer") as caught:
        parse_integer(text)

    assert "between 0 and" in str(caught.value)


def test_boolean() -> None:
    """True and false in any case, 1 and 0 as XML Schema allows."""
    assert [True, True, False, False] == [parse_boolean(text) for text in (" TRUE ", "1", "false", "0")]
    with pytest.raises(ValueError, match="boolean"):
        parse_boolean("yes")
