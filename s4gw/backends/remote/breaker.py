"""Fail fast while the upstream is down: a circuit breaker, one for each worker process.

Closed, it lets everything through and counts failures in a row. After `FAILURES_MAX` it opens: calls are refused at
once for a while, so that threads do not all wait for time-outs. When the while is over, one call goes through as a
probe and the others are still refused. What becomes of the probe closes the breaker, or opens it for twice as long.

Only what says that the upstream does not work is a failure: no connection, no answer, 502, 503, 504. An answer that
refuses a request is a sign of life, and one that is about the request (500) says nothing either way.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from enum import Enum
from typing import Final

from s4gw.backends.remote.errors import UpstreamUnavailable

FAILURES_MAX: Final = 5
"""In a row. Each has been repeated by the client already, so this is some 15 tries of several threads."""
OPEN_S: Final = 1.0
OPEN_S_MAX: Final = 30.0
"""A gateway sees at the latest then that its upstream is back."""


class State(Enum):
    """What the breaker does with a call."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


class Breaker:
    """Safe to use from any thread.

    Args:
        clock: Monotonic seconds.
        changed: Told whether calls are refused from now on.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, changed: Callable[[bool], None] = lambda _open: None
    ) -> None:
        self._clock = clock
        self._changed = changed
        self._lock = threading.Lock()
        self._state = State.CLOSED
        self._failures = 0
        self._open_s = OPEN_S
        self._until = 0.0

    @property
    def state(self) -> State:
        """For logs and tests."""
        return self._state

    def enter(self) -> bool:
        """Ask to make a call, whose outcome is then told. Returns: whether it is the probe.

        Raises: UpstreamUnavailable, with the time after which it makes sense to come again.
        """
        if self._state is State.CLOSED:  # PERF: no lock on the way of every call; a late look lets one more through
            return False
        return self._enter_open()

    def _enter_open(self) -> bool:
        with self._lock:
            now = self._clock()
            if self._state is State.OPEN and now >= self._until:
                self._state = State.PROBING
                return True
            if self._state is State.CLOSED:
                return False
            raise UpstreamUnavailable(retry_after_s=str(max(1, math.ceil(self._until - now))))

    def succeeded(self) -> None:
        """The upstream has answered a call."""
        if self._state is State.CLOSED and not self._failures:
            return
        with self._lock:
            self._failures = 0
            if self._state is State.CLOSED:
                return
            self._state = State.CLOSED
            self._open_s = OPEN_S
        self._changed(False)

    def failed(self, *, probe: bool = False) -> None:
        """A call has shown that the upstream does not work."""
        with self._lock:
            self._failures += 1
            if self._state is State.CLOSED:
                if self._failures < FAILURES_MAX:
                    return
            elif not probe:
                return  # it began before the breaker opened
            else:
                self._open_s = min(2 * self._open_s, OPEN_S_MAX)
            self._state = State.OPEN
            self._until = self._clock() + self._open_s
        self._changed(True)

    def undecided(self, *, probe: bool) -> None:
        """A call has ended without saying anything about the upstream; another one may probe."""
        if probe:
            with self._lock:
                if self._state is State.PROBING:
                    self._state = State.OPEN
                    self._until = self._clock()
