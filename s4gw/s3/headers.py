"""What request headers say about an object: system headers, user metadata, overrides of a response.

Header values are strings as WSGI gives them: every byte one character (latin-1). They are kept that way and go back
the same way, so metadata is returned byte for byte, whatever its encoding was. Header names here are lower case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from s4gw.s3.errors import InvalidArgument, InvalidRedirectLocation, MetadataTooLarge

METADATA_PREFIX: Final = "x-amz-meta-"
METADATA_BYTES_MAX: Final = 2048
"""Names (without prefix) and values of all user metadata together. Source: S3 user guide, "Working with metadata"."""

REDIRECT: Final = "x-amz-website-redirect-location"
SYSTEM_HEADERS: Final = (
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
    REDIRECT,
)
"""Headers of a PUT that S3 keeps with the object and gives back on GET and HEAD."""

RESPONSE_OVERRIDES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "response-content-type": "Content-Type",
        "response-cache-control": "Cache-Control",
        "response-content-disposition": "Content-Disposition",
        "response-content-encoding": "Content-Encoding",
        "response-content-language": "Content-Language",
        "response-expires": "Expires",
    }
)
"""Query parameter of a signed GET or HEAD -> the response header that it replaces."""

_UNSENDABLE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")


def _check_sendable(name: str, value: str) -> None:
    # SECURITY: a line break in a signed URL or form field must not start a header of its own when it is given back
    if _UNSENDABLE.search(value):
        raise InvalidArgument("The value cannot stand in a header.", ArgumentName=name)


def joined(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Name -> value of *pairs*; values of a repeated name are joined by commas (RFC 9110, section 5.3)."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        fields = {}
        for name, value in pairs:
            fields[name] = f"{fields[name]},{value}" if name in fields else value
    return fields


def from_form(fields: Mapping[str, str]) -> dict[str, str]:
    """Give text *fields* of a form (lower-case names) the shape of headers: UTF-8, every byte one character."""
    return {name: value if value.isascii() else value.encode().decode("latin-1") for name, value in fields.items()}


def metadata_from(headers: Mapping[str, str]) -> dict[str, str]:
    """Collect user metadata: lower-case name without prefix -> value as sent.

    Names that start with ``s4-`` are nothing special here; a backend that keeps facts of its own under them drops the
    client's.

    Raises: MetadataTooLarge; InvalidArgument for a value that could not be given back.
    """
    start = len(METADATA_PREFIX)
    found = {name[start:]: value for name, value in headers.items() if name.startswith(METADATA_PREFIX)}
    if found:
        check_metadata_size(found)
        for name, value in found.items():
            _check_sendable(METADATA_PREFIX + name, value)
    return found


def check_metadata_size(metadata: Mapping[str, str]) -> None:
    """Raise MetadataTooLarge when names and values together pass `METADATA_BYTES_MAX`."""
    size = sum(len(name) + len(value) for name, value in metadata.items())
    if size > METADATA_BYTES_MAX:
        raise MetadataTooLarge(Size=str(size), MaxSizeAllowed=str(METADATA_BYTES_MAX))


def system_from(headers: Mapping[str, str]) -> dict[str, str]:
    """Collect the headers that are kept with the object; ``aws-chunked`` is transport and not kept.

    Raises: InvalidRedirectLocation; InvalidArgument for a value that could not be given back.
    """
    found = {name: headers[name] for name in SYSTEM_HEADERS if headers.get(name)}
    for name, value in found.items():
        _check_sendable(name, value)
    encoding = found.get("content-encoding")
    if encoding is not None:
        kept = without_aws_chunked(encoding)
        if kept:
            found["content-encoding"] = kept
        else:
            del found["content-encoding"]
    redirect = found.get(REDIRECT)
    if redirect is not None and not redirect.startswith(("/", "http://", "https://")):
        raise InvalidRedirectLocation
    return found


def system_copied(source: Mapping[str, str], sent: Mapping[str, str]) -> dict[str, str]:
    """Headers of a copy that keeps those of its *source*: all but where it redirects to, which is *sent* or nothing.

    Raises: InvalidRedirectLocation, InvalidArgument.
    Source: the CopyObject page of the S3 API reference, x-amz-website-redirect-location.
    """
    own = {REDIRECT: sent[REDIRECT]} if REDIRECT in sent else {}
    return {name: value for name, value in source.items() if name != REDIRECT} | system_from(own)


def without_aws_chunked(encoding: str) -> str:
    """Remove the token ``aws-chunked`` from a Content-Encoding value; what is left may be empty."""
    if "aws-chunked" not in encoding.lower():
        return encoding
    tokens = (token.strip() for token in encoding.split(","))
    return ", ".join(token for token in tokens if token and token.lower() != "aws-chunked")


def overrides_from(query: Mapping[str, str]) -> dict[str, str]:
    """Collect the response headers that the query overrides, ready to be sent.

    Raises: InvalidArgument for a value that cannot stand in a header.
    """
    found: dict[str, str] = {}
    for parameter, header in RESPONSE_OVERRIDES.items():
        value = query.get(parameter)
        if value is None:
            continue
        found[header] = value.encode().decode("latin-1")
        _check_sendable(parameter, found[header])
    return found
