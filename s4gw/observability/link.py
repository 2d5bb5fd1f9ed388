"""Ties what happens far below to the request that it happens for, so that a log can be followed across servers.

The request of a thread, or of the context that a pool thread runs in, is a context variable: code that talks to another
server knows no request, and must not be handed one through ten layers only to name it.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

IDS_MAX: Final = 8
"""Ids of other servers that one log line names; a Complete may have thousands."""


class Link:
    """One request of ours, and the requests to other servers that it took."""

    __slots__ = ("count", "ids", "request_id")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.ids: list[str] = []
        self.count = 0

    def add(self, other_id: str) -> None:
        """Note a request to another server; its *other_id* may be empty."""
        self.count += 1
        if other_id and len(self.ids) < IDS_MAX:
            self.ids.append(other_id)


_CURRENT: Final[ContextVar[Link | None]] = ContextVar("s4gw_link", default=None)


def begin(request_id: str) -> Link:
    """From now on this thread works for *request_id*."""
    link = Link(request_id)
    _CURRENT.set(link)
    return link


def current() -> Link | None:
    """What this thread works for; None outside requests."""
    return _CURRENT.get()
