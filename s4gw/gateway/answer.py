"""The answer to one request as resources and middleware fill it; `gateway.response` puts it on the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import falcon
from falcon import code_to_http_status

BODILESS: Final = frozenset({100, 101, 204, 304})
"""RFC 9110, sections 6.4.1 and 8.6: what has no body, and no length of one."""


class S3Response(falcon.Response):
    """One answer: Falcon's, without cookies, media and text, which S3 has not.

    Attributes:
        status: Code alone.
        data: The whole body; anything bytes-like, which our worker sends from where it lies.
        stream: A body in blocks, where there is no `data`.
    """

    __slots__ = ("data",)

    status: int
    data: bytes | None  # Falcon has a property here

    def __init__(self, options: falcon.ResponseOptions | None = None) -> None:
        # PERF: what is used of Falcon's.
        del options
        self.status = 200
        self._headers: dict[str, str] = {}
        self.data = None
        self.stream = None

    def set_header(self, name: str, value: str) -> None:
        """As Falcon's, for a value that is text."""
        self._headers[name.lower()] = value

    def set_headers(self, headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
        """As Falcon's, for values that are text."""
        fields = dict(headers)
        self._headers.update(zip(map(str.lower, fields), fields.values(), strict=True))

    def begin(self, start_response: Callable[..., Any], *, head: bool) -> Iterable[bytes]:
        """Send the header, in WSGI's way. Returns: the body, which is to be closed where it has a ``close``.

        Args:
            start_response: WSGI's.
            head: The request was HEAD.
        """
        headers, data = self._headers, self.data
        body: Iterable[bytes] = ()
        if head or self.status in BODILESS:
            if self.status not in BODILESS and self.stream is None and "content-length" not in headers:
                headers["content-length"] = str(len(data or b""))
        elif data is not None:
            headers["content-length"] = str(len(data))
            body = (data,)
        elif self.stream is None:
            headers["content-length"] = "0"
        else:
            body = self.stream  # type: ignore[assignment] # never one of Falcon's files to read from
        start_response(code_to_http_status(self.status), list(headers.items()))
        return body
