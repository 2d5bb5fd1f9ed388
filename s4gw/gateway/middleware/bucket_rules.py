"""The access rules that a bucket's stored documents say, in the form in which decisions ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s4gw.bucketconfig import stored_ownership, stored_public_access_block
from s4gw.policy import BucketRules, is_public, parse_acl, parse_policy

if TYPE_CHECKING:
    from s4gw.backends.base import BucketInfo


def parse_rules(info: BucketInfo) -> BucketRules:
    """All rules of a bucket; its documents were checked when they came."""
    configs = info.configs
    block = stored_public_access_block(configs)
    stored = configs.get("policy")
    policy = parse_policy(stored, bucket=info.name) if stored else None
    return BucketRules(
        name=info.name,
        owner=info.owner,
        acl=parse_acl(configs.get("acl", b""), info.owner),
        policy=policy,
        policy_is_public=policy is not None and is_public(policy),
        acls_disabled=info.owns_objects or stored_ownership(configs) == "BucketOwnerEnforced",
        ignore_public_acls=block.ignore_public_acls,
        restrict_public_buckets=block.restrict_public_buckets,
    )
