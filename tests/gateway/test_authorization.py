"""Authorization: every operation passes it, and what it decides is what S3 decides."""

from __future__ import annotations

from typing import Any

import pytest

from s4gw.auth import Principal
from s4gw.backends.base import BucketInfo, ObjectMeta, StoredObject, Upload
from s4gw.bucketconfig import dump_document, ownership_document
from s4gw.gateway.middleware.authorization import RULES_CACHED_MAX, PolicyAuthorizer, _Asking
from s4gw.gateway.middleware.lookups import looked_up
from s4gw.gateway.resources import RESOURCES
from s4gw.policy import ACTIONS, Rule, Target, When, parse_policy
from s4gw.s3 import operation
from s4gw.s3.errors import AccessDenied, InvalidArgument, NoSuchBucket, S3Error
from tests.gateway.requests import ALICE, BOB, NOBODY, World
from tests.policy.callers import document, statement

SOURCES = {"x-amz-copy-source": "b/k", "x-amz-rename-source": "b/k"}
OWN_ACCOUNT = {
    name for name, rules in ACTIONS.items() if any(rule.target in (Target.SERVICE, Target.NEW_BUCKET) for rule in rules)
}
"""They concern the caller's own account; nothing of others is touched."""
LATER = {name for name, rules in ACTIONS.items() if any(rule.target is Target.LATER for rule in rules)}


def everything(**changed: Any) -> str:
    """A policy that allows everything on bucket ``b``."""
    return document(statement(Action="s3:*", Resource=["arn:aws:s3:::b", "arn:aws:s3:::b/*"], **changed))


def of_bucket(*statements: dict[str, Any]) -> bytes:
    """A bucket policy as stored."""
    return document(*statements).encode()


def test_every_resource_has_rules() -> None:
    """What can be reached can be refused."""
    assert set() == set(RESOURCES) - ACTIONS.keys()


@pytest.mark.parametrize("name", sorted({*operation.ROUTED} - OWN_ACCOUNT - LATER - {"Preflight"}))
@pytest.mark.parametrize("who", [BOB, NOBODY], ids=["bob", "nobody"])
def test_strangers_are_refused_every_operation(name: str, who: Principal) -> None:
    """Neither another user nor an anonymous caller does anything to a private bucket, or learns what it holds."""
    world = World()
    world.object("b", "k")
    scope = operation.ROUTED[name].scope
    bucket, key = ("" if scope == "service" else "b"), ("k" if scope == "key" else "")
    with pytest.raises(AccessDenied):
        world.ask(who, name, bucket=bucket, key=key, headers=SOURCES)


@pytest.mark.parametrize("name", sorted(ACTIONS))
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "h", "x-amz-date": "d"},
        {"x-amz-acl": ""},
        {"x-amz-grant-read": "id=x"},
        {"x-amz-tagging": ""},
        {"tagging": "a=b", "x-amz-object-ownership": "ObjectWriter"},
        {"x-amz-object-lock-legal-hold": "ON", "x-amz-object-lock-mode": "GOVERNANCE"},
        {"x-amz-bypass-governance-retention": "true", "x-amz-bucket-object-lock-enabled": "true"},
        {"x-amz-tagging-directive": "REPLACE"},
    ],
)
def test_every_rule_that_concerns_a_request_is_asked(
    name: str, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leaving out at once what is about headers that are not there leaves out nothing else."""
    asked: list[Rule] = []
    monkeypatch.setattr(_Asking, "demand", lambda _self, rule, *_place: asked.append(rule))
    world = World()
    request = world.request(BOB, headers=headers)  # no owner, who would not be asked all
    world.authorizer.authorize(request, name, "b", "k")
    asking = _Asking(world.authorizer, request, headers, None, reads=False)
    assert asked == [rule for rule in ACTIONS[name] if rule.when is When.ALWAYS or asking.concerns(rule)]


@pytest.mark.parametrize("name", sorted({*operation.ROUTED}))
def test_a_gateway_policy_refuses_every_operation(name: str) -> None:
    """Its silence is a refusal, also for the owner."""
    world = World(policy=parse_policy(document(statement(Principal={"AWS": "carol"}, Resource="*"))))
    world.object("b", "k")
    if name in LATER | {"Preflight"}:
        return  # decided per key, by another operation
    scope = operation.ROUTED[name].scope
    bucket, key = ("" if scope == "service" else "b"), ("k" if scope == "key" else "")
    with pytest.raises(AccessDenied):
        world.ask(ALICE, name, bucket=bucket, key=key, headers=SOURCES)


@pytest.mark.parametrize("name", sorted({*operation.ROUTED}))
def test_an_owner_may_do_everything(name: str) -> None:
    """To her own bucket and objects."""
    world = World()
    world.object("b", "k")
    scope = operation.ROUTED[name].scope
    bucket, key = ("" if scope == "service" else "b"), ("k" if scope == "key" else "")
    req = world.request(ALICE, bucket=bucket, headers=SOURCES)
    world.authorizer.authorize(req, name, bucket, key)
    assert (bucket or None) == (req.bucket_info.name if req.bucket_info else None)


EVERY_CONFIG: dict[str, dict[str, bytes]] = {
    "plain": {},
    "policy": {
        "policy": of_bucket(statement(Effect="Deny", Action="s3:*", Resource=["arn:aws:s3:::*", "arn:aws:s3:::*/*"]))
    },
    "enforced": {"ownershipControls": dump_document(ownership_document("BucketOwnerEnforced"))},
}


@pytest.mark.parametrize("name", sorted({*operation.ROUTED} - {"CreateBucket"}))
@pytest.mark.parametrize("configs", EVERY_CONFIG.values(), ids=EVERY_CONFIG)
def test_the_short_cut_decides_like_the_engine(
    name: str, configs: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said at once of owners is what the engine says, of owners and of those who only look like it."""
    world = World()
    for bucket, owner in (("hers", "alice-id"), ("bobs", "bob-id")):
        world.bucket(bucket, owner, "", **configs)
        for key, whose in (("alices", "alice-id"), ("bobs", "bob-id"), ("nobodys", "")):
            world.object(bucket, key, owner=whose)
    asked = [
        (who, bucket, key, version, headers)
        for who in (ALICE, NOBODY)
        for bucket in ("hers", "bobs", "missing")
        for key in ("alices", "bobs", "nobodys", "missing")
        for version in (None, "null")
        for headers in ({}, {"x-amz-expected-bucket-owner": "alice-id"}, {"x-amz-expected-bucket-owner": "bob-id"})
    ]

    def outcomes() -> list[object]:
        return [
            outcome_of(world, who, name, bucket=bucket, key=key, version_id=version, headers={**headers, **SOURCES})
            for who, bucket, key, version, headers in asked
        ]

    at_once = outcomes()
    monkeypatch.setattr(PolicyAuthorizer, "_owner_may", lambda *_question, **_more: False)
    assert at_once == outcomes()


def outcome_of(world: World, who: Principal, name: str, **asked: Any) -> object:
    """The class of the error, if there is one."""
    try:
        return world.ask(who, name, **asked)  # type: ignore[func-returns-value] # None, then
    except S3Error as error:
        return type(error)


def test_an_unknown_operation_is_refused() -> None:
    """What nobody thought about is not allowed, not even to the owner."""
    with pytest.raises(AccessDenied):
        World().ask(ALICE, "ExplodeBucket")


@pytest.mark.parametrize("who", [ALICE, BOB, NOBODY], ids=["alice", "bob", "nobody"])
def test_a_missing_bucket_is_told(who: Principal) -> None:
    """As S3 does, to everybody."""
    with pytest.raises(NoSuchBucket) as caught:
        World().ask(who, "GetObject", bucket="missing", key="k")
    assert {"BucketName": "missing"} == caught.value.facts


def test_a_missing_bucket_is_hidden_by_the_gateway_policy() -> None:
    """Whoever may not ask does not learn."""
    world = World(policy=parse_policy(document(statement(Principal={"AWS": "alice"}, Resource="*"))))
    with pytest.raises(AccessDenied):
        world.ask(BOB, "GetObject", bucket="missing", key="k")
    with pytest.raises(NoSuchBucket):
        world.ask(ALICE, "GetObject", bucket="missing", key="k")


def test_missing_keys_are_hidden_from_those_who_may_not_list() -> None:
    """With the right to list they pass, and the responder tells that there is no such key."""
    world = World()
    world.bucket("listed", acl="public-read")
    world.bucket("read-only", policy=of_bucket(statement(Resource="arn:aws:s3:::read-only/*")))
    world.object("read-only", "there")
    world.ask(NOBODY, "GetObject", bucket="listed", key="gone")
    world.ask(NOBODY, "GetObject", bucket="read-only", key="there")
    for bucket in ("b", "read-only"):
        with pytest.raises(AccessDenied):
            world.ask(NOBODY, "GetObject", bucket=bucket, key="gone")


def test_refusals_are_counted() -> None:
    """By action and bucket."""
    world = World()
    with pytest.raises(AccessDenied):
        world.ask(BOB, "GetObject", key="k")
    counted = world.metrics.registry.get_sample_value(
        "s4_policy_denials_total", {"action": "s3:GetObject", "bucket": "b"}
    )
    assert 1.0 == counted


def test_versions_need_the_version_actions() -> None:
    """The right to read the current version is not the right to read old ones."""
    world = World()
    world.bucket("v", policy=of_bucket(statement(Resource="arn:aws:s3:::v/*")))
    world.object("v", "k")
    world.ask(BOB, "GetObject", bucket="v", key="k")
    with pytest.raises(AccessDenied):
        world.ask(BOB, "GetObject", bucket="v", key="k", version_id="null")


def test_a_copy_needs_its_source_and_its_target() -> None:
    """Reading the one, writing the other."""
    world = World()
    world.bucket("mine", owner="bob-id")
    world.object("b", "open", acl="public-read")
    world.object("b", "closed")
    world.ask(BOB, "CopyObject", bucket="mine", key="k", headers={"x-amz-copy-source": "/b/open"})
    for target, source in (("mine", "b/closed"), ("b", "b/open")):
        with pytest.raises(AccessDenied):
            world.ask(BOB, "CopyObject", bucket=target, key="k", headers={"x-amz-copy-source": source})
    with pytest.raises(NoSuchBucket):
        world.ask(BOB, "CopyObject", bucket="mine", key="k", headers={"x-amz-copy-source": "missing/k"})
    with pytest.raises(InvalidArgument):
        world.ask(BOB, "UploadPartCopy", bucket="mine", key="k", headers={"x-amz-copy-source": "nonsense"})


def test_a_rename_is_about_the_source_it_names() -> None:
    """A second header cannot show another object to the check than to the operation."""
    world = World()
    world.bucket("shared", acl="public-read-write")
    world.object("shared", "alices")
    world.object("shared", "bobs", owner="bob-id")
    headers = {"x-amz-copy-source": "shared/bobs", "x-amz-rename-source": "shared/alices"}
    with pytest.raises(AccessDenied):
        world.ask(BOB, "RenameObject", bucket="shared", key="k", headers=headers)
    headers["x-amz-rename-source"] = "shared/bobs"
    world.ask(BOB, "RenameObject", bucket="shared", key="k", headers=headers)


def test_copied_tags_need_their_own_permission() -> None:
    """Only where there are tags, and where they are copied."""
    world = World()
    world.bucket("mine", owner="bob-id")
    world.bucket("src", policy=of_bucket(statement(Resource="arn:aws:s3:::src/*")))
    world.object("src", "plain")
    world.object("src", "tagged", secret="yes")
    world.ask(BOB, "CopyObject", bucket="mine", key="k", headers={"x-amz-copy-source": "src/plain"})
    headers = {"x-amz-copy-source": "src/tagged"}
    with pytest.raises(AccessDenied):
        world.ask(BOB, "CopyObject", bucket="mine", key="k", headers=headers)
    world.ask(BOB, "CopyObject", bucket="mine", key="k", headers=headers | {"x-amz-tagging-directive": "REPLACE"})


def test_acl_and_tag_headers_ask_for_more() -> None:
    """A writer sets the ACL of what it writes unless denied, and tags only when allowed."""
    world = World()
    world.bucket("w", policy=of_bucket(statement(Action="s3:PutObject", Resource="arn:aws:s3:::w/*")))
    world.ask(BOB, "PutObject", bucket="w", key="k", headers={"x-amz-acl": "public-read"})
    with pytest.raises(AccessDenied):
        world.ask(BOB, "PutObject", bucket="w", key="k", headers={"x-amz-tagging": "a=b"})
    deny = statement(Effect="Deny", Action="s3:PutObjectAcl", Resource="arn:aws:s3:::d/*")
    world.bucket("d", policy=of_bucket(statement(Action="s3:PutObject", Resource="arn:aws:s3:::d/*"), deny))
    with pytest.raises(AccessDenied):
        world.ask(BOB, "PutObject", bucket="d", key="k", headers={"x-amz-acl": "public-read"})


def test_a_form_brings_its_own_headers() -> None:
    """Its fields count like headers, tags included."""
    world = World()
    world.bucket("w", policy=of_bucket(statement(Action="s3:PutObject", Resource="arn:aws:s3:::w/*")))
    req = world.request(BOB, bucket="w")
    world.authorizer.authorize(req, "PutObject", "w", "k", headers={"x-amz-acl": "private"})
    with pytest.raises(AccessDenied):
        world.authorizer.authorize(req, "PutObject", "w", "k", headers={"tagging": "<Tagging/>"})


def test_whoever_began_an_upload_may_end_it() -> None:
    """Also where the policy allows no more than to write."""
    world = World()
    world.bucket("w", policy=of_bucket(statement(Action="s3:PutObject", Resource="arn:aws:s3:::w/*")))
    upload = Upload(key="k", upload_id="u", started_ms=0, meta=ObjectMeta(), initiator="bob-id")
    world.backend.create_upload("w", upload)
    for name in ("AbortMultipartUpload", "ListParts"):
        world.ask(BOB, name, bucket="w", key="k", query={"uploadId": "u"})
        for query in ({}, {"uploadId": "other"}):
            with pytest.raises(AccessDenied):
                world.ask(BOB, name, bucket="w", key="k", query=query)
        with pytest.raises(AccessDenied):
            world.ask(NOBODY, name, bucket="w", key="k", query={"uploadId": "u"})


def test_a_denied_upload_stays_denied_to_its_initiator() -> None:
    """An explicit Deny excuses nobody."""
    world = World()
    deny = statement(Effect="Deny", Action="s3:AbortMultipartUpload", Resource="arn:aws:s3:::w/*")
    world.bucket("w", policy=of_bucket(deny))
    upload = Upload(key="k", upload_id="u", started_ms=0, meta=ObjectMeta(), initiator="bob-id")
    world.backend.create_upload("w", upload)
    with pytest.raises(AccessDenied):
        world.ask(BOB, "AbortMultipartUpload", bucket="w", key="k", query={"uploadId": "u"})


@pytest.mark.parametrize("name", ["GetObject", "PutObject", "ListObjectsV2"])
def test_an_unexpected_bucket_owner_is_refused(name: str) -> None:
    """The client names the owner it expects; another is refused, also to the owner herself."""
    world = World()
    key = "k" if "Object" in name and name != "ListObjectsV2" else ""
    world.ask(ALICE, name, key=key, headers={"x-amz-expected-bucket-owner": "alice-id"})
    with pytest.raises(AccessDenied):
        world.ask(ALICE, name, key=key, headers={"x-amz-expected-bucket-owner": "bob-id"})


def test_an_unexpected_source_owner_is_refused() -> None:
    """For the source of a copy under a header of its own."""
    world = World()
    world.object("b", "k")
    headers = {"x-amz-copy-source": "b/k", "x-amz-source-expected-bucket-owner": "bob-id"}
    with pytest.raises(AccessDenied):
        world.ask(ALICE, "CopyObject", key="copy", headers=headers)


def test_tags_of_the_object_count() -> None:
    """A condition on existing tags sees those of the object asked for."""
    condition = {"StringEquals": {"s3:ExistingObjectTag/security": "public"}}
    world = World()
    world.bucket("t", policy=of_bucket(statement(Resource="arn:aws:s3:::t/*", Condition=condition)))
    world.object("t", "open", security="public")
    world.object("t", "closed", security="private")
    world.ask(BOB, "GetObject", bucket="t", key="open")
    with pytest.raises(AccessDenied):
        world.ask(BOB, "GetObject", bucket="t", key="closed")


def test_a_bucket_owner_does_not_read_what_others_own() -> None:
    """Unless their list says so, or lists are disabled."""
    world = World()
    world.object("b", "bobs", owner="bob-id")
    world.object("b", "shared", owner="bob-id", acl="bucket-owner-read")
    world.bucket("e", ownershipControls=dump_document(ownership_document("BucketOwnerEnforced")))
    world.object("e", "bobs", owner="bob-id")
    world.ask(ALICE, "GetObject", key="shared")
    world.ask(ALICE, "GetObject", bucket="e", key="bobs")
    world.ask(ALICE, "DeleteObject", key="bobs")
    with pytest.raises(AccessDenied):
        world.ask(ALICE, "GetObject", key="bobs")


def test_the_object_looked_up_is_kept() -> None:
    """The responder need not look again, and asks nothing of the backend for others."""
    world = World()
    world.object("b", "k")
    req = world.request(ALICE)
    world.authorizer.authorize(req, "GetObject", "b", "k")
    found = looked_up(req, "b", "k")
    assert isinstance(found, StoredObject)
    assert None is looked_up(req, "b", "other")


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "expected"),
    [
        ((), "10.0.0.9", "1.2.3.4", "10.0.0.9"),
        (("10.0.0.0/8",), "10.0.0.9", "1.2.3.4", "1.2.3.4"),
        (("10.0.0.0/8",), "10.0.0.9", "6.6.6.6, 1.2.3.4, 10.0.0.7", "1.2.3.4"),
        (("10.0.0.0/8",), "8.8.8.8", "1.2.3.4", "8.8.8.8"),
        (("10.0.0.0/8",), "10.0.0.9", "", "10.0.0.9"),
        (("10.0.0.0/8",), "10.0.0.9", "1.2.3.4, nonsense", "nonsense"),
    ],
)
def test_only_trusted_proxies_tell_addresses(
    proxies: tuple[str, ...], peer: str, forwarded: str, expected: str
) -> None:
    """A client cannot make up where it comes from."""
    world = World(proxies=proxies)
    req = world.request(BOB, headers={"x-forwarded-for": forwarded}, environ={"REMOTE_ADDR": peer})
    assert expected == world.authorizer.source_ip(req)


def test_a_changed_policy_counts_at_once() -> None:
    """Parsed rules are kept by what they were parsed from."""
    world = World()
    world.object("b", "k")
    with pytest.raises(AccessDenied):
        world.ask(BOB, "GetObject", key="k")
    world.backend.put_config("b", "policy", everything().encode())
    world.ask(BOB, "GetObject", key="k")
    world.backend.put_config("b", "policy", None)
    with pytest.raises(AccessDenied):
        world.ask(BOB, "GetObject", key="k")


def test_kept_rules_are_bounded() -> None:
    """Buckets come and go without filling memory."""
    authorizer = World().authorizer
    for number in range(RULES_CACHED_MAX + 10):
        authorizer.rules_for(BucketInfo(name=f"b{number}", owner="o", created_ms=0))
    assert len(authorizer._rules) <= RULES_CACHED_MAX
