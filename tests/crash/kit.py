"""Objects whose content follows from their key, so that a survivor can be judged without a list."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable

from s4gw.backends import Backend, BucketInfo, ObjectMeta, read_all

BUCKET = "bucket"


SIZES = {"small": [100], "large": [70_000]}
"""By the first segment of a key: bodies that the committer appends, and bodies that the worker appends."""


def body_of(key: str) -> bytes:
    rng = random.Random(key)
    return rng.randbytes(rng.choice(SIZES.get(key.partition("/")[0], [0, 100, 4096, 5000, 70_000, 1_100_000])))


def make_bucket(backend: Backend) -> None:
    backend.create_bucket(BucketInfo(name=BUCKET, owner="o", created_ms=1))


def put(backend: Backend, key: str) -> None:
    data = body_of(key)
    writer = backend.open_writer(BUCKET, key, ObjectMeta())
    writer.write(data)
    backend.put_object(
        BUCKET, key, writer, size=len(data), etag=hashlib.md5(data).hexdigest(), meta=ObjectMeta(owner="o")
    )


def check(backend: Backend, acknowledged: Iterable[str], tried: Iterable[str]) -> None:
    """Acknowledged objects are there; whatever is there was tried and is whole."""
    found = [obj.key for obj in backend.list_objects(BUCKET, limit=100_000).objects]
    assert set() == set(acknowledged) - set(found)
    assert set() == set(found) - set(tried)
    for key in found:
        obj = backend.head_object(BUCKET, key)
        assert body_of(key) == b"".join(read_all(backend, obj, 1024**2))
