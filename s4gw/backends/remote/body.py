"""A body on its way from the upstream, whose end is checked: fewer bytes than were announced are an error."""

from __future__ import annotations

from http.client import HTTPException
from types import TracebackType
from typing import Any, Self

from botocore import exceptions as boto_errors
from urllib3.exceptions import HTTPError

from s4gw.backends.remote.errors import UpstreamUnavailable

_FAILURES = (boto_errors.BotoCoreError, HTTPError, HTTPException, OSError, ValueError)


class UpstreamBody:
    """Bytes of an upstream's answer; owns the connection until it is read to its end or closed.

    Args:
        raw: Has ``read(n)`` and ``close()``.
        length: Bytes that were announced; None where the upstream did not say.
    """

    def __init__(self, raw: Any, length: int | None) -> None:
        self._raw = raw
        self.length = length
        self._got = 0

    def read(self, size: int = -1) -> bytes:
        """Up to *size* bytes, all that is left when negative; nothing at the end. Raises: UpstreamUnavailable."""
        try:
            data: bytes = self._raw.read() if size < 0 else self._raw.read(size)
        except _FAILURES as error:
            raise self._broken() from error
        self._count(len(data), end=size < 0 or (not data and size > 0))
        return data

    def close(self) -> None:
        """Give the connection up; harmless when called twice or after the end."""
        self._raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _count(self, size: int, *, end: bool) -> None:
        self._got += size
        if self.length is not None and (self._got > self.length or (end and self._got != self.length)):
            raise self._broken()

    def _broken(self) -> UpstreamUnavailable:
        self.close()
        return UpstreamUnavailable(sent=True)
