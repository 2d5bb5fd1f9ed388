"""The form in which a bucket's configuration is kept: JSON of its boto3-shaped document.

What is kept was checked before, so a document that cannot be read is damage, not input.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from s4gw.s3.errors import InternalError


def dump_document(document: Mapping[str, Any]) -> bytes:
    """The bytes to keep for a boto3-shaped *document*."""
    return msgspec.json.encode(document)


def load_document(stored: bytes) -> dict[str, Any]:
    """The document kept as *stored*. Raises: InternalError, when it is damaged."""
    try:
        return msgspec.json.decode(stored, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InternalError from error
