"""Our gunicorn worker: every touch of gunicorn's internals is here, in `accepting`, `serving` and `parsing`.

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

import os
from typing import Any

from gunicorn.http import wsgi
from gunicorn.http.message import Request
from gunicorn.http.parser import Parser
from gunicorn.workers import gthread

from s4gw.gateway import connection, parsing
from s4gw.gateway.accepting import Accepting
from s4gw.gateway.serving import Serving


class S4Worker(Accepting, Serving):
    """The threaded worker, with connections that stay in their threads."""

    cfg: Any

    def init_process(self) -> None:
        """After the fork: the descriptor by which the main thread asks lingering threads to let go."""
        self.cfg = parsing.Snapshot(self.cfg)
        self._nudge = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC | os.EFD_SEMAPHORE)
        self._environ = wsgi.base_environ(self.cfg) | {
            "wsgi.multithread": True,
            "SERVER_SOFTWARE": connection.SERVER_NAME,
        }
        super().init_process()


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
