"""What authentication is given and what it gives back: requests, principals, identities, payload plans.

Values only. Secrets never appear in a ``repr``; a `Principal` carries none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, Protocol


@dataclass(frozen=True, slots=True)
class AuthRequest:
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


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks."""

    access_key: str
    name: str
    owner_id: str
    """Canonical user id, shared by all key pairs of one user; empty for the anonymous principal."""
    anonymous: bool = False


ANONYMOUS: Final = Principal(access_key="", name="", owner_id="", anonymous=True)


@dataclass(frozen=True, slots=True)
class Credentials:
    """One key pair of one user."""

    access_key: str
    secret_key: str = field(repr=False)
    owner_id: str
    name: str
    email: str = ""
    """Address by which an ACL may name the user; optional."""

    @property
    def principal(self) -> Principal:
        """The pair without its secret."""
        return Principal(access_key=self.access_key, name=self.name, owner_id=self.owner_id)


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


@dataclass(frozen=True, slots=True)
class PayloadPlan:
    """What the reader of the body has to check."""

    mode: PayloadMode
    sha256: str | None = None
    """Lower-case hex that the whole body must hash to; set when *mode* is SIGNED."""
    signer: ChunkVerifier | None = None
    """Set when the chunks are signed."""


UNSIGNED_PAYLOAD: Final = PayloadPlan(PayloadMode.UNSIGNED)

AuthType = Literal["anonymous", "header", "presigned", "post"]
SignatureVersion = Literal["", "AWS", "AWS4-HMAC-SHA256"]


@dataclass(frozen=True, slots=True)
class Identity:
    """The outcome of authentication."""

    principal: Principal
    auth_type: AuthType
    payload: PayloadPlan = UNSIGNED_PAYLOAD
    signature_version: SignatureVersion = ""
    """As policies spell it in ``s3:signatureversion``; empty for anonymous requests."""
    signature_age_ms: int = 0
    """Milliseconds since the request was signed (``s3:signatureAge``)."""


ANONYMOUS_IDENTITY: Final = Identity(principal=ANONYMOUS, auth_type="anonymous")
