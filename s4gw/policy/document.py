"""Policy documents: JSON read and checked in full when it is stored, so that nothing is ignored when it is applied.

Known elements are Version, Id and Statement; in a statement Sid, Effect, Principal or NotPrincipal, Action or
NotAction, Resource or NotResource, Condition. Whatever else a document holds, an action that S3 does not have, a
condition key that the gateway cannot fill, a resource of another bucket: all refuse the document. ``NotPrincipal``
goes with Deny only, as in AWS.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-policy-language-overview.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from s4gw.policy.actions import KNOWN_ACTIONS
from s4gw.policy.conditions import Condition, ConditionError, parse_conditions
from s4gw.policy.context import Caller, Context
from s4gw.policy.match import glob
from s4gw.policy.template import Template, TemplateError

POLICY_BYTES_MAX: Final = 20_480
"""Largest bucket policy that S3 takes."""

ARN_PREFIXES: Final = ("arn:aws:s3:::", "arn:aws-cn:s3:::", "arn:aws-us-gov:s3:::")
_VERSIONS: Final = ("2012-10-17", "2008-10-17")
_DOCUMENT_ELEMENTS: Final = frozenset({"Version", "Id", "Statement"})
_STATEMENT_ELEMENTS: Final = frozenset(
    {
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    }
)


class PolicyError(ValueError):
    """A policy document that cannot be accepted; the text tells its author why."""


class Effect(Enum):
    """What a statement does, or what a whole policy says to one request."""

    ALLOW = "Allow"
    DENY = "Deny"
    SILENT = "no statement applies"


@dataclass(frozen=True, slots=True)
class Principals:
    """Who a statement is about."""

    anyone: bool = False
    aws: frozenset[str] = frozenset()
    """Access keys, user names, owner ids and ARNs."""
    canonical: frozenset[str] = frozenset()
    """Owner ids."""
    negated: bool = False

    def include(self, caller: Caller) -> bool:
        """Whether the statement is about *caller*."""
        named = self.anyone or (
            not caller.anonymous and (caller.owner_id in self.canonical or not self.aws.isdisjoint(spellings(caller)))
        )
        return named != self.negated


@dataclass(frozen=True, slots=True)
class Statement:
    """One rule."""

    sid: str
    effect: Effect
    principals: Principals
    actions: frozenset[str]
    """Known actions in lower case, patterns expanded and NotAction turned round."""
    resources: tuple[Template, ...]
    resources_negated: bool
    conditions: tuple[Condition, ...]

    def applies(self, action: str, resource: str, context: Context) -> bool:
        """Whether the rule is about this caller doing *action* (lower-case) to *resource* (an ARN)."""
        if action not in self.actions or not self.principals.include(context.caller):
            return False
        patterns = (template.glob(context) for template in self.resources)
        hit = any(pattern is not None and pattern.matches(resource) for pattern in patterns)
        return hit != self.resources_negated and all(condition.holds(context) for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class Policy:
    """A checked document."""

    statements: tuple[Statement, ...]

    def evaluate(self, action: str, resource: str, context: Context) -> tuple[Effect, str]:
        """What the policy says, and the Sid of the statement that says it. Deny goes before Allow."""
        lowered = action.lower()
        allowed: str | None = None
        for statement in self.statements:
            if allowed is not None and statement.effect is Effect.ALLOW:
                continue
            if statement.applies(lowered, resource, context):
                if statement.effect is Effect.DENY:
                    return Effect.DENY, statement.sid
                allowed = statement.sid
        return (Effect.SILENT, "") if allowed is None else (Effect.ALLOW, allowed)


def spellings(caller: Caller) -> frozenset[str]:
    """Every way in which a policy may name *caller*."""
    owner, name = caller.owner_id, caller.name
    return frozenset(
        {
            caller.access_key,
            name,
            owner,
            f"arn:aws:iam::{owner}:root",
            f"arn:aws:iam::{name}:root",
            f"arn:aws:iam::{owner}:user/{name}",
            f"arn:aws:iam::{name}:user/{name}",
            f"arn:aws:iam:::user/{name}",
        }
    )


def parse_policy(text: str | bytes, *, bucket: str | None = None) -> Policy:
    """Read a policy document.

    Args:
        text: JSON.
        bucket: Bucket that the policy is for; its resources must then lie there. None for a gateway-wide policy,
            which may name all resources as ``*``.

    Raises: PolicyError.
    """
    if len(text) > POLICY_BYTES_MAX:
        raise PolicyError(f"The policy is larger than {POLICY_BYTES_MAX} bytes")
    try:
        document = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, PolicyError) else PolicyError("This policy contains invalid Json") from error
    if not isinstance(document, dict):
        raise PolicyError("This policy contains invalid Json")
    _only(document, _DOCUMENT_ELEMENTS)
    version = document.get("Version", "2008-10-17")
    if version not in _VERSIONS:
        raise PolicyError("The policy must contain a valid version string")
    if not isinstance(document.get("Id", ""), str):
        raise PolicyError("Id must be text")
    given = document.get("Statement")
    listed = given if isinstance(given, list) else [given]
    statements = [statement for statement in listed if isinstance(statement, dict)]
    if not listed or len(statements) != len(listed):
        raise PolicyError("Missing required field Statement")
    if version != _VERSIONS[0] and "${" in (text if isinstance(text, str) else text.decode("utf-8", "replace")):
        raise PolicyError("Policy variables need Version 2012-10-17")
    return Policy(tuple(_statement(statement, bucket) for statement in statements))


def _object(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """A JSON object; one that says something twice is refused, for readers differ on which counts."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise PolicyError("The policy names an element twice")
    return made


def _only(element: Mapping[str, object], known: frozenset[str]) -> None:
    unknown = sorted(element.keys() - known)
    if unknown:
        raise PolicyError(f"Unknown field {unknown[0]}")


def _statement(raw: Mapping[str, object], bucket: str | None) -> Statement:
    """Check one statement."""
    _only(raw, _STATEMENT_ELEMENTS)
    sid = raw.get("Sid", "")
    if not isinstance(sid, str):
        raise PolicyError("Sid must be text")
    try:
        effect = {"Allow": Effect.ALLOW, "Deny": Effect.DENY}[str(raw.get("Effect"))]
    except KeyError:
        raise PolicyError("Missing or invalid Effect: it is Allow or Deny") from None
    who, not_who = _either(raw, "Principal", "NotPrincipal")
    if not_who and effect is Effect.ALLOW:
        raise PolicyError("Allow with NotPrincipal is not allowed")
    what, not_what = _either(raw, "Action", "NotAction")
    where, not_where = _either(raw, "Resource", "NotResource")
    try:
        conditions = parse_conditions(raw["Condition"]) if "Condition" in raw else ()
    except ConditionError as error:
        raise PolicyError(f"Policy has an invalid condition: {error}") from error
    return Statement(
        sid=sid,
        effect=effect,
        principals=_principals(who, negated=not_who),
        actions=_actions(what, negated=not_what),
        resources=_resources(where, bucket),
        resources_negated=not_where,
        conditions=conditions,
    )


def _either(raw: Mapping[str, object], plain: str, negated: str) -> tuple[object, bool]:
    """The one of two elements that is given, and whether it is the negated one."""
    if (plain in raw) == (negated in raw):
        raise PolicyError(f"A statement has either {plain} or {negated}")
    return (raw[plain], False) if plain in raw else (raw[negated], True)


def _texts(value: object, what: str) -> list[str]:
    """A text or a list of texts."""
    listed = value if isinstance(value, list) else [value]
    texts = [text for text in listed if isinstance(text, str) and text]
    if not listed or len(texts) != len(listed):
        raise PolicyError(f"{what} must be text or a list of texts")
    return texts


def _principals(value: object, *, negated: bool) -> Principals:
    """Read Principal or NotPrincipal."""
    if value == "*":
        return Principals(anyone=True, negated=negated)
    if not isinstance(value, dict) or not value:
        raise PolicyError("Invalid principal in policy")
    _only(value, frozenset({"AWS", "CanonicalUser"}))
    aws = _texts(value.get("AWS"), "Principal") if "AWS" in value else []
    canonical = _texts(value.get("CanonicalUser"), "Principal") if "CanonicalUser" in value else []
    if any("*" in name and name != "*" for name in aws) or any("*" in name for name in canonical):
        raise PolicyError("Invalid principal in policy: a wildcard stands alone")
    return Principals("*" in aws, frozenset(aws) - {"*"}, frozenset(canonical), negated)


def _actions(value: object, *, negated: bool) -> frozenset[str]:
    """Expand Action or NotAction to the actions that S3 has."""
    chosen: set[str] = set()
    for text in _texts(value, "Action"):
        pattern = glob(text.lower())
        matching = {action for action in KNOWN_ACTIONS if pattern.matches(action)}
        if not matching:
            raise PolicyError("Policy has invalid action")
        chosen |= matching
    return KNOWN_ACTIONS - chosen if negated else frozenset(chosen)


def _resources(value: object, bucket: str | None) -> tuple[Template, ...]:
    """Read Resource or NotResource."""
    return tuple(_resource(text, bucket) for text in _texts(value, "Resource"))


def _resource(text: str, bucket: str | None) -> Template:
    """One resource pattern, turned to the standard partition."""
    prefix = next((prefix for prefix in ARN_PREFIXES if text.startswith(prefix)), None)
    if prefix is None and not (text == "*" and bucket is None):
        raise PolicyError("Policy has invalid resource")
    rest = text.removeprefix(prefix) if prefix else ""
    if prefix and not rest:
        raise PolicyError("Policy has invalid resource")
    try:
        template = Template.parse(text if prefix is None else ARN_PREFIXES[0] + rest)
        named = Template.parse(rest.partition("/")[0])
    except TemplateError as error:
        raise PolicyError(f"Policy has invalid resource: {error}") from error
    # The bucket's own name, or a pattern that it fits: others can only be a mistake.
    if bucket is not None and (named.fixed is None or not named.fixed.matches(bucket)):
        raise PolicyError("Policy has invalid resource")
    return template


def resource_arn(bucket: str, key: str = "") -> str:
    """ARN of a bucket or an object; of the service when *bucket* is empty."""
    return f"{ARN_PREFIXES[0]}{bucket}/{key}" if key else ARN_PREFIXES[0] + bucket
