"""The store as a process uses it: staged bodies, commits, checked reads, and the index of the calling thread.

Nothing is opened before it is needed, and nothing is shared over a fork: files, sockets and connections belong to a
thread of one process.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from s4gw.store.chores import Chore
from s4gw.store.client import CommitterClient, ensure_running
from s4gw.store.committer import BATCH_BYTES_MAX, VOLUME_BYTES, Committer
from s4gw.store.errors import REFUSALS, Refused, Unavailable
from s4gw.store.generation import Generations
from s4gw.store.index import IndexReader
from s4gw.store.layout import RecordKind
from s4gw.store.lock import FileLock
from s4gw.store.ops import PAYLOAD_BYTES_MAX, Operation, Order, Outcome, Put, Reply, Request
from s4gw.store.pins import Pin, Pins, VolumeLeaving
from s4gw.store.record import Buffer
from s4gw.store.recovery import INLINE_BYTES, open_committer, prepare
from s4gw.store.room import takes
from s4gw.store.schema import open_reader
from s4gw.store.span import BodySpan, Known, blocks
from s4gw.store.staging import TWIN_BODY_BYTES, StagedBody, Twins
from s4gw.store.volume import AppendFile, Extent, Gather, VolumeReader

_LOG: Final = logging.getLogger(__name__)
_ENCODER: Final = msgspec.msgpack.Encoder()
_Kept = TypeVar("_Kept", IndexReader, CommitterClient, AppendFile)


class _ThreadState(threading.local):
    """What one thread has open."""

    index: IndexReader | None = None
    client: CommitterClient | None = None
    file: AppendFile | None = None


class Store:
    """One data directory.

    Args:
        data_dir: The data directory; made when missing.
        parent_pid: storaged ends with this process; this one when left out.
        read_only: Never start a committer, refuse commits.
        in_process: Commit in this process instead of in storaged; no other process may.
        volume_bytes: Size at which a new volume begins.
        chores: What storaged is to have done beside itself.
        inline_bytes: Bodies up to this size are also kept in the index.
        committer: For tests: what commits instead, in this process.
        writev: For tests: stands in for ``os.writev``.

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
        committer: Committer | None = None,
        writev: Gather = os.writev,
    ) -> None:
        self.data_dir = Path(data_dir).absolute()
        self._parent_pid = parent_pid
        self._read_only = read_only
        self._volume_bytes = volume_bytes
        self._chores = chores
        self._inline_bytes = inline_bytes
        self._writev = writev
        prepare(self.data_dir, read_only=read_only)
        self._held: FileLock | None = None
        self._committer = committer
        if in_process and committer is None:
            self._held, self._committer = open_committer(self.data_dir, volume_bytes, _LOG.error)
        self._pid = os.getpid()
        self._mine = _ThreadState()
        self._opened: list[IndexReader | CommitterClient | AppendFile] = []
        self._reader = VolumeReader(self.data_dir)
        self._pins = Pins(self.data_dir)
        self._volume = 0
        self._generations: Generations | None = None
        # PERF: told of a fork, since asking for the process id at each use is a system call.
        itself = weakref.ref(self)

        def forked() -> None:
            store = itself()
            if store is not None:
                store.forget_parent()

        os.register_at_fork(after_in_child=forked)

    # -- writing --------------------------------------------------------------------------------------------------
    def stage(self, scope: bytes | None = None) -> StagedBody:
        """Start a body; what of it is stored already within *scope* is not stored again, None for no such search."""
        return StagedBody(
            self._append, None if scope is None else Twins(scope, self._extent_of, self._reader, self._pins.hold)
        )

    def finish(self, body: StagedBody) -> tuple[list[Extent], bytes | None]:
        """Append what waits of *body*. Returns: its extents, and its bytes when they are to be inline."""
        return body.finish(self._inline_bytes)

    def put(self, operation: Put, body: StagedBody) -> Outcome:
        """Commit *operation*, which has no extents yet, with *body*; a small one is appended by the committer.

        Raises: as `submit`.
        """
        payload = body.take_whole(PAYLOAD_BYTES_MAX)
        if payload is not None:
            known, digest = body.twin((payload,)) if len(payload) > TWIN_BODY_BYTES else (None, b"")
            if known is not None:
                return self.submit(msgspec.structs.replace(operation, extents=[known]))
            keep = len(payload) <= self._inline_bytes
            return self._commit_one(Order(msgspec.Raw(_ENCODER.encode(operation)), None, payload, digest, keep))
        extents, inline = self.finish(body)
        return self.submit(msgspec.structs.replace(operation, extents=extents), inline)

    def submit(self, operation: Operation, inline: bytes | None = None) -> Outcome:
        """Commit one operation durably. Raises: Unavailable, and the class of `Refused` that it was refused with."""
        return self._commit_one(Order(msgspec.Raw(_ENCODER.encode(operation)), inline))

    def _commit_one(self, order: Order) -> Outcome:
        (outcome,) = self._outcomes([order])
        if outcome.error:
            raise REFUSALS[outcome.error](outcome.fact)
        return outcome

    def submit_all(self, operations: Sequence[tuple[Operation, bytes | None]]) -> list[Outcome | Refused]:
        """Commit operations in order, in one transaction; each may be refused alone. Raises: Unavailable."""
        orders = [Order(msgspec.Raw(_ENCODER.encode(operation)), inline) for operation, inline in operations]
        return [
            REFUSALS[outcome.error](outcome.fact) if outcome.error else outcome  # a refusal is a value here
            for outcome in self._outcomes(orders)
        ]

    def _outcomes(self, orders: list[Order]) -> Sequence[Outcome]:
        """One for each order. Raises: Unavailable."""
        size = sum([len(memoryview(order.operation)) + len(order.inline or b"") for order in orders])
        if size > BATCH_BYTES_MAX // 2:
            raise Unavailable("request too large for one transaction")
        return self._send(Request(orders)).outcomes

    def reach(self) -> None:
        """Raises: Unavailable, when nobody commits."""
        self._send(Request([]))

    def check(self) -> None:
        """Raises: Unavailable, when a commit would not succeed now."""
        if not self._send(Request([])).volume or not takes(self.data_dir, 0):
            raise Unavailable("no volume takes data")

    def _send(self, request: Request) -> Reply:
        if self._read_only:
            raise Unavailable("opened for reading only")
        mine = self._local()
        if self._committer is not None:
            reply = self._committer.commit([request])[0]
        else:
            if mine.client is None:
                mine.client = self._kept(
                    CommitterClient(self.data_dir, self._parent(), volume_bytes=self._volume_bytes, chores=self._chores)
                )
            reply = mine.client.submit(request)
        self._volume = reply.volume
        return reply

    def _append(self, buffers: Sequence[Buffer], pins: dict[int, Pin]) -> Extent:
        if not self._volume:
            self.check()
        if self._volume not in pins:
            try:
                pins[self._volume] = self._pins.hold(self._volume)
            except VolumeLeaving:  # this process has not committed anything for long
                self.check()
                if self._volume not in pins:
                    pins[self._volume] = self._hold(self._volume)
        mine, volume = self._local(), self._volume
        if mine.file is None or mine.file.volume != volume:
            if mine.file is not None:
                self._opened.remove(mine.file)
                mine.file.close()
                mine.file = None
            mine.file = self._kept(AppendFile(self.data_dir, volume, writev=self._writev))
        if not takes(mine.file.fd, sum(map(len, buffers))):
            raise Unavailable("the disk has no room for new data")
        return mine.file.append(RecordKind.DATA, buffers)

    def _extent_of(self, digest: bytes) -> Extent | None:
        return self.index.extent_of(digest)

    def _hold(self, volume: int) -> Pin:
        try:
            return self._pins.hold(volume)
        except VolumeLeaving as error:
            raise Unavailable(f"volume {volume} takes no data") from error

    # -- reading --------------------------------------------------------------------------------------------------
    @property
    def index(self) -> IndexReader:
        """The index, for the calling thread. Raises: Unavailable."""
        mine = self._local()
        if mine.index is None:
            path = self.data_dir / "index.db"
            if self._committer is None and not self._read_only and not path.exists():
                ensure_running(self.data_dir, self._parent(), volume_bytes=self._volume_bytes, chores=self._chores)
            if not path.exists():
                raise Unavailable("no index yet")
            mine.index = self._kept(IndexReader(open_reader(path)))
        return mine.index

    def generations(self) -> Generations | None:
        """Numbers that tell whether what is remembered is still so; None while nobody tells."""
        if self._generations is None:
            try:
                self._generations = Generations(self.data_dir)
            except OSError:
                return None
        return self._generations

    def read(
        self, runs: Sequence[tuple[int, int, int]], start: int, end: int, known: Known | None = None
    ) -> bytes | memoryview:
        """Bytes ``[start, end)`` of a body made of *runs* of extents, without a copy where one extent holds them.

        Args:
            runs: Of the body.
            start: Of the bytes.
            end: Of the bytes.
            known: Of this body alone: what reads remember for later ones.

        Raises: RecordDamaged.
        """
        pieces = list(self._blocks(runs, start, end, known))
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def open_span(
        self, runs: Sequence[tuple[int, int, int]], start: int, end: int, known: Known | None = None
    ) -> BodySpan:
        """The same bytes, to be read in order by one thread."""
        return BodySpan(self._blocks(runs, start, end, known))

    def _blocks(
        self, runs: Sequence[tuple[int, int, int]], start: int, end: int, known: Known | None
    ) -> Iterator[memoryview]:
        return blocks(self.index.extents, self._reader, runs, start, end, known) if start < end else iter(())

    # -- life -----------------------------------------------------------------------------------------------------
    def close(self) -> None:
        """Close everything that this process opened; no other thread may be using the store."""
        if os.getpid() != self._pid:
            return
        for opened in self._opened:
            opened.close()
        self._opened.clear()
        self._mine = _ThreadState()
        self._reader.close()
        self._pins.close()
        if self._held is not None and self._committer is not None:
            self._committer.close()
            self._held.release()
            self._held = self._committer = None

    def _parent(self) -> int:
        return self._parent_pid if self._parent_pid is not None else os.getpid()

    def _kept(self, opened: _Kept) -> _Kept:
        self._opened.append(opened)
        return opened

    def _local(self) -> _ThreadState:
        return self._mine

    def forget_parent(self) -> None:
        """After a fork: what the parent has open is the parent's."""
        self._pid = os.getpid()
        self._mine = _ThreadState()
        self._opened = []
        self._reader = VolumeReader(self.data_dir)
        self._pins.forget()
        self._pins = Pins(self.data_dir)
