"""Volumes that a body on its way lies in are held: compaction leaves them alone until the body was committed.

Extents that were appended and not yet committed look like dead bytes to everybody else. A process therefore holds a
shared ``flock`` on each volume that it has such extents in; compaction takes the lock exclusively or passes the volume
over. The kernel releases the locks of a process that dies, and its extents are dead then.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections import OrderedDict
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from s4gw.store.layout import volume_path

_IDLE_MAX: Final = 8  # descriptors kept for the next hold: bodies go into one volume, and have twins in a few


class VolumeLeaving(Exception):
    """Compaction works on the volume, or it is gone: nothing new may go there."""


class Pins:
    """What one process holds; safe to use from any of its threads.

    Args:
        data_dir: The data directory.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._lock = threading.Lock()
        self._held: dict[int, list[int]] = {}
        """Descriptor and number of bodies, by volume."""
        self._idle: OrderedDict[int, int] = OrderedDict()
        """Descriptors without a lock, by volume. PERF: opening and closing one for every body costs 30 us."""
        self._inherited = False

    def hold(self, volume: int) -> Pin:
        """Hold the volume for one body. Raises: VolumeLeaving."""
        with self._lock:
            held = self._held.get(volume)
            if held is None:
                held = self._held[volume] = [self._locked(volume), 0]
            held[1] += 1
        return Pin(self, volume)

    def release(self, volume: int) -> None:
        """One body less."""
        with self._lock:
            if self._inherited:
                return
            held = self._held[volume]
            held[1] -= 1
            if not held[1]:
                del self._held[volume]
                fcntl.flock(held[0], fcntl.LOCK_UN)
                self._idle[volume] = held[0]
                if len(self._idle) > _IDLE_MAX:
                    os.close(self._idle.popitem(last=False)[1])

    def close(self) -> None:
        """Close what nobody uses."""
        with self._lock:
            while self._idle:
                os.close(self._idle.popitem()[1])

    def forget(self) -> None:
        """After a fork: the locks are the parent's, and closing our descriptors leaves them so."""
        self._lock = threading.Lock()
        self._inherited = True
        for descriptor in (*(held[0] for held in self._held.values()), *self._idle.values()):
            os.close(descriptor)
        self._held.clear()
        self._idle.clear()

    def _locked(self, volume: int) -> int:
        descriptor = self._idle.pop(volume, -1)
        try:
            if descriptor < 0:
                descriptor = os.open(volume_path(self._data_dir, volume), os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise VolumeLeaving(str(volume)) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if not os.fstat(descriptor).st_nlink:
                raise BlockingIOError
        except OSError as error:
            os.close(descriptor)
            raise VolumeLeaving(str(volume)) from error
        return descriptor


class Pin:
    """One body's hold on one volume, until it is released or nobody has it any more."""

    __slots__ = ("_pins", "_volume")

    def __init__(self, pins: Pins, volume: int) -> None:
        self._pins: Pins | None = pins
        self._volume = volume

    def release(self) -> None:
        """Let go; once."""
        pins, self._pins = self._pins, None
        if pins is not None:
            pins.release(self._volume)

    def __del__(self) -> None:
        self.release()


class Claim:
    """Compaction's exclusive hold on one volume; a context manager.

    Raises: BlockingIOError, while a body on its way lies in it.
    """

    def __init__(self, data_dir: Path, volume: int) -> None:
        self._descriptor = os.open(volume_path(data_dir, volume), os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise

    def close(self) -> None:
        """Let go."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
