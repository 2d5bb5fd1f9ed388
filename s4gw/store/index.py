"""Reading the index: one object per thread over a read-only connection.

Every method is one or a few short statements; none keeps a read transaction open after it returned.
"""

# ruff: noqa: S608 - the interpolated columns are constants of ours
from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import apsw

from s4gw.store.errors import NoBucket, NoKey, NoUpload, NoVersion
from s4gw.store.listing import ABOVE_ALL, Row, first_key, roll_up
from s4gw.store.ops import FLAG_NULL, NULL_VERSION, Lock, parse_version_id
from s4gw.store.schema import VERSION_COLUMNS
from s4gw.store.volume import Extent

_BUCKET_IDS_MAX: Final = 10_000
_FACTS_MAX: Final = 10_000


class BucketRecord(NamedTuple):
    """One bucket; `changed_seq` changes whenever anything but the counters does."""

    id: int
    name: str
    changed_seq: int
    owner: str
    created_ms: int
    region: str
    versioning: str
    configs: bytes
    lock: bytes | None
    mfa_delete: str
    quota: int | None
    objects: int
    versions: int
    bytes: int


class VersionRecord(NamedTuple):
    """One version with its body."""

    seq: int
    flags: int
    size: int
    etag: str
    stored_size: int
    modified_ms: int
    facts: int
    nonce: bytes
    meta: bytes | None
    extents: bytes | None
    inline: bytes | None
    latest: int


class ListedVersion(NamedTuple):
    """One version as listings show it; for a common prefix everything but the key is empty."""

    key: bytes
    seq: int = 0
    flags: int = 0
    size: int = 0
    etag: str = ""
    stored_size: int = 0
    modified_ms: int = 0
    facts: int = 0
    nonce: bytes = b""
    latest: int = 0


class UploadRecord(NamedTuple):
    """One upload in progress, or a common prefix (seq 0)."""

    key: bytes
    seq: int = 0
    upload_id: str = ""
    started_ms: int = 0
    document: bytes = b""


class PartRecord(NamedTuple):
    """One part."""

    number: int
    seq: int
    stored_size: int
    modified_ms: int
    document: bytes


class CompletedRecord(NamedTuple):
    """What a completed upload became."""

    at_ms: int
    seq: int
    flags: int
    size: int
    etag: str
    stored_size: int
    nonce: bytes
    meta: bytes


class IndexReader:
    """Look-ups and listings over one connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._bucket_ids: dict[str, int] = {}
        self._facts: dict[int, bytes] = {}

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    # -- buckets --------------------------------------------------------------------------------------------------
    def buckets(self) -> list[BucketRecord]:
        """All buckets by name."""
        return [BucketRecord(*row) for row in self._execute(f"SELECT {_BUCKET} FROM buckets ORDER BY name")]

    def bucket(self, name: str) -> BucketRecord:
        """Raises: NoBucket."""
        row = self._execute(_SELECT_BUCKET, (name,)).fetchone()
        if row is None:
            raise NoBucket(name)
        return BucketRecord(*row)

    def bucket_id(self, name: str) -> int:
        """Raises: NoBucket."""
        row = self._execute("SELECT id FROM buckets WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise NoBucket(name)
        if len(self._bucket_ids) >= _BUCKET_IDS_MAX:
            self._bucket_ids.clear()
        number: int = row[0]
        self._bucket_ids[name] = number
        return number

    # -- objects --------------------------------------------------------------------------------------------------
    def current(self, bucket: str, key: bytes) -> VersionRecord:
        """The current version, a marker included. Raises: NoBucket, NoKey."""
        # PERF: an object under a remembered id proves that the bucket still is the same: ids are never used again
        # and a bucket with objects cannot go. Only a miss needs the bucket's row.
        known = self._bucket_ids.get(bucket)
        if known is not None:
            row = self._execute(_SELECT_CURRENT, (known, key)).fetchone()
            if row is not None:
                return VersionRecord(*row)
        row = self._execute(_SELECT_CURRENT, (self.bucket_id(bucket), key)).fetchone()
        if row is None:
            raise NoKey(key.decode())
        return VersionRecord(*row)

    def version(self, bucket: str, key: bytes, version_id: str) -> VersionRecord:
        """The version of this id. Raises: NoBucket, NoVersion."""
        number = self.bucket_id(bucket)
        parsed = parse_version_id(version_id)
        rows: Iterable[Row] = ()
        if version_id == NULL_VERSION:
            rows = (
                *self._execute(f"{_SELECT_CURRENT} AND flags & 2", (number, key)),
                *self._execute(f"{_SELECT_OLDER} AND flags & 2", (number, key)),
            )
        elif parsed is not None:
            rows = (
                *self._execute(f"{_SELECT_CURRENT} AND o.seq = ?", (number, key, parsed[0])),
                *self._execute(f"{_SELECT_OLDER} AND o.seq = ?", (number, key, parsed[0])),
            )
        for row in rows:
            record = VersionRecord(*row)
            if parsed is None or (record.nonce == parsed[1] and not record.flags & FLAG_NULL):
                return record
        raise NoVersion(version_id)

    def extents(self, first: int, count: int) -> list[Extent]:
        """Extents with ids from *first* on; fewer than *count* when some are gone."""
        rows = self._execute(
            "SELECT volume, offset, size, crc FROM extents WHERE id BETWEEN ? AND ?", (first, first + count - 1)
        )
        return [Extent(*row) for row in rows]

    def extent_of(self, digest: bytes) -> Extent | None:
        """The extent with this digest."""
        row = self._execute("SELECT volume, offset, size, crc FROM extents WHERE hash = ?", (digest,)).fetchone()
        return None if row is None else Extent(row[0], row[1], row[2], row[3], digest)

    def body(self, seq: int) -> tuple[bytes, bytes | None]:
        """Packed extents of the version, and its bytes when they are here. Raises: NoVersion."""
        row = self._execute("SELECT extents, inline FROM bodies WHERE seq = ?", (seq,)).fetchone()
        if row is None:
            raise NoVersion(str(seq))
        return row[0], row[1]

    def lock(self, seq: int) -> Lock:
        """Lock of the version; an empty one when it has none."""
        row = self._execute("SELECT mode, until_ms, hold FROM locks WHERE seq = ?", (seq,)).fetchone()
        return Lock() if row is None else Lock(row[0], row[1], bool(row[2]))

    def facts(self, number: int) -> bytes:
        """Listing document of this number."""
        known = self._facts.get(number)
        if known is None:
            row = self._execute("SELECT document FROM facts WHERE id = ?", (number,)).fetchone()
            if len(self._facts) >= _FACTS_MAX:
                self._facts.clear()
            known = self._facts[number] = row[0] if row else b""
        return known

    # -- listings -------------------------------------------------------------------------------------------------
    def list_current(
        self, bucket: str, *, prefix: bytes, delimiter: bytes, after: bytes, limit: int
    ) -> tuple[list[ListedVersion], bool]:
        """Current objects without markers. Raises: NoBucket."""
        number, upper = self.bucket_id(bucket), prefix + ABOVE_ALL

        def fetch(start: bytes, count: int) -> list[Row]:
            return self._execute(_LIST_CURRENT, (number, start, upper, count)).fetchall()

        start = first_key(prefix, delimiter, after)
        rows, more = roll_up(fetch, _alone, prefix=prefix, delimiter=delimiter, start=start, limit=limit)
        return [ListedVersion(*row) for row in rows], more

    def list_versions(  # noqa: PLR0913
        self, bucket: str, *, prefix: bytes, delimiter: bytes, after: bytes, after_version: str, limit: int
    ) -> tuple[list[ListedVersion], bool]:
        """All versions by key, newest first. Raises: NoBucket."""
        number, upper = self.bucket_id(bucket), prefix + ABOVE_ALL

        def fetch(start: bytes, count: int) -> list[Row]:
            return self._execute(_LIST_VERSIONS, (number, start, upper, number, start, upper, count)).fetchall()

        def rest(row: Row) -> list[Row]:
            return self._execute(_LIST_OLDER, (number, row[0], row[1], limit + 1)).fetchall()

        start = first_key(prefix, delimiter, after)
        head: list[Row] = []
        if after_version and after.startswith(prefix) and start == after + b"\0":
            head = rest((after, self._seq_of(bucket, after, after_version)))
        rows, more = roll_up(fetch, rest, prefix=prefix, delimiter=delimiter, start=start, limit=limit, head=head)
        return [ListedVersion(*row) for row in rows], more

    def _seq_of(self, bucket: str, key: bytes, version_id: str) -> int:
        """Where listing goes on; a version that has gone since still tells its place."""
        parsed = parse_version_id(version_id)
        if parsed is not None:
            return parsed[0]
        try:
            return self.version(bucket, key, version_id).seq
        except NoVersion:
            return 0

    def list_uploads(  # noqa: PLR0913
        self, bucket: str, *, prefix: bytes, delimiter: bytes, after: bytes, after_upload: str, limit: int
    ) -> tuple[list[UploadRecord], bool]:
        """Uploads in progress by key and start. Raises: NoBucket."""
        number, upper = self.bucket_id(bucket), prefix + ABOVE_ALL

        def fetch(start: bytes, count: int) -> list[Row]:
            return self._execute(_LIST_UPLOADS, (number, start, upper, count)).fetchall()

        def rest(row: Row) -> list[Row]:
            return self._execute(_LIST_KEY_UPLOADS, (number, row[0], row[1], limit + 1)).fetchall()

        start = first_key(prefix, delimiter, after)
        head: list[Row] = []
        if after_upload and after.startswith(prefix) and start == after + b"\0":
            seen = self._execute("SELECT seq FROM uploads WHERE upload_id = ?", (after_upload,)).fetchone()
            # an upload that ended since does not tell its place: the key's others come again rather than get lost
            head = rest((after, seen[0] if seen else 0))
        rows, more = roll_up(fetch, rest, prefix=prefix, delimiter=delimiter, start=start, limit=limit, head=head)
        return [UploadRecord(*row) for row in rows], more

    # -- multipart ------------------------------------------------------------------------------------------------
    def upload(self, bucket: str, key: bytes, upload_id: str) -> UploadRecord:
        """Raises: NoBucket, NoUpload."""
        row = self._execute(_SELECT_UPLOAD, (self.bucket_id(bucket), key, upload_id)).fetchone()
        if row is None:
            raise NoUpload(upload_id)
        return UploadRecord(*row)

    def parts(self, upload: int, after: int, limit: int) -> list[PartRecord]:
        """Parts with a number > *after*, ascending."""
        rows = self._execute(
            "SELECT number, seq, stored_size, modified_ms, document FROM parts"
            " WHERE upload = ? AND number > ? ORDER BY number LIMIT ?",
            (upload, after, limit),
        )
        return [PartRecord(*row) for row in rows]

    def completed(self, bucket: str, key: bytes, upload_id: str) -> CompletedRecord | None:
        """What the upload became, while that is remembered. Raises: NoBucket."""
        row = self._execute(
            "SELECT at_ms, seq, flags, size, etag, stored_size, nonce, meta FROM completed"
            " WHERE upload_id = ? AND bucket = ? AND key = ?",
            (upload_id, self.bucket_id(bucket), key),
        ).fetchone()
        return None if row is None else CompletedRecord(*row)


def _alone(_row: Row) -> list[Row]:
    """Current versions have their keys to themselves."""
    return []


_BUCKET: Final = ", ".join(BucketRecord._fields)
_SELECT_BUCKET: Final = f"SELECT {_BUCKET} FROM buckets WHERE name = ?"
_O: Final = ", ".join(f"o.{column}" for column in VERSION_COLUMNS.split(", "))
_SELECT_CURRENT: Final = f"""
    SELECT {_O}, b.meta, b.extents, b.inline, 1
    FROM objects o LEFT JOIN bodies b ON b.seq = o.seq WHERE o.bucket = ? AND o.key = ?"""
_SELECT_OLDER: Final = f"""
    SELECT {_O}, b.meta, b.extents, b.inline, 0
    FROM versions o LEFT JOIN bodies b ON b.seq = o.seq WHERE o.bucket = ? AND o.key = ?"""
_LIST_CURRENT: Final = f"""
    SELECT key, {VERSION_COLUMNS}, 1 FROM objects
    WHERE bucket = ? AND key >= ? AND key < ? AND NOT flags & 1 ORDER BY key LIMIT ?"""
_LIST_VERSIONS: Final = f"""
    SELECT key, {VERSION_COLUMNS}, 1 FROM objects WHERE bucket = ? AND key >= ? AND key < ?
    UNION ALL
    SELECT key, {VERSION_COLUMNS}, 0 FROM versions WHERE bucket = ? AND key >= ? AND key < ?
    ORDER BY key, seq DESC LIMIT ?"""
_LIST_OLDER: Final = f"""
    SELECT key, {VERSION_COLUMNS}, 0 FROM versions WHERE bucket = ? AND key = ? AND seq < ?
    ORDER BY seq DESC LIMIT ?"""
_UPLOAD: Final = "key, seq, upload_id, started_ms, document"
_SELECT_UPLOAD: Final = f"SELECT {_UPLOAD} FROM uploads WHERE bucket = ? AND key = ? AND upload_id = ?"
_LIST_UPLOADS: Final = f"""
    SELECT {_UPLOAD} FROM uploads WHERE bucket = ? AND key >= ? AND key < ? ORDER BY key, seq LIMIT ?"""
_LIST_KEY_UPLOADS: Final = f"""
    SELECT {_UPLOAD} FROM uploads WHERE bucket = ? AND key = ? AND seq > ? ORDER BY seq LIMIT ?"""
