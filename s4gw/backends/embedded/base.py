"""What all parts of the embedded backend share: the store, submitting to it, staged bodies."""

from __future__ import annotations

import os
from collections import deque
from types import TracebackType
from typing import Final, TypeVar

from s4gw.backends.base import ObjectMeta, StoredObject
from s4gw.backends.bodies import Buffer, Writer
from s4gw.backends.embedded import rows
from s4gw.backends.embedded.errors import translate
from s4gw.s3.errors import InternalError
from s4gw.store import NONCE_BYTES, BodySpan, Outcome, StagedBody, Store, StoreError, ops, version_id

_NONCES_AT_ONCE: Final = 256
DEDUP_OFF: Final = "off"
DEDUP_BUCKET: Final = "bucket"
DEDUP_STORE: Final = "store"

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class _Translated:
    """PERF: a generator's context manager costs ten times as much, three times a request."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if isinstance(error, StoreError):
            raise translate(error) from error


_TRANSLATED: Final = _Translated()


def translated() -> _Translated:
    """Turn the store's errors into S3's, in a ``with``."""
    return _TRANSLATED


class EmbeddedWriter:
    """Staged bytes of the embedded backend."""

    def __init__(self, body: StagedBody) -> None:
        self.body = body

    @property
    def size(self) -> int:
        return self.body.size

    @property
    def shares(self) -> bool:
        return self.body.has_twins

    def divide(self) -> None:
        with translated():
            self.body.divide()

    def write(self, *buffers: Buffer) -> None:
        try:
            self.body.write(*buffers)
        except StoreError as error:
            raise translate(error) from error

    def abort(self) -> None:
        self.body.abort()


class EmbeddedSpan:
    """Stored bytes of the embedded backend, read in order."""

    __slots__ = ("_span",)

    step_bytes = 0

    def __init__(self, span: BodySpan) -> None:
        self._span = span

    def read(self, size: int) -> memoryview:
        with translated():
            return self._span.read(size)

    def close(self) -> None:
        pass


class EmbeddedBase:
    """Access to the store for the parts below."""

    _store: Store
    _dedup: str

    def writer(self, bucket: str) -> EmbeddedWriter:
        """Start a body in the bucket."""
        scope = {DEDUP_BUCKET: bucket.encode(), DEDUP_STORE: b""}.get(self._dedup)
        return EmbeddedWriter(self._store.stage(scope))

    def submit(self, operation: ops.Operation, inline: bytes | None = None) -> Outcome:
        """Commit one operation. Raises: S3Error."""
        with translated():
            return self._store.submit(operation, inline)


class _Nonces:
    """Random parts of version ids, made many at a time. PERF: each call to the system lets other threads in between.

    SECURITY: each is given once, and a child process has none of its parent's.
    """

    def __init__(self) -> None:
        self._ready: deque[bytes] = deque()
        os.register_at_fork(after_in_child=self._ready.clear)

    def take(self) -> bytes:
        """Give the next one. Safe for threads: to take one is a single step."""
        try:
            return self._ready.pop()
        except IndexError:
            made = os.urandom(NONCE_BYTES * _NONCES_AT_ONCE)
            self._ready.extend(made[at : at + NONCE_BYTES] for at in range(NONCE_BYTES, len(made), NONCE_BYTES))
            return made[:NONCE_BYTES]


_NONCES: Final = _Nonces()


def nonce() -> bytes:
    """Random part of a version id."""
    return _NONCES.take()


def staged(body: Writer) -> StagedBody:
    """The store's side of a writer. Raises: InternalError, for another backend's."""
    if not isinstance(body, EmbeddedWriter):
        raise InternalError
    return body.body


def made(key: str, outcome: Outcome, *, size: int, etag: str, meta: ObjectMeta) -> StoredObject:
    """The version just written."""
    return StoredObject(
        key=key,
        version_id=version_id(outcome.seq, outcome.flags, outcome.nonce),
        size=size,
        etag=etag,
        stored_size=outcome.stored_size,
        modified_ms=outcome.modified_ms,
        meta=meta,
        body=rows.Handle(outcome.seq),
    )


def remember(known: dict[_Key, _Value], key: _Key, value: _Value, limit: int) -> None:
    """Keep *value*, in place of the oldest where there are *limit* of them."""
    if len(known) >= limit:
        try:
            del known[next(iter(known))]
        except (KeyError, RuntimeError, StopIteration):
            return  # another thread is at it: this one is not remembered
    known[key] = value
