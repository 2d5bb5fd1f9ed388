"""Tags of objects and buckets: the rules of a tag set, and its two spellings, document and header.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from s4gw.s3.errors import InvalidArgument, InvalidTag, MalformedXML

OBJECT_TAGS_MAX: Final = 10
BUCKET_TAGS_MAX: Final = 50
KEY_CHARS_MAX: Final = 128
VALUE_CHARS_MAX: Final = 256
HEADER_BYTES_MAX: Final = 16 * 1024
"""Ten full tags, percent-encoded threefold; longer ones cannot be valid."""

_RESERVED_PREFIX: Final = "aws:"
_SIGNS: Final = "+-=._:/@"
_TOO_MANY: Final = "{what} cannot be greater than {limit}"


def parse_tag_set(tags: Sequence[Mapping[str, Any]], *, limit: int) -> dict[str, str]:
    """Check a boto3-shaped TagSet.

    Args:
        tags: ``[{"Key": ..., "Value": ...}]``.
        limit: `OBJECT_TAGS_MAX` or `BUCKET_TAGS_MAX`.

    Returns: Values by key, in the order given.
    Raises: InvalidTag, MalformedXML.
    """
    pairs: list[tuple[str, str]] = []
    for tag in tags:
        if "Key" not in tag or "Value" not in tag:
            raise MalformedXML
        pairs.append((tag["Key"], tag["Value"]))
    return check_tags(pairs, limit=limit)


def parse_header(value: str) -> dict[str, str]:
    """Check the tags of an ``x-amz-tagging`` header, ``a=b&c=d`` percent-encoded.

    Raises: InvalidArgument (not a query string, or a tag twice), InvalidTag.
    """
    if len(value) > HEADER_BYTES_MAX:
        raise InvalidArgument("The header 'x-amz-tagging' is too long.", ArgumentName="x-amz-tagging")
    try:
        # One more than allowed is enough to refuse; a blank field would be a tag without a key.
        pairs = parse_qsl(value, keep_blank_values=True, errors="strict", max_num_fields=OBJECT_TAGS_MAX + 1)
    except UnicodeDecodeError as error:
        raise InvalidTag from error
    except ValueError as error:
        raise InvalidTag(_TOO_MANY.format(what="Object tags", limit=OBJECT_TAGS_MAX)) from error
    if len(dict(pairs)) != len(pairs):
        raise InvalidArgument(
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag "
            "name duplicates.",
            ArgumentName="x-amz-tagging",
            ArgumentValue=value,
        )
    return check_tags(pairs, limit=OBJECT_TAGS_MAX)


def check_tags(pairs: Iterable[tuple[str, str]], *, limit: int) -> dict[str, str]:
    """Check tags and make them a mapping. Raises: InvalidTag."""
    tags: dict[str, str] = {}
    for key, value in pairs:
        if not key or len(key) > KEY_CHARS_MAX or not _allowed(key):
            raise InvalidTag("The TagKey you have provided is invalid", TagKey=key)
        if len(value) > VALUE_CHARS_MAX or not _allowed(value):
            raise InvalidTag("The TagValue you have provided is invalid", TagKey=key, TagValue=value)
        if key.lower().startswith(_RESERVED_PREFIX):
            raise InvalidTag("System tags cannot be added/updated by requester", TagKey=key)
        if key in tags:
            raise InvalidTag("Cannot provide multiple Tags with the same key", TagKey=key)
        tags[key] = value
    if len(tags) > limit:
        what = "Object tags" if limit == OBJECT_TAGS_MAX else "Bucket tag count"
        raise InvalidTag(_TOO_MANY.format(what=what, limit=limit))
    return tags


def _allowed(text: str) -> bool:
    """Letters, marks and digits of any script, blanks and ``+ - = . _ : / @``, as AWS documents for tags."""
    return all(char in _SIGNS or unicodedata.category(char)[0] in "LMNZ" for char in text)


def tag_set(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """*tags* boto3-shaped, ascending by key."""
    return [{"Key": key, "Value": tags[key]} for key in sorted(tags)]


def format_header(tags: Mapping[str, str]) -> str:
    """*tags* as ``x-amz-tagging`` spells them."""
    return "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in tags.items())
