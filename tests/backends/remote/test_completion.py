"""Complete upstream: repeated and resumed, whatever dies or gets lost on the way."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from s4gw.backends import Conditions, ObjectMeta, StoredObject
from s4gw.backends.remote import UpstreamUnavailable
from s4gw.backends.remote.completion import ONE_PUT_BYTES
from s4gw.backends.remote.multipart import RemoteMultipart
from s4gw.backends.remote.part_writer import SPILL_BYTES
from s4gw.s3.errors import InternalError, InvalidPart, NoSuchKey, NoSuchUpload, PreconditionFailed, S3Error, SlowDown
from tests.backends.kit import BUCKET, etag_of
from tests.backends.remote.uploads import (
    ID,
    KEY,
    LARGE,
    SMALL,
    another,
    empty,
    finish,
    left,
    send,
    start,
    upload,
    whole,
)
from tests.backends.remote_fake import FakeUpstream


class Died(BaseException):
    """What kill -9 looks like from inside: nothing is cleaned up."""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("bodies", [LARGE, SMALL], ids=["large", "small"])
@pytest.mark.parametrize("versioned", [False, True])
def test_gateway_that_dies_at_any_step_of_complete(bodies: dict[int, bytes], when: str, versioned: bool) -> None:
    """Old object or new one, never a mixture; another gateway completes it, and makes no second version."""
    for step in count(1):
        fake = empty()
        if versioned:
            fake.call("PutBucketVersioning", Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        fake.call("PutObject", Bucket=BUCKET, Key=KEY, Body=b"old")
        gateway = another(fake)
        upload(gateway, bodies)
        setattr(fake, when, dies_at(step))
        try:
            finish(gateway)
        except Died:
            survived = False
        else:
            survived = True
        setattr(fake, when, lambda *_: None)
        assert fake.body(BUCKET, KEY) in (b"old", whole(bodies))
        heir = another(fake)
        assert ["e-5", "e-5"] == [finish(heir).etag, finish(heir).etag]
        assert whole(bodies) == fake.body(BUCKET, KEY)
        assert (2 if versioned else 1) == len(fake.store.list_versions(BUCKET, prefix=KEY).objects)
        if survived:
            assert step > 8
            break


def dies_at(step: int) -> Any:
    """A hook that lets *step* - 1 calls through and none after."""
    calls = count(1)

    def hook(_operation: str, _params: Mapping[str, Any]) -> None:
        if next(calls) >= step:
            raise Died

    return hook


@pytest.mark.parametrize(
    "operation", ["PutObject", "CompleteMultipartUpload", "CreateMultipartUpload", "UploadPartCopy"]
)
def test_answer_that_gets_lost(fake: FakeUpstream, gateway: RemoteMultipart, operation: str) -> None:
    """The request was carried out and nobody heard of it: the object is found, or the next Complete makes it."""
    upload(gateway, LARGE)
    lost = iter([UpstreamUnavailable(sent=True)])

    def lose(done: str, params: Mapping[str, Any]) -> None:
        if done == operation and (error := next(lost, None)) is not None:
            raise error

    fake.after = lose
    try:
        made = finish(gateway)
    except S3Error:
        made = finish(gateway)
    assert whole(LARGE) == fake.body(BUCKET, KEY)
    assert "e-5" == made.etag


def test_lost_answer_of_the_only_request_is_found_by_its_mark(fake: FakeUpstream, gateway: RemoteMultipart) -> None:
    upload(gateway, SMALL)

    def lose(operation: str, params: Mapping[str, Any]) -> None:
        if operation == "PutObject" and params["Key"] == KEY:
            raise UpstreamUnavailable(sent=True)

    fake.after = lose
    assert "e-5" == finish(gateway, Conditions(if_none_match="*")).etag
    assert whole(SMALL) == fake.body(BUCKET, KEY)


def test_second_complete_joins_the_one_under_way(fake: FakeUpstream, gateway: RemoteMultipart) -> None:
    """A client that did not wait asks again: both work on one upload of the upstream's."""
    upload(gateway, LARGE)
    other = another(fake)
    answers: list[StoredObject] = []

    def ask_again(operation: str, params: Mapping[str, Any]) -> None:
        if operation == "UploadPartCopy":
            fake.after = lambda *_: None
            answers.append(finish(other))

    fake.after = ask_again
    answers.append(finish(gateway))
    assert ["e-5", "e-5"] == [answer.etag for answer in answers]
    assert 1 == sum(1 for op, params in fake.calls if op == "CreateMultipartUpload" and params["Key"] == KEY)
    assert whole(LARGE) == fake.body(BUCKET, KEY)
    assert [] == left(fake)


@pytest.mark.parametrize("bodies", [LARGE, SMALL], ids=["large", "small"])
def test_conditions_are_the_upstreams(fake: FakeUpstream, gateway: RemoteMultipart, bodies: dict[int, bytes]) -> None:
    upload(gateway, bodies)
    with pytest.raises(NoSuchKey):
        finish(gateway, Conditions(if_match="*"))
    fake.call("PutObject", Bucket=BUCKET, Key=KEY, Body=b"old")
    for conditions in (Conditions(if_none_match="*"), Conditions(if_match="other")):
        with pytest.raises(PreconditionFailed):
            finish(gateway, conditions)
    fake.calls.clear()
    finish(gateway, Conditions(if_match=etag_of(b"old")))
    writes = [params for _, params in fake.calls if params.get("Key") == KEY and "IfMatch" in params]
    assert [f'"{etag_of(b"old")}"'] == [params["IfMatch"] for params in writes]
    assert whole(bodies) == fake.body(BUCKET, KEY)
    assert [] == left(fake)


def test_abort_takes_everything_with_it(fake: FakeUpstream, gateway: RemoteMultipart) -> None:
    upload(gateway, LARGE)
    writer = gateway.open_part_writer(BUCKET, KEY, ID)
    writer.write(b"x" * (SPILL_BYTES + 1))
    fake.before = dies_at_operation("CompleteMultipartUpload")
    with pytest.raises(Died):
        finish(gateway)
    fake.before = lambda *_: None
    another(fake).abort_upload(BUCKET, KEY, ID)
    assert ([], []) == (fake.keys(BUCKET), list(fake.uploads))
    with pytest.raises(NoSuchUpload):
        finish(another(fake))


def dies_at_operation(name: str) -> Any:
    def hook(operation: str, _params: Mapping[str, Any]) -> None:
        if operation == name:
            raise Died

    return hook


def test_part_replaced_since_it_was_listed_is_invalid(fake: FakeUpstream, gateway: RemoteMultipart) -> None:
    start(gateway)
    old = send(gateway, 1, b"old")
    send(gateway, 1, b"new")
    with pytest.raises(InvalidPart):
        gateway.complete_upload(BUCKET, KEY, ID, [old], None, size=3, etag="e", meta=ObjectMeta())


def test_one_put_bound_is_below_what_needs_parts() -> None:
    assert ONE_PUT_BYTES == SPILL_BYTES


def test_condition_that_holds_for_what_came_meanwhile_too(fake: FakeUpstream, gateway: RemoteMultipart) -> None:
    """The upstream is asked about one object; if another took its place, the client's condition decides again."""
    upload(gateway, SMALL)
    fake.call("PutObject", Bucket=BUCKET, Key=KEY, Body=b"old")

    def replace(operation: str, params: Mapping[str, Any]) -> None:
        if operation == "HeadObject" and params["Key"] == KEY:
            fake.after = lambda *_: None
            fake.call("PutObject", Bucket=BUCKET, Key=KEY, Body=b"newer")

    fake.after = replace
    finish(gateway, Conditions(if_match="*"))
    assert whole(SMALL) == fake.body(BUCKET, KEY)


def test_upstream_that_forgets_its_uploads_gets_the_object_all_the_same(
    fake: FakeUpstream, gateway: RemoteMultipart
) -> None:
    """A server that lost them on restart: an upload that is gone is no proof that it was completed."""
    upload(gateway, LARGE)
    fake.before = dies_at_operation("CompleteMultipartUpload")
    with pytest.raises(Died):
        finish(gateway)
    fake.before = lambda *_: None
    fake.uploads.clear()
    assert "e-5" == finish(another(fake)).etag
    assert whole(LARGE) == fake.body(BUCKET, KEY)
    assert [] == left(fake)


@pytest.mark.parametrize("bodies", [LARGE, SMALL], ids=["large", "small"])
def test_object_that_went_away_meanwhile_fails_the_condition_not_the_upload(
    fake: FakeUpstream, gateway: RemoteMultipart, bodies: dict[int, bytes]
) -> None:
    upload(gateway, bodies)
    fake.call("PutObject", Bucket=BUCKET, Key=KEY, Body=b"old")

    def remove(operation: str, params: Mapping[str, Any]) -> None:
        if operation == "HeadObject" and params["Key"] == KEY:
            fake.after = lambda *_: None
            fake.call("DeleteObject", Bucket=BUCKET, Key=KEY)

    fake.after = remove
    with pytest.raises(NoSuchKey):
        finish(gateway, Conditions(if_match="*"))
    finish(gateway)
    assert whole(bodies) == fake.body(BUCKET, KEY)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_goes_wrong_a_repeated_complete_ends_in_the_object(seed: int) -> None:
    """Requests fail before or after they are carried out, the server forgets its uploads, three clients ask at once."""
    rng, lock, fake = random.Random(seed), threading.Lock(), empty()
    bodies = SMALL if seed % 4 == 0 else LARGE
    fake.call("PutObject", Bucket=BUCKET, Key=KEY, Body=b"old")
    upload(another(fake), bodies)
    errors: list[S3Error] = [UpstreamUnavailable(sent=True), UpstreamUnavailable(), SlowDown(), InternalError()]
    failures = rng.choices(errors, k=rng.randrange(1, 25))

    def disturb(_operation: str, _params: Mapping[str, Any]) -> None:
        with lock:
            if failures and rng.random() < 0.02:
                fake.uploads.clear()
            if failures and rng.random() < 0.15:
                raise failures.pop()

    def ask() -> bytes:
        for _ in range(100):
            try:
                finish(another(fake))
            except S3Error:
                assert fake.body(BUCKET, KEY) in (b"old", whole(bodies))
            else:
                return fake.body(BUCKET, KEY)
        raise AssertionError("never completed")

    fake.before = fake.after = disturb
    with ThreadPoolExecutor(3) as clients:
        found = [clients.submit(ask) for _ in range(rng.randrange(1, 4))]
    assert {whole(bodies)} == {body.result() for body in found}
