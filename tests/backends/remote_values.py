"""Values as boto3 gives and takes them, for the upstream in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from s4gw.backends import Deleted
from s4gw.s3.errors import InvalidRange


def nothing(_operation: str, _params: Mapping[str, Any]) -> None:
    """No hook."""


def time_of(milliseconds: int) -> datetime:
    """A time of an answer."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def etag_of(data: bytes) -> str:
    """MD5 in quotes."""
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def bare(etag: str | None) -> str | None:
    """An ETag without quotes."""
    return None if etag is None else etag.strip('"')


def span_of(text: str, size: int) -> tuple[int, int]:
    """What a Range header names, half-open; all without one. Raises: InvalidRange."""
    if not text:
        return 0, size
    first, _, last = text.removeprefix("bytes=").partition("-")
    if not first:
        return max(0, size - int(last)), size
    start, end = int(first), min(int(last) + 1 if last else size, size)
    if start >= size:
        raise InvalidRange
    return start, end


def deleted_fields(done: Deleted) -> dict[str, Any]:
    """Of a delete's answer."""
    told: Iterable[tuple[str, Any]] = (
        ("DeleteMarker", done.delete_marker or None),
        ("VersionId", done.version_id or done.marker_version_id),
    )
    return {name: value for name, value in told if value is not None}
