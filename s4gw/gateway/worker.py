"""Our gunicorn worker: every touch of gunicorn's internals is in this module and in `parsing`.

What it changes in the threaded worker of gunicorn 27:

- A connection stays in its thread while requests keep coming. gunicorn takes each request of a kept-alive connection
  through its main thread, which costs more than a small request itself (two thread switches and a fight for the
  interpreter lock; 110 against 146-310 us per request).
- Answers are written by `s4gw.gateway.response`: header and first block in one system call.
- ``100 Continue`` is sent when the application reads the body, not before it is asked: a refused upload ends with its
  error instead of a broken connection.
- The environment carries the parser's own request (``s4gw.request``), so that names with ``_`` survive, and no
  ``HTTP_*`` variables, which nobody reads.
- A connection that has not been read to its end is closed without a reset, and without blocking the main thread.
- Every wait for a client has a limit. Half a request header holds no thread, and threads that wait for slow clients
  are replaced while others wait (`gateway.pool`).
- Requests that the HTTP parser refuses get S3's error document.

Should gunicorn change underneath, `internals_missing` says so and `worker_class` falls back to its own worker; the
application then reads bodies through ``wsgi.input`` and headers from the environment. Hooks of gunicorn's
configuration that run per request (``pre_request``, ``post_request``) and its access log are not served.
"""

from __future__ import annotations

import email.utils
import itertools
import os
import select
import selectors
import ssl
import time
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.errors import (
    NoMoreData,
    ParseException,
)
from gunicorn.http.message import Request
from gunicorn.http.parser import Parser
from gunicorn.workers import gthread

from s4gw.gateway import connection, parsing
from s4gw.gateway.pool import Pool
from s4gw.gateway.response import Response
from s4gw.gateway.shares import Shares
from s4gw.s3.errors import InternalError

LINGER_MS: Final = 20
"""How long a thread waits for the next request of its connection; SDKs send it within one or two round trips."""
TICK_S: Final = 0.1
HURRY_S: Final = 1.0
"""What a header may take when the worker has as many connections as it may have, or is about to end."""
MAKE_ROOM: Final = 32
"""Idle connections that are closed in a tick when a worker has as many as it may have."""
YIELD_S: Final = 0.0005
YIELD_MAX: Final = 8
"""A new connection waits 4 ms at most for the worker that should rather have it."""


AWAITED: Final = object()
"""What `S4Worker.handle` gives for a connection whose client has sent half a header, or is to hear its last answer."""


class BrokenAnswerError(ConnectionError):
    """An answer ended before its announced length; what went wrong has been accounted for."""


class S4Worker(gthread.ThreadWorker):  # type: ignore[misc] # gunicorn ships no types
    """The threaded worker, with connections that stay in their threads."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cfg: Any
        self._awaited: set[Any] = set()
        self._no_room = False
        self._outstanding = 0  # connections handed to the pool, counted by the main thread alone
        self._nudge = -1
        self._yields = 0
        self._next_tick = 0.0
        self._second = (0, "")
        self._environ: dict[str, Any] = {}

    def init_process(self) -> None:
        """After the fork: the descriptor by which the main thread asks lingering threads to let go."""
        self.cfg = parsing.Snapshot(self.cfg)
        self._nudge = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC | os.EFD_SEMAPHORE)
        self._environ = wsgi.base_environ(self.cfg) | {
            "wsgi.multithread": True,
            "SERVER_SOFTWARE": connection.SERVER_NAME,
        }
        super().init_process()

    def get_thread_pool(self) -> Pool:
        """As gunicorn's, for a pool that grows while clients are slow."""
        return Pool(self.cfg.threads)

    # -- main thread -----------------------------------------------------------------------------------------------
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

    # -- pool threads ----------------------------------------------------------------------------------------------
    def handle(self, conn: Any) -> object:
        """Serve requests of *conn* until it is closed (False), goes quiet (True) or is `AWAITED`."""
        keep: object = False
        if conn.initialized and conn.s4_farewell is not None:
            return AWAITED if not conn.s4_farewell.swallow() else False
        try:
            conn.sock.setblocking(True)
            if not conn.initialized:
                connection.limit_waiting(conn.sock)
                conn.s4_farewell = None
                conn.init()
                if not conn.is_http2:
                    conn.parser.unreader = parsing.HeaderUnreader(conn.sock)
            if conn.is_http2:
                self.handle_http2(conn)
            else:
                keep = self._serve(conn)
        except OSError as error:
            self.log.debug("connection failed: %s", error)
        if not keep:
            conn.s4_farewell = connection.say_goodbye(conn.sock) if parsing.left_behind(conn) else None
            if conn.s4_farewell is not None and not conn.s4_farewell.swallow():
                return AWAITED
        return keep

    def _serve(self, conn: Any) -> object:
        """Serve requests while they come. Returns: the connection is to be kept, or `AWAITED`."""
        try:
            while True:
                req = parsing.next_request(conn.parser)
                if not self.handle_request(req, conn):
                    return False
                if parsing.unread(req):
                    conn.parser.unreader.drain()
                    if not self._keepalive_after(conn, True):
                        return False
                if not conn.parser.unreader.ahead and not self._more(conn):
                    return True
        except parsing.UnfinishedHeaderError:
            return AWAITED
        except (StopIteration, NoMoreData, BlockingIOError, TimeoutError, ConnectionError) as error:
            self.log.debug("connection ended: %s", type(error).__name__)
        except ParseException as error:
            self._refuse(conn, error)
        except OSError as error:
            self.log.debug("connection failed: %s", error)
        except Exception:
            # The application answers its own faults; what arrives here is one of the shell's.
            self.log.exception("request failed outside the application")
            connection.answer(conn.sock, InternalError())
        return False

    def handle_request(self, req: Any, conn: Any) -> bool:
        """Serve one request. Returns: the connection may be used again.

        Raises: OSError of the connection, among them BrokenAnswerError.
        """
        expectation = connection.Expectation(conn.sock) if "expect" in req.fields and parsing.expects(req) else None
        resp = Response(
            conn.sock,
            head=req.method == "HEAD",
            version=req.version,
            date=self._date(),
            may_keep=partial(parsing.may_keep, req, expectation),
        )
        self.nr += 1
        if self.nr >= self.max_requests:
            self.alive = False
        if not self.alive or not self.cfg.keepalive or len(self.keepalived_conns) >= self.max_keepalived:
            resp.must_close = True
        environ = self._make_environ(req, conn)
        if expectation is not None:
            environ["s4gw.expectation"] = expectation
        answer: Iterable[bytes] = self.wsgi(environ, resp.start_response)
        try:
            for block in answer:
                resp.write(block)
            resp.close()
        except OSError:
            raise
        except Exception as error:
            if not resp.headers_sent:
                raise
            # A client must not take what it has for the whole: cut the connection before the announced length.
            raise BrokenAnswerError from error
        finally:
            close = getattr(answer, "close", None)
            if close is not None:
                close()
        return resp.keeps()

    def _date(self) -> str:
        """Now, as the Date header has it."""
        now = int(time.time())
        kept, text = self._second
        if kept != now:
            text = email.utils.formatdate(now, usegmt=True)
            self._second = (now, text)
        return text

    def _more(self, conn: Any) -> bool:
        """Wait a moment for the next request, unless this thread is wanted elsewhere."""
        sock = conn.sock
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            return True
        poll = getattr(conn, "s4_poll", None)
        if poll is None:
            poll = conn.s4_poll = select.poll()
            poll.register(sock, select.POLLIN)
            poll.register(self._nudge, select.POLLIN)
        ready = dict(poll.poll(LINGER_MS))
        if self._nudge in ready:
            # Even with a request at hand: whoever waits for a thread has waited longer.
            try:
                os.eventfd_read(self._nudge)
            except BlockingIOError:
                return sock.fileno() in ready  # another thread has let go already
            return False
        return sock.fileno() in ready

    def _make_environ(self, req: Any, conn: Any) -> dict[str, Any]:
        """The WSGI environment without ``HTTP_*``: headers are in ``s4gw.request``."""
        known = getattr(conn, "s4_environ", None)
        if known is None:
            known = conn.s4_environ = self._environ | connection.environ_of(conn)
        environ: dict[str, Any] = known.copy()
        environ["s4gw.request"] = req
        environ["wsgi.input"] = req.body
        environ["wsgi.url_scheme"] = req.scheme
        environ["REQUEST_METHOD"] = req.method
        environ["RAW_URI"] = req.uri
        environ["SERVER_PROTOCOL"] = "HTTP/1.1" if req.version == (1, 1) else f"HTTP/1.{req.version[1]}"
        return environ

    def _refuse(self, conn: Any, error: ParseException) -> None:
        """Answer a request that is not HTTP, or more of it than we take."""
        self.log.info("refused request from %s: %s", conn.client[0] if conn.client else "", type(error).__name__)
        connection.answer(conn.sock, parsing.refusal(error))
        conn.parser.mesg = None  # where it ends is unknown, so that something may be left behind


def _deadline(conn: Any) -> float:
    """Until when an awaited connection is waited for."""
    until: float = (conn.s4_farewell or conn.parser.unreader).deadline
    return until


def internals_missing() -> list[str]:
    """Names of gunicorn's internals that this module stands on and that are not there."""
    wanted = (
        (gthread.ThreadWorker, "on_pending_socket_readable"),
        (gthread.ThreadWorker, "enqueue_req"),
        (gthread.ThreadWorker, "set_accept_enabled"),
        (gthread, "STOP_KEEPALIVE_LINGER"),
        (gthread.ThreadWorker, "finish_request"),
        (gthread.ThreadWorker, "_keepalive_after"),
        (gthread.ThreadWorker, "handle_http2"),
        (gthread.TConn, "init"),
        (wsgi, "base_environ"),
        (Parser, "finish_body"),
        (Request, "set_body_reader"),
    )
    return [f"{getattr(owner, '__name__', owner)}.{name}" for owner, name in wanted if not hasattr(owner, name)]


def worker_class() -> str:
    """What to put into gunicorn's ``worker_class``: ours, or its own where ours cannot stand."""
    return "gthread" if internals_missing() else f"{__name__}.{S4Worker.__name__}"
