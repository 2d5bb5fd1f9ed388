"""Buckets of the embedded backend, the documents that they hold, and what they hold in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from s4gw.backends.base import BucketInfo, Versioning
from s4gw.backends.embedded import rows
from s4gw.backends.embedded.base import EmbeddedBase, remember, translated
from s4gw.backends.embedded.errors import translate
from s4gw.bucketconfig import DefaultRetention
from s4gw.s3.errors import BucketAlreadyExists, BucketAlreadyOwnedByYou
from s4gw.store import BucketExists, LockDefault, StoreError, ops

_BUCKETS_MAX: Final = 1000
"""Remembered in each worker, checked by `Store.generations` before use."""


class Usage(NamedTuple):
    """What one bucket holds."""

    bucket: str
    objects: int
    """Visible ones."""
    versions: int
    """Markers included."""
    stored_bytes: int
    """Of all versions, and of the parts of uploads in progress."""
    quota_bytes: int | None


class EmbeddedBuckets(EmbeddedBase):
    """The port's bucket methods."""

    _buckets: dict[str, tuple[int, BucketInfo]]
    """Name -> the generation of all buckets, and what the bucket was then."""

    def list_buckets(self, owner: str | None = None) -> Sequence[BucketInfo]:
        with translated():
            infos = [rows.bucket_info(row) for row in self._store.index.buckets()]
        return [info for info in infos if owner is None or info.owner == owner]

    def get_bucket(self, bucket: str) -> BucketInfo:
        # PERF: an error is what costs in a ``try``, a ``with`` costs three calls.
        try:
            generations = self._store.generations()
            generation = generations.buckets() if generations else 0
            known = self._buckets.get(bucket)
            if known is not None and known[0] == generation:
                return known[1]
            info = rows.bucket_info(self._store.index.bucket(bucket))
            if generations:
                remember(self._buckets, bucket, (generation, info), _BUCKETS_MAX)
        except StoreError as error:
            raise translate(error) from error
        else:
            return info

    def create_bucket(self, info: BucketInfo) -> None:
        operation = ops.CreateBucket(
            info.name,
            info.owner,
            info.created_ms,
            info.region,
            info.versioning,
            dict(info.configs),
            rows.lock_default(info.object_lock),
        )
        try:
            self.submit(operation)
        except BucketAlreadyExists as error:
            if isinstance(error.__cause__, BucketExists) and error.__cause__.fact == info.owner:
                raise BucketAlreadyOwnedByYou(BucketName=info.name) from error
            raise BucketAlreadyExists(BucketName=info.name) from error

    def delete_bucket(self, bucket: str) -> None:
        self.submit(ops.DeleteBucket(bucket))

    def put_config(self, bucket: str, name: str, document: bytes | None) -> None:
        self.submit(ops.PutConfig(bucket, name, document))

    def set_versioning(
        self, bucket: str, state: Versioning, *, mfa_delete: str | None = None, mfa: bool = False
    ) -> None:
        self.submit(ops.SetVersioning(bucket, state, mfa_delete, mfa))

    def use_mfa_code(self, device: str, step: int) -> None:
        self.submit(ops.UseCode(device, step))

    def put_object_lock(self, bucket: str, default: DefaultRetention) -> None:
        self.submit(ops.PutLock(bucket, LockDefault(default.mode, default.days, default.years)))

    def set_quota(self, bucket: str, limit: int | None) -> None:
        """Limit the stored bytes of a bucket, or no longer. Raises: NoSuchBucket."""
        self.submit(ops.SetQuota(bucket, limit))

    def usage(self) -> Sequence[Usage]:
        """What each bucket holds, ascending by name."""
        with translated():
            found = self._store.index.buckets()
        return [Usage(row.name, row.objects, row.versions, row.bytes, row.quota) for row in found]
