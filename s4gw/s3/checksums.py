"""Which digests a request promises for its body, and whether what it promises has the right form.

Only form is checked here; the body's reader computes the digests and compares. Digests leave this module as raw
bytes. Source: S3 user guide, "Checking object integrity"; PutObject page, x-amz-checksum-* and x-amz-trailer.
"""

from __future__ import annotations

import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from s4gw.checksum import DIGEST_BYTES, HEADER, Algorithm
from s4gw.s3.errors import BadDigest, InvalidDigest, InvalidRequest, MalformedTrailerError

CHECKSUM_PREFIX: Final = "x-amz-checksum-"
_NO_VALUE: Final = frozenset({"x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode"})
"""Headers that share the prefix and carry no digest."""

BY_HEADER: Final[Mapping[str, Algorithm]] = MappingProxyType(
    {header: algorithm for algorithm, header in HEADER.items()}
)
"""``x-amz-checksum-*`` header -> algorithm."""


@dataclass(frozen=True, slots=True)
class Declared:
    """Digests that a request promises."""

    md5: bytes | None = None
    """From Content-MD5."""
    algorithm: Algorithm | None = None
    value: bytes | None = None
    """Of `algorithm`; None when it follows in the trailer."""
    in_trailer: bool = False


NOTHING: Final = Declared()


def declared(headers: Mapping[str, str]) -> Declared:
    """Read what *headers* (lower-case names) promise of the request's own body.

    Not for CompleteMultipartUpload, whose x-amz-checksum headers are about the object (`multipart` compares those).

    Raises: InvalidDigest for a Content-MD5 that is none; BadDigest for a checksum that is none; InvalidRequest for
        checksum headers that are unknown or more than one, or for an algorithm named without its checksum.
    """
    md5 = None
    if "content-md5" in headers:
        md5 = decode(Algorithm.MD5, headers["content-md5"])
        if md5 is None:
            raise InvalidDigest("The Content-MD5 you specified was invalid.")
    found = [name for name in headers if name.startswith(CHECKSUM_PREFIX) and name not in _NO_VALUE]
    trailer = headers.get("x-amz-trailer", "").strip().lower()
    in_trailer = bool(trailer)
    if in_trailer and trailer not in BY_HEADER:
        # Also of a digest that nobody would look at, which the client would take for checked.
        raise InvalidRequest("The value specified in the x-amz-trailer header is not supported")
    names = [*found, trailer] if in_trailer else found
    if len(names) > 1:
        raise InvalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    if not names:
        if headers.get("x-amz-sdk-checksum-algorithm") and md5 is None:
            raise InvalidRequest(
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer "
                "headers were found."
            )
        return NOTHING if md5 is None else Declared(md5=md5)
    algorithm = _algorithm(names[0])
    wanted = headers.get("x-amz-sdk-checksum-algorithm")
    if wanted and wanted.strip().upper() != algorithm.value:
        raise InvalidRequest("Value for x-amz-sdk-checksum-algorithm header is invalid.")
    if in_trailer:
        return Declared(md5=md5, algorithm=algorithm, in_trailer=True)
    value = decode(algorithm, headers[names[0]])
    if value is None:  # no body has such a checksum
        raise BadDigest(f"Value for {names[0]} header is invalid.")
    return Declared(md5=md5, algorithm=algorithm, value=value)


def _algorithm(header: str) -> Algorithm:
    algorithm = BY_HEADER.get(header)
    if algorithm is None:
        raise InvalidRequest(f"The algorithm type you specified in {header[:64]} header is invalid.")
    return algorithm


def decode(algorithm: Algorithm, text: str) -> bytes | None:
    """Decode a base64 digest of *algorithm*; None when it is malformed or has another length."""
    try:
        digest = binascii.a2b_base64(text.strip(), strict_mode=True)
    except ValueError:
        return None
    return digest if len(digest) == DIGEST_BYTES[algorithm] else None


def from_trailer(promise: Declared, trailers: Mapping[str, str]) -> bytes | None:
    """Take the digest that *promise* announced out of the body's *trailers* (lower-case names).

    Returns: None when none was announced. Raises: MalformedTrailerError, BadDigest.
    """
    if not promise.in_trailer or promise.algorithm is None:
        return None
    header = HEADER[promise.algorithm]
    text = trailers.get(header)
    if text is None:
        raise MalformedTrailerError
    value = decode(promise.algorithm, text)
    if value is None:
        raise BadDigest(f"Value for {header} trailing header is invalid.")
    return value


def check_digest(algorithm: Algorithm, promised: bytes, computed: bytes) -> None:
    """Raise BadDigest unless the body has the digest that was promised."""
    if not hmac.compare_digest(promised, computed):
        name = "Content-MD5" if algorithm is Algorithm.MD5 else algorithm.value
        raise BadDigest(f"The {name} you specified did not match the calculated checksum.")


def parse_algorithm(name: str | None) -> Algorithm | None:
    """Read ``x-amz-checksum-algorithm``; None stays. Raises: InvalidRequest for one that S3 or we do not have."""
    if name is None:
        return None
    try:
        return Algorithm(name.strip().upper())
    except ValueError as unknown:
        raise InvalidRequest(_UNSUPPORTED) from unknown


_UNSUPPORTED: Final = (
    "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
    f"[{', '.join(Algorithm)}]"
)
