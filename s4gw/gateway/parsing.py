"""Reading requests with gunicorn's parser: the half of its internals that is not about threads (see `worker`)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from gunicorn.http.errors import (
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.http.message import Request
from gunicorn.http.unreader import SocketUnreader

from s4gw.gateway import connection
from s4gw.s3.errors import BadRequest, InvalidURI, RequestHeaderSectionTooLarge, S3Error
from s4gw.s3.errors import NotImplemented as S3NotImplemented

HEADER_S: Final = 20.0
"""Longest time that a client may take for one request's headers; meanwhile it holds a thread."""
DRAIN_BYTES_MAX: Final = 64 * 1024
"""Unread body up to which a connection is kept: gunicorn reads and drops as much (`Parser.finish_body`)."""


class HeaderUnreader(SocketUnreader):  # type: ignore[misc] # gunicorn ships no types
    """Reads headers from the socket, up to a moment."""

    _deadline = 0.0
    _ready = False

    def begin(self) -> None:
        """A request is to be read; unless some of it is buffered, the socket is known to be readable."""
        self._deadline = time.monotonic() + HEADER_S
        self._ready = not self.buf.tell()

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Give what has come. Raises: TimeoutError after the deadline."""
        if not self._ready and not connection.readable(self.sock, max(self._deadline - time.monotonic(), 0)):
            raise TimeoutError
        self._ready = False
        data: bytes = super().chunk(size_hint)
        return data


class Snapshot:
    """gunicorn's configuration as plain attributes; it does not change while a worker lives.

    PERF: each look at the original goes through three calls, and reading one request takes two dozen.
    """

    def __init__(self, cfg: Any) -> None:
        self.__dict__.update({name: setting.get() for name, setting in cfg.settings.items()})
        self._cfg = cfg
        self.is_ssl = cfg.is_ssl

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cfg, name)


class Message(Request):  # type: ignore[misc] # gunicorn ships no types
    """A request whose Expect header is ours to read: like S3, we ignore what is not ``100-continue``."""

    _policy_expect_continue = False

    def _peer_is_trusted_proxy(self) -> bool:
        """PERF: asked with every request, and the answer is the connection's."""
        unreader = self.unreader
        trusted: bool | None = getattr(unreader, "peer_is_trusted", None)
        if trusted is None:
            trusted = unreader.peer_is_trusted = bool(super()._peer_is_trusted_proxy())
        return trusted


REFUSALS: Final[Sequence[tuple[type[ParseException], type[S3Error]]]] = (
    (LimitRequestLine, InvalidURI),
    (LimitRequestHeaders, RequestHeaderSectionTooLarge),
    (UnsupportedTransferCoding, S3NotImplemented),
    (ParseException, BadRequest),
)
"""What a client is told when its request does not parse; the first row that fits."""


def refusal(error: ParseException) -> S3Error:
    """The S3 error for a request that the HTTP parser refused."""
    return next(answer() for kind, answer in REFUSALS if isinstance(error, kind))


def next_request(parser: Any) -> Any:
    """Read the next request; the body of the one before has been dealt with.

    Raises: StopIteration at the end of the connection, ParseException, TimeoutError.
    """
    parser.unreader.begin()
    parser.req_count += 1
    parser.mesg = Message(parser.cfg, parser.unreader, parser.source_addr, parser.req_count)
    return parser.mesg


def expects(req: Any) -> bool:
    """Whether the client waits for ``100 Continue``."""
    return req.version >= (1, 1) and any(n == "EXPECT" and v.lower() == "100-continue" for n, v in req.headers)


def may_keep(req: Any, expectation: connection.Expectation | None) -> bool:
    """Whether *req* leaves its connection where the next request starts, or nearly so."""
    if expectation is not None and expectation.pending:
        return False  # the client may send the body, or may not
    return unread(req) <= DRAIN_BYTES_MAX and not req.should_close()


def unread(req: Any) -> float:
    """Bytes of the body that are still to come, as far as that is known."""
    body = req.body
    if body.failed:
        return float("inf")
    reader = body.reader
    if hasattr(reader, "length"):
        return float(reader.length)
    return float("inf") if reader.parser is not None else 0.0


def left_behind(conn: Any) -> bool:
    """Whether the client may have sent what nobody has read."""
    message = None if conn.parser is None or conn.is_http2 else conn.parser.mesg
    return message is not None and unread(message) > 0
