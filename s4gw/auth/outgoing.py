"""Signs requests that the gateway itself sends: Signature Version 4 in the Authorization header.

What is signed is what is sent, so the canonical request is the one that incoming signatures are checked by.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from s4gw.auth.canonical import canonical_request, header_values
from s4gw.auth.credentials import derive_signing_key
from s4gw.auth.model import AuthRequest, SignedHeaders

ALGORITHM: Final = "AWS4-HMAC-SHA256"
_DAY_CHARS: Final = 8


class OutgoingSigner:
    """One key pair in one region; keeps the signing key of the day. Safe to use from any thread.

    Args:
        access_key: Named in each request.
        secret_key: Never leaves.
        region: As the other side expects it.
    """

    def __init__(self, access_key: str, secret_key: str, region: str) -> None:
        self._access_key = access_key
        self._secret_key = secret_key
        self._region = region
        self._of_day: tuple[str, bytes] = ("", b"")

    def authorization(  # noqa: PLR0913 - one argument per part of a request
        self, method: str, path: str, query: str, headers: Mapping[str, str], payload_hash: str, timestamp: str
    ) -> str:
        """The value of the Authorization header.

        Args:
            method: Upper case.
            path: Percent-encoded, as sent.
            query: Percent-encoded, as sent, without the question mark.
            headers: Lower-case name -> value of every header that is to be signed; ``host`` and ``x-amz-date`` are.
            payload_hash: What ``x-amz-content-sha256`` says.
            timestamp: What ``x-amz-date`` says, ``YYYYMMDDTHHMMSSZ``.

        Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
        """
        signed = SignedHeaders.parse(";".join(sorted(headers)))
        request = AuthRequest(method, path, query, (), secure=True)
        canonical = canonical_request(request, header_values(list(headers.items())), signed, payload_hash)
        day = timestamp[:_DAY_CHARS]
        scope = f"{day}/{self._region}/s3/aws4_request"
        text = f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashlib.sha256(canonical).hexdigest()}"
        signature = hmac.digest(self._key(day), text.encode(), "sha256").hex()
        return f"{ALGORITHM} Credential={self._access_key}/{scope}, SignedHeaders={signed.text}, Signature={signature}"

    def _key(self, day: str) -> bytes:
        kept, key = self._of_day
        if kept != day:
            key = derive_signing_key(self._secret_key, day, self._region)
            self._of_day = (day, key)
        return key
