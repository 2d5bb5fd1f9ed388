"""Opening a data directory after any kind of stop, and making its index anew from the volumes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import apsw
import msgspec

from s4gw.store.committer import Committer, apply_one, decode_operation, start_volume
from s4gw.store.errors import DataDirError, RecordDamaged, StoreError
from s4gw.store.layout import FORMAT_LINE, VOLUME_HEADER, RecordKind, volume_path
from s4gw.store.lock import COMMITTER_LOCK, FileLock
from s4gw.store.ops import Complete, Journal, Operation, Put, PutPart
from s4gw.store.schema import check_sqlite, open_writer
from s4gw.store.tables import Tables
from s4gw.store.volume import Extent, VolumeReader, read_volume_header, scan_volume, sync_dir

INLINE_BYTES: Final = 1024
"""Objects up to this many stored bytes are also kept in the index row: one read instead of two.

At 4 KiB every such object goes through the write-ahead log and the checkpoint once more: 10 % fewer durable PUTs of
4 KiB of noise per second (1450 against 1650, 8 clients on two cores, 2026-11), and no more GETs.
"""


def prepare(data_dir: Path, *, read_only: bool = False) -> None:
    """Make the directory, or make sure that it is one of ours; *read_only* makes nothing.

    Raises: DataDirError.
    """
    check_sqlite()
    if read_only and not (data_dir / "FORMAT").exists():
        raise DataDirError(f"{data_dir} is no data directory")
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        stamp = data_dir / "FORMAT"
        if not stamp.exists():
            if (data_dir / "index.db").exists() or (data_dir / "volumes").exists():
                raise DataDirError(f"{data_dir} holds volumes or an index, but no FORMAT file")
            _write_stamp(stamp)
        found = stamp.read_text("ascii", errors="replace").strip()
        if found == FORMAT_LINE:
            (data_dir / "volumes").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise DataDirError(f"{data_dir} cannot be used: {error.strerror}") from error
    if found != FORMAT_LINE:
        raise DataDirError(f"{data_dir} has format {found[:60]!r}; this version knows {FORMAT_LINE!r}")


def recover(data_dir: Path) -> None:
    """Make the index as new as the journal and the current volume ready; the caller holds ``storaged.lock``.

    A power cut may take commits from the index that the journal has flushed: whatever whole batches stand behind the
    committed end of the current volume are applied. Then the volume is closed as it is and a new one begins, whose base
    sequence makes void what could not be applied.

    Raises: DataDirError.
    """
    connection = open_writer(data_dir / "index.db")
    try:
        row = connection.execute("SELECT volume, volume_end, last_seq FROM state").fetchone()
        assert row is not None
        volume, end, last_seq = row
        newest = max(volume_ids(data_dir), default=0)
        if volume and newest < volume:
            raise DataDirError(f"volume {volume} is missing")
        if not volume and newest:
            raise DataDirError("volumes without an index: rebuild it")
        if not volume or newest > volume or _size(data_dir, volume) > max(end, VOLUME_HEADER.size):
            if volume:
                last_seq = _replay_tail(connection, data_dir, volume, max(end, VOLUME_HEADER.size))
            start_volume(connection, data_dir, last_seq)
    finally:
        connection.close()


def _replay_tail(connection: apsw.Connection, data_dir: Path, volume: int, start: int) -> int:
    """Apply the batches from *start* of *volume* on that the index lacks. Returns: the last sequence number then.

    A batch is answered only after its journal and all that it names were flushed, and the next one is written after
    that. So only the last one may be torn; it was never answered, and a new volume makes it void.

    Raises: DataDirError, when another one is.
    """
    tables = Tables(connection)
    tables.load()
    reader = VolumeReader(data_dir)
    torn = False
    try:
        for place, journal in _journals_from(data_dir, volume, start):
            first = journal.entries[0].seq
            if first <= tables.last_seq:
                continue  # bytes of an earlier file, say
            if torn or first != tables.last_seq + 1:
                raise DataDirError(f"what was committed after sequence {tables.last_seq} is damaged: rebuild the index")
            torn = not _is_whole(journal, reader)
            if not torn:
                tables.volumes_good.add(place.volume)
                _replay_journal(tables, reader, journal, INLINE_BYTES)
                connection.execute("INSERT OR IGNORE INTO volumes VALUES (?, 'full', ?)", (place.volume, first - 1))
                tables.write_state(place.volume, place.end)
                connection.execute("COMMIT")
    finally:
        reader.close()
    return tables.last_seq


class _Place(NamedTuple):
    """Where a journal record ends."""

    volume: int
    end: int


def _journals_from(data_dir: Path, volume: int, start: int) -> Iterator[tuple[_Place, Journal]]:
    """The journals that are not void, from *start* of *volume* on and in all later volumes.

    Later ones hold some only where an index of an earlier day was put back.
    """
    headers = [read_volume_header(data_dir, number) for number in _begun(data_dir) if number >= volume]
    for number, header in enumerate(headers):
        limit = headers[number + 1].base_seq if number + 1 < len(headers) else None
        begin = start if header.volume == volume else VOLUME_HEADER.size
        for record in scan_volume(data_dir, header.volume, start=begin):
            if record.head.kind is RecordKind.JOURNAL:
                journal = msgspec.msgpack.decode(record.payload, type=Journal)
                if limit is None or journal.last_seq <= limit:
                    yield _Place(header.volume, record.offset + record.head.record_bytes), journal


def _is_whole(journal: Journal, reader: VolumeReader) -> bool:
    """Whether all bytes that the batch names reached the disk."""
    try:
        for entry in journal.entries:
            for extent in _new_extents(decode_operation(entry.operation)):
                reader.read(extent, 0, extent.size)
    except RecordDamaged:
        return False
    return True


def _new_extents(operation: Operation) -> Sequence[Extent]:
    """The extents that came with *operation*."""
    if isinstance(operation, Put | PutPart):
        return operation.extents
    return operation.tail if isinstance(operation, Complete) else ()


def open_committer(
    data_dir: Path, volume_bytes: int, report: Callable[[str], None], *, background: bool = False
) -> tuple[FileLock, Committer]:
    """Become the one committer of a prepared directory.

    Args:
        data_dir: The data directory.
        volume_bytes: Size at which a new volume begins.
        report: Takes one line about each batch that fails.
        background: See `Committer`.

    Returns: the lock, to be released after the committer was closed.
    Raises: StoreLocked, DataDirError.
    """
    lock = FileLock(data_dir / COMMITTER_LOCK)
    try:
        recover(data_dir)
        return lock, Committer(data_dir, volume_bytes=volume_bytes, report=report, background=background)
    except (StoreError, OSError, apsw.Error) as error:
        lock.release()
        if isinstance(error, StoreError):
            raise
        raise DataDirError(f"{data_dir} cannot be opened: {error}") from error


def volume_ids(data_dir: Path) -> list[int]:
    """Ids of the volumes on disk, ascending."""
    return sorted(int(path.stem) for path in (data_dir / "volumes").glob("*.s4v"))


def rebuild_index(data_dir: Path, *, inline_bytes: int = INLINE_BYTES) -> int:
    """Make ``index.db`` anew by applying every journal record; the caller holds ``storaged.lock``.

    Damaged records are passed over, as far as they are journals with their operations. The old index stays until the
    new one is whole.

    Returns: number of operations applied.
    """
    fresh = data_dir / "index.db.new"
    _remove_database(fresh)
    connection = open_writer(fresh)
    reader = VolumeReader(data_dir)
    try:
        applied = _replay(connection, data_dir, reader, inline_bytes)
    finally:
        reader.close()
        connection.close()
    _remove_database(data_dir / "index.db")
    fresh.rename(data_dir / "index.db")
    sync_dir(data_dir)
    return applied


def _replay(connection: apsw.Connection, data_dir: Path, reader: VolumeReader, inline_bytes: int) -> int:
    headers = [read_volume_header(data_dir, volume) for volume in _begun(data_dir)]
    with connection:
        connection.executemany(
            "INSERT INTO volumes VALUES (?, 'full', ?)", [(header.volume, header.base_seq) for header in headers]
        )
    tables = Tables(connection)
    tables.load()
    applied, end = 0, VOLUME_HEADER.size
    for place, journal in _journals_from(data_dir, 0, 0):
        if journal.entries[0].seq <= tables.last_seq:
            continue
        _replay_journal(tables, reader, journal, inline_bytes)
        tables.write_state(place.volume, place.end)
        connection.execute("COMMIT")
        applied += len(journal.entries)
        end = place.end if place.volume == headers[-1].volume else end
    with connection:
        for header in headers[-1:]:
            connection.execute("UPDATE volumes SET state = 'open' WHERE id = ?", (header.volume,))
            connection.execute("UPDATE state SET volume = ?, volume_end = ?", (header.volume, end))
    return applied


def _begun(data_dir: Path) -> list[int]:
    """Volumes with a whole header; one with less was never used and may be torn."""
    return [volume for volume in volume_ids(data_dir) if _size(data_dir, volume) >= VOLUME_HEADER.size]


def _size(data_dir: Path, volume: int) -> int:
    return volume_path(data_dir, volume).stat().st_size


def _replay_journal(tables: Tables, reader: VolumeReader, journal: Journal, inline_bytes: int) -> None:
    """Apply the operations of one batch; the transaction stays open."""
    tables.begin(journal.now_ms)
    for entry in journal.entries:
        operation = decode_operation(entry.operation)
        tables.last_seq = entry.seq - 1
        apply_one(tables, operation, _inline(operation, reader, inline_bytes))
    tables.last_seq = journal.last_seq


def _inline(operation: Operation, reader: VolumeReader, inline_bytes: int) -> bytes | None:
    """The bytes that were inline when the operation was first applied."""
    if isinstance(operation, Put):
        extents = operation.extents
    elif isinstance(operation, Complete) and operation.tail and not operation.parts:
        extents = operation.tail
    else:
        return None
    if sum(extent.size for extent in extents) > inline_bytes:
        return None
    try:
        return b"".join(reader.read(extent, 0, extent.size) for extent in extents)
    except RecordDamaged:
        return None  # reading the object will say so


def _write_stamp(stamp: Path) -> None:
    """Several processes may do this at once: each renames a whole file of the same content into place."""
    fresh = stamp.with_name(f"FORMAT.{os.getpid()}")
    fd = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, f"{FORMAT_LINE}\n".encode())
        os.fsync(fd)
    finally:
        os.close(fd)
    fresh.rename(stamp)
    sync_dir(stamp.parent)


def _remove_database(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
