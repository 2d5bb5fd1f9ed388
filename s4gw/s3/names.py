"""What buckets and keys may be called.

Source: S3 user guide, "General purpose bucket naming rules" and "Naming Amazon S3 objects".
"""

from __future__ import annotations

import re
from typing import Final

from s4gw.s3.errors import InvalidBucketName, KeyTooLongError, UserKeyMustBeSpecified

KEY_BYTES_MAX: Final = 1024
"""Of the key in UTF-8."""

# labels of lower-case letters, digits and inner hyphens, joined by single dots
_BUCKET: Final = re.compile(r"(?=.{3,63}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_LIKE_ADDRESS: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
RESERVED_PREFIXES: Final = ("xn--", "sthree-", "amzn-s3-demo-")
RESERVED_SUFFIXES: Final = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


def check_bucket_name(name: str) -> None:
    """Let a bucket be created under *name*. Raises: InvalidBucketName."""
    if (
        _BUCKET.fullmatch(name) is None
        or _LIKE_ADDRESS.fullmatch(name)
        or name.startswith(RESERVED_PREFIXES)
        or name.endswith(RESERVED_SUFFIXES)
    ):
        raise InvalidBucketName(BucketName=name)


def check_key(key: str) -> None:
    """Let an object be stored under *key*; S3 restricts nothing but its length.

    Raises: KeyTooLongError; UserKeyMustBeSpecified for an empty key.
    """
    if not key:
        raise UserKeyMustBeSpecified
    if len(key) * 4 > KEY_BYTES_MAX:
        size = len(key.encode())
        if size > KEY_BYTES_MAX:
            raise KeyTooLongError(Size=str(size), MaxSizeAllowed=str(KEY_BYTES_MAX))
