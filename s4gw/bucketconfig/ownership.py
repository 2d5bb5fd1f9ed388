"""Object ownership: who owns what others upload, and whether access control lists count.

Without a configuration the writer owns the object and lists count (``ObjectWriter``).

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from s4gw.bucketconfig.documents import load_document
from s4gw.s3.errors import InvalidArgument, MalformedXML

CONFIG: Final = "ownershipControls"
"""Document of a bucket that says."""
OWNERSHIPS: Final = frozenset({"BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"})


def check_ownership(value: str) -> str:
    """A known ownership. Raises: InvalidArgument."""
    if value not in OWNERSHIPS:
        raise InvalidArgument(f"Invalid x-amz-object-ownership header: {value}", ArgumentName="x-amz-object-ownership")
    return value


def parse_ownership(document: Mapping[str, Any]) -> str:
    """Read a boto3-shaped OwnershipControls. Raises: MalformedXML."""
    rules = document.get("Rules") or []
    if len(rules) != 1 or rules[0].get("ObjectOwnership") not in OWNERSHIPS:
        raise MalformedXML
    return str(rules[0]["ObjectOwnership"])


def ownership_document(ownership: str) -> dict[str, Any]:
    """*ownership* boto3-shaped, as S3 answers."""
    return {"Rules": [{"ObjectOwnership": ownership}]}


def stored_ownership(configs: Mapping[str, bytes]) -> str:
    """The ownership that a bucket's stored documents say; empty when not configured."""
    stored = configs.get(CONFIG)
    return parse_ownership(load_document(stored)) if stored else ""
