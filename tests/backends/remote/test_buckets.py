"""Buckets of an upstream: who owns them, and how seldom they are looked up."""

from __future__ import annotations

from typing import Final

import pytest

from s4gw.backends.remote import Answered, Buckets, Upstream
from s4gw.backends.remote.buckets import FRESH_S, MISSING_FRESH_S
from s4gw.bucketconfig import stored_cors
from s4gw.s3 import errors
from tests.backends.remote.kit import error_answer, scripted

NOT_THERE = error_answer(404, "NoSuchBucket")
VERSIONED: Final[tuple[int, dict[str, str], bytes]] = (
    200,
    {},
    b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
)
PLAIN: Final[tuple[int, dict[str, str], bytes]] = (200, {}, b"<VersioningConfiguration/>")
RULES = (
    b"<CORSConfiguration><CORSRule><AllowedOrigin>https://a.example</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"
    b"</CORSRule></CORSConfiguration>"
)


class Clock:
    """Monotonic seconds that only pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_one_user_owns_them_all(upstream: Upstream) -> None:
    """Made, listed by name, and removed; nobody else sees any."""
    buckets = Buckets(upstream, owner="me", region="eu-1")
    for name in ("b-2", "b-1"):
        buckets.create(name, "eu-1")
    listed = [info.name for info in buckets.list("me")]
    buckets.delete("b-2")
    assert (["b-1", "b-2"], [], ["b-1"], "me") == (
        listed,
        buckets.list("other"),
        [info.name for info in buckets.list()],
        buckets.get("b-1").owner,
    )


def test_a_look_up_lasts() -> None:
    """One request to the upstream in `FRESH_S`, then another."""
    told: list[Answered] = []
    upstream, _ = scripted([VERSIONED, PLAIN], told=told)
    clock = Clock()
    buckets = Buckets(upstream, owner="me", clock=clock)
    first = [buckets.get("b-1").versioning for _ in range(3)]
    clock.now += FRESH_S
    assert (["Enabled"] * 3, "", 2) == (first, buckets.get("b-1").versioning, len(told))


def test_a_missing_bucket_is_asked_for_again_soon() -> None:
    """It may just have been created elsewhere."""
    upstream, script = scripted([NOT_THERE, PLAIN])
    clock = Clock()
    buckets = Buckets(upstream, owner="me", clock=clock)
    for _ in range(2):
        with pytest.raises(errors.NoSuchBucket):
            buckets.get("b-1")
    clock.now += MISSING_FRESH_S
    assert ("b-1", 2) == (buckets.get("b-1").name, len(script.seen))


def test_own_writes_show_at_once() -> None:
    """Whoever changes a bucket through this gateway sees the change."""
    upstream, _ = scripted([PLAIN, (200, {}, b""), VERSIONED, (204, {}, b""), NOT_THERE])
    buckets = Buckets(upstream, owner="me")
    before = buckets.get("b-1").versioning
    buckets.set_versioning("b-1", "Enabled")
    after = buckets.get("b-1").versioning
    buckets.delete("b-1")
    with pytest.raises(errors.NoSuchBucket):
        buckets.get("b-1")
    assert ("", "Enabled") == (before, after)


@pytest.mark.parametrize("answer", [error_answer(403, "AccessDenied"), error_answer(501, "NotImplemented")])
def test_a_server_without_versioning_has_buckets(answer: object) -> None:
    """Whether there is one is then asked by HEAD."""
    upstream, script = scripted([answer, (200, {}, b"")])
    found = Buckets(upstream, owner="me").get("b-1")
    assert ("", ["GET", "HEAD"]) == (found.versioning, [request.method for request in script.seen])


def test_an_unreachable_upstream_is_not_a_missing_bucket() -> None:
    """Nothing is kept of a look-up that failed."""
    upstream, _ = scripted([error_answer(503, "ServiceUnavailable"), PLAIN])
    buckets = Buckets(upstream, owner="me")
    with pytest.raises(errors.ServiceUnavailable):
        buckets.get("b-1")
    assert "b-1" == buckets.get("b-1").name


def test_only_cors_rules_are_taken_from_upstream() -> None:
    """Once, and when a browser comes; no other document lets anybody in."""
    upstream, script = scripted([PLAIN, (200, {}, RULES)])
    info = Buckets(upstream, owner="me").get("b-1")
    silent = [info.configs.get(name) for name in ("policy", "acl", "ownershipControls", "publicAccessBlock")]
    before = len(script.seen)
    rules = [stored_cors(info.configs) for _ in range(2)]
    assert ([None] * 4, 1, 2, [("https://a.example",)] * 2) == (
        silent,
        before,
        len(script.seen),
        [found[0].origins for found in rules],
    )
