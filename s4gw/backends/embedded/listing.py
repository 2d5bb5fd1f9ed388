"""Listings of the embedded backend."""

from __future__ import annotations

from typing import Final

from s4gw.backends.base import ListPage
from s4gw.backends.embedded import rows
from s4gw.backends.embedded.base import EmbeddedBase, translated
from s4gw.store import version_id

_EMPTY_PAGE: Final = ListPage(objects=[], prefixes=[], truncated=False)


class EmbeddedListing(EmbeddedBase):
    """The port's listing methods."""

    def list_objects(
        self, bucket: str, *, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000
    ) -> ListPage:
        with translated():
            index = self._store.index
            if limit < 1:
                index.bucket_id(bucket)
                return _EMPTY_PAGE
            found, more = index.list_current(
                bucket, prefix=prefix.encode(), delimiter=delimiter.encode(), after=after.encode(), limit=limit
            )
            shown = rows.Shown(index)
            return ListPage(
                objects=[shown.object(row) for row in found if row.seq],
                prefixes=[row.key.decode() for row in found if not row.seq],
                truncated=more,
                next_key=found[-1].key.decode() if more else "",
            )

    def list_versions(  # noqa: PLR0913
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        after_key: str = "",
        after_version_id: str = "",
        limit: int = 1000,
    ) -> ListPage:
        with translated():
            index = self._store.index
            if limit < 1:
                index.bucket_id(bucket)
                return _EMPTY_PAGE
            found, more = index.list_versions(
                bucket,
                prefix=prefix.encode(),
                delimiter=delimiter.encode(),
                after=after_key.encode(),
                after_version=after_version_id,
                limit=limit,
            )
            shown = rows.Shown(index)
            last = found[-1] if more else None
            return ListPage(
                objects=[shown.object(row) for row in found if row.seq],
                prefixes=[row.key.decode() for row in found if not row.seq],
                truncated=more,
                next_key=last.key.decode() if last else "",
                next_version_id=version_id(last.seq, last.flags, last.nonce) if last and last.seq else "",
            )
