"""What authentication is given and what it gives back: requests, principals, identities, payload plans.

Values only. Secrets never appear in a ``repr``; a `Principal` carries none. PERF: structs of msgspec cost a tenth of
frozen dataclasses to make, and a request makes several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from operator import itemgetter
from typing import Final, Literal, Protocol

import msgspec

from s4gw.auth.mac import Mac


class AuthRequest(msgspec.Struct, frozen=True):
    """The parts of a request that a signature covers, exactly as the client sent them."""

    method: str
    path: str
    """Request path, still percent-encoded."""
    query: str
    """Query string without the question mark, still percent-encoded."""
    headers: Sequence[tuple[str, str]]
    """(lower-case name, value) in the order sent; bytes above 127 as Latin-1, as WSGI hands them over."""
    secure: bool
    """The request came over TLS."""
    virtual_bucket: str = ""
    """Bucket that the Host header names, or empty; only version 2 signs it."""


class Principal(msgspec.Struct, frozen=True):
    """Who asks."""

    access_key: str
    name: str
    owner_id: str
    """Canonical user id, shared by all key pairs of one user; empty for the anonymous principal."""
    anonymous: bool = False


ANONYMOUS: Final = Principal(access_key="", name="", owner_id="", anonymous=True)


class Credentials(msgspec.Struct, frozen=True):
    """One key pair of one user."""

    access_key: str
    secret_key: str
    owner_id: str
    name: str
    email: str = ""
    """Address by which an ACL may name the user; optional."""
    mfa_serial: str = ""
    """Serial number, or any name, of the user's MFA device; optional."""
    mfa_secret: bytes = b""

    def __repr__(self) -> str:
        return f"Credentials(access_key={self.access_key!r}, name={self.name!r}, owner_id={self.owner_id!r})"

    @property
    def principal(self) -> Principal:
        """The pair without its secret."""
        return Principal(self.access_key, self.name, self.owner_id)


class Signer(msgspec.Struct, frozen=True):
    """Who signs for which day and region, and with what: a Credential element that was looked up."""

    pair: Credentials
    principal: Principal
    date: str
    """``YYYYMMDD``."""
    scope: str
    """As in the string to sign, ``date/region/s3/aws4_request``."""
    key: bytes
    mac: Mac
    """Under `key`."""

    def __repr__(self) -> str:
        return f"Signer(access_key={self.pair.access_key!r}, scope={self.scope!r})"


class SignedHeaders(msgspec.Struct, frozen=True):
    """A SignedHeaders element."""

    text: str
    names: tuple[str, ...]
    """In the order listed."""
    all: frozenset[str]
    lines: str
    """Their lines in the canonical request, with ``%s`` for each value."""
    pick: Callable[[Mapping[str, str]], tuple[str, ...] | str]
    """Gives the values for `lines`. Raises: KeyError, when one is missing."""

    @classmethod
    def parse(cls, text: str) -> SignedHeaders:
        """Split at the semicolons."""
        names = tuple(text.split(";"))
        lines = "".join([f"{name.replace('%', '%%')}:%s\n" for name in names])
        return cls(text, names, frozenset(names), lines, itemgetter(*names))


class Claim(msgspec.Struct, frozen=True):
    """What the client says it signed, from the header or from the query."""

    credential: str
    timestamp: str
    """Time of signing, ``YYYYMMDDTHHMMSSZ``."""
    signed_headers: str
    signature: str
    payload_hash: str
    """Last line of the canonical request."""
    skip: str = ""
    """Query parameter outside the signature."""


class PayloadMode(StrEnum):
    """How the body is bound to the signature; values are those of ``x-amz-content-sha256``."""

    UNSIGNED = "UNSIGNED-PAYLOAD"
    SIGNED = "SIGNED"
    STREAMING_SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    STREAMING_SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


class ChunkVerifier(Protocol):
    """Checks the chain of chunk signatures of one request, in order."""

    def check_chunk(self, signature: str, sha256_hex: str) -> None:
        """Accept the next chunk, whose data has the SHA-256 *sha256_hex*. Raises: SignatureDoesNotMatch."""

    def check_trailer(self, signature: str, trailer: bytes) -> None:
        """Accept the trailing headers, canonical as ``name:value`` lines. Raises: SignatureDoesNotMatch."""


class PayloadPlan(msgspec.Struct, frozen=True):
    """What the reader of the body has to check."""

    mode: PayloadMode
    sha256: str | None = None
    """Lower-case hex that the whole body must hash to; set when *mode* is SIGNED."""
    signer: ChunkVerifier | None = None
    """Set when the chunks are signed."""


UNSIGNED_PAYLOAD: Final = PayloadPlan(PayloadMode.UNSIGNED)

AuthType = Literal["anonymous", "header", "presigned", "post"]
SignatureVersion = Literal["", "AWS", "AWS4-HMAC-SHA256"]


class Identity(msgspec.Struct, frozen=True):
    """The outcome of authentication."""

    principal: Principal
    auth_type: AuthType
    payload: PayloadPlan = UNSIGNED_PAYLOAD
    signature_version: SignatureVersion = ""
    """As policies spell it in ``s3:signatureversion``; empty for anonymous requests."""
    signature_age_ms: int = 0
    """Milliseconds since the request was signed (``s3:signatureAge``)."""


ANONYMOUS_IDENTITY: Final = Identity(principal=ANONYMOUS, auth_type="anonymous")
