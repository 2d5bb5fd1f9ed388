"""What goes past the backend: told what it changes, and never sent to a server that would do something else."""

from __future__ import annotations

import pytest

from s4gw.backends.remote import Buckets, Delegate, Upstream
from s4gw.s3 import errors
from tests.backends.remote.kit import Script, error_answer, scripted
from tests.backends.remote.test_buckets import PLAIN

DONE = (200, dict[str, str](), b"")
LISTING = (200, dict[str, str](), b"<?xml version='1.0'?><ListBucketResult/>")
TAGS = {"TagSet": [{"Key": "a", "Value": "b"}]}


def delegate(answers: list[object]) -> tuple[Delegate, Buckets, Script]:
    """A delegate over a scripted upstream."""
    upstream, script = scripted(answers)
    buckets = Buckets(upstream, owner="me")
    return Delegate(upstream, buckets), buckets, script


@pytest.mark.parametrize(
    "policy",
    [
        (200, dict[str, str](), b'{"Version": "2012-10-17"}'),
        error_answer(404, "NoSuchBucketPolicy"),
        error_answer(403, "AccessDenied"),
        error_answer(501, "NotImplemented"),
    ],
)
def test_a_server_that_knows_sub_resources_is_asked_once(policy: object) -> None:
    """Before the first change; reading changes nothing."""
    found, _, script = delegate([DONE, policy, DONE, DONE])
    found.call("GetBucketTagging", Bucket="b-1")
    for _ in range(2):
        found.call("PutObjectTagging", Bucket="b-1", Key="k", Tagging=TAGS)
    assert ["GET", "GET", "PUT", "PUT"] == [request.method for request in script.seen]


def test_a_server_that_takes_them_for_something_else_is_never_asked_for_a_change() -> None:
    """`PUT /b/k?tagging` would be a new body there, `DELETE /b?policy` the end of the bucket."""
    found, _, script = delegate([LISTING])
    for operation, params in (("PutObjectTagging", {"Key": "k", "Tagging": TAGS}), ("DeleteBucketPolicy", {})):
        with pytest.raises(errors.NotImplemented):
            found.call(operation, Bucket="b-1", **params)
    assert ["GET"] == [request.method for request in script.seen]


def test_a_failure_says_nothing() -> None:
    """The next change asks again."""
    found, _, script = delegate([error_answer(503, "ServiceUnavailable"), LISTING])
    for expected in (errors.ServiceUnavailable, errors.NotImplemented):
        with pytest.raises(expected):
            found.call("DeleteBucketPolicy", Bucket="b-1")
    assert 2 == len(script.seen)


def test_making_a_bucket_is_no_sub_resource(upstream: Upstream) -> None:
    """It needs no question."""
    Delegate(upstream, Buckets(upstream, owner="me")).call("CreateBucket", Bucket="b-1")
    assert ["b-1"] == [one["Name"] for one in upstream.call("ListBuckets")["Buckets"]]


def test_what_has_changed_is_looked_up_anew() -> None:
    """And the gateway's own keys are no client's."""
    found, buckets, script = delegate([PLAIN, PLAIN])
    buckets.get("b-1")
    found.forget("b-1")
    buckets.get("b-1")
    assert (2, True, False) == (len(script.seen), found.hides(".s4gw/x"), found.hides("x"))
