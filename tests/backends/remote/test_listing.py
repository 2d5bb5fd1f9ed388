"""Listings of the remote backend: originals, full pages, nothing reserved, and no question asked twice."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest

from s4gw.backends import ObjectMeta
from s4gw.backends.remote import stored_meta
from s4gw.backends.remote.catalogue import Catalogue
from s4gw.backends.remote.listing import ListingMode, RemoteListing
from s4gw.codec import AlwaysDispatcher, Choice, CodecId, FrameIndex, Manifest, encode_frame, encode_trailer
from s4gw.s3.errors import AccessDenied, NoSuchBucket, ServiceUnavailable
from tests.backends.kit import BUCKET
from tests.backends.remote_fake import FakeUpstream

RESERVED = [".s4dict/1", ".s4gw/mpu/1/done", ".s4gw/uploads/1", ".s4mpu/0/1", "m.s4index", "n.__s4ver__/0"]


@pytest.fixture
def fake() -> FakeUpstream:
    fake = FakeUpstream()
    fake.call("CreateBucket", Bucket=BUCKET)
    return fake


def lister(fake: FakeUpstream, catalogue: Catalogue | None = None, mode: ListingMode = "exact") -> RemoteListing:
    return RemoteListing(cast("Any", fake), owner="me", catalogue=catalogue, listing_mode=mode)


@pytest.fixture
def listing(fake: FakeUpstream, tmp_path: Path) -> Iterator[RemoteListing]:
    made = lister(fake, Catalogue(tmp_path / "catalogue"))
    yield made
    made.pools.close()


def put_plain(fake: FakeUpstream, *names: str, body: bytes = b"as it was put") -> None:
    for name in names:
        fake.call("PutObject", Bucket=BUCKET, Key=name, Body=body)


def put_ours(fake: FakeUpstream, key: str, size: int, etag: str = "original") -> None:
    """A squished object of *size* bytes, as its metadata tell."""
    meta = ObjectMeta(framed=True, frames=1, codec="cpu-zstd", crc32c=1, checksums={"CRC32": "AAAA"})
    facts = stored_meta.Facts(size=size, etag=etag, stored_size=40)
    fake.call("PutObject", Bucket=BUCKET, Key=key, Body=b"%040d" % size, **stored_meta.parameters(meta, facts))


def shown(listing: RemoteListing, **query: Any) -> list[tuple[str, int, str]]:
    return [(obj.key, obj.size, obj.etag) for obj in listing.list_objects(BUCKET, **query).objects]


def everything(listing: RemoteListing, limit: int, **query: Any) -> list[list[str]]:
    """Names of all pages."""
    pages, after, more = [], "", True
    while more:
        page = listing.list_objects(BUCKET, limit=limit, after=after, **query)
        pages.append(sorted([*(obj.key for obj in page.objects), *page.prefixes]))
        after, more = page.next_key, page.truncated
    return pages


def test_sizes_and_etags_are_the_originals(fake: FakeUpstream, listing: RemoteListing) -> None:
    put_ours(fake, "ours", 5000)
    put_plain(fake, "plain")
    etag = fake.call("HeadObject", Bucket=BUCKET, Key="plain")["ETag"].strip('"')
    assert [("ours", 5000, "original"), ("plain", 13, etag)] == shown(listing)
    assert ["CRC32"] == list(listing.list_objects(BUCKET).objects[0].meta.checksums)


def test_second_listing_asks_for_nothing(fake: FakeUpstream, listing: RemoteListing, tmp_path: Path) -> None:
    for number in range(30):
        put_ours(fake, f"o{number:02}", 1000 + number)
    put_plain(fake, *(f"p{number:02}" for number in range(30)))
    first = shown(listing)
    for other in (listing, lister(fake, Catalogue(tmp_path / "catalogue"))):
        fake.calls.clear()
        assert first == shown(other)
        assert {"ListObjectsV2": 1} == fake.counts()


def test_overwritten_object_is_asked_for_again(fake: FakeUpstream, listing: RemoteListing) -> None:
    put_ours(fake, "k", 5000)
    shown(listing)
    put_plain(fake, "k", body=b"something else")
    assert 14 == shown(listing)[0][1]


def test_body_tells_what_metadata_do_not(fake: FakeUpstream, listing: RemoteListing) -> None:
    data = b"x" * 1000
    choose = AlwaysDispatcher(Choice(CodecId.CPU_ZSTD, 3)).choose
    frame = encode_frame(memoryview(data), choose(memoryview(data), len(data)))
    index = FrameIndex()
    index.append(len(data), len(frame.header) + len(frame.payload))
    trailer = encode_trailer(index, Manifest(original_size=len(data), etag="in-the-trailer"))
    body = bytes(frame.header) + bytes(frame.payload) + trailer
    fake.call("PutObject", Bucket=BUCKET, Key="k", Body=body, Metadata={"s4-framed": "true"})
    assert [("k", 1000, "in-the-trailer")] == shown(listing)
    fake.calls.clear()
    assert [("k", 1000, "in-the-trailer")] == shown(listing)
    assert {"ListObjectsV2": 1} == fake.counts()


def test_too_small_to_be_ours_is_not_asked_for(fake: FakeUpstream, listing: RemoteListing) -> None:
    put_plain(fake, "empty", "folder/", body=b"")
    put_plain(fake, "tiny", body=b"12345678")
    assert [("empty", 0), ("folder/", 0), ("tiny", 8)] == [entry[:2] for entry in shown(listing)]
    assert 0 == fake.counts()["HeadObject"]


@pytest.mark.parametrize(("mode", "size"), [("exact", 5000), ("cached", 40), ("physical", 40)])
def test_modes(fake: FakeUpstream, tmp_path: Path, mode: ListingMode, size: int) -> None:
    put_ours(fake, "k", 5000)
    catalogue = Catalogue(tmp_path / "catalogue")
    assert size == shown(lister(fake, catalogue, mode))[0][1]
    shown(lister(fake, catalogue))
    assert (40 if mode == "physical" else 5000) == shown(lister(fake, catalogue, mode))[0][1]


def test_written_objects_are_known(fake: FakeUpstream, listing: RemoteListing) -> None:
    put_ours(fake, "k", 5000)
    obj = listing.look(BUCKET, "k")
    etag = fake.call("HeadObject", Bucket=BUCKET, Key="k")["ETag"].strip('"')
    listing.learnt(BUCKET, obj, etag, modified_known=False)
    fake.calls.clear()
    assert [("k", 5000, "original")] == shown(listing)
    assert 0 == fake.counts()["HeadObject"]


def test_object_that_goes_away_meanwhile_is_left_out(fake: FakeUpstream, listing: RemoteListing) -> None:
    put_ours(fake, "a", 1)
    put_ours(fake, "b", 2)

    def delete(operation: str, _params: Any) -> None:
        if operation == "ListObjectsV2":
            fake.after = lambda *_: None
            fake.call("DeleteObject", Bucket=BUCKET, Key="a")

    fake.after = delete
    assert [("b", 2, "original")] == shown(listing)


def test_object_that_may_not_be_looked_at_is_shown_as_listed(fake: FakeUpstream, listing: RemoteListing) -> None:
    put_ours(fake, "a", 5000)

    def refuse(operation: str, _params: Any) -> None:
        if operation == "HeadObject":
            raise AccessDenied

    fake.before = refuse
    assert 40 == shown(listing)[0][1]
    fake.before = lambda *_: None
    assert 5000 == shown(listing)[0][1]


def test_upstream_that_fails_fails_the_listing(fake: FakeUpstream, listing: RemoteListing) -> None:
    put_ours(fake, "a", 5000)

    def fail(operation: str, _params: Any) -> None:
        if operation == "HeadObject":
            raise ServiceUnavailable

    fake.before = fail
    with pytest.raises(ServiceUnavailable):
        shown(listing)


# -- reserved keys, full pages ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
@pytest.mark.parametrize("page_size", [1, 2, 1000])
def test_reserved_keys_never_show_and_pages_stay_full(
    fake: FakeUpstream, listing: RemoteListing, limit: int, page_size: int
) -> None:
    names = ["!", ".s4", ".s4gwx", "a/1", "a/2", "m", "n", "z"]
    put_plain(fake, *names, *RESERVED, *(f"{name}{number}" for name in RESERVED[:4] for number in range(5)))
    fake.page_size = page_size
    pages = everything(listing, limit)
    assert names == [name for page in pages for name in page]
    assert all(len(page) == limit for page in pages[:-1])
    rolled = ["!", ".s4", ".s4gwx", "a/", "m", "n", "z"]
    assert rolled == [name for page in everything(listing, limit, delimiter="/") for name in page]


@pytest.mark.parametrize("delimiter", [".", "4", "g", "w", "index", "_", "1"])
def test_reserved_keys_make_no_common_prefix(fake: FakeUpstream, listing: RemoteListing, delimiter: str) -> None:
    names = ["a", "m.txt", "q4", "w1"]
    put_plain(fake, *names, *RESERVED)
    expected = sorted({name[: name.find(delimiter) + len(delimiter)] if delimiter in name else name for name in names})
    assert expected == [name for page in everything(listing, 2, delimiter=delimiter) for name in page]


def test_thousands_of_staged_parts_are_passed_in_one_step(fake: FakeUpstream, listing: RemoteListing) -> None:
    put_plain(fake, "!", "z", *(f".s4gw/mpu/{number}" for number in range(200)), ".s4mpu/1")
    fake.page_size = 50
    assert ["!", "z"] == [entry[0] for entry in shown(listing)]
    assert fake.counts()["ListObjectsV2"] <= 3


def test_reserved_prefix_lists_nothing(fake: FakeUpstream, listing: RemoteListing) -> None:
    put_plain(fake, *RESERVED)
    for prefix in (".s4gw/", ".s4gw/mpu/", ".s4dict/"):
        assert ([], []) == (
            listing.list_objects(BUCKET, prefix=prefix).objects,
            listing.list_versions(BUCKET, prefix=prefix).objects,
        )
    with pytest.raises(NoSuchBucket):
        listing.list_objects("missing", prefix=".s4gw/")


def test_sidecars_of_a_whole_bucket_cost_few_pages(fake: FakeUpstream, listing: RemoteListing) -> None:
    names = [f"k{number:04}" for number in range(600)]
    put_plain(fake, *names, *(f"{name}.s4index" for name in names), body=b"tiny")
    assert [names[:500], names[500:]] == everything(listing, 500)
    assert fake.counts()["ListObjectsV2"] <= 4


class PathOrdered(FakeUpstream):
    """Keeps keys as paths: a folder comes before names that begin like it. Its tokens are names, if `named`."""

    named = True

    def _ListObjectsV2(self, *, Bucket: str, StartAfter: str = "", **more: Any) -> dict[str, Any]:  # noqa: N802, N803
        prefix, delimiter = more.get("Prefix", ""), more.get("Delimiter", "")
        found: dict[str, dict[str, Any] | None] = {}
        for obj in sorted(self.store.list_objects(Bucket, limit=10**9).objects, key=lambda obj: by_path(obj.key)):
            end = obj.key.find(delimiter, len(prefix)) if delimiter else -1
            if obj.key.startswith(prefix) and by_path(obj.key) > by_path(StartAfter):
                found[obj.key if end < 0 else obj.key[: end + len(delimiter)]] = self._listed(obj) if end < 0 else None
        found.pop(StartAfter, None)
        names = list(found)[: min(more.get("MaxKeys", 1000), self.page_size)]
        truncated = len(names) < len(found)
        return {
            "Contents": [found[name] for name in names if found[name] is not None],
            "CommonPrefixes": [{"Prefix": name} for name in names if found[name] is None],
            "IsTruncated": truncated,
        } | ({"NextContinuationToken": names[-1] if self.named else "opaque"} if truncated else {})


def by_path(name: str) -> str:
    return name.replace("/", "\0")


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 1000])
@pytest.mark.parametrize("delimiter", ["", "/", "."])
def test_servers_that_list_by_path_lose_nothing(limit: int, delimiter: str) -> None:
    """SeaweedFS does: `a/0` stands before `a.b`, while every key of S3's order would have it the other way round."""
    fake = PathOrdered()
    fake.call("CreateBucket", Bucket=BUCKET)
    names = ["!", "a.b", "a/0", "a/1", "a/2", "a0", "b b", "b/1", "b/x.y", "b/x/1", "c"]
    put_plain(fake, *names, *RESERVED, *(f"{name}.s4index" for name in names))
    listing = lister(fake)
    expected = {name[: name.find(delimiter) + 1] if delimiter and delimiter in name else name for name in names}
    for named in (True, False):
        fake.named = named
        found = [name for page in everything(listing, limit, delimiter=delimiter) for name in page]
        assert (expected, True) == (set(found), not named or len(found) == len(expected))


@pytest.mark.parametrize("delimiter", ["", "/"])
def test_a_listing_of_one_page_is_in_order_whatever_the_upstreams_is(delimiter: str) -> None:
    """`aws s3 sync` walks both sides in S3's order, and sends again what it does not meet."""
    fake = PathOrdered()
    fake.call("CreateBucket", Bucket=BUCKET)
    names = ["a!", "a-b/1", "a-b/2", "a.txt", "a/1", "a/2", "b"]
    put_plain(fake, *names)
    page = lister(fake).list_objects(BUCKET, delimiter=delimiter)
    flat, folders = names, list[str]()
    if delimiter:
        flat, folders = ["a!", "a.txt", "b"], ["a-b/", "a/"]
    assert (flat, folders) == ([obj.key for obj in page.objects], list(page.prefixes))


# -- versions ----------------------------------------------------------------------------------------------------------
def versions_of(listing: RemoteListing, limit: int, **query: Any) -> list[tuple[str, str, int, bool, bool]]:
    found, more, key, version = [], True, "", ""
    for _ in count():
        page = listing.list_versions(BUCKET, after_key=key, after_version_id=version, limit=limit, **query)
        found += [(o.key, o.version_id, o.size, o.is_latest, o.delete_marker) for o in page.objects]
        key, version, more = page.next_key, page.next_version_id, page.truncated
        if not more:
            return found
    raise AssertionError


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
def test_versions_tell_of_originals_in_order(fake: FakeUpstream, listing: RemoteListing, limit: int) -> None:
    fake.call("PutBucketVersioning", Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    put_ours(fake, "k", 5000, "v1")
    put_ours(fake, "k", 6000, "v2")
    fake.call("DeleteObject", Bucket=BUCKET, Key="k")
    put_plain(fake, *RESERVED, "l")
    put_plain(fake, *RESERVED, "l")
    expected = [(o.key, o.version_id) for o in fake.store.list_versions(BUCKET).objects if o.key in "kl"]
    found = versions_of(listing, limit)
    assert expected == [entry[:2] for entry in found]
    assert [(0, True, True), (6000, False, False), (5000, False, False)] == [entry[2:] for entry in found[:3]]


def test_version_from_before_versioning_is_not_taken_for_the_current_one(
    fake: FakeUpstream, listing: RemoteListing
) -> None:
    put_ours(fake, "k", 5000)
    fake.call("PutBucketVersioning", Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    put_ours(fake, "k", 6000)
    assert [(6000, True), (5000, False)] == [(entry[2], entry[3]) for entry in versions_of(listing, 10)]


def test_upstream_without_versions_lists_what_there_is(fake: FakeUpstream, listing: RemoteListing) -> None:
    put_ours(fake, "k", 5000)
    fake.missing.add("ListObjectVersions")
    assert [("k", "null", 5000, True, False)] == versions_of(listing, 10)
