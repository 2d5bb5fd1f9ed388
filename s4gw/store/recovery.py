"""Opening a data directory after any kind of stop, never reading more than what was last written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import apsw
import msgspec

from s4gw.store.committer import Committer, decode_operation, start_volume
from s4gw.store.errors import DataDirError, RecordDamaged, StoreError
from s4gw.store.layout import FORMAT_LINE, NO_LIMIT, VOLUME_HEADER, RecordKind, volume_path
from s4gw.store.lock import COMMITTER_LOCK, FileLock
from s4gw.store.ops import Journal
from s4gw.store.record import VolumeHeader
from s4gw.store.replay import apply_journal, new_extents
from s4gw.store.schema import check_sqlite, open_writer
from s4gw.store.tables import Tables
from s4gw.store.volume import VolumeReader, read_volume_header, sync_dir
from s4gw.store.walk import Hole, Walk

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
        begun = _begun(data_dir, volume)
        if volume and (not begun or begun[0].volume != volume):
            raise DataDirError(f"volume {volume} is missing")
        if not volume and any(_size(data_dir, header.volume) > VOLUME_HEADER.size for header in begun):
            raise DataDirError("volumes without an index: rebuild it")
        if not volume or len(begun) != 1 or _size(data_dir, volume) > max(end, VOLUME_HEADER.size):
            if volume:
                last_seq = _replay_tail(connection, data_dir, begun, max(end, VOLUME_HEADER.size))
            start_volume(connection, data_dir, last_seq)
    finally:
        connection.close()


def _replay_tail(connection: apsw.Connection, data_dir: Path, begun: Sequence[VolumeHeader], start: int) -> int:
    """Apply the batches from *start* of the first volume on that the index lacks. Returns: the last sequence then.

    A batch is answered only after its journal and all that it names were flushed, and the next one is written after
    that. So only the last one may be torn; it was never answered, and a new volume makes it void.

    Raises: DataDirError, when another one is.
    """
    tables = Tables(connection)
    tables.load()
    reader = VolumeReader(data_dir)
    torn = False
    try:
        for place, journal in _journals_from(data_dir, begun, start):
            first = journal.entries[0].seq
            if first <= tables.last_seq:
                continue  # bytes of an earlier file, say
            if torn or first != tables.last_seq + 1:
                raise DataDirError(f"what was committed after sequence {tables.last_seq} is damaged: rebuild the index")
            torn = not _is_whole(journal, reader)
            if not torn:
                tables.begin(journal.now_ms)
                apply_journal(tables, journal, lambda extent: reader.read(extent, 0, extent.size), INLINE_BYTES)
                connection.execute(
                    "INSERT OR IGNORE INTO volumes (id, state, base_seq) VALUES (?, 'full', ?)",
                    (place.header.volume, place.header.base_seq),
                )
                tables.count_meta(place.header.volume, place.end - place.start)
                tables.write_state(place.header.volume, place.end)
                connection.execute("COMMIT")
    finally:
        reader.close()
    return tables.last_seq


class _Place(NamedTuple):
    """Where a journal record lies."""

    header: VolumeHeader
    start: int
    end: int


def _journals_from(data_dir: Path, begun: Sequence[VolumeHeader], start: int) -> Iterator[tuple[_Place, Journal]]:
    """The journals that are not void, from *start* of the first volume on and in all later ones.

    Later ones hold some only where an index of an earlier day was put back.
    """
    for number, header in enumerate(begun):
        limit = begun[number + 1].base_seq if number + 1 < len(begun) else NO_LIMIT
        with Walk(data_dir, header.volume) as walk:
            for found in walk.records(VOLUME_HEADER.size if number else start):
                if isinstance(found, Hole) or found.head.kind is not RecordKind.JOURNAL:
                    continue
                try:
                    journal = msgspec.msgpack.decode(walk.payload(found), type=Journal)
                except RecordDamaged:
                    continue
                if journal.last_seq <= limit:
                    yield _Place(header, found.offset, found.offset + found.head.record_bytes), journal


def _is_whole(journal: Journal, reader: VolumeReader) -> bool:
    """Whether all bytes that the batch names reached the disk."""
    try:
        for entry in journal.entries:
            for extent in new_extents(decode_operation(entry.operation)):
                reader.read(extent, 0, extent.size)
    except RecordDamaged:
        return False
    return True


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


def _begun(data_dir: Path, first: int) -> list[VolumeHeader]:
    """Heads of the volumes from *first* on, but for those of compaction: these hold no journal records of their own.

    One with less than a head was never used and may be torn, or is being removed.
    """
    numbers = [volume for volume in volume_ids(data_dir) if volume >= first]
    headers = [read_volume_header(data_dir, n) for n in numbers if _size(data_dir, n) >= VOLUME_HEADER.size]
    return [header for header in headers if header.base_seq != NO_LIMIT]


def _size(data_dir: Path, volume: int) -> int:
    return volume_path(data_dir, volume).stat().st_size


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
