"""Buckets: names are unique, listings ascend, documents come back, a bucket with anything in it stays."""

from __future__ import annotations

import pytest

from s4gw.backends import Backend, BucketInfo
from s4gw.s3.errors import BucketAlreadyExists, BucketAlreadyOwnedByYou, BucketNotEmpty, NoSuchBucket, NoSuchUpload
from tests.backends.kit import BUCKET, delete, is_store, make_bucket, needs_store, put, start_upload


def test_bucket_comes_back(backend: Backend) -> None:
    needs_store(backend, "an upstream tells its own times, and nothing but one owner")
    info = BucketInfo(name=BUCKET, owner="o", created_ms=7, region="eu-north-1", configs={"acl": b"x"})
    backend.create_bucket(info)
    assert info == backend.get_bucket(BUCKET)


def test_buckets_ascend_by_name_and_filter_by_owner(backend: Backend) -> None:
    needs_store(backend, "all buckets of an upstream have one owner")
    for name, owner in (("b-2", "x"), ("b-10", "y"), ("a", "x")):
        make_bucket(backend, name, owner=owner)
    assert (["a", "b-10", "b-2"], ["a", "b-2"]) == (
        [info.name for info in backend.list_buckets()],
        [info.name for info in backend.list_buckets("x")],
    )


def test_name_is_taken_once(backend: Backend) -> None:
    needs_store(backend, "S3 in us-east-1 answers an owner who creates a bucket again with success")
    make_bucket(backend)
    with pytest.raises(BucketAlreadyOwnedByYou):
        make_bucket(backend)
    with pytest.raises(BucketAlreadyExists):
        make_bucket(backend, owner="somebody else")


def test_missing_bucket_is_named_in_the_error(backend: Backend) -> None:
    with pytest.raises(NoSuchBucket) as caught:
        backend.get_bucket("nope")
    assert {"BucketName": "nope"} == caught.value.facts


def test_every_operation_wants_the_bucket(backend: Backend) -> None:
    calls = (
        lambda: backend.list_objects(BUCKET, limit=0),
        lambda: backend.list_versions(BUCKET),
        lambda: backend.list_uploads(BUCKET),
        lambda: backend.head_object(BUCKET, "k"),
        lambda: backend.head_object(BUCKET, "k", "null"),
        lambda: put(backend, "k"),
        lambda: delete(backend, "k"),
        lambda: backend.put_config(BUCKET, "cors", b""),
        lambda: backend.set_versioning(BUCKET, "Enabled"),
        lambda: backend.delete_bucket(BUCKET),
        lambda: start_upload(backend, "k"),
    )
    for call in calls:
        with pytest.raises(NoSuchBucket):
            call()


def test_documents_are_stored_replaced_and_removed(backend: Backend) -> None:
    needs_store(backend, "documents are handed on to an upstream as they are")
    make_bucket(backend)
    seen = []
    for document in (b"one", b"two", None):
        backend.put_config(BUCKET, "cors", document)
        backend.put_config(BUCKET, "tagging", b"kept")
        seen.append(dict(backend.get_bucket(BUCKET).configs))
    assert [{"cors": b"one", "tagging": b"kept"}, {"cors": b"two", "tagging": b"kept"}, {"tagging": b"kept"}] == seen


def test_versioning_state_is_seen_at_once(backend: Backend) -> None:
    make_bucket(backend)
    states = [backend.get_bucket(BUCKET).versioning]
    for state in ("Enabled", "Suspended"):
        backend.set_versioning(BUCKET, state)
        states.append(backend.get_bucket(BUCKET).versioning)
    assert ["", "Enabled", "Suspended"] == states


def test_bucket_with_only_a_delete_marker_is_not_empty(backend: Backend) -> None:
    make_bucket(backend, versioning="Enabled")
    delete(backend, "never there")
    with pytest.raises(BucketNotEmpty):
        backend.delete_bucket(BUCKET)


def test_deleted_bucket_takes_its_uploads_along(backend: Backend) -> None:
    make_bucket(backend)
    upload_id = start_upload(backend, "k")
    put(backend, "k")
    with pytest.raises(BucketNotEmpty):
        backend.delete_bucket(BUCKET)
    delete(backend, "k")
    backend.delete_bucket(BUCKET)
    make_bucket(backend)
    with pytest.raises(NoSuchUpload):
        backend.get_upload(BUCKET, "k", upload_id)


def test_a_bucket_made_again_is_another_one(backend: Backend) -> None:
    make_bucket(backend)
    put(backend, "k")
    backend.head_object(BUCKET, "k")
    if is_store(backend):
        backend.put_config(BUCKET, "cors", b"old")
    backend.get_bucket(BUCKET)
    delete(backend, "k")
    backend.delete_bucket(BUCKET)
    make_bucket(backend)
    assert ([], {}) == ([o.key for o in backend.list_objects(BUCKET).objects], backend.get_bucket(BUCKET).configs)
