"""Buckets of the upstream, as the gateway's authorization wants them: looked up seldom, forgotten on every own write.

All of them belong to one user of the gateway, its *owner*: the upstream knows one account only, the gateway's. What
their owners have configured upstream (policy, ACL, ownership) is in force there, for the gateway's requests; nothing of
it lets a client into the gateway. CORS rules are the exception: browsers talk to the gateway, so that it answers by the
upstream's rules.

A look-up is kept for `FRESH_S`, so that requests for objects cost none. What somebody else changes upstream is seen
that much later; a bucket that is gone shows as such in the very request, since the upstream says so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from s4gw.backends.base import BucketInfo, Versioning
from s4gw.backends.remote.client import Upstream
from s4gw.backends.remote.reserved import OWN_PREFIX
from s4gw.s3.errors import AccessDenied, NoSuchBucket, NoSuchCORSConfiguration, NoSuchKey, NotFound
from s4gw.s3.errors import NotImplemented as S3NotImplemented

FRESH_S: Final = 30.0
MISSING_FRESH_S: Final = 1.0
"""Clients that create a bucket elsewhere expect to use it at once."""
BUCKETS_CACHED_MAX: Final = 10_000
"""An account's usual limit on buckets; some 1 KiB each."""

RULES_KEYS: Final = {
    "s4-dictionaries": f"{OWN_PREFIX}dictionaries",
    "s4-hints": f"{OWN_PREFIX}hints",
}
"""Documents by prefix of keys, as `objects` calls them -> where they lie in the bucket."""
RULES_BYTES_MAX: Final = 128 * 1024
"""64 rules, each with a prefix of up to 1 KiB."""

_UNKNOWABLE: Final = (AccessDenied, S3NotImplemented, NotFound)
"""What servers answer that do not know a sub-resource, or do not let the gateway see it."""


class LazyConfigs(Mapping[str, bytes]):
    """Documents of a bucket that the gateway itself acts on, each fetched when first asked for.

    Args:
        fetch: Name of a document -> what fetches it, None where there is none.
    """

    def __init__(self, fetch: Mapping[str, Callable[[], bytes | None]]) -> None:
        self._fetch = fetch
        self._fetched: dict[str, bytes | None] = {}

    def __getitem__(self, name: str) -> bytes:
        if name not in self._fetch:
            raise KeyError(name)
        if name not in self._fetched:
            self._fetched[name] = self._fetch[name]()
        found = self._fetched[name]
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._fetch if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None


class Buckets:
    """The upstream's buckets. Safe to use from any thread.

    Args:
        upstream: Asked.
        owner: Canonical id of the user who owns them all.
        region: Shown where the upstream does not tell.
        clock: Monotonic seconds.
    """

    def __init__(
        self, upstream: Upstream, *, owner: str, region: str = "us-east-1", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._upstream = upstream
        self._owner = owner
        self._region = region
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, BucketInfo | None]] = {}

    def get(self, name: str) -> BucketInfo:
        """The bucket, as it was at most `FRESH_S` ago. Raises: NoSuchBucket, UpstreamUnavailable."""
        kept = self._known.get(name)
        now = self._clock()
        if kept is None or now >= kept[0]:
            info = self._look(name)
            kept = (now + (MISSING_FRESH_S if info is None else FRESH_S), info)
            with self._lock:
                if len(self._known) >= BUCKETS_CACHED_MAX:
                    self._known.clear()
                self._known[name] = kept
        if kept[1] is None:
            raise NoSuchBucket(BucketName=name)
        return kept[1]

    def forget(self, name: str) -> None:
        """Look *name* up anew next time: something about it has changed."""
        with self._lock:
            self._known.pop(name, None)

    def list(self, owner: str | None = None) -> list[BucketInfo]:
        """All buckets, by name; none for anybody but their owner."""
        if owner not in (None, self._owner):
            return []
        found: list[BucketInfo] = []
        token: str | None = None
        while True:
            page = self._upstream.call("ListBuckets", ContinuationToken=token)
            found += [self._described(entry) for entry in page.get("Buckets") or ()]
            token = page.get("ContinuationToken")
            if not token:
                return sorted(found, key=lambda info: info.name)

    def create(self, name: str, region: str = "", **params: Any) -> dict[str, Any]:
        """Make a bucket; *params* are CreateBucket's. Raises: BucketAlreadyExists, BucketAlreadyOwnedByYou."""
        if region and region != "us-east-1":  # the one region that must not be named
            params.setdefault("CreateBucketConfiguration", {"LocationConstraint": region})
        try:
            return self._upstream.call("CreateBucket", Bucket=name, **params)
        finally:
            self.forget(name)

    def delete(self, name: str) -> None:
        """Remove an empty bucket. Raises: NoSuchBucket, BucketNotEmpty."""
        try:
            self._upstream.call("DeleteBucket", Bucket=name)
        finally:
            self.forget(name)

    def set_versioning(self, name: str, state: Versioning) -> None:
        """Enable versioning, or suspend it. Raises: NoSuchBucket."""
        try:
            self._upstream.call("PutBucketVersioning", Bucket=name, VersioningConfiguration={"Status": state})
        finally:
            self.forget(name)

    def _look(self, name: str) -> BucketInfo | None:
        """Ask the upstream. One request says both whether there is a bucket and whether it keeps versions."""
        try:
            try:
                state: Versioning = self._upstream.call("GetBucketVersioning", Bucket=name).get("Status", "")
            except _UNKNOWABLE:
                self._upstream.call("HeadBucket", Bucket=name)
                state = ""
        except NoSuchBucket:
            return None
        return BucketInfo(
            name=name,
            owner=self._owner,
            created_ms=0,
            region=self._region,
            versioning=state,
            owns_objects=True,
            configs=LazyConfigs(
                {
                    "cors": lambda: self._cors(name),
                    **{document: partial(self._rules, name, key) for document, key in RULES_KEYS.items()},
                }
            ),
        )

    def _cors(self, name: str) -> bytes | None:
        try:
            rules = self._upstream.call("GetBucketCors", Bucket=name)
        except (NoSuchCORSConfiguration, NoSuchBucket, *_UNKNOWABLE):
            return None
        return msgspec.json.encode({"CORSRules": rules.get("CORSRules") or []})

    def _rules(self, name: str, key: str) -> bytes | None:
        """What holds for which prefix: an object of the gateways' own, which all of them see."""
        try:
            response = self._upstream.call("GetObject", Bucket=name, Key=key)
            with response["Body"] as body:
                document: bytes = body.read(RULES_BYTES_MAX)
        except (NoSuchKey, NoSuchBucket, *_UNKNOWABLE):
            return None
        return document

    def _described(self, entry: Mapping[str, Any]) -> BucketInfo:
        return BucketInfo(
            name=entry["Name"],
            owner=self._owner,
            created_ms=int(entry["CreationDate"].timestamp() * 1000),
            region=entry.get("BucketRegion") or self._region,
        )
