"""Single values as S3 writes them in headers, queries and documents: times, numbers, booleans, lists.

Readers raise `ValueError` with a message fit for the client; what that means (MalformedXML, InvalidArgument) is the
caller's to say. Writers take times as aware `datetime` or as integer milliseconds since the epoch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_tz
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from s4gw.s3.shapes import Kind, Shape

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_TWO: Final = tuple(f"{n:02}" for n in range(60))
_MINUTE_OF_DAY: Final = tuple(f"{n // 60:02}:{n % 60:02}" for n in range(24 * 60))

INTEGER_MAX: Final = 2**63 - 1
"""Largest number that S3 takes in any place (object sizes; S3's integers are Java's)."""
_TRUE: Final = frozenset({"true", "1"})
_FALSE: Final = frozenset({"false", "0"})


def as_datetime(value: datetime | int) -> datetime:
    """Give *value*, milliseconds since the epoch or a datetime (naive ones mean UTC), as a datetime in UTC."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return _EPOCH + timedelta(milliseconds=value)


def _milliseconds(value: datetime | int) -> int:
    if not isinstance(value, datetime):
        return value
    return ((value if value.tzinfo else value.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND


@lru_cache(maxsize=1024)
def _iso_day(days: int) -> str:
    return (_EPOCH + timedelta(days=days)).date().isoformat()


@lru_cache(maxsize=1024)
def _http_day(days: int) -> str:
    t = _EPOCH + timedelta(days=days)
    return f"{_DAYS[t.weekday()]}, {t.day:02} {_MONTHS[t.month - 1]} {t.year:04}"


def iso8601(value: datetime | int) -> str:
    """Write a time as S3's documents do: ``2009-10-12T17:50:30.000Z``.

    PERF: dates are remembered and the rest is looked up; a page of 1,000 keys writes 1,000 of them.
    """
    days, rest = divmod(value if type(value) is int else _milliseconds(value), 86_400_000)
    seconds, milliseconds = divmod(rest, 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{_iso_day(days)}T{_MINUTE_OF_DAY[minutes]}:{_TWO[seconds]}.{milliseconds:03}Z"


def http_date(value: datetime | int) -> str:
    """Write a time as HTTP headers do: ``Mon, 12 Oct 2009 17:50:30 GMT``. Source: RFC 9110, section 5.6.7."""
    days, seconds = divmod(_milliseconds(value) // 1000, 86_400)
    minutes, seconds = divmod(seconds, 60)
    return f"{_http_day(days)} {_MINUTE_OF_DAY[minutes]}:{_TWO[seconds]} GMT"


_HTTP_DATE: Final = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)
_MONTH_NUMBERS: Final = {name: number for number, name in enumerate(_MONTHS, 1)}


def parse_http_date(text: str) -> datetime | None:
    """Read a date in any form of RFC 9110, section 5.6.7; None when it is none, which HTTP wants ignored."""
    found = _HTTP_DATE.fullmatch(text)
    if found is not None:  # PERF: as every server writes it, and a tenth of the time
        day, month, year, hour, minute, second = found.groups()
        try:
            return datetime(int(year), _MONTH_NUMBERS[month], int(day), int(hour), int(minute), int(second), tzinfo=UTC)
        except (KeyError, ValueError):
            return None
    fields = parsedate_tz(text)
    if fields is None:
        return None
    try:
        read = datetime(*fields[:6], tzinfo=UTC) - timedelta(seconds=fields[9] or 0)
    except (ValueError, OverflowError):
        return None
    return read


def parse_iso8601(text: str) -> datetime:
    """Read an ISO 8601 time; one without a zone means UTC. Raises: ValueError."""
    return as_datetime(datetime.fromisoformat(text.strip()))


def parse_boolean(text: str) -> bool:
    """Read ``true`` or ``false`` in any case. Raises: ValueError."""
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("not a boolean")


def parse_integer(text: str, minimum: int | None = None, maximum: int | None = None) -> int:
    """Read a decimal number within bounds, both inclusive; 0 and `INTEGER_MAX` where none are given.

    Raises: ValueError.
    """
    digits = text.strip()
    low, high = minimum or 0, INTEGER_MAX if maximum is None else maximum
    # SECURITY: bounded before int(), whose cost grows with the square of the digits
    if not (digits.isascii() and digits.isdigit()) or len(digits) > len(str(INTEGER_MAX)):
        raise ValueError(f"must be an integer between {low} and {high}")
    number = int(digits)
    if not low <= number <= high:
        raise ValueError(f"must be an integer between {low} and {high}")
    return number


def _read_string(shape: Shape, text: str) -> str:
    if shape.choices and text not in shape.choices:
        raise ValueError("is not one of the values allowed")
    return text


def _read_integer(shape: Shape, text: str) -> int:
    """Documents may say a negative number where S3 has an error of its own for it; whoever uses the value checks."""
    if shape.minimum is None and text.strip().startswith("-"):
        return -parse_integer(text.strip()[1:])
    return parse_integer(text, shape.minimum, shape.maximum)


def _read_timestamp(shape: Shape, text: str) -> datetime:
    if shape.timestamp_format == "iso8601":
        return parse_iso8601(text)
    read = parse_http_date(text)
    if read is None:
        raise ValueError("is not a date")
    return read


READ: Final[Mapping[Kind, Callable[[Shape, str], Any]]] = MappingProxyType(
    {
        Kind.STRING: _read_string,
        Kind.INTEGER: _read_integer,
        Kind.BOOLEAN: lambda _shape, text: parse_boolean(text),
        Kind.TIMESTAMP: _read_timestamp,
    }
)
"""Kind -> reader of one value, which checks it against the shape. Readers raise ValueError."""


def _write_timestamp(shape: Shape, value: Any) -> str:
    if isinstance(value, str):
        return value  # kept as the client sent it, as S3 keeps Expires
    return iso8601(value) if shape.timestamp_format == "iso8601" else http_date(value)


def _write_list(shape: Shape, value: Any) -> str:
    item = shape.item
    assert item is not None
    return ",".join(WRITE[item.shape.kind](item.shape, one) for one in value)


WRITE: Final[Mapping[Kind, Callable[[Shape, Any], str]]] = MappingProxyType(
    {
        Kind.STRING: lambda _shape, value: str(value),
        Kind.INTEGER: lambda _shape, value: str(value),
        Kind.BOOLEAN: lambda _shape, value: "true" if value else "false",
        Kind.TIMESTAMP: _write_timestamp,
        Kind.LIST: _write_list,
    }
)
"""Kind -> writer of one value (lists as in headers, separated by commas)."""
