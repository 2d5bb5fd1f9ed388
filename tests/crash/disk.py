"""A disk that remembers every write and flush, and shows what it may hold after the power went.

`Disk` records what happens to the files of one data directory: writes of this process through `os`, those of SQLite
through a VFS of apsw. `image` then makes a directory as a power cut after any number of events may leave it: what was
flushed is there; of everything else any part may be, in pieces of 512-byte sectors, and a name that was made or removed
may not be yet, until its directory was flushed. `fail_at` makes the n-th write or flush fail instead.
"""

from __future__ import annotations

import errno
import itertools
import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import pytest

from s4gw.store.record import Buffer

SECTOR = 512
VFS = "recording"


class Event(NamedTuple):
    """One thing that happened to a file; *what* is write, cut, sync, make, unlink, move, dir or mark."""

    what: str
    name: str = ""
    offset: int = 0
    data: bytes = b""
    mark: Any = None


class Disk:
    """Recorder of one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.events: list[Event] = []
        self.recording = True
        self.writes = 0
        self.fail_at = -1
        self.failure = errno.EIO
        self.failed = False
        self._dirty: set[str] = set()

    # -- what happens ---------------------------------------------------------------------------------------------
    def mark(self, value: Any) -> None:
        """Remember a moment of the test's own."""
        self.events.append(Event("mark", mark=value))

    def note(self, what: str, path: str, offset: int = 0, data: bytes = b"", mark: Any = None) -> None:
        """Something happened to the file at *path*."""
        name = self._name(path)
        if self.recording and name is not None:
            self.events.append(Event(what, name, offset, data, mark))

    def attempt(self, path: str) -> None:
        """Before a write or flush. Raises: OSError, when this one is to fail."""
        if self._name(path) is None or not self.recording:
            return
        self.writes += 1
        if self.writes - 1 == self.fail_at:
            self.failed = True
            raise OSError(self.failure, os.strerror(self.failure))

    def _name(self, path: str) -> str | None:
        """Of files that matter after a power cut."""
        try:
            name = Path(path).relative_to(self.data_dir).as_posix()
        except ValueError:
            return None
        return None if name.endswith(("-shm", ".lock", "generations")) else name

    # -- os -------------------------------------------------------------------------------------------------------
    def writev(self, descriptor: int, buffers: Sequence[Buffer]) -> int:
        path = _path_of(descriptor)
        data = b"".join(bytes(buffer) for buffer in buffers)
        try:
            self.attempt(path)
        except OSError:
            if self.failure == errno.ENOSPC:  # some of it reaches the file
                os.pwrite(descriptor, data[: len(data) // 3], os.lseek(descriptor, 0, os.SEEK_END))
            raise
        written = _WRITEV(descriptor, buffers)
        self.note("write", path, os.lseek(descriptor, 0, os.SEEK_CUR) - written, data)
        return written

    def write(self, descriptor: int, data: Buffer) -> int:
        path = _path_of(descriptor)
        self.attempt(path)
        written = _WRITE(descriptor, data)
        if self._name(path) is not None:
            self.note("write", path, os.lseek(descriptor, 0, os.SEEK_CUR) - written, bytes(data))
        return written

    def fsync(self, descriptor: int) -> None:
        path = _path_of(descriptor)
        self.attempt(path)
        self.note("dir" if Path(path).is_dir() else "sync", path)

    def open(self, path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
        fresh = bool(flags & os.O_CREAT) and not Path(path).exists()
        descriptor = _OPEN(path, flags, mode, **options)
        if fresh:
            self.note("make", os.fspath(path))
        return descriptor

    def truncate(self, path: Any, size: int) -> None:
        _TRUNCATE(path, size)
        self.note("cut", os.fspath(path), size)

    def unlink(self, path: Any, **options: Any) -> None:
        _UNLINK(path, **options)
        self.note("unlink", os.fspath(path))

    def rename(self, path: Any, target: Any, **options: Any) -> None:
        _RENAME(path, target, **options)
        self.note("move", os.fspath(path), mark=self._name(os.fspath(target)))

    @contextmanager
    def inserted(self) -> Iterator[None]:
        """Let everything go through this disk."""
        vfs = _Vfs(self)
        with pytest.MonkeyPatch.context() as patch:
            for name in ("write", "fsync", "open", "truncate", "unlink", "rename"):
                patch.setattr(os, name, getattr(self, name))
            patch.setattr(os, "fdatasync", self.fsync)
            try:
                yield
            finally:
                self.recording = False
                vfs.unregister()

    # -- what is left ---------------------------------------------------------------------------------------------
    def image(self, target: Path, cut: int, rng: random.Random | None, share: float = 0.5) -> None:
        """Make *target* what the disk may hold when the power goes after *cut* events.

        Args:
            target: Made.
            cut: Number of events.
            rng: Chooses what of the unflushed is there; None: nothing.
            share: How likely each sector and name is there; 1: everything.
        """
        files: dict[str, _File] = {}
        for event in self.events[:cut]:
            if event.what == "dir":
                _flush_names(files, event.name)
            elif event.what == "move":
                files[event.mark] = files.pop(event.name)
            elif event.what == "make":
                files[event.name] = _File()
            elif event.what != "mark":
                file = files.setdefault(event.name, _File())
                file.apply(event)
                if event.what == "sync" and not file.named and not event.name.endswith(".s4v"):
                    _flush_names(files, ".")  # the first time SQLite flushes the directory as well
        (target / "volumes").mkdir(parents=True)
        shutil.copy(self.data_dir / "FORMAT", target)  # `prepare` had been through
        for name, file in files.items():
            gone = file.doomed and (rng is None or rng.random() < 0.5)
            if (file.named or (rng is not None and rng.random() < share)) and not gone:
                (target / name).write_bytes(file.content(rng, share))


def _flush_names(files: dict[str, _File], folder: str) -> None:
    for name, file in list(files.items()):
        if str(Path(name).parent) == folder:
            file.named = True
            if file.doomed:
                del files[name]


class _File:
    """One file: what was flushed, and what was written since."""

    def __init__(self) -> None:
        self.flushed = bytearray()
        self.since: list[Event] = []
        self.named = False
        self.doomed = False

    def apply(self, event: Event) -> None:
        if event.what == "sync":
            for waiting in self.since:
                _put(self.flushed, waiting, None, 1)
            self.since.clear()
        elif event.what == "unlink":
            self.doomed = True
        elif event.what in ("write", "cut"):
            self.since.append(event)

    def content(self, rng: random.Random | None, share: float) -> bytes:
        content = bytearray(self.flushed)
        for event in self.since:
            if rng is not None:
                _put(content, event, rng, share)
        return bytes(content)


def _put(content: bytearray, event: Event, rng: random.Random | None, share: float) -> None:
    """Apply a write whole, or some sectors of it."""
    if event.what == "cut":
        if rng is None or rng.random() < share:
            del content[event.offset :]
        return
    if rng is None or share >= 1:
        pieces = [(event.offset, event.offset + len(event.data))]
    elif rng.random() < 0.5:  # whole writes come and go as often as torn ones
        pieces = [(event.offset, event.offset + len(event.data))] if rng.random() < share else []
    else:
        ends = [*range(event.offset - event.offset % SECTOR + SECTOR, event.offset + len(event.data), SECTOR)]
        edges = [event.offset, *ends, event.offset + len(event.data)]
        pieces = [(a, b) for a, b in itertools.pairwise(edges) if rng.random() < share]
    for start, end in pieces:
        if len(content) < end:
            content.extend(bytes(end - len(content)))
        content[start:end] = event.data[start - event.offset : end - event.offset]


def _path_of(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


class _Vfs(apsw.VFS):
    """SQLite's way to the disk."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        super().__init__(VFS, "unix", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        if not Path(path).exists():
            self.disk.note("make", path)
        return _VfsFile(self.disk, path, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's name
        super().xDelete(filename, syncdir)
        self.disk.note("unlink", filename)
        if syncdir:
            self.disk.note("dir", str(Path(filename).parent))


class _VfsFile(apsw.VFSFile):
    def __init__(self, disk: Disk, path: str, name: Any, flags: list[int]) -> None:
        self.disk, self.path = disk, path
        super().__init__("unix", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._attempt()
        super().xWrite(data, offset)
        self.disk.note("write", self.path, offset, bytes(data))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        super().xTruncate(newsize)
        self.disk.note("cut", self.path, newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        del flags
        self._attempt()
        self.disk.note("sync", self.path)

    def _attempt(self) -> None:
        try:
            self.disk.attempt(self.path)
        except OSError as error:
            raise (apsw.FullError if error.errno == errno.ENOSPC else apsw.IOError)(error.strerror) from error


_WRITEV: Callable[[int, Any], int] = os.writev
_WRITE: Callable[[int, Any], int] = os.write
_OPEN: Callable[..., int] = os.open
_TRUNCATE: Callable[[Any, int], None] = os.truncate
_UNLINK: Callable[..., None] = os.unlink
_RENAME: Callable[..., None] = os.rename
