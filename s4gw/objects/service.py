"""`Objects`: the squishing layer as the gateway sees it. Originals in and out; frames in the backend.

One instance per worker process, shared by its threads. Operations that move no bodies (buckets, listings, deletes,
metadata) go to the backend directly: what it keeps beside a body already describes the original.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Final

import msgspec

from s4gw.backends.base import NO_CONDITIONS, Backend, Conditions, ObjectMeta, PartInfo, StoredObject, Upload
from s4gw.backends.bodies import Buffer
from s4gw.checksum import Algorithm
from s4gw.codec import CodecTotals, Dispatcher, Manifest, ManifestPart, encode_trailer
from s4gw.objects import multipart
from s4gw.objects.buffers import BufferPool
from s4gw.objects.crowd import Crowd
from s4gw.objects.dictionaries import Dictionaries
from s4gw.objects.digests import DEFAULT_ALGORITHM, DigestPlan
from s4gw.objects.encoder import Encoder
from s4gw.objects.explain import ExplainingDispatcher
from s4gw.objects.get import ObjectSource, Reader
from s4gw.objects.hints import Hints
from s4gw.objects.layout import LayoutCache
from s4gw.objects.receive import Source, Squisher
from s4gw.objects.received import Received

FRAME_BYTES: Final = 1024 * 1024
"""Finer ranges cost ratio below 1 MiB; larger frames gain nothing."""
POOL_THREADS_MIN: Final = 2


class Written(msgspec.Struct, frozen=True):
    """A stored object and what squishing made of it, for logs and metrics."""

    object: StoredObject
    size: int
    stored_size: int
    codec: str


class _Pool(ThreadPoolExecutor):
    """Threads that work on in the context of whoever gives them work, so that logs know for which request."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As the executor's."""
        return super().submit(copy_context().run, fn, *args, **kwargs)


def _unpin() -> None:
    """Let pool threads use every core, also where the worker's request threads are pinned to one."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))


class Objects:
    """Writes and reads originals through a backend.

    Args:
        backend: Where stored bytes go.
        dispatcher: Chooses the codec of a frame.
        frame_bytes: Original bytes per frame.
        threads: Pool threads that hash, compress and decode long bodies.
        encoder: Makes what encodes frames in place of the pool, which it is given for what it does not do itself.
        explain: Log which codec was chosen and why, at level debug.
    """

    def __init__(  # noqa: PLR0913 - what a process is made of
        self,
        backend: Backend,
        dispatcher: Dispatcher,
        *,
        frame_bytes: int = FRAME_BYTES,
        threads: int | None = None,
        encoder: Callable[[Executor], Encoder] | None = None,
        explain: bool = False,
    ) -> None:
        self._explain = explain
        self.backend = backend
        count = threads or max(POOL_THREADS_MIN, os.cpu_count() or 1)
        self._pool = _Pool(count, "squish", initializer=_unpin)
        self._encoder = None if encoder is None else encoder(self._pool)
        crowd = Crowd()
        self.squisher = Squisher(dispatcher, self._pool, BufferPool(frame_bytes), self._encoder, crowd)
        self.dictionaries = Dictionaries(backend)
        # a dispatcher that was told what to write takes none, and nobody has to look for any
        self._hints = None if dispatcher.hinted("") is dispatcher else Hints(backend)
        self._reader = Reader(backend, LayoutCache(backend), self.dictionaries, self._pool, self._encoder, crowd)

    def close(self) -> None:
        """Let running work end and give the threads back."""
        if self._encoder is not None:
            self._encoder.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def put(  # noqa: PLR0913 - one object's facts
        self,
        bucket: str,
        key: str,
        source: Source,
        *,
        meta: ObjectMeta,
        plan: DigestPlan,
        conditions: Conditions = NO_CONDITIONS,
    ) -> Written:
        """Store *source* as the current version of *key*.

        Raises: S3 errors of the source (short body, wrong digest ...), the conditions and the backend; nothing is
            visible then.
        """
        writer = self.backend.open_writer(bucket, key, meta)
        try:
            dictionary = self.dictionaries.to_write(bucket, key, source.length)
            squisher = self._squisher_for(bucket, key, meta, source.length)
            received = squisher.receive(source, writer, plan, raw_allowed=True, dictionary=dictionary)
            meta = _described(meta, received, plan)
            if meta.frames > 1:
                writer.write(encode_trailer(received.index, _manifest(received, meta)))
            stored_size = writer.size
            stored = self.backend.put_object(
                bucket, key, writer, size=received.size, etag=received.md5_hex, meta=meta, conditions=conditions
            )
        except BaseException:
            writer.abort()
            raise
        return Written(stored, received.size, stored_size, meta.codec)

    def _squisher_for(self, bucket: str, key: str, meta: ObjectMeta, size: int | None) -> Squisher:
        """The squisher of all, or one that knows a hint or tells the log."""
        hint = None if self._hints is None else self._hints.find(bucket, key, meta, size)
        if hint is None and not self._explain:
            return self.squisher
        dispatcher = self.squisher.dispatcher
        if hint is not None:
            dispatcher = dispatcher.hinted(hint.word)
        if self._explain:
            dispatcher = ExplainingDispatcher(dispatcher, bucket, key, hint)
        return dataclasses.replace(self.squisher, dispatcher=dispatcher)

    def read(self, bucket: str, obj: StoredObject, start: int, end: int) -> Iterator[Buffer]:
        """Bytes ``[start, end)`` of the original, in blocks; see `Reader.read`."""
        return self._reader.read(bucket, obj, start, end)

    def parts(self, bucket: str, obj: StoredObject) -> list[ManifestPart]:
        """Part table of a multipart object, from its trailer; empty for others."""
        if not obj.meta.parts:
            return []
        manifest = self._reader.layouts.load(bucket, obj).manifest
        return list(manifest.parts) if manifest else []

    def put_part(self, bucket: str, upload: Upload, number: int, source: Source, plan: DigestPlan) -> PartInfo:
        """Store *source* as part *number* of *upload*."""
        squisher = self._squisher_for(bucket, upload.key, upload.meta, source.length)
        return multipart.receive_part(self.backend, squisher, bucket, upload, number, source, plan)

    def copy_part(  # noqa: PLR0913
        self,
        bucket: str,
        upload: Upload,
        number: int,
        source_bucket: str,
        source: StoredObject,
        start: int,
        end: int,
    ) -> PartInfo:
        """Make bytes ``[start, end)`` of *source* part *number* of *upload*."""
        body = ObjectSource(self.read(source_bucket, source, start, end), end - start)
        plan = DigestPlan(kept=(Algorithm(upload.checksum_algorithm or DEFAULT_ALGORITHM),))
        return self.put_part(bucket, upload, number, body, plan)

    def complete(self, bucket: str, upload: Upload, request: multipart.Completion) -> StoredObject:
        """Make the object of the listed parts; see `multipart.complete`."""
        return multipart.complete(self.backend, bucket, upload, request)

    def rewrite(  # noqa: PLR0913
        self,
        source_bucket: str,
        source: StoredObject,
        bucket: str,
        key: str,
        *,
        meta: ObjectMeta,
        plan: DigestPlan,
        conditions: Conditions = NO_CONDITIONS,
    ) -> Written:
        """Copy by reading the original again: for copies that ask for another checksum algorithm."""
        body = ObjectSource(self.read(source_bucket, source, 0, source.size), source.size)
        return self.put(bucket, key, body, meta=meta, plan=plan, conditions=conditions)


def copied_meta(source: ObjectMeta, wanted: ObjectMeta) -> ObjectMeta:
    """Metadata of a copy that keeps the stored body: *wanted* by the client, plus all that decoding needs."""
    return msgspec.structs.replace(
        wanted,
        checksums=source.checksums,
        checksum_type=source.checksum_type,
        framed=source.framed,
        frames=source.frames,
        codec=source.codec,
        crc32c=source.crc32c,
        parts=source.parts,
        dictionary=source.dictionary,
    )


def _described(meta: ObjectMeta, received: Received, plan: DigestPlan) -> ObjectMeta:
    return msgspec.structs.replace(
        meta,
        checksums=plan.stored(received.digests),
        checksum_type="FULL_OBJECT",
        framed=received.framed,
        frames=len(received.index) if received.framed else 0,
        codec=received.statistics.main_codec().label,
        crc32c=received.crc32c,
        dictionary=received.dictionary,
    )


def _manifest(received: Received, meta: ObjectMeta) -> Manifest:
    return Manifest(
        original_size=received.size,
        crc32c=received.crc32c,
        etag=received.md5_hex,
        checksums=meta.checksums,
        checksum_type=meta.checksum_type,
        parts=[],
        codecs={int(codec): CodecTotals(*counts) for codec, counts in received.statistics.by_codec.items()},
    )
