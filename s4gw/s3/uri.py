"""Request targets: path, query, virtual hosts and copy sources, decoded strictly.

What comes in is as sent, percent-encoded; a WSGI server hands over bytes above 127 as latin-1 characters. What goes
out is text: UTF-8 that cannot be decoded is InvalidURI, since two different keys must never become one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from s4gw.s3.errors import InvalidArgument, InvalidURI

_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
PARAMETERS_MAX: Final = 256
"""S3's longest operation has about 20; a presigned URL adds 7."""


def decode(text: str) -> str:
    """Undo percent-encoding of a path, or of a name or value of a query. Raises: InvalidURI."""
    if "%" not in text and text.isascii():
        return text
    if _BAD_ESCAPE.search(text):
        raise InvalidURI(URI=text[:256])
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode()
    except UnicodeError as broken:
        raise InvalidURI(URI=ascii(text)[:256]) from broken


def split_target(raw: str) -> tuple[str, dict[str, str]]:
    """Split the target of a request line into decoded path and query.

    Args:
        raw: As sent: origin form ("/b/k?x=1") or, as proxies send it, absolute form. A fragment has no meaning here.

    Returns: Path with its leading slash ("+" stays), and parameters ("+" is a space; the first of equal names wins).
    Raises: InvalidURI.
    """
    raw_path, _, raw_query = raw.partition("?")
    if not raw_path.startswith("/"):
        scheme, separator, rest = raw_path.partition("://")
        if not separator or scheme.lower() not in {"http", "https"}:
            raise InvalidURI(URI=ascii(raw)[:256])
        raw_path = "/" + rest.partition("/")[2]
    return decode(raw_path), split_query(raw_query) if raw_query else {}


def split_query(raw: str) -> dict[str, str]:
    """Decode a query; a name without ``=`` has the value "". Raises: InvalidURI."""
    parameters: dict[str, str] = {}
    for pair in raw.split("&"):
        if not pair:
            continue
        name, _, value = pair.replace("+", " ").partition("=")
        if len(parameters) >= PARAMETERS_MAX:
            raise InvalidURI
        parameters.setdefault(decode(name), decode(value))
    return parameters


def split_path(path: str) -> tuple[str, str]:
    """Split a decoded path-style path into bucket and key; either may be ""."""
    bucket, _, key = path[1:].partition("/")
    return bucket, key


def bucket_from_host(host: str, domains: Iterable[str]) -> str | None:
    """Find the bucket that a virtual-host style request names before one of our *domains*.

    Args:
        host: The Host header; a port is ignored, as is case.
        domains: Lower case, without port.

    Returns: None when *host* is a domain itself or none of ours: the path then starts with the bucket.
    """
    name = host.strip().lower()
    if not name.startswith("["):
        name = name.partition(":")[0]
    name = name.removesuffix(".")
    longest_first = sorted(domains, key=len, reverse=True)
    if name in longest_first:
        return None
    for domain in longest_first:
        if name.endswith("." + domain):
            return name[: -len(domain) - 1] or None
    return None


@dataclass(frozen=True, slots=True)
class CopySource:
    """What ``x-amz-copy-source`` names."""

    bucket: str
    key: str
    version_id: str | None = None


def parse_copy_source(header: str) -> CopySource:
    """Read ``[/]bucket/key[?versionId=id]``, percent-encoded.

    Raises: InvalidArgument.
    Source: S3's CopyObject page, x-amz-copy-source.
    """
    name, shown = "x-amz-copy-source", header.encode("ascii", "backslashreplace").decode()[:256]
    raw, _, raw_query = header.strip().partition("?")
    try:
        bucket, key = split_path("/" + decode(raw).removeprefix("/"))
        query: Mapping[str, str] = split_query(raw_query)
    except InvalidURI as broken:
        raise InvalidArgument("Invalid copy source encoding", ArgumentName=name, ArgumentValue=shown) from broken
    version_id = query.get("versionId")
    if not bucket or not key or version_id == "":
        raise InvalidArgument(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            ArgumentName=name,
            ArgumentValue=shown,
        )
    return CopySource(bucket, key, version_id)
