"""May they: policy documents, access control lists, and the decision.

Pure: requests, objects and the time arrive as values; errors a client may see are S3's, a document that cannot be
accepted raises `PolicyError`.
"""

from s4gw.policy.acl import (
    Acl,
    Grant,
    Users,
    acl_for_write,
    acl_from_document,
    acl_from_headers,
    acl_to_document,
    canned_acl,
    check_acl_allowed,
    has_acl_headers,
    parse_acl,
    private_acl,
)
from s4gw.policy.actions import ACL_NEEDS, ACTIONS, HEADERS_OF, KNOWN_ACTIONS, OBJECT_OWNER_ACTIONS, Rule, Target, When
from s4gw.policy.context import Caller, Context, request_tags
from s4gw.policy.document import POLICY_BYTES_MAX, Effect, Policy, PolicyError, parse_policy, resource_arn
from s4gw.policy.evaluate import BucketRules, Decision, ObjectFacts, ObjectLookup, decide, is_owner
from s4gw.policy.match import Network, in_network, parse_network
from s4gw.policy.public import is_public

__all__ = [
    "ACL_NEEDS",
    "ACTIONS",
    "HEADERS_OF",
    "KNOWN_ACTIONS",
    "OBJECT_OWNER_ACTIONS",
    "POLICY_BYTES_MAX",
    "Acl",
    "BucketRules",
    "Caller",
    "Context",
    "Decision",
    "Effect",
    "Grant",
    "Network",
    "ObjectFacts",
    "ObjectLookup",
    "Policy",
    "PolicyError",
    "Rule",
    "Target",
    "Users",
    "When",
    "acl_for_write",
    "acl_from_document",
    "acl_from_headers",
    "acl_to_document",
    "canned_acl",
    "check_acl_allowed",
    "decide",
    "has_acl_headers",
    "in_network",
    "is_owner",
    "is_public",
    "parse_acl",
    "parse_network",
    "parse_policy",
    "private_acl",
    "request_tags",
    "resource_arn",
]
