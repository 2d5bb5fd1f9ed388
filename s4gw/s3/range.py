"""Byte ranges of requests: ``Range`` of GET and HEAD, ``x-amz-copy-source-range`` of UploadPartCopy.

HTTP's ranges include their last byte; everything that leaves this module is half-open. Source: RFC 9110, section 14.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from s4gw.s3.errors import InvalidArgument, InvalidRange

_SPEC: Final = re.compile(r"bytes\s*=\s*([0-9]*)\s*-\s*([0-9]*)\s*", re.ASCII | re.IGNORECASE)
_COPY_SPEC: Final = re.compile(r"bytes=([0-9]+)-([0-9]+)", re.ASCII)
_DIGITS_MAX: Final = 19
_FAR: Final = 10**_DIGITS_MAX
"""Stands for any offset of more than `_DIGITS_MAX` digits: past every object (2**63 has 19)."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes ``[start, end)`` of an object; never empty."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.end - self.start


def _offset(digits: str) -> int:
    significant = digits.lstrip("0") or "0"
    return int(significant) if len(significant) <= _DIGITS_MAX else _FAR


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """Find the bytes that *header* asks for in an object of *size* bytes.

    Returns: None when the whole object is to be sent: no header, or one that S3 ignores (malformed, several ranges).
    Raises: InvalidRange when no byte is in the range.
    Source: RFC 9110, section 14.1.2: an end past the last byte is cut, not refused.
    """
    if header is None:
        return None
    found = _SPEC.fullmatch(header.strip())
    if found is None:
        return None
    first, last = found.groups()
    if first:
        start = _offset(first)
        end = min(_offset(last) + 1, size) if last else size
        if last and _offset(last) < start:
            return None
    elif last:
        start, end = max(size - _offset(last), 0), size
    else:
        return None
    if start >= end:
        raise InvalidRange(
            headers={"Content-Range": f"bytes */{size}"}, RangeRequested=header[:256], ActualObjectSize=str(size)
        )
    return ByteRange(start, end)


def parse_copy_range(header: str | None, size: int) -> ByteRange | None:
    """Find the bytes of a copy source of *size* bytes; None when there is no header.

    Raises: InvalidArgument for any other form than ``bytes=first-last``; InvalidRange for one that is not all inside.
    """
    if header is None:
        return None
    found = _COPY_SPEC.fullmatch(header.strip())
    name, shown = "x-amz-copy-source-range", header[:256]
    if found is None:
        raise InvalidArgument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy",
            ArgumentName=name,
            ArgumentValue=shown,
        )
    start, end = _offset(found[1]), _offset(found[2]) + 1
    if start >= end:
        raise InvalidArgument("The range ends before it starts", ArgumentName=name, ArgumentValue=shown)
    if end > size:
        # AWS's message, but the code that the public conformance suite asks for; AWS's own is InvalidArgument
        raise InvalidRange(
            f"Range specified is not valid for source object of size: {size}",
            RangeRequested=shown,
            ActualObjectSize=str(size),
        )
    return ByteRange(start, end)
