"""Listings of a bucket upstream that tell of originals: sizes and ETags from the catalogue, reserved keys left out.

The upstream lists stored sizes and its own ETags. What an object is to clients is looked up in the catalogue; the rest
is asked for by HEAD, `Pools.requests` at a time, once per object and gateway. A page is filled up with further upstream
pages when keys in it are hidden, and goes past a reserved prefix in one step however much lies under it. The last page
is in S3's order whatever the upstream's is (`pages.Listed`); others keep its own, as the next page follows on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from s4gw.backends.base import NULL_VERSION, ListPage, ObjectMeta, StoredObject
from s4gw.backends.remote import stored_meta
from s4gw.backends.remote.base import Handle, RemoteBase
from s4gw.backends.remote.catalogue import AS_LISTED, Catalogue, Seen, Told
from s4gw.backends.remote.client import Upstream
from s4gw.backends.remote.pages import Entry, advanced, next_version, objects_of, past, versions_of
from s4gw.backends.remote.reserved import PREFIXES, hides_all, is_reserved, may_hide_all
from s4gw.codec import BodyKind
from s4gw.s3.errors import InternalError, MethodNotAllowed, NoSuchKey, NoSuchVersion, S3Error
from s4gw.s3.errors import NotImplemented as S3NotImplemented

ListingMode = Literal["exact", "cached", "physical"]
"""exact: ask for what is not known. cached: what is not known is told as stored. physical: all is told as stored."""

PAGE_MAX: Final = 1000
"""S3's own page size."""
SMALLEST_BODY: Final = 9
"""Bytes of the shortest zstd frame: no body of a compressing gateway is shorter unless it is the original."""
_SERVER_FAULT: Final = 500


class _Answer(NamedTuple):
    """What a HEAD tells: the object, None when it is gone, and what to remember of it."""

    shown: StoredObject | None
    news: tuple[Seen, Told] | None = None


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
        position, wanted, more, last = past(prefix, delimiter, after), limit, True, ""
        while more and len(entries) < limit:
            page = self.call(
                "ListObjectsV2",
                Bucket=bucket,
                Prefix=prefix or None,
                Delimiter=delimiter or None,
                StartAfter=position or None,
                MaxKeys=wanted,
            )
            listed, room = objects_of(page), limit - len(entries)
            shown = [entry for entry in listed.entries if self._shows(bucket, entry)]
            if len(shown) > room and wanted > room and not listed.certain:
                wanted = room  # what comes first is not known: ask for no more than there is room for
                continue
            more = bool(page.get("IsTruncated")) or len(shown) > room
            entries += shown[:room]
            last = listed.last if len(shown) <= room else entries[-1].name
            if more and len(entries) < limit:
                position = advanced(position, listed)
            wanted = PAGE_MAX  # something was hidden, and more of it may follow
        if not more:  # nothing follows on the upstream's order, so that it can be S3's: aws s3 sync compares by it
            entries.sort(key=lambda entry: entry.name)
        return ListPage(
            objects=self._described(bucket, entries),
            prefixes=[entry.name for entry in entries if entry.seen is None],
            truncated=more,
            next_key=last if more else "",
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
            key_marker = past(prefix, delimiter, after_key)
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
            listed = versions_of(page)
            entries += [entry for entry in listed if self._shows(bucket, entry)]
            more = bool(page.get("IsTruncated"))
            if not more or len(entries) >= limit:
                break
            before = key_marker, version_marker
            key_marker, version_marker = next_version(page, listed)
            if (key_marker, version_marker) == before:
                raise InternalError
        return ListPage(
            objects=self._described(bucket, entries),
            prefixes=[entry.name for entry in entries if entry.seen is None],
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
        self.catalogue.note(bucket, seen, _told(obj.size, obj.etag, obj.meta, seen))

    # -- inside ---------------------------------------------------------------------------------------------------
    def _shows(self, bucket: str, entry: Entry) -> bool:
        if entry.seen is not None:
            return not is_reserved(entry.name)
        if hides_all(entry.name):
            return False
        if not may_hide_all(entry.name):
            return True
        inside = self.list_objects(bucket, prefix=entry.name, limit=1)
        return bool(inside.objects)

    def _described(self, bucket: str, entries: Sequence[Entry]) -> list[StoredObject]:
        """The objects among *entries*, in their order; those that went away since they were listed are left out."""
        objects = [(entry, entry.seen) for entry in entries if entry.seen is not None]
        known = self._known(bucket, objects)
        asked = iter(self._ask(bucket, [one for one, told in zip(objects, known, strict=True) if told is None]))
        described = []
        for (entry, seen), told in zip(objects, known, strict=True):
            shown = self._object(bucket, entry, seen, told) if told is not None else next(asked)
            if shown is not None:
                described.append(shown)
        return described

    def _known(self, bucket: str, objects: Sequence[tuple[Entry, Seen]]) -> list[Told | None]:
        """What can be told without a look at the object."""
        if self.listing_mode == "physical":
            return [AS_LISTED] * len(objects)
        known: list[Told | None] = [None] * len(objects)
        if self.catalogue is not None:
            known = self.catalogue.look_up(bucket, [seen for _, seen in objects])
        ask = self.listing_mode == "exact"
        return [
            AS_LISTED if told is None and (not ask or entry.delete_marker or seen.stored_size < SMALLEST_BODY) else told
            for (entry, seen), told in zip(objects, known, strict=True)
        ]

    def _ask(self, bucket: str, objects: Sequence[tuple[Entry, Seen]]) -> list[StoredObject | None]:
        """HEAD each; None for those that are gone. Raises: S3Error, when the upstream fails."""
        if not objects:
            return []
        answers = list(self.pools.requests.map(lambda one: self._head(bucket, *one), objects))
        if self.catalogue is not None:
            news = [answer.news for answer in answers if answer.news is not None]
            self.catalogue.remember(bucket, news)
        return [answer.shown for answer in answers]

    def _head(self, bucket: str, entry: Entry, listed: Seen) -> _Answer:
        named = entry.version_id or None
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
            return _Answer(None)
        except S3Error as error:
            if error.status >= _SERVER_FAULT:
                raise
            # The upstream does not tell us (a customer's encryption key, a policy on single objects): no news to keep.
            return _Answer(self._object(bucket, entry, listed, AS_LISTED))
        seen = Seen(entry.name, stored.upstream_etag, size, stored.modified_ms // 1000)
        told = AS_LISTED if stored.kind is BodyKind.PLAIN else _told(*facts, seen)
        if (seen.etag, seen.stored_size) != (listed.etag, listed.stored_size):
            entry, listed = entry._replace(modified_ms=stored.modified_ms), seen  # overwritten meanwhile
        return _Answer(self._object(bucket, entry, listed, told), (seen, told))

    def _object(self, bucket: str, entry: Entry, seen: Seen, told: Told) -> StoredObject:
        fields = entry.fields
        size, etag, checksums, kind = told.size, told.etag, told.checksums, told.checksum_type
        if size < 0:
            size, etag = seen.stored_size, seen.etag
            checksums, kind = fields.get("ChecksumAlgorithm") or (), str(fields.get("ChecksumType") or "")
        return StoredObject(
            key=entry.name,
            version_id=str(fields.get("VersionId") or NULL_VERSION),
            is_latest=bool(fields.get("IsLatest", True)),
            delete_marker=entry.delete_marker,
            size=size,
            etag=etag,
            stored_size=seen.stored_size,
            modified_ms=entry.modified_ms,
            meta=ObjectMeta(
                owner=self.owner,
                storage_class=str(fields.get("StorageClass") or "STANDARD"),
                checksums=dict.fromkeys(checksums, "") if checksums else {},
                checksum_type=kind,
            ),
            body=Handle(bucket, entry.name, seen.etag, version_id=entry.version_id),
        )


def _told(size: int, etag: str, meta: ObjectMeta, seen: Seen) -> Told:
    if (size, etag) == (seen.stored_size, seen.etag) and not meta.checksums:
        return AS_LISTED
    return Told(size, etag, tuple(meta.checksums), meta.checksum_type)
