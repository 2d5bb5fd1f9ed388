"""One decision: may this caller do this action to this resource?

Explicit Deny goes before Allow, Allow before silence, which refuses. What can allow: the gateway-wide policy, the
bucket's policy, being the bucket's or the object's owner, a grant of an access control list. What can only refuse:
silence of the gateway-wide policy where there is one, RestrictPublicBuckets. Facts about the object are asked for
only when nothing else has decided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from s4gw.policy.acl import Acl
from s4gw.policy.actions import ACL_NEEDS, OBJECT_OWNER_ACTIONS
from s4gw.policy.context import Caller, Context
from s4gw.policy.document import Effect, Policy, resource_arn


@dataclass(frozen=True, slots=True)
class BucketRules:
    """What a bucket's configuration says about access."""

    name: str
    owner: str
    """Canonical id."""
    acl: Acl
    policy: Policy | None = None
    policy_is_public: bool = False
    acls_disabled: bool = False
    """Object ownership is BucketOwnerEnforced."""
    ignore_public_acls: bool = False
    restrict_public_buckets: bool = False


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """What an object says about access."""

    owner: str
    acl: Acl
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome, and why."""

    allowed: bool
    explicit_deny: bool
    reason: str
    """For logs and explanations; not for the client."""
    baseline_allowed: bool = True
    """The gateway-wide policy, if there is one, allows it."""
    absent: bool = False
    """Refused only because there is no such object, whose own list might have allowed it."""

    def __bool__(self) -> bool:
        return self.allowed


ObjectLookup = Callable[[], ObjectFacts | None]

POLICY_RESCUE: Final = frozenset({"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"})
"""What a bucket's owner may do even when its policy denies it, so that no policy locks its author out for good.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html
"""


def _no_object() -> ObjectFacts | None:
    return None


def decide(  # noqa: PLR0913 - one argument per input of the decision
    action: str,
    context: Context,
    *,
    rules: BucketRules | None = None,
    bucket: str = "",
    key: str = "",
    baseline: Policy | None = None,
    lookup: ObjectLookup = _no_object,
    acl_action: str = "",
    deny_only: bool = False,
) -> Decision:
    """Decide about one action.

    Args:
        action: In IAM's spelling, ``s3:GetObject``.
        context: The request, with its caller.
        rules: Of the bucket; None for actions on the service or on a bucket that is to be made.
        bucket: Its name when there are no rules; empty for the service.
        key: Of the object; empty for actions on the bucket.
        baseline: The gateway-wide policy, if there is one.
        lookup: Gives the object's facts, None when there is no object; called at most once.
        acl_action: Action whose ACL grant counts for this one too.
        deny_only: Only refusals count; silence allows.
    """
    arn = resource_arn(rules.name if rules else bucket, key)
    allow, absent = "", False
    if baseline is not None:
        effect, sid = baseline.evaluate(action, arn, context)
        if effect is Effect.DENY:
            return Decision(allowed=False, explicit_deny=True, reason=f"gateway policy denies ({sid})")
        if effect is Effect.SILENT:
            return Decision(
                allowed=False, explicit_deny=False, reason="gateway policy does not allow", baseline_allowed=False
            )
        allow = f"gateway policy allows ({sid})"
    if rules is not None:
        refused, granted = _bucket_policy(action, arn, context, rules)
        if refused is not None:
            return refused
        allow = granted or allow
    if not allow:
        allow, absent = (
            ("comes with the right to create", False)
            if deny_only
            else _standing(action, context, rules, lookup, acl_action)
        )
    if allow:
        return Decision(allowed=True, explicit_deny=False, reason=allow)
    return Decision(allowed=False, explicit_deny=False, reason="nothing allows it", absent=absent)


def _bucket_policy(action: str, arn: str, context: Context, rules: BucketRules) -> tuple[Decision | None, str]:
    """What the bucket's policy says: a refusal, or the reason why it allows."""
    if rules.policy is None:
        return None, ""
    owns = is_owner(context.caller, rules.owner)
    effect, sid = rules.policy.evaluate(action, arn, context)
    if effect is Effect.DENY and not (owns and action in POLICY_RESCUE):
        return Decision(allowed=False, explicit_deny=True, reason=f"bucket policy denies ({sid})"), ""
    restricted = rules.restrict_public_buckets and rules.policy_is_public and not owns
    return None, f"bucket policy allows ({sid})" if effect is Effect.ALLOW and not restricted else ""


def _standing(
    action: str, context: Context, rules: BucketRules | None, lookup: ObjectLookup, acl_action: str
) -> tuple[str, bool]:
    """Why owners and access control lists allow the action, empty when they do not; and whether the object lacks."""
    caller = context.caller
    if rules is None:
        # Listing the buckets of nobody shows nothing, which is what S3-compatible servers answer to anonymous callers.
        return ("" if caller.anonymous and action != "s3:ListAllMyBuckets" else "own account"), False
    owns_bucket = is_owner(caller, rules.owner)
    if owns_bucket and (rules.acls_disabled or action not in OBJECT_OWNER_ACTIONS):
        return "bucket owner", False
    need = ACL_NEEDS.get(acl_action or action)
    if need is None or (rules.acls_disabled and not need.on_object):
        return "", False
    if not need.on_object:
        granted = rules.acl.allows(caller, need.permission, ignore_public=rules.ignore_public_acls)
        return ("bucket ACL" if granted else ""), False
    facts = lookup()
    if facts is None:
        # Nothing there to protect; whether others may learn that is for the one who asks to decide.
        return ("bucket owner" if owns_bucket else ""), not owns_bucket
    if rules.acls_disabled:
        return "", False
    if is_owner(caller, facts.owner or rules.owner):
        return "object owner", False
    granted = facts.acl.allows(caller, need.permission, ignore_public=rules.ignore_public_acls)
    return ("object ACL" if granted else ""), False


def is_owner(caller: Caller, owner: str) -> bool:
    """Whether *caller* belongs to the account *owner*."""
    return not caller.anonymous and bool(owner) and caller.owner_id == owner
