"""The threads of a worker, and who keeps them: clients that are slow must not keep others from being served.

A thread serves one connection at a time. While all of them wait for clients that send or read slowly, and others wait
for a thread, the pool grows; how it grows is decided by the main thread, ten times a second and only when somebody
waits, by looking at where the threads are (`client_wait`). Serving itself pays nothing for it.

At `EXTRA_MAX` more threads the slowest clients are cut off: those that moved less than `SLOW_BYTES_PER_S` for
`SLOW_S`, as the kernel counts. Without anybody waiting nobody is cut; the limits on silence (`gateway.connection`)
and on headers (`gateway.parsing`) hold all the same.
"""

from __future__ import annotations

import queue
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from types import CodeType
from typing import Any, Final, TypeVar

EXTRA_MAX: Final = 64
"""Threads beyond those asked for. Each holds what its request holds, some MiB for an upload."""
EXTRA_IDLE_S: Final = 10.0
"""How long a thread more than asked for stays without work."""
SLOW_S: Final = 2.0
SLOW_BYTES_PER_S: Final = 1024
"""Slower than any modem; mod_reqtimeout of Apache asks for 500."""

_TCP_INFO_COUNTERS: Final = struct.Struct("=120xQQ")
"""Linux, ``struct tcp_info``: bytes acknowledged by the peer, bytes received from it."""
_WAITS: set[CodeType] = set()

F = TypeVar("F", bound=Callable[..., Any])


def client_wait(function: F) -> F:
    """Mark a function that waits for a client in a system call of its own, not in a function that it calls."""
    _WAITS.add(function.__code__)
    return function


class Slow:
    """A connection whose thread was found waiting for the client each time somebody looked."""

    __slots__ = ("bytes", "looks", "since")

    def __init__(self, now: float, moved: int) -> None:
        self.since, self.bytes, self.looks = now, moved, 1


class Pool:
    """Threads that serve connections; what gunicorn's worker needs of an executor.

    Everything but the threads themselves runs in the main thread.

    Args:
        threads: That are always there, once there was work for them.
        extra_max: That may come to them while clients are slow.
    """

    def __init__(self, threads: int, extra_max: int = EXTRA_MAX) -> None:
        self._threads = threads
        self._extra_max = extra_max
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[Any], Any], Any] | None] = queue.SimpleQueue()
        self._started = 0
        self._lock = threading.Lock()
        self._extra = 0
        self._serving: dict[int, Any] = {}  # thread -> connection
        self._slow: dict[int, tuple[Any, Slow]] = {}  # thread -> its connection when last looked at
        self._ended = False

    def submit(self, serve: Callable[[Any], Any], conn: Any) -> Future[Any]:
        """Have *serve* called with *conn* by some thread."""
        future: Future[Any] = Future()
        self._jobs.put((future, serve, conn))
        if self._started < self._threads:
            self._started += 1
            self._start(extra=False)
        return future

    def shutdown(self, wait: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - an executor's signature
        """Let the threads end after what they do now; gunicorn never waits for them."""
        self._ended = True
        for _ in range(self._started + self._extra_max):
            self._jobs.put(None)

    @property
    def threads(self) -> int:
        """Threads there are now."""
        return self._started + self._extra

    def look_after(self) -> None:
        """Grow, or cut slow clients off, if somebody waits for a thread; called regularly."""
        waiting = self._jobs.qsize()
        if not waiting or self._ended:
            self._slow.clear()
            return
        now = time.monotonic()
        slow = self._find_slow(now)
        # Seen once it may have been anybody; seen twice it waits for most of its time.
        steady = [conn for conn, found in slow.values() if found.looks > 1]
        wanted = min(waiting, len(steady) - self._extra, self._extra_max - self._extra)
        for _ in range(wanted):
            with self._lock:
                self._extra += 1
            self._start(extra=True)
        if self._extra >= self._extra_max:
            _cut((conn, found) for conn, found in slow.values() if now - found.since >= SLOW_S)

    def _find_slow(self, now: float) -> dict[int, tuple[Any, Slow]]:
        frames = sys._current_frames()  # noqa: SLF001 - documented, for "specialized purposes"
        found = {}
        for thread, conn in list(self._serving.items()):
            frame = frames.get(thread)
            if frame is None or frame.f_code not in _WAITS:
                continue
            known = self._slow.get(thread)
            if known is not None and known[0] is conn:
                known[1].looks += 1
                found[thread] = known
            else:
                found[thread] = (conn, Slow(now, moved(conn.sock)))
        self._slow = found
        return found

    def _start(self, *, extra: bool) -> None:
        threading.Thread(target=self._work, args=(extra,), name="serve").start()

    def _work(self, extra: bool) -> None:  # noqa: FBT001 - a thread's target
        me = threading.get_ident()
        while True:
            try:
                job = self._jobs.get(timeout=EXTRA_IDLE_S if extra else None)
            except queue.Empty:
                job = None
            if job is None:
                break
            future, serve, conn = job
            self._serving[me] = conn
            try:
                result = serve(conn)
            except BaseException as error:  # noqa: BLE001 - the future's owner looks at it, as with any executor
                del self._serving[me]
                future.set_exception(error)
            else:
                del self._serving[me]
                future.set_result(result)
            del job, future, conn  # nothing stays alive while the next one is waited for
        if extra:
            with self._lock:
                self._extra -= 1


def moved(sock: Any) -> int:
    """Bytes that went through a TCP connection in both directions; 0 where the kernel does not tell."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_COUNTERS.size)
        return sum(_TCP_INFO_COUNTERS.unpack(info))
    except (OSError, struct.error):
        return 0


def _cut(slow: Iterable[tuple[Any, Slow]]) -> None:
    """End the connections of those that hardly move; their threads wake up to find the client gone."""
    now = time.monotonic()
    for conn, found in slow:
        if moved(conn.sock) - found.bytes < SLOW_BYTES_PER_S * (now - found.since):
            try:
                conn.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it went by itself
