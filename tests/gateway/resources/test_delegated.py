"""In front of an upstream every operation has its way, and what is delegated means upstream what it meant here."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from s4gw.auth import Credentials, CredentialStore
from s4gw.backends import BucketInfo, MemoryBackend
from s4gw.gateway.app import create_app
from s4gw.gateway.middleware.authorization import PolicyAuthorizer
from s4gw.gateway.resources import RESOURCES
from s4gw.gateway.resources.delegated import REFUSED, SQUISHED, TRANSPARENT, UPSTREAM_RESOURCES, Way, way_of
from s4gw.policy import ACTIONS
from s4gw.s3 import errors
from s4gw.s3.operation import ROUTED
from s4gw.s3.shapes import OPERATIONS
from s4gw.settings import Settings
from tests.gateway.in_process import client_of
from tests.gateway.kit import ALICE, make_services
from tests.s3.test_model import SERVICE, sample
from tests.test_docs import rows

BOB = Credentials("BOBKEY", "bob-secret", "b" * 64, "bob")
DELEGATED = sorted(name for name in ROUTED if way_of(name) is Way.DELEGATED)
NOT_ASKED_BY_BOTO3 = {"SelectObjectContent", "WriteGetObjectResponse"}
"""An event stream, which it reads in its own way, and an operation that it signs for another service."""
NOT_PASSED = {"ExpectedBucketOwner", "ContentMD5", "ChecksumAlgorithm"}


class Recorder:
    """An upstream that keeps what it is asked and answers by the model."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.forgotten: list[str] = []
        self.answer: dict[str, Any] | errors.S3Error = {}

    def call(self, operation: str, /, **params: Any) -> dict[str, Any]:
        self.asked.append((operation, params))
        if isinstance(self.answer, errors.S3Error):
            raise self.answer
        return self.answer

    def forget(self, bucket: str) -> None:
        self.forgotten.append(bucket)

    def hides(self, key: str) -> bool:
        return key.startswith("hidden/")


@pytest.fixture
def upstream() -> Recorder:
    return Recorder()


@contextlib.contextmanager
def clients_of(upstream: Recorder, settings: Settings | None = None) -> Iterator[Any]:
    """Makes boto3 clients of a gateway in front of *upstream*; Alice owns what is there."""
    backend = MemoryBackend()
    backend.create_bucket(BucketInfo(name="bucket", owner=ALICE.owner_id, created_ms=0))
    services = make_services(settings, backend=backend, clock=time.time)
    services = dataclasses.replace(
        services,
        upstream=upstream,
        credentials=CredentialStore([ALICE, BOB]),
        authorizer=PolicyAuthorizer(backend, metrics=services.metrics, clock=time.time, sole_owner=ALICE.owner_id),
    )
    app = create_app(services)

    def make(user: Credentials = ALICE) -> Any:
        return client_of(app, user)

    yield make
    services.objects.close()


@pytest.fixture
def client(upstream: Recorder) -> Iterator[Any]:
    with clients_of(upstream) as make:
        yield make


def params_of(operation: str) -> dict[str, Any]:
    """A request with everything in it that the model knows."""
    params: dict[str, Any] = sample(SERVICE.operation_model(operation).input_shape, "", 1)
    names = {"Bucket": "bucket", "Key": "key", "ExpectedBucketOwner": ALICE.owner_id}
    params |= {name: value for name, value in names.items() if name in params}
    for name in ("ContentMD5", "ChecksumAlgorithm"):
        params.pop(name, None)
    if operation == "RestoreObject":
        for name in ("Type", "SelectParameters", "OutputLocation"):
            params["RestoreRequest"].pop(name)
    return params


def answer_of(operation: str) -> dict[str, Any]:
    """An answer with everything in it that the model knows."""
    shape = SERVICE.operation_model(operation).output_shape
    return {} if shape is None else sample(shape, "", 0)


@pytest.mark.parametrize("operation", DELEGATED)
def test_a_delegated_operation_means_the_same_upstream(operation: str, client: Any, upstream: Recorder) -> None:
    """What the client says arrives in full, without what concerns this gateway; the answer comes back in full."""
    params = params_of(operation)
    upstream.answer = answer_of(operation)
    result = getattr(client(), xform_name(operation))(**params)
    result.pop("ResponseMetadata")
    passed = {name: value for name, value in params.items() if name not in NOT_PASSED}
    expected = upstream.answer | ({"Location": "/bucket"} if operation == "CreateBucket" else {})
    assert ([(operation, passed)], expected) == (upstream.asked, result)


def test_others_are_not_let_in(client: Any, upstream: Recorder) -> None:
    """A user who owns nothing here reaches nothing upstream, not even to make a bucket."""
    bob, statuses = client(BOB), {}
    for operation in DELEGATED:
        params = params_of(operation)
        params.pop("ExpectedBucketOwner", None)
        with pytest.raises(ClientError) as caught:
            getattr(bob, xform_name(operation))(**params)
        statuses[operation] = caught.value.response["ResponseMetadata"]["HTTPStatusCode"]
    assert (dict.fromkeys(DELEGATED, 403), []) == (statuses, upstream.asked)


def test_a_bucket_is_made_where_the_upstream_is(upstream: Recorder) -> None:
    """A client that names no region means the gateway's; one that does is taken at its word."""
    named = {"CreateBucketConfiguration": {"LocationConstraint": "eu-2"}}
    with clients_of(upstream, Settings(region="eu-1")) as make:
        make().create_bucket(Bucket="new")
        make().create_bucket(Bucket="new", **named)
    with clients_of(upstream, Settings(region="eu-1", upstream_region="us-east-1")) as make:
        make().create_bucket(Bucket="new")
    unnamed = {"CreateBucketConfiguration": {"LocationConstraint": "eu-1"}}
    assert [{"Bucket": "new"} | rest for rest in (unnamed, named, {})] == [params for _, params in upstream.asked]


def test_errors_of_the_upstream_arrive(client: Any, upstream: Recorder) -> None:
    """In S3's words."""
    upstream.answer = errors.NoSuchLifecycleConfiguration(BucketName="bucket")
    with pytest.raises(ClientError) as caught:
        client().get_bucket_lifecycle_configuration(Bucket="bucket")
    assert "NoSuchLifecycleConfiguration" == caught.value.response["Error"]["Code"]


def test_changes_of_a_bucket_are_looked_up_anew(client: Any, upstream: Recorder) -> None:
    """Also when the upstream refused: it may have refused late."""
    client().put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    client().get_bucket_versioning(Bucket="bucket")
    upstream.answer = errors.ServiceUnavailable()
    with pytest.raises(ClientError):
        client().put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Suspended"})
    assert ["bucket", "bucket"] == upstream.forgotten


def test_the_gateways_own_keys_cannot_be_reached(client: Any, upstream: Recorder) -> None:
    """Not by any sub-resource either."""
    with pytest.raises(ClientError) as caught:
        client().put_object_acl(Bucket="bucket", Key="hidden/x", ACL="public-read")
    assert ("NoSuchKey", []) == (caught.value.response["Error"]["Code"], upstream.asked)


def test_queries_of_archived_objects_are_refused(client: Any, upstream: Recorder) -> None:
    """They would read what is stored."""
    request = {"Type": "SELECT", "OutputLocation": {"S3": {"BucketName": "b", "Prefix": "p"}}}
    with pytest.raises(ClientError) as caught:
        client().restore_object(Bucket="bucket", Key="key", RestoreRequest=request)
    assert ("NotImplemented", []) == (caught.value.response["Error"]["Code"], upstream.asked)


@pytest.mark.parametrize("operation", sorted(set(REFUSED) & set(OPERATIONS) - NOT_ASKED_BY_BOTO3))
def test_what_is_refused_says_why(operation: str, client: Any, upstream: Recorder) -> None:
    """501 with the reason, to whoever would be allowed to."""
    params = params_of(operation)
    needed: dict[str, dict[str, Any]] = {
        "RenameObject": {"RenameSource": "/bucket/key"},
        "PutObjectAnnotation": {"AnnotationPayload": b"x"},
    }
    params |= needed.get(operation, {})
    with pytest.raises(ClientError) as caught:
        getattr(client(), xform_name(operation))(**params)
    assert ("NotImplemented", REFUSED[operation], []) == (
        caught.value.response["Error"]["Code"],
        caught.value.response["Error"]["Message"],
        upstream.asked,
    )


def test_every_operation_has_one_way() -> None:
    """And a row of permissions; those that go through the backend have a class of this gateway's."""
    assert (set(ROUTED), set(), set()) == (
        set(UPSTREAM_RESOURCES),
        set(ROUTED) - set(ACTIONS),
        {name for name in SQUISHED | TRANSPARENT if UPSTREAM_RESOURCES[name] is not RESOURCES[name]},
    )
    assert [frozenset()] * 2 == [SQUISHED & TRANSPARENT, (SQUISHED | TRANSPARENT) & set(REFUSED)]


def test_the_table_says_what_the_program_does() -> None:
    """docs/upstream.md lists every operation with its way, and the reason of every refusal."""
    table = {name.strip("`"): (way, why) for name, way, why in rows("upstream.md", "What becomes of each operation")}
    assert {name: str(way_of(name)) for name in ROUTED} == {name: way for name, (way, _) in table.items()}
    assert dict(REFUSED) == {name: why for name, (way, why) in table.items() if way == Way.REFUSED}
