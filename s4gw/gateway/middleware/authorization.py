"""Decides whether the sender of a request may do what it asks for.

The rules of an operation are rows of `s4gw.policy.ACTIONS`; an operation without a row is refused. The decision is
`s4gw.policy.decide`; here are its inputs: the bucket, and the object where nothing else decides. What was looked up
on the way is kept for the responder (`looked_up`), so that asking costs nothing extra.

Whoever may not list a bucket does not learn which keys it lacks: reading a missing one is refused, as in S3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NoReturn

from s4gw.gateway.middleware.bucket_rules import parse_rules
from s4gw.gateway.middleware.lookups import look_at
from s4gw.gateway.request import Place
from s4gw.policy import (
    ACTIONS,
    HEADERS_OF,
    OBJECT_OWNER_ACTIONS,
    BucketRules,
    Context,
    Decision,
    Effect,
    Network,
    ObjectFacts,
    Policy,
    Rule,
    Target,
    When,
    decide,
    has_acl_headers,
    in_network,
    is_owner,
    parse_acl,
    resource_arn,
)
from s4gw.s3 import uri
from s4gw.s3.errors import AccessDenied, NoSuchBucket, NoSuchUpload

if TYPE_CHECKING:
    import falcon

    from s4gw.backends.base import Backend, BucketInfo, StoredObject
    from s4gw.gateway.request import S3Request
    from s4gw.gateway.services import Services
    from s4gw.observability.metrics import Metrics

RULES_CACHED_MAX: Final = 1024
"""Parsed bucket rules kept; a policy of 20 KB parsed is some 100 KB."""

_READS: Final = frozenset({action for action in OBJECT_OWNER_ACTIONS if ":Get" in action}) | {
    "s3:GetObjectTagging",
    "s3:GetObjectVersionTagging",
}

_EXPECTED: Final = "x-amz-expected-bucket-owner"
_EXPECTED_SOURCE: Final = "x-amz-source-expected-bucket-owner"
_RULES: Final[Mapping[str, tuple[frozenset[str], tuple[Rule, ...], tuple[Rule, ...]]]] = {
    name: (
        frozenset().union(*(HEADERS_OF.get(r.when, ()) for r in rules)),
        rules,
        tuple(r for r in rules if r.when not in HEADERS_OF),
    )
    for name, rules in ACTIONS.items()
}
"""Operation -> headers that some of its rules are about, all of its rules, those that are about no header.

PERF: most requests have none of these headers."""
_LIST: Final = Rule("s3:ListBucket", Target.BUCKET)
_OWNABLE: Final = (Target.BUCKET, Target.OBJECT)  # PERF: to hash a member is a call


class Authorization:
    """Asks the authorizer about every request that has found its resource."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def process_resource(self, req: S3Request, _resp: falcon.Response, resource: object, _params: object) -> None:
        told = getattr(resource, "told", None)
        said = None if told is None else told(req)  # a document, as if it were headers
        version_id = req.query.get("versionId") or None
        self._services.authorizer.authorize(req, req.operation.name, req.bucket, req.key, version_id, headers=said)


class PolicyAuthorizer:
    """Takes decisions for one worker.

    Args:
        backend: Where buckets and objects are looked up.
        policy: The gateway-wide policy, if there is one.
        metrics: Counts refusals.
        clock: Seconds since the epoch.
        trusted_proxies: Peers whose ``X-Forwarded-For`` is believed.
        sole_owner: Canonical id of the one user who owns every bucket there will be; empty: whoever makes it.
    """

    def __init__(  # noqa: PLR0913 - one argument per input of its decisions
        self,
        backend: Backend,
        *,
        metrics: Metrics,
        clock: Callable[[], float],
        policy: Policy | None = None,
        trusted_proxies: Sequence[Network] = (),
        sole_owner: str = "",
    ) -> None:
        self.backend = backend
        self.policy = policy
        self.metrics = metrics
        self.now = clock
        self.sole_owner = sole_owner
        self._trusted = tuple(trusted_proxies)
        self._rules: dict[tuple[object, ...], BucketRules] = {}

    def authorize(  # noqa: PLR0913 - what, on what, under which headers
        self,
        req: S3Request,
        operation: str,
        bucket: str,
        key: str,
        version_id: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Return when *operation* is allowed to the sender of *req*.

        Args:
            req: The request; its bucket is loaded into ``bucket_info`` on the way.
            operation: In S3's spelling; need not be the request's own.
            bucket: Name, or "" for the service.
            key: Key, or "" for the bucket.
            version_id: Version that is named, if any.
            headers: Stand before the request's own; a POST form brings its fields.

        Raises: AccessDenied, NoSuchBucket, InvalidArgument (a copy source that names nothing).
        """
        rules_of_operation = _RULES.get(operation)
        if rules_of_operation is None:
            raise AccessDenied  # SECURITY: what nobody has thought about is not allowed
        sent = req.header_map if headers is None else {**req.header_map, **headers}
        telling, of_all, always = rules_of_operation
        rules = always if telling.isdisjoint(sent) else of_all
        info = self.bucket_of(req, bucket) if bucket else None
        place, reads = Place(bucket, key, version_id), operation == "GetObject"
        if info is not None and len(rules) == 1 and self._owner_may(req, rules[0], info, place, sent, reads=reads):
            return
        asking = _Asking(self, req, sent, info, reads=reads)
        for rule in rules:
            if rule.when is When.ALWAYS or asking.concerns(rule):
                asking.demand(rule, bucket, key, version_id)

    def _owner_may(  # noqa: PLR0913 - one question's facts
        self, req: S3Request, rule: Rule, info: BucketInfo, place: Place, sent: Mapping[str, str], *, reads: bool
    ) -> bool:
        """Whether nothing but ownership matters to the only rule, and it is the caller's.

        PERF: most requests are an owner's, to a bucket without policy; this leaves out the context and the engine.
        """
        if (
            self.policy is not None
            or "policy" in info.configs
            or rule.when is not When.ALWAYS
            or rule.target not in _OWNABLE
            or not is_owner(req.identity.principal, info.owner)
            or sent.get(_EXPECTED, info.owner) != info.owner
        ):
            return False
        action = rule.versioned if rule.versioned and place.version_id else rule.action
        if info.owns_objects or action not in OBJECT_OWNER_ACTIONS:
            return True
        obj = self.object_at(req, place, reads=reads)
        return obj is None or obj.meta.owner in ("", info.owner)

    def object_at(self, req: S3Request, place: Place, *, reads: bool) -> StoredObject | None:
        """The object, looked up once per request; None when there is none, or a delete marker."""
        seen = req.looked_up
        if place not in seen:
            seen[place] = look_at(self.backend.open_object if reads else self.backend.head_object, place)
        return seen[place]

    def rules_for(self, info: BucketInfo) -> BucketRules:
        """The parsed access rules of a bucket."""
        configs = info.configs
        names = ("policy", "acl", "ownershipControls", "publicAccessBlock")
        cache_key = (info.name, info.owner, *(configs.get(name) for name in names))
        rules = self._rules.get(cache_key)
        if rules is None:
            rules = parse_rules(info)
            if len(self._rules) >= RULES_CACHED_MAX:
                self._rules.clear()
            self._rules[cache_key] = rules
        return rules

    def source_ip(self, req: S3Request) -> str:
        """Address of the client, seen through trusted proxies only."""
        peer = str(req.env.get("REMOTE_ADDR", ""))
        if not self._trusted or not self._is_trusted(peer):
            return peer
        # The rightmost address that is no proxy of ours; whatever is left of it the client may have made up.
        hops = [hop.strip() for hop in req.header_map.get("x-forwarded-for", "").split(",") if hop.strip()]
        return next((hop for hop in reversed(hops) if not self._is_trusted(hop)), peer)

    def _is_trusted(self, address: str) -> bool:
        return any(in_network(address, network) for network in self._trusted)

    def bucket_of(self, req: S3Request, bucket: str) -> BucketInfo | None:
        """The bucket, or None; that of the request itself is looked up once."""
        if bucket == req.bucket and req.bucket_info is not None:
            return req.bucket_info
        try:
            info = self.backend.get_bucket(bucket)
        except NoSuchBucket:
            return None
        if bucket == req.bucket:
            req.bucket_info = info
        return info


class _Asking:
    """The decisions of one call of `PolicyAuthorizer.authorize`."""

    def __init__(
        self,
        owner: PolicyAuthorizer,
        req: S3Request,
        headers: Mapping[str, str],
        info: BucketInfo | None,
        *,
        reads: bool,
    ) -> None:
        self._owner = owner
        self._req = req
        self._caller = req.identity.principal
        self._headers = headers
        self._info = info
        self._reads = reads

    def concerns(self, rule: Rule) -> bool:
        """Whether the request does what the rule, which is not for always, is about."""
        if rule.when is When.ACL:
            return has_acl_headers(self._headers)
        if rule.when is When.SOURCE_TAGS:
            return self._headers.get("x-amz-tagging-directive", "COPY").upper() != "REPLACE"
        return any(self._headers.get(name) for name in HEADERS_OF[rule.when])

    def demand(self, rule: Rule, bucket: str, key: str, version_id: str | None) -> None:
        """Raise unless the rule is met."""
        info, place = self._info, Place(bucket, key, version_id)
        if rule.target is Target.SOURCE:
            place = self._source(rule)
            info = self._owner.bucket_of(self._req, place.bucket)
        elif rule.target is not Target.OBJECT:
            place = Place(bucket, "", None)
        action = rule.versioned if rule.versioned and place.version_id else rule.action
        if rule.target is Target.NEW_BUCKET or rule.target is Target.SERVICE:
            info = None
            if rule.target is Target.NEW_BUCKET and self._would_be_anothers():
                self._refuse(action, place.bucket)
        elif info is None:
            self._refuse_missing_bucket(action, place)
        else:
            self._check_expected_owner(info, rule)
        if rule.target is Target.LATER:
            return
        decision = self._decide(rule, action, info, place)
        allowed = not self._hides(action, info, place) if decision else self._excused(rule, info, place, decision)
        if not allowed:
            self._refuse(action, place.bucket)

    # -- one decision ----------------------------------------------------------------------------------------------
    def _decide(self, rule: Rule, action: str, info: BucketInfo | None, place: Place) -> Decision:
        """Put the question to the engine."""
        return decide(
            action,
            self._context(place),
            rules=None if info is None else self._owner.rules_for(info),
            bucket=place.bucket,
            key=place.key,
            baseline=self._owner.policy,
            lookup=lambda: self._facts(place),
            acl_action=rule.granted_with,
            deny_only=rule.deny_only,
        )

    def _excused(self, rule: Rule, info: BucketInfo | None, place: Place, decision: Decision) -> bool:
        """Whether a refused request may go ahead for a reason of its own."""
        if info is None or decision.explicit_deny:
            return False
        if decision.absent:
            return self._may_list(info)
        if self._owner.policy is not None and not decision.baseline_allowed:
            return False
        if rule.initiator:
            return self._started_upload(place)
        if rule.when is When.SOURCE_TAGS:
            obj = self._object(place)
            return obj is None or not obj.meta.tags
        return False

    def _hides(self, action: str, info: BucketInfo | None, place: Place) -> bool:
        """Whether the object is missing and the caller may not know."""
        if info is None or action not in _READS or is_owner(self._caller, info.owner):
            return False
        return self._object(place) is None and not self._may_list(info)

    def _would_be_anothers(self) -> bool:
        """Whether a bucket that the caller makes would not be the caller's, and no policy allows to make it."""
        owner = self._owner
        return bool(owner.sole_owner) and owner.policy is None and not is_owner(self._caller, owner.sole_owner)

    def _may_list(self, info: BucketInfo) -> bool:
        return bool(self._decide(_LIST, _LIST.action, info, Place(info.name, "", None)))

    # -- inputs ----------------------------------------------------------------------------------------------------
    def _context(self, place: Place) -> Context:
        """The request as conditions see it."""
        identity = self._req.identity
        return Context(
            caller=self._caller,
            now=self._owner.now(),
            secure=self._req.secure,
            source_ip=self._owner.source_ip(self._req),
            headers=self._headers,
            query=self._req.query,
            auth_type=identity.auth_type,
            signature_version=identity.signature_version,
            signature_age_ms=identity.signature_age_ms,
            existing_tags=lambda: self._tags(place),
        )

    def _object(self, place: Place) -> StoredObject | None:
        return self._owner.object_at(self._req, place, reads=self._reads)

    def _object_now(self, place: Place) -> StoredObject | None:
        """As `_object`, but never as remembered: tags change while nothing else does."""
        obj = self._object(place)
        if obj is not None and obj.remembered:
            obj = self._req.looked_up[place] = look_at(self._owner.backend.head_object, place)
        return obj

    def _facts(self, place: Place) -> ObjectFacts | None:
        obj = self._object_now(place)
        if obj is None:
            return None
        return ObjectFacts(obj.meta.owner, parse_acl(obj.meta.acl, obj.meta.owner), obj.meta.tags)

    def _tags(self, place: Place) -> Mapping[str, str]:
        obj = self._object_now(place) if place.key else None
        return {} if obj is None else obj.meta.tags

    def _source(self, rule: Rule) -> Place:
        """The object that the request copies or renames. Raises: InvalidArgument, AccessDenied."""
        header = self._headers.get(rule.source)
        if header is None:
            raise AccessDenied
        source = uri.parse_copy_source(header)
        # A rename takes the current version, whatever the header says.
        return Place(source.bucket, source.key, source.version_id if rule.versioned else None)

    def _started_upload(self, place: Place) -> bool:
        """Whether the caller began the multipart upload that the request names."""
        upload_id = self._req.query.get("uploadId")
        if self._caller.anonymous or not upload_id:
            return False
        try:
            upload = self._owner.backend.get_upload(place.bucket, place.key, upload_id)
        except (NoSuchBucket, NoSuchUpload):
            return False
        return upload.initiator == self._caller.owner_id

    # -- refusals --------------------------------------------------------------------------------------------------
    def _check_expected_owner(self, info: BucketInfo, rule: Rule) -> None:
        """Refuse when the client expects the bucket to be somebody else's."""
        name = _EXPECTED_SOURCE if rule.target is Target.SOURCE else _EXPECTED
        expected = self._headers.get(name)
        if expected is not None and expected != info.owner:
            raise AccessDenied

    def _refuse_missing_bucket(self, action: str, place: Place) -> NoReturn:
        """Tell that there is no such bucket, unless the gateway's policy forbids even to ask."""
        policy = self._owner.policy
        if policy is not None:
            effect, _ = policy.evaluate(action, resource_arn(place.bucket, place.key), self._context(place))
            if effect is not Effect.ALLOW:
                self._refuse(action, place.bucket)
        raise NoSuchBucket(BucketName=place.bucket)

    def _refuse(self, action: str, bucket: str) -> NoReturn:
        self._owner.metrics.policy_denied(action, bucket)
        raise AccessDenied
