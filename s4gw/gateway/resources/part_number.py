"""The ``partNumber`` of a query, checked alike for writes and reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from s4gw.s3.multipart import check_part_number

if TYPE_CHECKING:
    from s4gw.gateway.request import S3Request

DIGITS_MAX: Final = 9


def part_number(req: S3Request) -> int:
    """The part number of the query. Raises: InvalidArgument."""
    text = req.query.get("partNumber", "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < DIGITS_MAX else 0
    check_part_number(number)
    return number
