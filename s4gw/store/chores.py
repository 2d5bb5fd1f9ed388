"""Work that is done again and again beside storaged: commands that it starts on a schedule, one at a time each.

A chore is a process of its own: it reads the index as workers do and has its changes committed like theirs, so commits
never wait for it. Its standard input ends when storaged does, however that ends; it has to stop then.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

FIRST_AFTER_S: Final = 60.0
"""A gateway that is starting, or that is restarted again and again, has better things to do at first."""


class Chore(msgspec.Struct, frozen=True):
    """A command, and how long after its start it is started again; one that still runs is left alone."""

    command: tuple[str, ...]
    every_s: float


def dump_chore(chore: Chore) -> str:
    """As an argument."""
    return msgspec.json.encode(chore).decode()


def load_chore(text: str) -> Chore:
    """Undo `dump_chore`. Raises: ValueError."""
    return msgspec.json.decode(text, type=Chore)


class Schedule:
    """Starts chores when they are due; lives in storaged's loop.

    Args:
        chores: What to do.
        report: Takes one line about a command that cannot be started or has failed.
        clock: Seconds, monotonic.
        start: ``subprocess.Popen``, or a stand-in.
    """

    def __init__(
        self,
        chores: Sequence[Chore],
        report: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        start: Callable[..., Any] = subprocess.Popen,
    ) -> None:
        self._chores = tuple(chores)
        self._report = report
        self._clock = clock
        self._start = start
        now = clock()
        self._due = [now + min(chore.every_s, FIRST_AFTER_S) for chore in self._chores]
        self._running: list[Any] = [None for _ in self._chores]

    def tend(self) -> None:
        """Start what is due."""
        now = self._clock()
        for place, chore in enumerate(self._chores):
            if now >= self._due[place]:
                self._due[place] = now + chore.every_s
                if not self._busy(place):
                    self._begin(place, chore)

    def end(self) -> None:
        """Let running commands know that storaged ends; they are not waited for."""
        for process in self._running:
            if process is not None:
                process.stdin.close()

    def _busy(self, place: int) -> bool:
        process = self._running[place]
        if process is None:
            return False
        status = process.poll()
        if status is None:
            return True
        process.stdin.close()
        self._running[place] = None
        if status:
            self._report(f"{' '.join(self._chores[place].command)}: exit status {status}")
        return False

    def _begin(self, place: int, chore: Chore) -> None:
        try:
            self._running[place] = self._start(list(chore.command), stdin=subprocess.PIPE, close_fds=True)
        except OSError as error:
            self._report(f"{chore.command[0]}: {error.strerror}")
