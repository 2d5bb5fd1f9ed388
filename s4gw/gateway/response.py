"""Writes one HTTP/1 answer of a WSGI application: header and first block in one system call, from where they lie.

SECURITY: a header that would break out of its line is refused, and never more bytes are sent than were announced, as
they would be taken for the next answer. An answer that ends short of its length ends its connection.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from s4gw.gateway import connection
from s4gw.gateway.connection import Piece

HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailers",
        "transfer-encoding",
        "upgrade",
        "server",
        "date",
    }
)
"""What the server says itself; an application's own are dropped."""

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_IN_VALUES: Final = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
"""RFC 9110, section 5: token names, and values of visible characters, blanks and bytes above 127."""
_CRLF: Final = b"\r\n"
_LENGTH: Final = "content-length"
_FIRST_WITH_BODY: Final = 200
_NO_BODY: Final = frozenset({204, 304})
_NO_LENGTH: Final = 204


class InvalidHeaderError(ValueError):
    """The application set a header that cannot be sent; the value is not shown."""


class Response:
    """The writer of one answer.

    Args:
        sock: Plain or TLS socket.
        head: The request was HEAD.
        version: Of the request, e.g. (1, 1).
        date: For the Date header.
        may_keep: Tells whether the connection may be used again, as far as the request goes; asked when the header
            leaves and once more by the caller.
    """

    __slots__ = (
        "_block",
        "_date",
        "_head",
        "_may_keep",
        "_no_body",
        "_sent",
        "_sock",
        "_status",
        "_version",
        "chunked",
        "headers_sent",
        "length",
        "must_close",
    )

    def __init__(
        self, sock: Any, *, head: bool, version: tuple[int, int], date: str, may_keep: Callable[[], bool]
    ) -> None:
        self._sock = sock
        self._head = head
        self._version = version
        self._date = date
        self._may_keep = may_keep
        self._status = ""
        self._block = b""
        self._no_body = head
        self._sent = 0
        self.length: int | None = None
        self.chunked = False
        self.headers_sent = False
        self.must_close = False

    def start_response(
        self, status: str, headers: Sequence[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """WSGI's callable. Raises: InvalidHeaderError."""
        if self._status and exc_info is None:
            raise AssertionError("the answer has been started already")
        self._status = status
        code = int(status[:3])
        self._no_body = self._head or code < _FIRST_WITH_BODY or code in _NO_BODY
        dropped = HOP_BY_HOP | {_LENGTH} if code < _FIRST_WITH_BODY or code == _NO_LENGTH else HOP_BY_HOP
        values: tuple[str, ...]
        names, values = zip(*headers, strict=True) if headers else ((), ())
        lines = _lines(names)
        if not dropped.isdisjoint(lines.lower):
            kept = [(name, value) for name, value in headers if name.lower() not in dropped]
            names, values = zip(*kept, strict=True) if kept else ((), ())
            lines = _lines(names)
        self.length = None if lines.length_at is None else int(values[lines.length_at])
        block = _sent(lines.template % values)
        # SECURITY: a value with a line end in it would leave more of them than there are lines.
        if block.translate(None, _IN_VALUES) != _CRLF * len(values):
            raise InvalidHeaderError("a response header cannot be sent")
        self._block = block
        self.chunked = self.length is None and not self._no_body and self._version > (1, 0)
        return self.write

    def write(self, data: Piece) -> None:
        """Send a block of the body, with the header if that has not left yet. Raises: OSError."""
        size = len(data)
        if self._no_body or not size:
            return
        if size == self.length and not self.headers_sent:  # PERF: nearly always it is all of it
            self._sent = size
            connection.send(self._sock, (self._header(), data))
            return
        if self.length is not None:
            size = min(size, self.length - self._sent)
            if size < len(data):
                data = memoryview(data)[:size]
            if not size:
                return
        self._sent += size
        pieces: list[Piece] = []
        if not self.headers_sent:
            pieces.append(self._header())
        if self.chunked:
            pieces += (b"%X\r\n" % size, data, _CRLF)
        else:
            pieces.append(data)
        connection.send(self._sock, pieces)

    def close(self) -> None:
        """End the answer. Raises: OSError."""
        if self.headers_sent and self._sent == self.length:
            return
        pieces: list[Piece] = []
        if not self.headers_sent:
            pieces.append(self._header())
        if self.chunked:
            pieces.append(b"0\r\n\r\n")
        elif self.length is not None and self._sent < self.length and not self._no_body:
            self.must_close = True
        if pieces:
            connection.send(self._sock, pieces)

    def keeps(self) -> bool:
        """Whether another request may follow on the connection."""
        framed = self.length is not None or self.chunked or self._no_body
        return framed and not self.must_close and self._may_keep()

    def _header(self) -> bytes:
        self.headers_sent = True
        major, minor = self._version
        start = (
            f"HTTP/{major}.{minor} {self._status}\r\nServer: {connection.SERVER_NAME}\r\nDate: {self._date}\r\n"
            f"Connection: {'keep-alive' if self.keeps() else 'close'}\r\n"
            f"{_CHUNKED if self.chunked else ''}"
        )
        return start.encode("latin-1") + self._block + _CRLF


_CHUNKED: Final = "Transfer-Encoding: chunked\r\n"


class _Lines(NamedTuple):
    """What the names of headers say of their lines."""

    template: str
    """The lines, with ``%s`` for each value."""
    lower: frozenset[str]
    length_at: int | None
    """Which value is the length; the last one counts."""


@functools.lru_cache(maxsize=256)
def _lines(names: tuple[str, ...]) -> _Lines:
    """PERF: an operation sends the same names over and over. Raises: InvalidHeaderError."""
    if not all(map(_NAME.fullmatch, names)):
        raise InvalidHeaderError("a response header has no name that can be sent")
    lower = [name.lower() for name in names]
    length_at = max((at for at, name in enumerate(lower) if name == _LENGTH), default=None)
    template = "".join([f"{name.replace('%', '%%')}: %s\r\n" for name in names])
    return _Lines(template, frozenset(lower), length_at)


def _sent(block: str) -> bytes:
    """Characters beyond Latin-1 (a file name in a Content-Disposition) travel as the bytes of their UTF-8."""
    try:
        return block.encode("latin-1")
    except UnicodeEncodeError:
        return block.encode()
