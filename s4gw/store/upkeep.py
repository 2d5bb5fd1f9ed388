"""What compaction, snapshots and scrubbing share: one run at a time, a byte rate, a pause, and an end when asked to.

A run is a process beside storaged (or the process of a command). It reads the index as any worker does and has its
changes committed by storaged, so commits never wait for its work, and killing it is killing a worker.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw

from s4gw.store.engine import Store
from s4gw.store.errors import Unavailable
from s4gw.store.layout import NO_LIMIT, RecordKind
from s4gw.store.lock import FileLock
from s4gw.store.record import Buffer
from s4gw.store.recovery import volume_ids
from s4gw.store.schema import fetch, open_reader
from s4gw.store.volume import AppendFile, Extent, Gather, create_volume
from s4gw.store.volume_ops import VolumeAdd, VolumeSeal

UPKEEP_LOCK: Final = "upkeep.lock"
PAUSE_FILE: Final = "upkeep.paused"
BYTES_PER_S: Final = 64 * 1024**2
"""Read and written: a tenth of what one SSD does, three hours for a TB."""

_PAUSE_LOOK_S: Final = 1.0
_BURST_S: Final = 0.25  # a pause shorter than this is put off: sleeping for each record would cost more than it spares


class Stopped(Exception):
    """The run was asked to end."""


def _never() -> bool:
    return False


def _no_step(_name: str) -> None:
    """Where nobody looks."""


class Pace:
    """Keeps a run below a rate, waits while it is paused, ends it when asked to.

    Args:
        data_dir: The data directory, for the pause file.
        bytes_s: Bytes per second, read and written; 0 is no limit.
        stop: Whether to end.
        clock: Seconds, monotonic.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        data_dir: Path,
        bytes_s: int = BYTES_PER_S,
        *,
        stop: Callable[[], bool] = _never,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._pause = data_dir / PAUSE_FILE
        self._bytes_s = bytes_s
        self._stop = stop
        self._clock = clock
        self._sleep = sleep
        self._due = clock()

    def spend(self, size: int) -> None:
        """Account for *size* bytes. Raises: Stopped."""
        if self._stop():
            raise Stopped
        if not self._bytes_s:
            return
        now = self._clock()
        self._due = max(self._due, now - _BURST_S) + size / self._bytes_s
        if self._due > now + _BURST_S:
            self.wait(self._due - now)

    def between(self) -> None:
        """Called between two steps, where a run may rest. Raises: Stopped."""
        while self._pause.exists():
            self.wait(_PAUSE_LOOK_S)
        if self._stop():
            raise Stopped

    def wait(self, seconds: float) -> None:
        """Wait. Raises: Stopped."""
        end = self._clock() + seconds
        while (left := end - self._clock()) > 0:
            if self._stop():
                raise Stopped
            self._sleep(min(left, _PAUSE_LOOK_S))


class Upkeep:
    """One run's hold on the data directory; made by `upkeep`.

    Args:
        store: The store, open for writing.
        pace: How fast.
        clock: Seconds since the epoch.
        step: For tests: told the name of each step before it is taken.
        writev: For tests: stands in for ``os.writev``.
    """

    def __init__(
        self,
        store: Store,
        pace: Pace,
        *,
        clock: Callable[[], float] = time.time,
        step: Callable[[str], None] = _no_step,
        writev: Gather = os.writev,
    ) -> None:
        self.store = store
        self.data_dir = store.data_dir
        self.pace = pace
        self.clock = clock
        self.step = step
        self.writev = writev
        store.reach()  # somebody commits, and the index is there; no matter whether the disk is full
        self.connection: apsw.Connection = open_reader(self.data_dir / "index.db")


@contextmanager
def upkeep(  # noqa: PLR0913
    store: Store,
    pace: Pace,
    *,
    wait: bool = False,
    clock: Callable[[], float] = time.time,
    step: Callable[[str], None] = _no_step,
    writev: Gather = os.writev,
) -> Iterator[Upkeep]:
    """Be the one run of the data directory.

    Raises: StoreLocked (another run is on; with *wait* it is waited for), Unavailable.
    """
    with FileLock(store.data_dir / UPKEEP_LOCK, wait=wait):
        run = Upkeep(store, pace, clock=clock, step=step, writev=writev)
        try:
            yield run
        finally:
            run.connection.close()


class Filler:
    """Fills volumes of compaction, one after the other.

    Args:
        run: The run.
        volume_bytes: Size at which the next one begins.
    """

    def __init__(self, run: Upkeep, volume_bytes: int) -> None:
        self._run = run
        self._volume_bytes = volume_bytes
        self._file: AppendFile | None = None
        self._unflushed = False

    def append(self, kind: RecordKind, payload: Buffer) -> Extent:
        """Append one record; it counts for nothing before `flush`. Raises: Unavailable."""
        if self._file is not None and self._file.size() >= self._volume_bytes:
            self.seal()
        if self._file is None:
            self._file = self._begin()
        self._unflushed = True
        return self._file.append(kind, (payload,))

    def flush(self) -> None:
        """What was appended is on the disk. Raises: Unavailable."""
        if self._file is None or not self._unflushed:
            return
        self._run.step("flush copies")
        try:
            os.fdatasync(self._file.fd)
        except OSError as error:
            self._abandon()
            raise Unavailable(f"copies do not reach the disk: {error.strerror}") from error
        self._unflushed = False

    def seal(self) -> None:
        """Flush and close the volume that is being filled. Raises: Unavailable."""
        if self._file is not None:
            self.flush()
            volume = self._file.volume
            self._abandon()
            self._run.store.submit(VolumeSeal(volume))

    def _abandon(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> AppendFile:
        data_dir = self._run.data_dir
        [(known,)] = fetch(self._run.connection, "SELECT max(id) FROM volumes")
        volume = max(known or 0, max(volume_ids(data_dir), default=0)) + 1
        self._run.step("begin volume")
        try:
            create_volume(data_dir, volume, NO_LIMIT)
        except OSError as error:
            raise Unavailable(f"no new volume: {error.strerror}") from error
        self._run.store.submit(VolumeAdd(volume))
        return AppendFile(data_dir, volume, writev=self._run.writev)
