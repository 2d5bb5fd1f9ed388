"""Copies of a data directory, taken while it is served, and putting one back.

A backup is a data directory itself: the index as it was at one moment, and every volume that it names, cut where that
moment was. The second backup into the same place copies only what is new. Until its index is renamed into place, the
place holds the backup before it.
"""

from __future__ import annotations

import os
import shutil
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final

import apsw
import msgspec

from s4gw.store.errors import DataDirError
from s4gw.store.layout import VOLUME_HEADER, volume_path
from s4gw.store.lock import COMMITTER_LOCK, FileLock
from s4gw.store.recovery import prepare, volume_ids
from s4gw.store.schema import fetch
from s4gw.store.upkeep import PAUSE_FILE, UPKEEP_LOCK, Pace
from s4gw.store.volume import sync_dir

_COPY_BYTES: Final = 4 * 1024**2
_OF_PROCESSES: Final = frozenset({"generations", PAUSE_FILE, "FORMAT"})
"""Files that mean nothing in a copy, and the one that is written last."""


class BackedUp(msgspec.Struct):
    """What was done."""

    volumes: int = 0
    """In the backup."""
    copied: int = 0
    """Of them, those that were copied now."""
    copied_bytes: int = 0


def backup(data_dir: Path, target: Path, pace: Pace) -> BackedUp:
    """Copy *data_dir* into *target*, which is made or holds an earlier backup of it.

    Compaction waits meanwhile, nothing else does.

    Raises: DataDirError, also for a target that is served or has volumes of another store; StoreLocked (compaction or a
        scrub is running, or *target* is served), Stopped, OSError.
    """
    prepare(data_dir, read_only=True)
    _check_apart(data_dir, target)
    if target.exists() and any(target.iterdir()) and not (target / "FORMAT").exists():
        raise DataDirError(f"{target} holds something else")
    with _unserved(target), FileLock(data_dir / UPKEEP_LOCK, wait=True):
        return _copy_store(data_dir, target, pace)


def _copy_store(data_dir: Path, target: Path, pace: Pace) -> BackedUp:
    """Copy, while nobody removes volumes and nobody serves *target*."""
    (target / "volumes").mkdir(mode=0o700, parents=True, exist_ok=True)
    target.chmod(0o700)
    _check_same_store(data_dir, target)
    fresh = target / "index.db.new"
    _copy_index(data_dir, fresh)
    connection = apsw.Connection(str(fresh))
    try:
        done = _copy_volumes(connection, data_dir, target, pace)
        kept = {volume for (volume,) in fetch(connection, _NEEDED)}
        connection.execute("PRAGMA journal_mode=DELETE")  # one file; a store makes it a log again
    finally:
        connection.close()
    for path in sorted(data_dir.iterdir()):
        ours = path.suffix == ".lock" or path.name.startswith("index.db") or path.name in _OF_PROCESSES
        if path.is_file() and not ours:
            _copy(path, target / path.name, path.stat().st_size, pace)
    _sync(fresh)
    sync_dir(target / "volumes")
    fresh.rename(target / "index.db")
    _copy(data_dir / "FORMAT", target / "FORMAT", (data_dir / "FORMAT").stat().st_size, pace)
    sync_dir(target)
    for volume in volume_ids(target):
        if volume not in kept:
            volume_path(target, volume).unlink()
    done.volumes = len(kept)
    return done


def _check_apart(data_dir: Path, target: Path) -> None:
    """SECURITY: a copy into itself would take the store for an old backup of it, and remove what that has too much."""
    ours, copy = data_dir.resolve(), target.resolve()
    if ours.is_relative_to(copy) or copy.is_relative_to(ours):
        raise DataDirError(f"{data_dir} and {target} hold one another: a copy needs a place of its own")


def _unserved(place: Path) -> AbstractContextManager[object]:
    """Keep *place* from being served, if it ever was; where backups are there may be no locks, or nothing to write."""
    lock = place / COMMITTER_LOCK
    return FileLock(lock) if lock.exists() else nullcontext()


def _check_same_store(data_dir: Path, target: Path) -> None:
    """SECURITY: whoever mistakes another store for the backup must not lose it. Each volume has a salt of its own."""
    theirs = set(volume_ids(target))
    for volume in volume_ids(data_dir):
        if volume in theirs and _header_of(data_dir, volume) != _header_of(target, volume):
            raise DataDirError(f"{target} holds volumes of another store")


def _header_of(data_dir: Path, volume: int) -> bytes:
    with volume_path(data_dir, volume).open("rb") as file:
        return file.read(VOLUME_HEADER.size)


def restore(source: Path, data_dir: Path, pace: Pace) -> BackedUp:
    """Copy the backup *source*, which may be read-only, into *data_dir*, which is missing or empty.

    Raises: DataDirError, StoreLocked (*source* is served), Stopped, OSError.
    """
    prepare(source, read_only=True)
    _check_apart(source, data_dir)
    if data_dir.exists() and any(data_dir.iterdir()):
        raise DataDirError(f"{data_dir} is not empty")
    with _unserved(source):
        return _copy_store(source, data_dir, pace)


_NEEDED: Final = "SELECT id FROM volumes WHERE state NOT IN ('deleting', 'gone')"


def _copy_index(data_dir: Path, fresh: Path) -> None:
    fresh.unlink(missing_ok=True)
    source = apsw.Connection(str(data_dir / "index.db"), flags=apsw.SQLITE_OPEN_READONLY)
    copy = apsw.Connection(str(fresh))
    fresh.chmod(0o600)
    try:
        with copy.backup("main", source, "main") as work:
            work.step()
    finally:
        copy.close()
        source.close()


def _copy_volumes(connection: apsw.Connection, data_dir: Path, target: Path, pace: Pace) -> BackedUp:
    [(current, end)] = fetch(connection, "SELECT volume, volume_end FROM state")
    done = BackedUp()
    for (volume,) in fetch(connection, f"{_NEEDED} ORDER BY id"):
        pace.between()
        path, copy = volume_path(data_dir, volume), volume_path(target, volume)
        # what stands behind the committed end belongs to later commits, whose other bytes may be elsewhere
        size = max(end, VOLUME_HEADER.size) if volume == current else path.stat().st_size
        if copy.exists() and copy.stat().st_size == size:
            continue
        _copy(path, copy, size, pace)
        done.copied += 1
        done.copied_bytes += size
    return done


def _copy(path: Path, copy: Path, size: int, pace: Pace) -> None:
    """Copy the first *size* bytes; the copy is there when it is whole and on the disk."""
    part = copy.with_name(f"{copy.name}.part")
    with path.open("rb") as reading, part.open("wb") as writing:
        os.fchmod(writing.fileno(), 0o600)
        left = size
        while left and (data := reading.read(min(left, _COPY_BYTES))):
            writing.write(data)
            left -= len(data)
            pace.spend(2 * len(data))
        writing.flush()
        os.fsync(writing.fileno())
    if left:
        raise DataDirError(f"{path} is shorter than it was")
    part.rename(copy)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_bytes(data_dir: Path) -> tuple[int, int]:
    """Free and all bytes of the file system."""
    usage = shutil.disk_usage(data_dir)
    return usage.free, usage.total
