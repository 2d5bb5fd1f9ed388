"""The main thread of a worker: connections are taken, wait without a thread, and go when their time is over.

It hands those on that have something to say (`gateway.serving`), and lets the application do what it does regularly.
"""

from __future__ import annotations

import itertools
import os
import selectors
import time
from functools import partial
from typing import Any, Final

from gunicorn import util
from gunicorn.workers import gthread

from s4gw.gateway import connection, parsing
from s4gw.gateway.pool import Pool
from s4gw.gateway.serving import AWAITED
from s4gw.gateway.shares import Shares

TICK_S: Final = 0.1
HURRY_S: Final = 1.0
"""What a header may take when the worker has as many connections as it may have, or is about to end."""
MAKE_ROOM: Final = 32
"""Idle connections that are closed in a tick when a worker has as many as it may have."""
YIELD_S: Final = 0.0005
YIELD_MAX: Final = 8
"""A new connection waits 4 ms at most for the worker that should rather have it."""


class Accepting(gthread.ThreadWorker):  # type: ignore[misc] # gunicorn ships no types
    """What the main thread does otherwise than gunicorn's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._awaited: set[Any] = set()
        self._no_room = False
        self._outstanding = 0  # connections handed to the pool, counted by the main thread alone
        self._nudge = -1
        self._yields = 0
        self._next_tick = 0.0

    def get_thread_pool(self) -> Pool:
        """As gunicorn's, for a pool that grows while clients are slow."""
        return Pool(self.cfg.threads)

    def accept(self, listener: Any) -> None:
        """Take a connection, or leave it to a worker with fewer, and wait for its first byte without a thread."""
        if self._yields < YIELD_MAX and self._has_more():
            self._yields += 1
            time.sleep(YIELD_S)
            return
        self._yields = 0
        try:
            sock, client = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in connection.NO_ROOM:
                raise
            self._no_room = True  # for a descriptor: room is made in the next tick
            time.sleep(TICK_S / 10)
            return
        self._count(1)
        conn = gthread.TConn(self.cfg, sock, client, listener.getsockname())
        if connection.readable(sock, 0):
            conn.data_ready = True
            self.enqueue_req(conn)
            return
        conn.set_timeout()
        self.pending_conns.append(conn)
        self.poller.register(sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001 - gunicorn's signature
        """As gunicorn's; a worker that ends takes those who wait at the door, then closes it.

        gunicorn leaves the listener open until the last answer is sent, and who knocks meanwhile waits and is reset.
        """
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        for listener in self.sockets:
            for _ in range(self.worker_connections):
                if not connection.readable(listener, 0):
                    break
                self._yields = YIELD_MAX
                self.accept(listener)
            listener.close()
        soon = time.monotonic() + gthread.STOP_KEEPALIVE_LINGER
        for conn in self.pending_conns:  # gunicorn hurries those only that have had an answer
            conn.timeout = min(conn.timeout, soon)

    def enqueue_req(self, conn: Any) -> None:
        """Hand a connection to the pool; with no thread free, ask one that only lingers to let go."""
        if self._outstanding >= max(self.cfg.threads, self.tpool.threads):
            os.eventfd_write(self._nudge, 1)
        self._outstanding += 1
        super().enqueue_req(conn)

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Take a connection back from the pool; a closed one was closed by its thread."""
        self._outstanding -= 1
        result = fs.exception() is None and fs.result()
        if result is AWAITED:
            self._awaited.add(conn)
            conn.sock.setblocking(False)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._resume, conn))
            return
        if result:
            super().finish_request(conn, fs)
            return
        self._count(-1)
        util.close(conn.sock)

    def _resume(self, conn: Any, sock: Any) -> None:
        """More has come, or the client is gone."""
        self.poller.unregister(sock)
        self._awaited.remove(conn)
        self.enqueue_req(conn)

    def _expire(self, now: float) -> None:
        """Drop connections that were awaited for long enough, and idle ones when there is no room for more."""
        full, self._no_room = self._no_room or self.nr_conns >= self.worker_connections, False
        hurry = parsing.HEADER_S - HURRY_S if full or not self.alive else 0
        for conn in [conn for conn in self._awaited if _deadline(conn) - hurry <= now]:
            self.poller.unregister(conn.sock)
            self._awaited.remove(conn)
            self._count(-1)
            util.close(conn.sock)
        if full:
            for idle in (self.pending_conns, self.keepalived_conns):
                for conn in itertools.islice(idle, MAKE_ROOM):
                    conn.timeout = now

    def handle_exit(self, sig: int, frame: Any) -> None:
        """A worker that accepts no more does not count beside the others."""
        shares = self._shares()
        if shares is not None:
            shares.release(self.s4_slot)
        super().handle_exit(sig, frame)

    def _shares(self) -> Shares | None:
        return getattr(self, "s4_shares", None)

    def _has_more(self) -> bool:
        shares = self._shares()
        return shares is not None and shares.has_more(self.s4_slot)

    def _count(self, change: int) -> None:
        self.nr_conns += change
        shares = self._shares()
        if shares is not None and self.alive:
            shares.set(self.s4_slot, self.nr_conns)

    def run(self) -> None:
        """Serve until told to stop; then publish what the last requests counted."""
        super().run()
        self._next_tick = 0.0
        self._tick()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for connections, and let the application do what it does regularly."""
        super().wait_for_and_dispatch_events(min(timeout, TICK_S))
        self._tick()

    def _tick(self) -> None:
        now = time.monotonic()
        if now >= self._next_tick:
            self._next_tick = now + TICK_S
            self.tpool.look_after()
            self._expire(now)
            tick = getattr(self.wsgi, "tick", None)
            if tick is not None:
                tick()
            self._count(0)  # gunicorn itself closes what has been idle for too long


def _deadline(conn: Any) -> float:
    """Until when an awaited connection is waited for."""
    until: float = (conn.s4_farewell or conn.parser.unreader).deadline
    return until
