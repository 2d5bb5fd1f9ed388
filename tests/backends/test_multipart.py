"""Multipart: parts are replaced one by one, Complete is one step and can be repeated, nothing leaks into others."""

from __future__ import annotations

import msgspec
import pytest

from s4gw.backends import Backend, Conditions, ObjectMeta, PartInfo, Upload
from s4gw.s3.errors import InvalidPart, NoSuchKey, NoSuchUpload, PreconditionFailed
from tests.backends.kit import (
    BUCKET,
    complete,
    delete,
    etag_of,
    get,
    keys,
    make_bucket,
    put,
    put_part,
    start_upload,
    versions,
)


def test_upload_comes_back(backend: Backend) -> None:
    make_bucket(backend)
    upload = Upload(
        key="k",
        upload_id="u",
        started_ms=5,
        meta=ObjectMeta(owner="me", tags={"a": "b"}),
        initiator="i",
        checksum_algorithm="CRC32",
        checksum_type="COMPOSITE",
    )
    backend.create_upload(BUCKET, upload)
    assert upload == backend.get_upload(BUCKET, "k", "u")
    for key, upload_id in (("other", "u"), ("k", "other")):
        with pytest.raises(NoSuchUpload):
            backend.get_upload(BUCKET, key, upload_id)


def test_parts_become_the_object_in_the_order_given(backend: Backend) -> None:
    make_bucket(backend)
    upload_id = start_upload(backend, "k")
    bodies = {number: bytes([number]) * (number * 1_500_000) for number in (1, 2, 3)}
    parts = {number: put_part(backend, "k", upload_id, number, body) for number, body in bodies.items()}
    assert [] == keys(backend)
    made = complete(backend, "k", upload_id, [parts[1], parts[3]], tail=b"the end")
    assert bodies[1] + bodies[3] + b"the end" == get(backend, "k")
    assert (made.stored_size, "e-1") == (backend.head_object(BUCKET, "k").stored_size, made.etag)
    with pytest.raises(NoSuchUpload):
        backend.list_parts(BUCKET, "k", upload_id)


def test_parts_are_listed_as_they_were_told(backend: Backend) -> None:
    make_bucket(backend)
    upload_id = start_upload(backend, "k")
    writer = backend.open_part_writer(BUCKET, "k", upload_id)
    writer.write(b"abc")
    told = PartInfo(number=7, size=9, etag="e", checksums={"SHA1": "x"}, crc32c=5, frames=b"\x00\x01", codec="zstd")
    given = backend.put_part(BUCKET, "k", upload_id, writer, told)
    listed = backend.list_parts(BUCKET, "k", upload_id)
    assert [given] == listed
    assert (3, True, told) == (
        given.stored_size,
        bool(given.part_id),
        msgspec.structs.replace(given, part_id="", stored_size=0, modified_ms=0),
    )


def test_parts_are_paged_by_number(backend: Backend) -> None:
    make_bucket(backend)
    upload_id = start_upload(backend, "k")
    for number in (10, 2, 10_000, 1):
        put_part(backend, "k", upload_id, number, b"x")
    pages = [
        [part.number for part in backend.list_parts(BUCKET, "k", upload_id, after=after, limit=2)]
        for after in (0, 2, 10_000)
    ]
    assert [[1, 2], [10, 10_000], []] == pages


def test_part_uploaded_again_replaces_and_the_old_one_is_invalid(backend: Backend) -> None:
    make_bucket(backend)
    upload_id = start_upload(backend, "k")
    old = put_part(backend, "k", upload_id, 1, b"old")
    new = put_part(backend, "k", upload_id, 1, b"new")
    with pytest.raises(InvalidPart):
        complete(backend, "k", upload_id, [old])
    complete(backend, "k", upload_id, [new])
    assert b"new" == get(backend, "k")


def test_part_that_was_never_uploaded_is_invalid(backend: Backend) -> None:
    make_bucket(backend)
    upload_id = start_upload(backend, "k")
    put_part(backend, "k", upload_id, 1, b"1")
    for part_id in ("", "zz", "99"):
        with pytest.raises(InvalidPart):
            complete(backend, "k", upload_id, [PartInfo(number=2, part_id=part_id, size=1, etag="e")])


def test_abort_ends_the_upload(backend: Backend) -> None:
    make_bucket(backend)
    upload_id = start_upload(backend, "k")
    put_part(backend, "k", upload_id, 1, b"1")
    backend.abort_upload(BUCKET, "k", upload_id)
    for call in (
        lambda: backend.abort_upload(BUCKET, "k", upload_id),
        lambda: put_part(backend, "k", upload_id, 1, b"1"),
        lambda: backend.list_parts(BUCKET, "k", upload_id),
        lambda: complete(backend, "k", upload_id, []),
    ):
        with pytest.raises(NoSuchUpload):
            call()


def test_complete_keeps_conditions_and_a_failed_one_can_be_repeated(backend: Backend) -> None:
    make_bucket(backend)
    upload_id = start_upload(backend, "k")
    part = put_part(backend, "k", upload_id, 1, b"multi")
    with pytest.raises(NoSuchKey):
        complete(backend, "k", upload_id, [part], conditions=Conditions(if_match="*"))
    put(backend, "k")
    with pytest.raises(PreconditionFailed):
        complete(backend, "k", upload_id, [part], conditions=Conditions(if_none_match="*"))
    complete(backend, "k", upload_id, [part], conditions=Conditions(if_match=etag_of(b"data")))
    assert b"multi" == get(backend, "k")


def test_completed_upload_is_remembered_even_when_overwritten(backend: Backend) -> None:
    make_bucket(backend)
    upload_id = start_upload(backend, "k")
    part = put_part(backend, "k", upload_id, 1, b"multi")
    assert backend.completed_upload(BUCKET, "k", upload_id) is None
    made = complete(backend, "k", upload_id, [part])
    put(backend, "k", b"newer")
    found = backend.completed_upload(BUCKET, "k", upload_id)
    assert found is not None
    assert (made.etag, made.version_id, made.size, made.meta) == (
        found.etag,
        found.version_id,
        found.size,
        found.meta,
    )
    assert backend.completed_upload(BUCKET, "other", upload_id) is None


def test_complete_makes_a_version(backend: Backend) -> None:
    make_bucket(backend, versioning="Enabled")
    old = put(backend, "k", b"old").version_id
    upload_id = start_upload(backend, "k")
    made = complete(backend, "k", upload_id, [put_part(backend, "k", upload_id, 1, b"new")])
    assert [("k", made.version_id, True, False), ("k", old, False, False)] == versions(backend)


def test_copies_of_a_multipart_object_share_and_outlive_it(backend: Backend) -> None:
    make_bucket(backend)
    upload_id = start_upload(backend, "k")
    bodies = [bytes([n]) * 2_000_000 for n in range(3)]
    parts = [put_part(backend, "k", upload_id, n, body) for n, body in enumerate(bodies, 1)]
    complete(backend, "k", upload_id, parts)
    for target in ("c1", "c2"):
        backend.copy_object(backend.head_object(BUCKET, "k"), BUCKET, BUCKET, target, meta=ObjectMeta())
    delete(backend, "k")
    delete(backend, "c1")
    assert b"".join(bodies) == get(backend, "c2")


def test_part_numbers_may_have_gaps(backend: Backend) -> None:
    make_bucket(backend)
    upload_id = start_upload(backend, "k")
    first = put_part(backend, "k", upload_id, 1, b"first")
    last = put_part(backend, "k", upload_id, 10_000, b"last")
    complete(backend, "k", upload_id, [first, last])
    assert b"firstlast" == get(backend, "k")


def test_uploads_are_listed_by_key_then_start_in_pages(backend: Backend) -> None:
    make_bucket(backend)
    for key, upload_id in (("b", "z"), ("a/2", "y"), ("b", "a"), ("a/1", "x"), ("c", "w")):
        start_upload(backend, key, upload_id)
    whole = [("a/1", "x"), ("a/2", "y"), ("b", "z"), ("b", "a"), ("c", "w")]
    for limit in (1, 2, 3, 5):
        seen, after_key, after_id, more = [], "", "", True
        while more:
            page = backend.list_uploads(BUCKET, after_key=after_key, after_upload_id=after_id, limit=limit)
            seen += [(upload.key, upload.upload_id) for upload in page.uploads]
            after_key, after_id, more = page.next_key, page.next_upload_id, page.truncated
        assert whole == seen
    page = backend.list_uploads(BUCKET, delimiter="/")
    assert (["a/"], ["z", "a", "w"]) == (page.prefixes, [upload.upload_id for upload in page.uploads])
    page = backend.list_uploads(BUCKET, prefix="a/", after_key="a/1")
    assert ["y"] == [upload.upload_id for upload in page.uploads]
    assert (0, False) == (len(backend.list_uploads(BUCKET, limit=0).uploads), page.truncated)
