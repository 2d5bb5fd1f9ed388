"""The root of S3's error classes.

An instance adds the message and the facts that S3 puts into the error document (``Key``, ``BucketName`` ...).
"""

from __future__ import annotations

from typing import ClassVar


class S3Error(Exception):
    """Base of every error that an S3 client may see.

    Args:
        message: Text for the client; the class's default when left out. Never holds secrets, paths or hosts.
        headers: Extra response headers, e.g. ``{"Retry-After": "1"}``.
        facts: Elements of the error document beside Code and Message, in S3's spelling, e.g. ``Key="a"``.
    """

    code: ClassVar[str] = "InternalError"
    status: ClassVar[int] = 500
    message: ClassVar[str] = "We encountered an internal error. Please try again."

    def __init__(self, message: str | None = None, *, headers: dict[str, str] | None = None, **facts: str) -> None:
        self.text = message or self.message
        self.headers = headers or {}
        self.facts = facts
        super().__init__(self.text)
