"""The chain of chunk signatures in a body that is sent with ``STREAMING-AWS4-HMAC-SHA256-PAYLOAD``.

Each chunk's signature covers the one before it, the first the request's own: chunks cannot be cut, swapped or taken
from another request.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and .../sigv4-streaming-trailers.html
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from s4gw.s3.errors import SignatureDoesNotMatch

_EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()


class ChunkSigner:
    """Checks chunk signatures in order, then the trailer's.

    Args:
        key: Signing key of the request.
        timestamp: Its time as signed, ``YYYYMMDDTHHMMSSZ``.
        scope: Its credential scope, ``date/region/s3/aws4_request``.
        seed: Its own signature, lower-case hex.
    """

    __slots__ = ("_key", "_middle", "_previous")

    def __init__(self, key: bytes, timestamp: str, scope: str, seed: str) -> None:
        self._key = key
        self._middle = f"{timestamp}\n{scope}\n"
        self._previous = seed

    def check_chunk(self, signature: str, sha256_hex: str) -> None:
        """Accept the next chunk, whose data has the SHA-256 *sha256_hex* (lower-case).

        Raises: SignatureDoesNotMatch.
        """
        self._advance(
            f"AWS4-HMAC-SHA256-PAYLOAD\n{self._middle}{self._previous}\n{_EMPTY_SHA256}\n{sha256_hex}", signature
        )

    def check_trailer(self, signature: str, trailer: bytes) -> None:
        """Accept the trailing headers, given as canonical ``name:value`` lines, each ended by a line feed.

        Raises: SignatureDoesNotMatch.
        """
        digest = hashlib.sha256(trailer).hexdigest()
        self._advance(f"AWS4-HMAC-SHA256-TRAILER\n{self._middle}{self._previous}\n{digest}", signature)

    def _advance(self, text: str, signature: str) -> None:
        """Compare the signature of *text* with the client's and make it the next link."""
        expected = hmac.digest(self._key, text.encode(), "sha256").hex()
        # SECURITY: constant time, or a chunk signature could be guessed digit by digit.
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            raise SignatureDoesNotMatch
        self._previous = expected
