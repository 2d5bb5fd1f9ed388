"""Reading requests with gunicorn's parser: the half of its internals that is not about threads (see `worker`)."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import gunicorn_h1c
from gunicorn.http.body import Body, LengthReader
from gunicorn.http.errors import (
    InvalidHeader,
    InvalidHeaderName,
    InvalidHTTPVersion,
    InvalidRequestLine,
    InvalidRequestMethod,
    InvalidSchemeHeaders,
    LimitRequestHeaders,
    LimitRequestLine,
    NoMoreData,
    ObsoleteFolding,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.http.message import (
    MAX_HEADERS,
    MAX_REQUEST_LINE,
    RFC9110_5_3_SINGLETON_FIELDS,
    RFC9112_TARGET_INVALID,
    Request,
    _check_fast_parser,
)
from gunicorn.http.unreader import SocketUnreader

from s4gw.gateway import connection
from s4gw.gateway.pool import client_wait
from s4gw.s3 import headers
from s4gw.s3.errors import BadRequest, InvalidURI, RequestHeaderSectionTooLarge, S3Error
from s4gw.s3.errors import NotImplemented as S3NotImplemented

HEADER_S: Final = 20.0
"""Longest time that a client may take for one request's headers."""
HEADER_WAIT_S: Final = 0.02
"""How long a thread waits for the rest of them; then it lets go of the connection until more has come."""
HEAD_BYTES_MAX: Final = 64 * 1024
"""Request line and headers together. S3 takes 8 KiB; one that comes bit by bit is parsed each time."""
DRAIN_S: Final = 1.0
DRAIN_BYTES_MAX: Final = 64 * 1024
"""Unread body up to which a connection is kept, if it comes: gunicorn drops as much (`Parser.finish_body`)."""


class UnfinishedHeaderError(Exception):
    """The rest of a header has not come yet; what has is kept."""


class HeaderUnreader(SocketUnreader):  # type: ignore[misc] # gunicorn ships no types
    """Reads headers from the socket, up to a moment.

    PERF: what was read ahead is plain bytes; the library's buffer costs a dozen calls a request.

    Attributes:
        deadline: When the header has to be there, by the monotonic clock.
        resumable: Whoever parses can go on later; without that a thread waits until the deadline.
    """

    ahead = b""
    deadline = 0.0
    resumable = False
    _ready = False
    _unfinished = False
    _none: Any = None

    def begin(self, *, resumable: bool) -> None:
        """A request is to be read, or read on; the socket is known to be readable unless a new one is buffered."""
        self.resumable = resumable
        if self._unfinished:
            self._unfinished = False
            self._ready = True
            return
        self.deadline = time.monotonic() + HEADER_S
        self._ready = not self.ahead

    def take_buffered(self) -> bytes:
        """As gunicorn's."""
        data, self.ahead = self.ahead, b""
        return data

    def take(self, size: int) -> bytes | None:
        """The next *size* bytes, if all of them have come."""
        ahead = self.ahead
        if len(ahead) < size:
            return None
        self.ahead = ahead[size:]
        return ahead[:size]

    def read(self, size: int | None = None, read_ahead: int | None = None) -> bytes:
        """As gunicorn's: *size* bytes, fewer at the end of the stream; without a size what there is."""
        if size is None or size < 0:
            return self.take_buffered() if self.ahead else self.chunk(read_ahead)
        while len(self.ahead) < size:
            more = self.chunk(max(size, read_ahead or 0) - len(self.ahead))
            if not more:
                return self.take_buffered()
            self.ahead += more
        data, self.ahead = self.ahead[:size], self.ahead[size:]
        return data

    def unread(self, data: bytes) -> None:
        """As gunicorn's."""
        self.ahead = data + self.ahead

    def no_body(self) -> Any:
        """The body of a request that has none. PERF: one for all of a connection, unless reading it went wrong."""
        if self._none is None or self._none.failed:
            self._none = Body(LengthReader(self, 0))
        return self._none

    def drain(self) -> None:
        """What is left of a body is to be read and dropped, if it comes soon."""
        self.resumable = False
        self.deadline = time.monotonic() + DRAIN_S

    def keep(self, data: bytes) -> None:
        """Take *data* back, to go on when more has come."""
        self.unread(data)
        self._unfinished = True

    @client_wait
    def chunk(self, size_hint: int | None = None) -> bytes:
        """Give what has come. Raises: TimeoutError after the deadline, UnfinishedHeaderError before."""
        if not self._ready:
            left = max(self.deadline - time.monotonic(), 0)
            if not connection.readable(self.sock, min(left, HEADER_WAIT_S) if self.resumable else left):
                raise UnfinishedHeaderError if self.resumable and left else TimeoutError
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
        fields, size = self.limit_request_fields, self.limit_request_field_size
        self.s4_short_way = (
            _check_fast_parser(cfg)
            and self.proxy_protocol == "off"
            and not self.casefold_http_method
            and self.header_map == "dangerous"
            and 0 < self.limit_request_line <= MAX_REQUEST_LINE
            and 0 < fields <= MAX_HEADERS
            and size > 0
        )
        self.s4_parse = functools.partial(
            gunicorn_h1c.parse_request,
            limit_request_line=self.limit_request_line,
            limit_request_fields=fields,
            limit_request_field_size=size,
            permit_unconventional_http_method=self.permit_unconventional_http_method,
            permit_unconventional_http_version=self.permit_unconventional_http_version,
        )
        self.s4_head_bytes_max = min(fields * (size + 2) + 4 + self.limit_request_line, HEAD_BYTES_MAX)
        self.s4_scheme_fields = {name.lower(): value for name, value in self.secure_scheme_headers.items()}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cfg, name)


class Message(Request):  # type: ignore[misc] # gunicorn ships no types
    """A request, with its headers as the gateway uses them.

    Its Expect header is ours to read: like S3, we ignore what is not ``100-continue``.

    Attributes:
        lower: (lower-case name, value) in the order sent; bytes above 127 as Latin-1.
        fields: Lower-case name -> value; repeated headers joined by commas.

    PERF: with the C parser and the settings that we ship, what gunicorn does in Python for each header is done here
    for all of them at once: 11 instead of 27 us for a signed request. Any other way goes through gunicorn's own code.
    """

    _policy_expect_continue = False
    # What gunicorn sets for each request, where it says nothing.
    must_close = _expected_100_continue = False
    headers: Sequence[tuple[str, str]] = ()  # gunicorn's spelling, made where its own code wants it
    trailers: Sequence[tuple[str, str]] = ()
    path = query = fragment = ""
    proxy_protocol_info = None

    def __init__(self, cfg: Any, unreader: Any, peer_addr: Any, req_number: int = 1) -> None:
        self.lower: Sequence[tuple[str, str]]
        self.fields: dict[str, str]
        if not cfg.s4_short_way:
            super().__init__(cfg, unreader, peer_addr, req_number)
            self._index(_names(tuple(n.encode("latin-1") for n, _ in self.headers)), [v for _, v in self.headers])
            return
        self.cfg, self.unreader, self.req_number = cfg, unreader, req_number
        self.peer_addr = self.remote_addr = peer_addr
        self.scheme = "https" if cfg.is_ssl else "http"
        data, found = self._head()
        self.method = str(found["method"], "latin-1")
        self.uri = str(found["path"], "latin-1")
        if not self.uri or _BAD_TARGET(self.uri):
            raise InvalidRequestLine(self.uri)
        self.version = (1, found["minor_version"])
        sent, values = zip(*found["headers"], strict=True) if found["headers"] else ((), ())
        names = _names(sent)
        self._index(names, str(b"\n".join(values), "latin-1").split("\n") if values else ())  # none has a line end
        self._check_fields(names)
        consumed = found["consumed"]
        # SECURITY: a bare LF ends a line here and may not in a proxy in front, which then sees other fields.
        if data.count(b"\r", 0, consumed) - data.startswith(b"\r") != len(sent) + 2:
            raise InvalidHeader("a line does not end in CR LF", req=self)
        if consumed < len(data):
            unreader.unread(data[consumed:])
        self._open_body()

    def _head(self) -> tuple[bytes, dict[str, Any]]:
        """Read until the headers are whole. Raises: StopIteration before the first byte, ParseException."""
        cfg, unreader = self.cfg, self.unreader
        data, seen = unreader.read(), 0
        if not data:
            raise StopIteration
        while True:
            try:
                found = cfg.s4_parse(data, last_len=seen)
            except gunicorn_h1c.IncompleteError:
                seen = len(data)
                if seen > cfg.s4_head_bytes_max:
                    raise LimitRequestHeaders("max buffer headers") from None
                try:
                    more = unreader.read()
                except UnfinishedHeaderError:
                    unreader.keep(data)
                    raise
                if not more:
                    raise NoMoreData(data) from None
                data += more
            except gunicorn_h1c.ParseError as error:
                raise _PARSER_ERRORS.get(type(error), InvalidRequestLine)(str(error)) from error
            else:
                break
        # RFC 9112, section 2.2, allows an empty line before the request; some releases of the parser do not measure
        # the line that follows it.
        if data.startswith(b"\r\n") and data.find(b"\r\n", 2) - 2 > cfg.limit_request_line:
            raise LimitRequestLine(len(data), cfg.limit_request_line)
        return data, found

    def _index(self, names: _Names, values: Sequence[str]) -> None:
        """Keep the fields. SECURITY: except what a proxy in front may read in another way.

        Raises: ObsoleteFolding, InvalidHeader.
        """
        self.lower = list(zip(names.lower, values, strict=True))
        self.fields = headers.joined(self.lower) if names.repeated else dict(self.lower)
        if "" in names.all:
            raise ObsoleteFolding("")  # the parser gives a continued line as a field without a name
        if "host" not in names.all and self.version >= (1, 1):
            raise InvalidHeader("HOST", req=self)  # RFC 9112, section 3.2
        if "connection" in names.all:
            wish = self.fields["connection"].lower().strip(" \t")
            self._closes = wish == "close" or (wish != "keep-alive" and self.version <= (1, 0))
        else:
            self._closes = self.version <= (1, 0)

    def _check_fields(self, names: _Names) -> None:
        """What a proxy says of the scheme, if it is believed; fields that may come once only. Raises: InvalidHeader."""
        if names.twice:
            raise InvalidHeader(names.twice.upper(), req=self)
        wanted = self.cfg.s4_scheme_fields
        if not names.all.isdisjoint(wanted) and self._peer_is_trusted_proxy():
            said = {value == wanted[name] for name, value in self.lower if name in wanted}
            if len(said) > 1:
                raise InvalidSchemeHeaders
            self.scheme = "https" if said.pop() else "http"

    def _open_body(self) -> None:
        """As gunicorn's, which is called for everything but a plain length. Raises: ParseException."""
        length = self.fields.get("content-length")
        if "transfer-encoding" in self.fields or (length is not None and not (length.isascii() and length.isdigit())):
            self.headers = [(name.upper(), value) for name, value in self.lower]
            self.set_body_reader()
        elif length is None:
            self.body = self.unreader.no_body()
        else:
            self.body = Body(LengthReader(self.unreader, int(length)))

    def should_close(self) -> bool:
        """As gunicorn's."""
        return self.must_close or self._closes or self.method == "CONNECT"

    def _peer_is_trusted_proxy(self) -> bool:
        """PERF: asked with every request, and the answer is the connection's."""
        unreader = self.unreader
        trusted: bool | None = getattr(unreader, "peer_is_trusted", None)
        if trusted is None:
            trusted = unreader.peer_is_trusted = bool(super()._peer_is_trusted_proxy())
        return trusted


_BAD_TARGET: Final = RFC9112_TARGET_INVALID.search
_SINGLE: Final = tuple(name.lower() for name in (*RFC9110_5_3_SINGLETON_FIELDS, "CONTENT-LENGTH"))
_PARSER_ERRORS: Final[Mapping[type, type[ParseException]]] = {
    gunicorn_h1c.LimitRequestLine: LimitRequestLine,
    gunicorn_h1c.LimitRequestHeaders: LimitRequestHeaders,
    gunicorn_h1c.InvalidRequestMethod: InvalidRequestMethod,
    gunicorn_h1c.InvalidHTTPVersion: InvalidHTTPVersion,
    gunicorn_h1c.InvalidHeaderName: InvalidHeaderName,
    gunicorn_h1c.InvalidHeader: InvalidHeader,
}


class _Names(NamedTuple):
    """What the names of a request's fields say without their values."""

    lower: tuple[str, ...]
    """In the order sent, bytes above 127 as Latin-1."""
    all: frozenset[str]
    repeated: bool
    twice: str
    """One that may be given once only and is repeated, or empty."""


@functools.lru_cache(maxsize=128)  # SECURITY: a hostile client's take `HEAD_BYTES_MAX` each, and as much again
def _names(sent: tuple[bytes, ...]) -> _Names:
    """PERF: the requests of a connection have the same names over and over; 3 us less than looking at each."""
    lower = tuple(str(name, "latin-1").lower() for name in sent)
    once = frozenset(lower)
    twice = next((name for name in _SINGLE if lower.count(name) > 1), "")
    return _Names(lower, once, len(once) < len(lower), twice)


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

    Raises: StopIteration at the end of the connection, ParseException, TimeoutError; UnfinishedHeaderError: to be
        called again when the socket has more.
    """
    parser.unreader.begin(resumable=parser.cfg.s4_short_way)
    parser.req_count += 1
    parser.mesg = Message(parser.cfg, parser.unreader, parser.source_addr, parser.req_count)
    return parser.mesg


def expects(req: Any) -> bool:
    """Whether the client waits for ``100 Continue``."""
    return "expect" in req.fields and bool(req.version >= (1, 1) and req.fields["expect"].lower() == "100-continue")


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
    length: int | None = getattr(reader, "length", None)
    if length is not None:
        return length
    return float("inf") if reader.parser is not None else 0


def left_behind(conn: Any) -> bool:
    """Whether the client may have sent what nobody has read."""
    if conn.parser is None or conn.is_http2:
        return False
    message = conn.parser.mesg
    return message is None or unread(message) > 0
