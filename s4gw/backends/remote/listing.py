"""Listings of a bucket upstream that tell of originals: sizes and ETags from the catalogue, reserved keys left out.

The upstream lists stored sizes and its own ETags. What an object is to clients is looked up in the catalogue; the rest
is asked for by HEAD, `Pools.requests` at a time, once per object and gateway. A page is filled up with further upstream
pages when keys in it are hidden, and goes past a reserved prefix in one step however much lies under it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

import msgspec

from s4gw.backends.base import NULL_VERSION, ListPage, ObjectMeta, StoredObject
from s4gw.backends.remote import stored_meta
from s4gw.backends.remote.base import Handle, RemoteBase
from s4gw.backends.remote.catalogue import AS_LISTED, Catalogue, Seen, Told
from s4gw.backends.remote.client import Upstream
from s4gw.backends.remote.reserved import PREFIXES, hides_all, is_reserved, may_hide_all, reserved_prefix_of
from s4gw.codec import BodyKind
from s4gw.s3.errors import InternalError, MethodNotAllowed, NoSuchKey, NoSuchVersion, S3Error
from s4gw.s3.errors import NotImplemented as S3NotImplemented

ListingMode = Literal["exact", "cached", "physical"]
"""exact: ask for what is not known. cached: what is not known is told as stored. physical: all is told as stored."""

ABOVE_ALL: Final = "\U0010ffff"
"""Behind a prefix: after every key under it."""
PAGE_MAX: Final = 1000
"""S3's own page size."""
SMALLEST_BODY: Final = 9
"""Bytes of the shortest zstd frame: no body of a compressing gateway is shorter unless it is the original."""
_SERVER_FAULT: Final = 500


class Entry(NamedTuple):
    """One line of an upstream's listing: an object or a delete marker with its fields, or a common prefix with none."""

    name: str
    fields: Mapping[str, Any] | None = None
    delete_marker: bool = False


EMPTY_PAGE: Final = ListPage(objects=[], prefixes=[], truncated=False)


class RemoteListing(RemoteBase):
    """The port's listings.

    Args:
        upstream: As of `RemoteBase`.
        owner: Likewise.
        region: Likewise.
        catalogue: What is known of objects; without one, every listing asks for all of them.
        listing_mode: What is told of objects that are not known.
    """

    def __init__(
        self,
        upstream: Upstream,
        *,
        owner: str,
        region: str = "us-east-1",
        catalogue: Catalogue | None = None,
        listing_mode: ListingMode = "exact",
    ) -> None:
        super().__init__(upstream, owner=owner, region=region)
        self.catalogue = catalogue
        self.listing_mode = listing_mode

    def list_objects(
        self, bucket: str, *, prefix: str = "", delimiter: str = "", after: str = "", limit: int = PAGE_MAX
    ) -> ListPage:
        if limit < 1 or prefix.startswith(PREFIXES):
            self.check_bucket(bucket)
            return EMPTY_PAGE
        entries: list[Entry] = []
        position, wanted, more = _past(prefix, delimiter, after), limit, True
        while more and len(entries) < limit:
            page = self.call(
                "ListObjectsV2",
                Bucket=bucket,
                Prefix=prefix or None,
                Delimiter=delimiter or None,
                StartAfter=position or None,
                MaxKeys=wanted,
            )
            listed = sorted(_objects(page), key=lambda entry: entry.name)
            more = bool(page.get("IsTruncated"))
            entries += [entry for entry in listed if entry.name > after and self._shows(bucket, entry)]
            if more:
                position = _advanced(position, listed)
            wanted = PAGE_MAX  # something was hidden, and more of it may follow
        page_of = entries[:limit]
        truncated = more or len(entries) > limit
        return ListPage(
            objects=self._described(bucket, page_of),
            prefixes=[entry.name for entry in page_of if entry.fields is None],
            truncated=truncated,
            next_key=page_of[-1].name if truncated else "",
        )

    def list_versions(  # noqa: PLR0913
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        after_key: str = "",
        after_version_id: str = "",
        limit: int = PAGE_MAX,
    ) -> ListPage:
        if limit < 1 or prefix.startswith(PREFIXES):
            self.check_bucket(bucket)
            return EMPTY_PAGE
        entries: list[Entry] = []
        key_marker, version_marker = after_key, after_version_id
        if not version_marker:
            key_marker = _past(prefix, delimiter, after_key)
        while True:
            try:
                page = self.call(
                    "ListObjectVersions",
                    Bucket=bucket,
                    Prefix=prefix or None,
                    Delimiter=delimiter or None,
                    KeyMarker=key_marker or None,
                    VersionIdMarker=version_marker or None,
                    MaxKeys=limit - len(entries),
                )
            except (S3NotImplemented, MethodNotAllowed):
                return self.list_objects(bucket, prefix=prefix, delimiter=delimiter, after=after_key, limit=limit)
            listed = _versions(page)
            entries += [entry for entry in listed if self._shows(bucket, entry)]
            more = bool(page.get("IsTruncated"))
            if not more or len(entries) >= limit:
                break
            before = key_marker, version_marker
            key_marker, version_marker = _next_version(page, listed)
            if (key_marker, version_marker) == before:
                raise InternalError
        return ListPage(
            objects=self._described(bucket, entries),
            prefixes=[entry.name for entry in entries if entry.fields is None],
            truncated=more,
            next_key=str(page.get("NextKeyMarker") or entries[-1].name) if more else "",
            next_version_id=str(page.get("NextVersionIdMarker") or "") if more else "",
        )

    def learnt(self, bucket: str, obj: StoredObject, upstream_etag: str, *, modified_known: bool) -> None:
        """Write down what *obj* is to clients, so that no listing has to ask.

        Args:
            bucket: Where it is.
            obj: As just read or written.
            upstream_etag: Without quotes.
            modified_known: The upstream told the time of *obj*; false right after a write.
        """
        if self.catalogue is None:
            return
        seconds = obj.modified_ms // 1000 if modified_known else 0
        seen = Seen(obj.key, upstream_etag, obj.stored_size, seconds)
        self.catalogue.remember(bucket, [(seen, _told(obj.size, obj.etag, obj.meta, seen))])

    # -- inside ---------------------------------------------------------------------------------------------------
    def _shows(self, bucket: str, entry: Entry) -> bool:
        if entry.fields is not None:
            return not is_reserved(entry.name)
        if hides_all(entry.name):
            return False
        if not may_hide_all(entry.name):
            return True
        inside = self.list_objects(bucket, prefix=entry.name, limit=1)
        return bool(inside.objects)

    def _described(self, bucket: str, entries: Sequence[Entry]) -> list[StoredObject]:
        """The objects among *entries*, in their order; those that went away since they were listed are left out."""
        objects = [entry for entry in entries if entry.fields is not None]
        known = self._known(bucket, objects)
        asked = iter(self._ask(bucket, [entry for entry, told in zip(objects, known, strict=True) if told is None]))
        described = []
        for entry, told in zip(objects, known, strict=True):
            shown = self._object(entry, told) if told is not None else next(asked)
            if shown is not None:
                handle = Handle(bucket, entry.name, _seen(entry).etag, version_id=_named_version(entry))
                described.append(msgspec.structs.replace(shown, body=handle))
        return described

    def _known(self, bucket: str, entries: Sequence[Entry]) -> list[Told | None]:
        """What can be told without a look at the object."""
        if self.listing_mode == "physical":
            return [AS_LISTED] * len(entries)
        known: list[Told | None] = [None] * len(entries)
        if self.catalogue is not None:
            known = self.catalogue.look_up(bucket, [_seen(entry) for entry in entries])
        ask = self.listing_mode == "exact"
        return [
            AS_LISTED if told is None and (_is_original(entry) or not ask) else told
            for entry, told in zip(entries, known, strict=True)
        ]

    def _ask(self, bucket: str, entries: Sequence[Entry]) -> list[StoredObject | None]:
        """HEAD each; None for those that are gone. Raises: S3Error, when the upstream fails."""
        if not entries:
            return []
        answers = list(self.pools.requests.map(lambda entry: self._head(bucket, entry), entries))
        if self.catalogue is not None:
            self.catalogue.remember(bucket, [answer[1:] for answer in answers if answer is not None and answer[1].etag])
        return [None if answer is None else answer[0] for answer in answers]

    def _head(self, bucket: str, entry: Entry) -> tuple[StoredObject, Seen, Told] | None:
        version_id = (entry.fields or {}).get("VersionId")
        named = None if version_id in (None, NULL_VERSION) else str(version_id)
        try:
            response = self.call("HeadObject", Bucket=bucket, Key=entry.name, VersionId=named)
            size = int(response.get("ContentLength") or 0)
            stored = stored_meta.read(response, size)
            if stored.size is not None and stored.etag is not None:
                facts = stored.size, stored.etag, stored.meta
            else:
                obj = self.found(bucket, entry.name, named, response, size)
                facts = obj.size, obj.etag, obj.meta
        except (NoSuchKey, NoSuchVersion):
            return None
        except S3Error as error:
            if error.status >= _SERVER_FAULT:
                raise
            # The upstream does not tell us (a customer's encryption key, a policy on single objects): no news to keep.
            return self._object(entry, AS_LISTED), Seen(entry.name, "", 0, 0), AS_LISTED
        seen = Seen(entry.name, stored.upstream_etag, size, stored.modified_ms // 1000)
        plain = stored.kind is BodyKind.PLAIN
        told = AS_LISTED if plain else _told(*facts, seen)
        if (seen.etag, seen.stored_size) == (_seen(entry).etag, _seen(entry).stored_size):
            return self._object(entry, told), seen, told
        fresh = dict(entry.fields or {}) | {"ETag": seen.etag, "Size": size, "LastModified": response["LastModified"]}
        return self._object(Entry(entry.name, fresh), told), seen, told

    def _object(self, entry: Entry, told: Told) -> StoredObject:
        fields = entry.fields or {}
        seen = _seen(entry)
        if told.size < 0:
            told = Told(
                seen.stored_size,
                seen.etag,
                tuple(fields.get("ChecksumAlgorithm") or ()),
                str(fields.get("ChecksumType") or ""),
            )
        return StoredObject(
            key=entry.name,
            version_id=str(fields.get("VersionId") or NULL_VERSION),
            is_latest=bool(fields.get("IsLatest", True)),
            delete_marker=entry.delete_marker,
            size=told.size,
            etag=told.etag,
            stored_size=seen.stored_size,
            modified_ms=_milliseconds(fields.get("LastModified")),
            meta=ObjectMeta(
                owner=self.owner,
                storage_class=str(fields.get("StorageClass") or "STANDARD"),
                checksums=dict.fromkeys(told.checksums, ""),
                checksum_type=told.checksum_type,
            ),
        )


def _told(size: int, etag: str, meta: ObjectMeta, seen: Seen) -> Told:
    if (size, etag) == (seen.stored_size, seen.etag) and not meta.checksums:
        return AS_LISTED
    return Told(size, etag, tuple(meta.checksums), meta.checksum_type)


def _is_original(entry: Entry) -> bool:
    return entry.delete_marker or int((entry.fields or {}).get("Size") or 0) < SMALLEST_BODY


def _seen(entry: Entry) -> Seen:
    fields = entry.fields or {}
    return Seen(
        entry.name,
        str(fields.get("ETag") or "").strip('"'),
        int(fields.get("Size") or 0),
        _milliseconds(fields.get("LastModified")) // 1000,
    )


def _named_version(entry: Entry) -> str:
    return str((entry.fields or {}).get("VersionId") or "")


def _milliseconds(when: datetime | None) -> int:
    return 0 if when is None else round(when.timestamp() * 1000)


def _objects(page: Mapping[str, Any]) -> Iterator[Entry]:
    yield from (Entry(str(item["Key"]), item) for item in page.get("Contents") or ())
    yield from (Entry(str(item["Prefix"])) for item in page.get("CommonPrefixes") or ())


def _past(prefix: str, delimiter: str, after: str) -> str:
    """Where the upstream is to go on: all under the common prefix that *after* names, or lies in, has been listed."""
    end = after.find(delimiter, len(prefix)) if delimiter and after.startswith(prefix) else -1
    return after if end < 0 else after[: end + len(delimiter)] + ABOVE_ALL


def _beyond(name: str, *, common: bool) -> str:
    hidden = reserved_prefix_of(name)
    return hidden + ABOVE_ALL if hidden else name + ABOVE_ALL if common else name


def _advanced(position: str, listed: Sequence[Entry]) -> str:
    """Where the next upstream page begins. Raises: InternalError, for an upstream that does not go on."""
    after = _beyond(listed[-1].name, common=listed[-1].fields is None) if listed else position
    if after <= position:
        raise InternalError
    return after


def _next_version(page: Mapping[str, Any], listed: Sequence[Entry]) -> tuple[str, str]:
    last = str(page.get("NextKeyMarker") or (listed[-1].name if listed else ""))
    if reserved_prefix_of(last):
        return reserved_prefix_of(last) + ABOVE_ALL, ""
    return last, str(page.get("NextVersionIdMarker") or "")


def _versions(page: Mapping[str, Any]) -> list[Entry]:
    """One page in the upstream's order, which boto3 loses: it gives versions, markers and prefixes apart."""
    groups: dict[str, tuple[list[Entry], list[Entry]]] = {}
    for place, kind in enumerate(("Versions", "DeleteMarkers")):
        for item in page.get(kind) or ():
            entry = Entry(str(item["Key"]), item, delete_marker=bool(place))
            groups.setdefault(entry.name, ([], []))[place].append(entry)
    for item in page.get("CommonPrefixes") or ():
        groups[str(item["Prefix"])] = ([], [])
    merged: list[Entry] = []
    for name in sorted(groups):
        versions, markers = groups[name]
        merged += _newest_first(versions, markers) if versions or markers else [Entry(name)]
    return merged


def _newest_first(versions: list[Entry], markers: list[Entry]) -> list[Entry]:
    """Merge what is each newest first; in one second, a marker and a version take turns, as deletes and writes do."""
    merged: list[Entry] = []
    while versions and markers:
        version, marker = _rank(versions[0]), _rank(markers[0])
        if version == marker:
            source = versions if merged and merged[-1].delete_marker else markers
        else:
            source = versions if version > marker else markers
        merged.append(source.pop(0))
    return [*merged, *versions, *markers]


def _rank(entry: Entry) -> tuple[bool, int]:
    fields = entry.fields or {}
    return bool(fields.get("IsLatest")), _milliseconds(fields.get("LastModified"))
