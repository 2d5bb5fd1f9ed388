"""Backend over the embedded store: S3's words outside, the store's operations inside.

It holds no state of its own beside what the store has open and what is remembered of it, and turns every error of the
store into S3's.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from s4gw.backends.base import BucketInfo, StoredObject
from s4gw.backends.embedded.base import DEDUP_OFF, translated
from s4gw.backends.embedded.buckets import EmbeddedBuckets
from s4gw.backends.embedded.listing import EmbeddedListing
from s4gw.backends.embedded.multipart import EmbeddedMultipart
from s4gw.backends.embedded.objects import EmbeddedObjects
from s4gw.backends.near import NearBackend
from s4gw.store import INLINE_BYTES, VOLUME_BYTES, Chore, Store


class EmbeddedBackend(EmbeddedBuckets, EmbeddedObjects, EmbeddedListing, EmbeddedMultipart, NearBackend):
    """`s4gw.backends.base.Backend` over one data directory.

    Args:
        data_dir: The data directory; made when missing.
        parent_pid: The committer's process ends with this one; with the calling process when left out.
        read_only: Never start a committer; writes answer ServiceUnavailable.
        in_process: Commit in this process, for single processes and tests.
        volume_bytes: Size at which a new volume begins.
        chores: What the committer's process is to have done beside itself.
        inline_bytes: Bodies up to this size are kept in the index as well.
        dedup: Where equal bytes are stored once: "off", "bucket" or "store".
        store: Use this store instead of opening one.

    Raises: DataDirError, StoreLocked.
    """

    def __init__(  # noqa: PLR0913
        self,
        data_dir: str | os.PathLike[str],
        *,
        parent_pid: int | None = None,
        read_only: bool = False,
        in_process: bool = False,
        volume_bytes: int = VOLUME_BYTES,
        chores: Sequence[Chore] = (),
        inline_bytes: int = INLINE_BYTES,
        dedup: str = DEDUP_OFF,
        store: Store | None = None,
    ) -> None:
        self._dedup = dedup
        self._store = store or Store(
            data_dir,
            parent_pid=parent_pid,
            read_only=read_only,
            in_process=in_process,
            volume_bytes=volume_bytes,
            chores=chores,
            inline_bytes=inline_bytes,
        )
        self._buckets: dict[str, tuple[int, BucketInfo]] = {}
        self._current: dict[tuple[str, str], tuple[int, StoredObject]] = {}

    def check(self) -> None:
        with translated():
            self._store.check()

    def close(self) -> None:
        self._store.close()
