"""A bucket's public access block: four switches against giving data away by mistake.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from s4gw.bucketconfig.documents import load_document


class PublicAccessBlock(msgspec.Struct, frozen=True):
    """The switches; all off is as good as no configuration."""

    block_public_acls: bool = False
    """Refuse requests that set a public ACL."""
    ignore_public_acls: bool = False
    """Act as if public grants were not there."""
    block_public_policy: bool = False
    """Refuse to store a public policy."""
    restrict_public_buckets: bool = False
    """While the policy is public, let it serve only the bucket's owner."""


_NAMES: Final = {
    "BlockPublicAcls": "block_public_acls",
    "IgnorePublicAcls": "ignore_public_acls",
    "BlockPublicPolicy": "block_public_policy",
    "RestrictPublicBuckets": "restrict_public_buckets",
}


def parse_public_access_block(document: Mapping[str, Any]) -> PublicAccessBlock:
    """Read a boto3-shaped PublicAccessBlockConfiguration; a switch left out is off."""
    return PublicAccessBlock(**{field: bool(document.get(name, False)) for name, field in _NAMES.items()})


def public_access_block_document(block: PublicAccessBlock) -> dict[str, bool]:
    """*block* boto3-shaped, with all four switches, as S3 answers."""
    return {name: getattr(block, field) for name, field in _NAMES.items()}


def stored_public_access_block(configs: Mapping[str, bytes]) -> PublicAccessBlock:
    """The switches that a bucket's stored documents say."""
    stored = configs.get("publicAccessBlock")
    return parse_public_access_block(load_document(stored)) if stored else PublicAccessBlock()
