"""Versions: nothing is lost while versioning is on, the null version is one, markers hide and come off."""

from __future__ import annotations

import pytest

from s4gw.backends import Backend, Deleted, ObjectMeta
from s4gw.s3.errors import NoSuchKey, NoSuchVersion
from tests.backends.kit import BUCKET, delete, get, keys, make_bucket, needs_store, put, versions


def test_each_write_is_a_version_of_its_own(backend: Backend) -> None:
    make_bucket(backend, versioning="Enabled")
    ids = [put(backend, "k", b"%d" % n).version_id for n in range(4)]
    assert 4 == len(set(ids))
    assert [b"0", b"1", b"2", b"3"] == [get(backend, "k", version_id) for version_id in ids]
    assert [("k", i, i == ids[-1], False) for i in reversed(ids)] == versions(backend)
    assert {32} == {len(version_id) for version_id in ids}


def test_marker_hides_and_its_removal_shows_again(backend: Backend) -> None:
    make_bucket(backend, versioning="Enabled")
    put(backend, "k", b"1")
    made = delete(backend, "k")
    assert isinstance(made, Deleted)
    assert (True, None) == (made.delete_marker, made.version_id)
    marker = made.marker_version_id
    assert ([], True) == (keys(backend), backend.head_object(BUCKET, "k").delete_marker)
    assert backend.head_object(BUCKET, "k", marker).delete_marker
    assert Deleted(key="k", version_id=marker, delete_marker=True, marker_version_id=marker) == delete(
        backend, "k", marker
    )
    assert b"1" == get(backend, "k")


def test_removing_the_current_version_promotes_the_one_before(backend: Backend) -> None:
    make_bucket(backend, versioning="Enabled")
    first, second, third = (put(backend, "k", data).version_id for data in (b"1", b"2", b"3"))
    delete(backend, "k", second)
    delete(backend, "k", third)
    assert (b"1", [("k", first, True, False)]) == (get(backend, "k"), versions(backend))
    with pytest.raises(NoSuchVersion):
        backend.head_object(BUCKET, "k", second)
    delete(backend, "k", first)
    assert [] == versions(backend)
    with pytest.raises(NoSuchKey):
        backend.head_object(BUCKET, "k")


def test_deleting_a_version_that_is_not_there_changes_nothing(backend: Backend) -> None:
    make_bucket(backend, versioning="Enabled")
    first = put(backend, "k").version_id
    other = put(backend, "j").version_id
    for version_id in (other, "x", "null", first[:-4] + "AAAA"):
        assert Deleted(key="k", version_id=version_id) == delete(backend, "k", version_id)
    assert 2 == len(versions(backend))


def test_objects_from_before_versioning_are_the_null_version(backend: Backend) -> None:
    make_bucket(backend)
    put(backend, "k", b"old")
    backend.set_versioning(BUCKET, "Enabled")
    new = put(backend, "k", b"new").version_id
    assert ([("k", new, True, False), ("k", "null", False, False)], b"old") == (
        versions(backend),
        get(backend, "k", "null"),
    )


def test_suspended_writes_replace_the_null_version_only(backend: Backend) -> None:
    make_bucket(backend)
    put(backend, "k", b"null-1")
    backend.set_versioning(BUCKET, "Enabled")
    kept = put(backend, "k", b"kept").version_id
    backend.set_versioning(BUCKET, "Suspended")
    put(backend, "k", b"null-2")
    assert [("k", "null", True, False), ("k", kept, False, False)] == versions(backend)
    put(backend, "k", b"null-3")
    assert (b"null-3", b"kept", 2) == (get(backend, "k", "null"), get(backend, "k", kept), len(versions(backend)))


def test_suspended_delete_puts_a_null_marker_in_place_of_the_null_version(backend: Backend) -> None:
    make_bucket(backend, versioning="Enabled")
    kept = put(backend, "k", b"kept").version_id
    backend.set_versioning(BUCKET, "Suspended")
    put(backend, "k", b"null")
    assert Deleted(key="k", delete_marker=True, marker_version_id="null") == delete(backend, "k")
    assert [("k", "null", True, True), ("k", kept, False, False)] == versions(backend)
    delete(backend, "k")
    assert 2 == len(versions(backend))
    delete(backend, "k", "null")
    assert b"kept" == get(backend, "k")


def test_null_version_can_be_named_in_a_plain_bucket(backend: Backend) -> None:
    make_bucket(backend)
    put(backend, "k", b"1")
    assert b"1" == get(backend, "k", "null")
    delete(backend, "k", "null")
    assert [] == versions(backend)


def test_metadata_of_an_old_version(backend: Backend) -> None:
    needs_store(backend, "owners of single objects are the upstream's")
    make_bucket(backend, versioning="Enabled")
    old = put(backend, "k", b"1")
    put(backend, "k", b"2")
    backend.update_meta(BUCKET, backend.head_object(BUCKET, "k", old.version_id), ObjectMeta(owner="x"))
    listed = [obj.meta.owner for obj in backend.list_versions(BUCKET).objects]
    assert (["owner-1", "x"], "x") == (listed, backend.head_object(BUCKET, "k", old.version_id).meta.owner)


def test_copy_of_an_old_version(backend: Backend) -> None:
    make_bucket(backend, versioning="Enabled")
    old = put(backend, "k", b"1" * 100_000).version_id
    put(backend, "k", b"2")
    backend.copy_object(backend.head_object(BUCKET, "k", old), BUCKET, BUCKET, "k", meta=ObjectMeta(owner="x"))
    delete(backend, "k", old)
    assert b"1" * 100_000 == get(backend, "k")


def test_version_pages_join_up(backend: Backend) -> None:
    make_bucket(backend, versioning="Enabled")
    for key in ("a", "b", "c/1", "c/2", "d"):
        for n in range(3):
            put(backend, key, b"%d" % n)
    delete(backend, "b")
    for prefix, delimiter in (("", ""), ("", "/"), ("c/", ""), ("c/", "/")):
        whole = backend.list_versions(BUCKET, prefix=prefix, delimiter=delimiter)
        for limit in (1, 2, 3, 5, 100):
            seen: list[str] = []
            prefixes: list[str] = []
            after_key = after_version = ""
            for _ in range(100):
                page = backend.list_versions(
                    BUCKET,
                    after_key=after_key,
                    after_version_id=after_version,
                    prefix=prefix,
                    delimiter=delimiter,
                    limit=limit,
                )
                seen += [obj.version_id for obj in page.objects]
                prefixes += page.prefixes
                after_key, after_version = page.next_key, page.next_version_id
                if not page.truncated:
                    break
            assert ([obj.version_id for obj in whole.objects], whole.prefixes) == (seen, prefixes)


def test_version_listing_goes_on_after_a_key(backend: Backend) -> None:
    make_bucket(backend, versioning="Enabled")
    for key in ("a", "b"):
        put(backend, key)
        put(backend, key)
    assert ["b", "b"] == [obj.key for obj in backend.list_versions(BUCKET, after_key="a").objects]
