"""The committer: turns requests into one durable transaction.

For each batch: apply every order inside one transaction, append one journal record with those that were applied,
flush every volume that the batch refers to, commit the index, and only then give the answers. So an answer means
durable: the journal and the bytes that it names are on stable storage. The index is flushed when it is checkpointed;
after a power cut `recovery` brings it up to the journal, so it holds exactly a prefix of the flushed batches.

If a flush fails the kernel may have dropped the pages: the volume takes no more extents, the batch fails as a whole
and a new volume begins. The same object serves storaged's event loop and, behind a lock, a single process.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from s4gw.store import apply_buckets, apply_expire, apply_locks, apply_mfa, apply_objects, apply_volumes, ops, quota
from s4gw.store.checkpoint import Checkpointer
from s4gw.store.errors import BadOperation, NoSpace, Refused, StoreError, Unavailable
from s4gw.store.generation import Generations
from s4gw.store.layout import RecordKind, head_bytes
from s4gw.store.ops import PAYLOAD_BYTES_MAX, Journal, JournalEntry, Operation, Order, Outcome, Reply, Request
from s4gw.store.room import Room
from s4gw.store.schema import BUSY_TIMEOUT_MS, flushed, open_writer
from s4gw.store.tables import Tables
from s4gw.store.volume import AppendFile, Extent, Gather, create_volume

VOLUME_BYTES: Final = 1024**3
"""Size at which a new volume begins: small enough to compact, large enough that 10 TB are 10 000 files."""

BATCH_BYTES_MAX: Final = 16 * 1024**2
"""Largest request, and where a batch is cut, so that a journal record stays far below its limit."""

_WAL_PASSIVE_PAGES: Final = 16384
"""64 MiB, two seconds of small PUTs: hot pages are written back once instead of each time, and a flush of a volume
seldom meets that of the log. A larger log costs readers more (a look-up 17 us, 22 with 128 MiB of log, 2026-11)."""
_WAL_TRUNCATE_PAGES: Final = 65536
_WAL_SHORT_PAGES: Final = 1024  # what moves between two requests unnoticed

_APPLY: Final[dict[type, Callable[[Tables, Any, bytes | None], Outcome]]] = {
    ops.CreateBucket: apply_buckets.create_bucket,
    ops.DeleteBucket: apply_buckets.delete_bucket,
    ops.PutConfig: apply_buckets.put_config,
    ops.SetVersioning: apply_buckets.set_versioning,
    ops.PutLock: apply_locks.put_lock,
    ops.SetLock: apply_locks.set_lock,
    ops.SetQuota: quota.set_quota,
    ops.UseCode: apply_mfa.use_code,
    ops.Expire: apply_expire.expire,
    ops.Put: apply_objects.put,
    ops.Copy: apply_objects.copy,
    ops.Rename: apply_objects.rename,
    ops.SetMeta: apply_objects.set_meta,
    ops.Delete: apply_objects.delete,
    ops.CreateUpload: apply_buckets.create_upload,
    ops.PutPart: apply_buckets.put_part,
    ops.AbortUpload: apply_buckets.abort_upload,
    ops.Complete: apply_buckets.complete,
    **apply_volumes.APPLY,
}
_CHANGE_BUCKETS: Final = frozenset(
    {ops.CreateBucket, ops.DeleteBucket, ops.PutConfig, ops.SetVersioning, ops.PutLock, ops.SetQuota}
)
_CHANGE_KEY: Final = frozenset({ops.Put, ops.Copy, ops.SetMeta, ops.SetLock, ops.Delete, ops.Expire, ops.Complete})
_CHANGE_NOTHING: Final = frozenset({ops.CreateUpload, ops.PutPart, ops.AbortUpload, ops.UseCode, *apply_volumes.APPLY})
_OPERATION: Final = msgspec.msgpack.Decoder(Operation)
_ENCODER: Final = msgspec.msgpack.Encoder()


def decode_operation(encoded: msgspec.Raw) -> Operation:
    """Raises: msgspec.DecodeError."""
    operation: Operation = _OPERATION.decode(encoded)
    return operation


def apply_one(tables: Tables, operation: Operation, inline: bytes | None) -> Outcome:
    """Apply one operation in the running transaction.

    Raises: Refused, before anything was written.
    """
    return _APPLY[type(operation)](tables, operation, inline)


def _say_nothing(_line: str) -> None:
    """Where nobody reads reports."""


class _Changes:
    """What one batch has changed of the things that workers remember."""

    def __init__(self) -> None:
        self._buckets = self._everything = False
        self._keys: set[tuple[str, bytes]] = set()

    def note(self, operation: Any) -> None:
        """Take note of an operation that was applied; of one that is not in the tables above, as of everything."""
        kind = type(operation)
        if kind in _CHANGE_KEY:
            self._keys.add((operation.bucket, operation.key))
        elif kind in _CHANGE_BUCKETS:
            self._buckets = True
        elif kind is ops.Rename:
            self._keys.update(((operation.bucket, operation.key), (operation.bucket, operation.new_key)))
        elif kind not in _CHANGE_NOTHING:
            self._everything = True

    def tell(self, generations: Generations) -> None:
        """Count up, after the commit and before any answer."""
        if self._everything:
            generations.everything_changed()
        if self._buckets:
            generations.buckets_changed()
        generations.keys_changed(self._keys)


class Committer:
    """Sole writer of one data directory; the caller holds ``storaged.lock`` and has run `recovery.recover`.

    Args:
        data_dir: The data directory.
        volume_bytes: When a volume has reached this size, a new one begins.
        clock: Seconds since the epoch.
        report: Takes one line about each batch that failed as a whole.
        background: Moves most of the write-ahead log beside the commits; without it they wait.
        flush: ``os.fdatasync``, or a stand-in that fails.
        writev: ``os.writev``, or a stand-in that fails.
        room: Says when the disk takes no more new data; deletes and compaction go on.
    """

    def __init__(  # noqa: PLR0913
        self,
        data_dir: Path,
        *,
        volume_bytes: int = VOLUME_BYTES,
        clock: Callable[[], float] = time.time,
        report: Callable[[str], None] = _say_nothing,
        background: bool = False,
        flush: Callable[[int], None] = os.fdatasync,
        writev: Gather = os.writev,
        room: Room | None = None,
    ) -> None:
        self._room = room or Room(data_dir)
        self._data_dir = data_dir
        self._volume_bytes = volume_bytes
        self._clock = clock
        self._report = report
        self._flush = flush
        self._writev = writev
        self._lock = threading.Lock()
        self._files: dict[int, AppendFile] = {}
        self._connection = open_writer(data_dir / "index.db")
        self._generations = Generations(data_dir, writable=True)
        self._generations.everything_changed()  # what happened before this process is unknown to those who remember
        self._changes = _Changes()
        self._background = Checkpointer(data_dir / "index.db") if background else None
        self._wal_pages = self._wal_moved = self._wal_asked = 0
        self._connection.set_wal_hook(self._wal_grown)
        self._tables = Tables(self._connection)
        self._volume, self._volume_end = self._tables.load()
        self._rotate_first = False

    # -- batches --------------------------------------------------------------------------------------------------
    def commit(self, requests: Sequence[Request]) -> list[Reply]:
        """Carry out the requests in order, in one transaction.

        Returns: one reply for each request; when the batch failed as a whole every outcome says so.
        """
        with self._lock:
            try:
                answers = self._transaction(requests)
            except Unavailable as error:
                self._report(str(error))
                refused = _refusal(NoSpace(str(error)))
                answers = [[refused] * len(request.orders) for request in requests]
            if self._volume_end >= self._volume_bytes or self._rotate_first or self._tables.turn:
                self._try_rotate()
            volume = 0 if self._rotate_first or not self._room.left() else self._volume
            return [Reply(volume, outcomes) for outcomes in answers]

    def flush_with(self, flush: Callable[[int], None]) -> None:
        """Flush in another way from now on: it raises OSError where a flush fails, and does not come back before."""
        self._flush = flush

    def close(self) -> None:
        """Write the log back into the index and release everything."""
        with self._lock:
            if self._background is not None:
                self._background.close()
                self._background = None
            self.checkpoint(idle=True)
            self._connection.close()
            self._generations.close()
            for file in self._files.values():
                file.close()
            self._files.clear()

    def checkpoint(self, *, idle: bool = False) -> None:
        """Move the write-ahead log into the index when it has grown, or when there is nothing else to do."""
        pages = self._wal_pages
        if pages <= _WAL_PASSIVE_PAGES and not (idle and pages):
            return
        if self._background is not None and pages <= _WAL_TRUNCATE_PAGES:
            if self._background.finished():
                self._wal_moved = self._wal_asked
            if pages - self._wal_moved > _WAL_SHORT_PAGES:
                if self._background.request():
                    self._wal_asked = pages
                return
        mode = apsw.SQLITE_CHECKPOINT_TRUNCATE if pages > _WAL_TRUNCATE_PAGES else apsw.SQLITE_CHECKPOINT_PASSIVE
        self._connection.set_busy_timeout(0)  # a reader may be in the way: nobody waits for it
        try:
            self._connection.wal_checkpoint(mode=mode)
        except apsw.BusyError:
            return
        except apsw.Error as error:  # a full disk, say: commits go on as long as the log can grow
            self._report(f"checkpoint: {error}")
            return
        finally:
            self._connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        self._wal_pages = self._wal_moved = self._wal_asked = 0

    # -- inside ---------------------------------------------------------------------------------------------------
    def _wal_grown(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _transaction(self, requests: Sequence[Request]) -> list[list[Outcome]]:
        orders = [order for request in requests for order in request.orders]
        if not orders:
            return [[] for _ in requests]
        if self._rotate_first:
            self._rotate()
        tables = self._tables
        journal_written = False
        try:
            tables.begin(int(self._clock() * 1000))
            self._changes = _Changes()
            entries: list[JournalEntry] = []
            placed = self._append_payloads(orders)
            outcomes = iter([self._apply(*one, entries) for one in zip(orders, placed, strict=True)])
            answers = [[next(outcomes) for _ in request.orders] for request in requests]
            if not entries:
                self._roll_back()
                return answers
            journal = Journal(tables.now_ms, entries, tables.last_seq)
            journal_written = True
            own = self._file(self._volume).append(RecordKind.JOURNAL, (_ENCODER.encode(journal),))
            self._sync(tables.touched | {self._volume})
            end = own.offset + head_bytes(own.size) + own.size
            tables.count_meta(self._volume, end - own.offset)
            tables.remove_dead()
            tables.write_state(self._volume, end)
            self._connection.execute("COMMIT")
            self._volume_end = end
            if tables.dropped:
                self._give_up(tables.dropped)
            self._changes.tell(self._generations)
        except (apsw.Error, Unavailable) as error:
            self._roll_back()
            # The journal record may be on the disk: what follows must not be in the same volume, or a rebuilt index
            # would hold both.
            self._rotate_first = self._rotate_first or journal_written
            raise Unavailable(str(error)) from error
        return answers

    def _append_payloads(self, orders: Sequence[Order]) -> list[Extent | None]:
        """Append the bodies that came with their orders, all at once. Returns: one for each order, None where it has
        no small body or the disk no room. Raises: Unavailable.
        """
        placed: list[Extent | None] = [None] * len(orders)
        riding = [number for number, order in enumerate(orders) if order.payload and _rides(order.payload)]
        if riding and self._room.left():
            payloads = [orders[number].payload or b"" for number in riding]
            extents = self._file(self._volume).append_each(RecordKind.DATA, payloads)
            for number, extent in zip(riding, extents, strict=True):
                placed[number] = extent
        return placed

    def _apply(self, order: Order, extent: Extent | None, entries: list[JournalEntry]) -> Outcome:
        tables = self._tables
        seq = tables.last_seq
        encoded, payload, inline = order.operation, order.payload, order.inline
        try:
            operation = decode_operation(encoded)
            if payload:
                if not _rides(payload) or not isinstance(operation, ops.Put) or operation.extents:
                    raise BadOperation("a payload goes with a small Put that has no extents")
                if extent is None:
                    raise NoSpace("the disk has no room for new data")
                if order.digest:
                    extent = msgspec.structs.replace(extent, digest=order.digest)
                operation = msgspec.structs.replace(operation, extents=[extent])
                encoded = msgspec.Raw(_ENCODER.encode(operation))
                inline = payload if order.keep else inline
            outcome = apply_one(tables, operation, inline)
        except Refused as error:
            assert tables.last_seq == seq, "refused after it had written"
            return _refusal(error)
        except msgspec.DecodeError as error:
            return _refusal(BadOperation(str(error)))
        if tables.last_seq != seq:
            entries.append(JournalEntry(seq + 1, encoded))
            self._changes.note(operation)
        return outcome

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._volume, self._volume_end = self._tables.load()

    def _file(self, volume: int) -> AppendFile:
        file = self._files.get(volume)
        if file is None:
            file = self._files[volume] = AppendFile(self._data_dir, volume, writev=self._writev)
        return file

    def _sync(self, volumes: Iterable[int]) -> None:
        for volume in sorted(volumes):
            try:
                self._flush(self._file(volume).fd)
            except OSError as error:
                self._mark_bad(volume)
                raise Unavailable(f"volume {volume} does not reach the disk: {error.strerror}") from error

    def _give_up(self, volumes: set[int]) -> None:
        """Nothing needs these volumes any more: put on stable storage that it is so, before a file goes."""
        # Not by a commit inside `flushed`: SQLite leaves out writes that change nothing, and their flush with them.
        try:
            wal = os.open(self._data_dir / "index.db-wal", os.O_RDWR | os.O_CLOEXEC)
            try:
                self._flush(wal)
            finally:
                os.close(wal)
        except OSError as error:
            raise Unavailable(f"the index does not reach the disk: {error.strerror}") from error
        for volume in volumes & self._files.keys():
            self._files.pop(volume).close()

    def _mark_bad(self, volume: int) -> None:
        self._roll_back()
        with flushed(self._connection):
            self._connection.execute("UPDATE volumes SET state = 'bad' WHERE id = ?", (volume,))
        self._tables.volumes_good.discard(volume)
        self._files.pop(volume).close()
        self._rotate_first = True

    def _try_rotate(self) -> None:
        try:
            self._rotate()
        except Unavailable:
            self._rotate_first = True

    def _rotate(self) -> None:
        """Begin a new volume."""
        try:
            self._volume = start_volume(self._connection, self._data_dir, self._tables.last_seq)
        except (OSError, apsw.Error, StoreError) as error:
            raise Unavailable(f"no new volume: {error}") from error
        self._volume, self._volume_end = self._tables.load()
        self._rotate_first = False


def start_volume(connection: apsw.Connection, data_dir: Path, last_seq: int) -> int:
    """Make the next volume and let the index name it as the current one. Returns: its id."""
    found = connection.execute("SELECT max(id) FROM volumes").fetchone()
    on_disk = max((int(path.stem) for path in (data_dir / "volumes").glob("*.s4v")), default=0)
    volume = max(found[0] or 0 if found else 0, on_disk) + 1
    create_volume(data_dir, volume, last_seq)
    with flushed(connection):
        connection.execute("UPDATE volumes SET state = 'full' WHERE state = 'open'")
        connection.execute("INSERT INTO volumes (id, state, base_seq) VALUES (?, 'open', ?)", (volume, last_seq))
        connection.execute("UPDATE state SET volume = ?, volume_end = 0", (volume,))
    return volume


def _rides(payload: bytes) -> bool:
    return len(payload) <= PAYLOAD_BYTES_MAX


def _refusal(error: Refused) -> Outcome:
    return Outcome(error=error.code, fact=error.fact)
