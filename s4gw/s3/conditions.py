"""Preconditions of requests: what ``If-Match`` and its kin say about an object.

ETags are kept bare; quotes are added and removed here. Reads are decided here; conditions of writes are only read
here, since the backend decides them in the same step as the write.
"""

from __future__ import annotations

from typing import Final

from s4gw.s3.errors import NotModified, PreconditionFailed
from s4gw.s3.scalars import parse_http_date

__all__ = ["bare_etag", "check_copy_source", "check_read", "matches", "parse_http_date", "quoted", "range_holds"]


def quoted(etag: str) -> str:
    """Write a bare ETag as HTTP and S3's documents do."""
    return f'"{etag}"'


def bare_etag(value: str) -> str:
    """Read one ETag, with or without quotes (S3 takes both); ``*`` stays."""
    return value.strip().strip('"')


def matches(header: str, etag: str, *, weak: bool) -> bool:
    """Tell whether one of the ETags that *header* lists is *etag* (bare), or it is ``*``.

    Args:
        header: One or more ETags, separated by commas, quotes optional.
        etag: Of the object, bare.
        weak: Count ``W/"x"`` as equal to ``"x"``, as If-None-Match does.
    """
    for tag in header.split(","):
        text = tag.strip()
        if text == "*":
            return True
        if text.startswith("W/"):
            if not weak:
                continue
            text = text[2:]
        if text.strip('"') == etag:
            return True
    return False


def _is_after(modified_ms: int, header: str) -> bool | None:
    date = parse_http_date(header)
    return None if date is None else modified_ms // 1000 > date.timestamp()


def _failed_write_side(
    etag: str, modified_ms: int, if_match: str | None, if_unmodified_since: str | None
) -> str | None:
    if if_match is not None:
        return None if matches(if_match, etag, weak=False) else "If-Match"
    if if_unmodified_since is not None and _is_after(modified_ms, if_unmodified_since):
        return "If-Unmodified-Since"
    return None


def _failed_read_side(
    etag: str, modified_ms: int, if_none_match: str | None, if_modified_since: str | None
) -> str | None:
    if if_none_match is not None:
        return "If-None-Match" if matches(if_none_match, etag, weak=True) else None
    if if_modified_since is not None and _is_after(modified_ms, if_modified_since) is False:
        return "If-Modified-Since"
    return None


READ_HEADERS: Final = frozenset({"if-match", "if-none-match", "if-modified-since", "if-unmodified-since"})
"""What `check_read` is about. PERF: most requests have none of them."""


def check_read(  # noqa: PLR0913 - one argument per header
    *,
    etag: str,
    modified_ms: int,
    if_match: str | None = None,
    if_none_match: str | None = None,
    if_modified_since: str | None = None,
    if_unmodified_since: str | None = None,
) -> None:
    """Let a GET or HEAD pass, or raise what it gets instead.

    Args:
        etag: Of the object, bare.
        modified_ms: Of the object; HTTP compares whole seconds.
        if_match: This and the others: the header as sent, None when it was not.
        if_none_match: Counts before `if_modified_since`.
        if_modified_since: Ignored when it is no date.
        if_unmodified_since: Ignored when it is no date, and beside `if_match`.

    Raises: PreconditionFailed; NotModified, whose headers carry the ETag.
    Source: RFC 9110, section 13.2.2; S3's GetObject page says the same.
    """
    failed = _failed_write_side(etag, modified_ms, if_match, if_unmodified_since)
    if failed is not None:
        raise PreconditionFailed(Condition=failed)
    if _failed_read_side(etag, modified_ms, if_none_match, if_modified_since) is not None:
        raise NotModified(headers={"ETag": quoted(etag)})


def range_holds(if_range: str | None, *, etag: str, modified_ms: int) -> bool:
    """Tell whether a Range may be answered as one: who goes on with a download must not get another object's end.

    Args:
        if_range: The header as sent, an ETag or a date; None when it was not.
        etag: Of the object, bare.
        modified_ms: Of the object; the date has to be this very second.

    Source: RFC 9110, section 13.1.5.
    """
    if if_range is None:
        return True
    sent = if_range.strip()
    date = None if sent.startswith(('"', "W/")) else parse_http_date(sent)
    if date is not None:
        return modified_ms // 1000 == int(date.timestamp())
    return sent != "*" and matches(sent, etag, weak=False)


def check_copy_source(  # noqa: PLR0913 - one argument per header
    *,
    etag: str,
    modified_ms: int,
    if_match: str | None = None,
    if_none_match: str | None = None,
    if_modified_since: str | None = None,
    if_unmodified_since: str | None = None,
) -> None:
    """Let a copy use its source, by the ``x-amz-copy-source-if-*`` headers; arguments as in `check_read`.

    Raises: PreconditionFailed, for a source that is not modified as well.
    """
    failed = _failed_write_side(etag, modified_ms, if_match, if_unmodified_since) or _failed_read_side(
        etag, modified_ms, if_none_match, if_modified_since
    )
    if failed is not None:
        raise PreconditionFailed(Condition=f"x-amz-copy-source-{failed}")
