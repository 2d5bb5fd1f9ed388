"""Pages of an upstream's listings, read: entries in order, and where the next page begins.

boto3 gives objects, markers and common prefixes apart; they are merged here as the upstream had them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from s4gw.backends.base import NULL_VERSION
from s4gw.backends.remote.catalogue import Seen
from s4gw.backends.remote.reserved import reserved_prefix_of
from s4gw.s3.errors import InternalError

ABOVE_ALL: Final = "\U0010ffff"
"""Behind a prefix: after every key under it."""


class Entry(NamedTuple):
    """One line of a listing: an object or a delete marker, or a common prefix, of which nothing but the name is set."""

    name: str
    seen: Seen | None = None
    fields: Mapping[str, Any] = {}
    modified_ms: int = 0
    delete_marker: bool = False

    @property
    def version_id(self) -> str:
        """Names this version to the upstream; empty for the current one of an unversioned bucket."""
        version_id = str(self.fields.get("VersionId") or "")
        return "" if version_id == NULL_VERSION and self.fields.get("IsLatest", True) else version_id


def entry_of(item: Mapping[str, Any], *, delete_marker: bool = False) -> Entry:
    """Read an object or a marker."""
    name, when = str(item["Key"]), item.get("LastModified")
    modified_ms = 0 if when is None else round(when.timestamp() * 1000)
    etag = str(item.get("ETag") or "").strip('"')
    return Entry(
        name, Seen(name, etag, int(item.get("Size") or 0), modified_ms // 1000), item, modified_ms, delete_marker
    )


class Listed(NamedTuple):
    """A page of ListObjectsV2.

    S3 lists keys ascending. Servers that keep keys as paths list a folder before names that begin like it: ``a/0``
    before ``a.b`` (SeaweedFS). The upstream's own order is kept here, as its next page follows on it.
    """

    entries: list[Entry]
    certain: bool
    """The order is the upstream's for sure; objects and prefixes, which come apart, could be merged in one way only."""
    last: str
    """Where the next page begins."""


def objects_of(page: Mapping[str, Any]) -> Listed:
    """Read a page of ListObjectsV2."""
    entries = [entry_of(item) for item in page.get("Contents") or ()]
    prefixes = [Entry(str(item["Prefix"])) for item in page.get("CommonPrefixes") or ()]
    if not prefixes:
        return Listed(entries, True, entries[-1].name if entries else "")
    merged = sorted([*entries, *prefixes], key=lambda entry: entry.name)
    if all(before.name.replace("/", "\0") < after.name.replace("/", "\0") for before, after in pairwise(merged)):
        return Listed(merged, True, merged[-1].name)
    # Some servers' tokens are names. Otherwise S3's order counts; at worst entries are listed again, never left out.
    token = str(page.get("NextContinuationToken") or "")
    ends = {found[-1].name for found in (entries, prefixes) if found}
    return Listed([*entries, *prefixes], False, token if token in ends else merged[-1].name)


def versions_of(page: Mapping[str, Any]) -> list[Entry]:
    """Entries of a page of ListObjectVersions: by key, each key's newest first."""
    groups: dict[str, tuple[list[Entry], list[Entry]]] = {}
    for place, kind in enumerate(("Versions", "DeleteMarkers")):
        for item in page.get(kind) or ():
            groups.setdefault(str(item["Key"]), ([], []))[place].append(entry_of(item, delete_marker=bool(place)))
    for item in page.get("CommonPrefixes") or ():
        groups[str(item["Prefix"])] = ([], [])
    merged: list[Entry] = []
    for name in sorted(groups):
        versions, markers = groups[name]
        merged += _newest_first(versions, markers) if versions or markers else (Entry(name),)
    return merged


def _newest_first(versions: list[Entry], markers: list[Entry]) -> Iterator[Entry]:
    """Merge what is each newest first; in one second, a marker and a version take turns, as deletes and writes do."""
    marker_before = False
    while versions and markers:
        version, marker = _rank(versions[0]), _rank(markers[0])
        take_version = marker_before if version == marker else version > marker
        marker_before = not take_version
        yield (versions if take_version else markers).pop(0)
    yield from versions
    yield from markers


def _rank(entry: Entry) -> tuple[bool, int]:
    return bool(entry.fields.get("IsLatest")), entry.modified_ms


# -- where to go on ---------------------------------------------------------------------------------------------------
def past(prefix: str, delimiter: str, after: str) -> str:
    """Where the upstream is to go on: all under the common prefix that *after* names, or lies in, has been listed."""
    end = after.find(delimiter, len(prefix)) if delimiter and after.startswith(prefix) else -1
    return after if end < 0 else after[: end + len(delimiter)] + ABOVE_ALL


def advanced(position: str, listed: Listed) -> str:
    """Where the next upstream page begins. Raises: InternalError, for an upstream that does not go on."""
    after = listed.last or position
    hidden = reserved_prefix_of(after)
    if hidden:
        after = hidden + ABOVE_ALL
    elif any(entry.seen is None and entry.name == after for entry in listed.entries):
        after += ABOVE_ALL
    if after == position:
        raise InternalError
    return after


def next_version(page: Mapping[str, Any], listed: Sequence[Entry]) -> tuple[str, str]:
    """Key and version behind which the next page of versions begins."""
    last = str(page.get("NextKeyMarker") or (listed[-1].name if listed else ""))
    hidden = reserved_prefix_of(last)
    return (hidden + ABOVE_ALL, "") if hidden else (last, str(page.get("NextVersionIdMarker") or ""))
