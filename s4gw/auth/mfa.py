"""One-time codes of MFA devices: the time-based kind that every authenticator application shows.

Six digits of HMAC-SHA-1 over 30-second steps. A code of the step before or after is taken as well, for clocks differ.
That a code is used once only is for whoever remembers what was used; `check_code` gives the step to remember.

Source: RFC 6238, RFC 4226; https://docs.aws.amazon.com/AmazonS3/latest/userguide/MultiFactorAuthenticationDelete.html
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Final

STEP_S: Final = 30
DIGITS: Final = 6
_SKEW_STEPS: Final = 1
SECRET_BYTES_MIN: Final = 10
"""80 bits, what authenticator applications are commonly given; RFC 4226 asks for 128 of new secrets."""


def code_at(secret: bytes, step: int) -> str:
    """The code that a device shows in this step."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    start = digest[-1] & 15
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def check_code(secret: bytes, code: str, now: float) -> int | None:
    """The step that *code* belongs to, or None when it is wrong; all comparisons take the same time."""
    current = int(now) // STEP_S
    found = None
    for step in range(current - _SKEW_STEPS, current + _SKEW_STEPS + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), code.encode()):
            found = step
    return found


def parse_header(value: str) -> tuple[str, str]:
    """Serial number and code of an ``x-amz-mfa`` header; empty when it is not made of two words."""
    serial, _, code = value.strip().rpartition(" ")
    return serial.strip(), code


def decode_secret(text: str) -> bytes:
    """The secret of a device from base32, as authenticator applications take it. Raises: ValueError."""
    compact = text.replace(" ", "").replace("-", "").upper().rstrip("=")
    try:
        secret = base64.b32decode(compact + "=" * (-len(compact) % 8))
    except binascii.Error as error:
        raise ValueError("not base32") from error
    if len(secret) < SECRET_BYTES_MIN:
        raise ValueError("too short")
    return secret
