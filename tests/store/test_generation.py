"""Readers notice a change to a bucket without asking the index."""

from __future__ import annotations

from pathlib import Path

import pytest

from s4gw.backends.base import BucketInfo
from s4gw.backends.embedded import EmbeddedBackend
from s4gw.store.generation import Generation


def test_a_reader_sees_each_advance(tmp_path: Path) -> None:
    """The number is shared by all who map the file, and outlives its writer."""
    writer = Generation(tmp_path, writable=True)
    reader = Generation(tmp_path)
    before = reader.read()
    writer.advance()
    writer.close()
    assert (before + 1, before + 1) == (reader.read(), Generation(tmp_path).read())


def test_without_a_writer_there_is_nothing_to_read(tmp_path: Path) -> None:
    """A missing or empty file is an OSError, so that callers ask the index instead."""
    with pytest.raises(OSError, match="generation"):
        Generation(tmp_path)
    (tmp_path / "buckets.generation").touch()
    with pytest.raises(OSError):
        Generation(tmp_path)


def test_a_remembered_bucket_is_never_older_than_the_last_answer(tmp_path: Path) -> None:
    """Every change of a bucket is seen by the next look at it; writing objects changes nothing."""
    backend = EmbeddedBackend(tmp_path / "data", in_process=True)
    backend.create_bucket(BucketInfo(name="bucket", owner="o", created_ms=0))
    first = backend.get_bucket("bucket")
    generation = backend._store.buckets_generation()
    backend.put_config("bucket", "cors", b"{}")
    second = backend.get_bucket("bucket")
    backend.set_versioning("bucket", "Enabled")
    third = backend.get_bucket("bucket")
    backend.close()
    assert ({}, {"cors": b"{}"}, "Enabled") == (first.configs, second.configs, third.versioning)
    assert generation >= 0
