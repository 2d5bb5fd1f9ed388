"""Listings of objects without a walk over the model; equal to it by a test.

PERF: a page of 1,000 keys costs the model 10 ms and string building under 3 ms (busy 2-core cloud machine, 2026-11).
The other hot answers have headers only; the model writes those in 2 to 6 us, and reads hot requests in 2 to 8 us.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from s4gw.s3.scalars import iso8601
from s4gw.s3.shapes import output_of
from s4gw.s3.xml_write import escape, write_document


@dataclass(frozen=True, slots=True)
class WireResponse:
    """Status, headers and document of an answer; a streaming body follows from elsewhere."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


_PLAIN: Final = 5  # Key, LastModified, ETag, Size, StorageClass: every entry has them


def _contents(entries: Sequence[Mapping[str, Any]]) -> str | None:
    """Write all entries; None when one has members that are not known here."""
    checksums: dict[tuple[str, ...], str] = {}  # few kinds on a page: each is written once
    owners: dict[tuple[str | None, str | None], str] = {}
    out: list[str] = []
    for entry in entries:
        members = _PLAIN
        checksum = owner = ""
        if "ChecksumAlgorithm" in entry and "ChecksumType" in entry:
            members += 2
            kind = (*entry["ChecksumAlgorithm"], entry["ChecksumType"])
            checksum = checksums.get(kind) or checksums.setdefault(kind, _checksum(kind))
        if "Owner" in entry:
            members += 1
            who = (entry["Owner"].get("ID"), entry["Owner"].get("DisplayName"))
            owner = owners.get(who) or owners.setdefault(who, _owner(who))
        if len(entry) != members:
            return None
        out.append(
            f"<Contents><Key>{escape(entry['Key'])}</Key><LastModified>{iso8601(entry['LastModified'])}</LastModified>"
            f"<ETag>{_etag(entry['ETag'])}</ETag>{checksum}<Size>{entry['Size']}</Size>"
            f"<StorageClass>{escape(entry['StorageClass'])}</StorageClass>{owner}</Contents>"
        )
    return "".join(out)


def _etag(etag: str) -> str:
    inner = etag[1:-1]
    return f"&quot;{inner}&quot;" if inner.isalnum() and etag == f'"{inner}"' else escape(etag)


def _checksum(kind: tuple[str, ...]) -> str:
    algorithms = "".join(f"<ChecksumAlgorithm>{escape(name)}</ChecksumAlgorithm>" for name in kind[:-1])
    return f"{algorithms}<ChecksumType>{escape(kind[-1])}</ChecksumType>"


def _owner(who: tuple[str | None, str | None]) -> str:
    pairs = zip(("DisplayName", "ID"), reversed(who), strict=True)
    return "<Owner>" + "".join(f"<{n}>{escape(v)}</{n}>" for n, v in pairs if v is not None) + "</Owner>"


_SEAM: Final = "<Contents></Contents>"


def write_listing(operation: str, result: Mapping[str, Any]) -> WireResponse | None:
    """Write the answer of ListObjects or ListObjectsV2; None when it is not a plain one with many keys."""
    entries = result.get("Contents")
    message = output_of(operation)
    if not entries or message is None or result.get("RequestCharged") is not None:
        return None
    contents = _contents(entries)
    if contents is None:
        return None
    # the model writes everything around one empty entry, which markup cannot be confused with: text is escaped
    around = write_document("ListBucketResult", message.shape, {**result, "Contents": [{}]})
    body = around.replace(_SEAM.encode(), contents.encode(), 1)
    return WireResponse(200, [("Content-Type", "application/xml")], body)


FAST_WRITERS: Final[Mapping[str, Callable[[str, Mapping[str, Any]], WireResponse | None]]] = MappingProxyType(
    {"ListObjects": write_listing, "ListObjectsV2": write_listing}
)
"""Operation -> writer, which gives None for a result that only the model can write."""
