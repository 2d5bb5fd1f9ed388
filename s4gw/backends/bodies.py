"""Bodies on their way into a backend and out of it."""

from __future__ import annotations

from typing import Protocol

from s4gw.s3.errors import ServiceUnavailable

Buffer = bytes | bytearray | memoryview


class ObjectChanged(ServiceUnavailable):
    """The version that is being read is gone or was overwritten; looking again finds the new one.

    Only backends that cannot hold on to a version raise it. A client that meets it is told to try again.
    """


class Writer(Protocol):
    """Staged bytes: durable at the latest when they become an object or part, invisible until then."""

    @property
    def size(self) -> int:
        """Bytes written so far."""

    @property
    def shares(self) -> bool:
        """Whether what is written is looked for among what is stored: equal writes of some size are kept once."""

    def divide(self) -> None:
        """Keep what was written apart from what comes: called where equal bodies are divided alike, if it `shares`.

        Raises: ServiceUnavailable.
        """

    def write(self, *buffers: Buffer) -> None:
        """Append *buffers* in order; they may be reused by the caller as soon as this returns.

        Raises: ServiceUnavailable (disk full or failing; nothing becomes visible).
        """

    def abort(self) -> None:
        """Give the bytes up. Harmless after a commit and when called twice."""


class Span(Protocol):
    """Stored bytes that are read in order."""

    @property
    def step_bytes(self) -> int:
        """How much is best asked for at once; 0 where asking often costs nothing."""

    def read(self, size: int) -> bytes | memoryview:
        """The next *size* bytes, no fewer; the caller keeps them to a few MiB and asks for no more than there are.

        They stay as they are for as long as the caller has them.
        """

    def close(self) -> None:
        """Say that no more are wanted. Harmless when called twice."""
