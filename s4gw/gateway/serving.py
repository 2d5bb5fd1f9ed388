"""The threads of a worker: each serves the requests of one connection for as long as they keep coming."""

from __future__ import annotations

import email.utils
import os
import select
import ssl
import time
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from gunicorn.http.errors import (
    NoMoreData,
    ParseException,
)
from gunicorn.workers import gthread

from s4gw.gateway import connection, parsing
from s4gw.gateway.response import Response
from s4gw.s3.errors import InternalError

LINGER_MS: Final = 20
"""How long a thread waits for the next request of its connection; SDKs send it within one or two round trips."""
AWAITED: Final = object()
"""What `Serving.handle` gives for a connection whose client has sent half a header, or is to hear its last answer."""


class BrokenAnswerError(ConnectionError):
    """An answer ended before its announced length; what went wrong has been accounted for."""


class Serving(gthread.ThreadWorker):  # type: ignore[misc] # gunicorn ships no types
    """What the threads of the pool do otherwise than gunicorn's."""

    _nudge: int
    """A descriptor: readable when the main thread wants lingering threads back."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._second = (0, "")
        self._environ: dict[str, Any] = {}

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
