"""Listings equal a naive model: order, prefixes, delimiters, and pages that join up to the whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s4gw.backends import Backend, EmbeddedBackend, MemoryBackend
from s4gw.backends.remote.backend import RemoteBackend
from s4gw.backends.remote.catalogue import Catalogue
from tests.backends.kit import BUCKET, OWNER, delete, keys, make_bucket, put
from tests.backends.remote_fake import FakeUpstream

LETTERS = st.text(alphabet="ab/é\x01\U0001f600", min_size=1, max_size=6)


def model(names: set[str], prefix: str, delimiter: str, after: str) -> list[str]:
    """Keys and common prefixes past *after*, ascending."""
    entries = set()
    for name in names:
        if name.startswith(prefix):
            end = name.find(delimiter, len(prefix)) if delimiter else -1
            entries.add(name if end < 0 else name[: end + len(delimiter)])
    return sorted((entry for entry in entries if entry.encode() > after.encode()), key=str.encode)


@pytest.fixture(scope="module", params=["memory", "embedded", "remote"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    folder = Path(tmp_path_factory.mktemp("listing"))
    made: Backend = MemoryBackend()
    if request.param == "embedded":
        made = EmbeddedBackend(folder / "data", in_process=True)
    elif request.param == "remote":
        made = RemoteBackend(cast("Any", FakeUpstream()), owner=OWNER, catalogue=Catalogue(folder / "catalogue"))
    yield made
    made.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.sets(LETTERS, max_size=12),
    hidden=st.sets(LETTERS, max_size=3),
    queries=st.lists(
        st.tuples(
            st.text(alphabet="ab/é", max_size=3), st.sampled_from(["", "/", "a", "b/"]), st.one_of(st.just(""), LETTERS)
        ),
        min_size=3,
        max_size=8,
    ),
    limit=st.integers(1, 4),
)
def test_pages_equal_the_model(
    shared: Backend, names: set[str], hidden: set[str], queries: list[tuple[str, str, str]], limit: int
) -> None:
    make_bucket(shared, versioning="Enabled")
    try:
        for name in sorted(names | hidden):
            put(shared, name, b"")
        for name in hidden:
            delete(shared, name)
        for prefix, delimiter, start in queries:
            seen: list[str] = []
            after, more = start, True
            while more:
                page = shared.list_objects(BUCKET, prefix=prefix, delimiter=delimiter, after=after, limit=limit)
                merged = sorted([*(obj.key for obj in page.objects), *page.prefixes], key=str.encode)
                assert len(merged) <= limit
                seen += merged
                after, more = page.next_key, page.truncated
                assert after == (merged[-1] if more else "")
            assert model(names - hidden, prefix, delimiter, start) == seen
    finally:
        for obj in shared.list_versions(BUCKET).objects:
            delete(shared, obj.key, obj.version_id)
        shared.delete_bucket(BUCKET)


def test_many_keys_under_many_prefixes(backend: Backend) -> None:
    make_bucket(backend)
    for first in "abc":
        for number in range(40):
            put(backend, f"{first}/{number:03}", b"")
    put(backend, "b", b"")
    page = backend.list_objects(BUCKET, delimiter="/")
    assert (["a/", "b/", "c/"], ["b"]) == (page.prefixes, [obj.key for obj in page.objects])


def test_empty_page_is_empty_and_final(backend: Backend) -> None:
    make_bucket(backend)
    put(backend, "a")
    page = backend.list_objects(BUCKET, limit=0)
    assert ([], [], False) == (page.objects, page.prefixes, page.truncated)


def test_last_page_says_so(backend: Backend) -> None:
    make_bucket(backend)
    for key in "abc":
        put(backend, key)
    pages = [backend.list_objects(BUCKET, limit=limit) for limit in (2, 3)]
    assert [(True, "b"), (False, "")] == [(page.truncated, page.next_key) for page in pages]


def test_after_a_key_inside_a_common_prefix_skips_the_prefix(backend: Backend) -> None:
    make_bucket(backend)
    for key in ("a/1", "a/2", "b"):
        put(backend, key)
    page = backend.list_objects(BUCKET, delimiter="/", after="a/1")
    assert (["b"], []) == ([obj.key for obj in page.objects], page.prefixes)


def test_prefix_is_a_prefix_of_bytes(backend: Backend) -> None:
    make_bucket(backend)
    for key in ("a", "a\U0010ffff", "a\U0010ffffb", "b"):
        put(backend, key)
    assert ["a\U0010ffff", "a\U0010ffffb"] == keys(backend, prefix="a\U0010ffff")
