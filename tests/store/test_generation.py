"""Readers notice a change to a bucket or an object without asking the index."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.backends.base import BucketInfo, DeleteTarget, ObjectMeta
from s4gw.backends.embedded import EmbeddedBackend
from s4gw.s3.errors import NoSuchKey
from s4gw.store import committer, generation, ops
from s4gw.store.generation import Generations
from tests.store.kit import memory_dir


def test_a_reader_sees_each_change_and_no_other(tmp_path: Path) -> None:
    """The numbers are shared by all who map the file, and outlive their writer."""
    writer = Generations(tmp_path, writable=True)
    reader = Generations(tmp_path)

    def seen() -> tuple[int, int, int]:
        return reader.buckets(), reader.key("b", b"one"), reader.key("b", b"two")

    states = [seen()]
    writer.keys_changed([("b", b"one")])
    states.append(seen())
    writer.buckets_changed()
    states.append(seen())
    writer.everything_changed()
    writer.close()
    states.append(seen())

    assert [(0, 0, 0), (0, 1, 0), (1, 1, 0), (2, 2, 1)] == states
    assert seen() == (Generations(tmp_path).buckets(), *states[-1][1:])


def test_without_a_writer_there_is_nothing_to_read(tmp_path: Path) -> None:
    """A missing or empty file is an OSError, so that callers ask the index instead."""
    with pytest.raises(OSError, match="generations"):
        Generations(tmp_path)
    (tmp_path / "generations").touch()
    with pytest.raises(OSError):
        Generations(tmp_path)


def test_every_operation_tells_what_it_changes() -> None:
    """One that is in no table counts as a change of everything, so that none can be forgotten."""
    kinds = {*committer._CHANGE_KEY, *committer._CHANGE_BUCKETS, *committer._CHANGE_NOTHING, ops.Rename}
    assert set() == kinds - set(committer._APPLY)


KEYS = ("a", "b", "c")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(("put", "delete", "copy", "rename", "meta")), st.sampled_from(KEYS)), max_size=12
    )
)
def test_a_remembered_object_is_never_older_than_the_last_answer(steps: list[tuple[str, str]]) -> None:
    """Another process's view of a key equals the index after every operation."""
    with memory_dir() as folder:
        writer = EmbeddedBackend(folder, in_process=True)
        writer.create_bucket(BucketInfo(name="bucket", owner="o", created_ms=0))
        reader = EmbeddedBackend(folder, read_only=True)
        for number, (step, key) in enumerate(steps):
            change(writer, step, key, number)
            for each in KEYS:
                assert facts(EmbeddedBackend(folder, read_only=True), each) == facts(reader, each)
        reader.close()
        writer.close()


def change(backend: EmbeddedBackend, step: str, key: str, number: int) -> None:
    """Do one step; one that finds no object changes nothing."""
    other = KEYS[(KEYS.index(key) + 1) % len(KEYS)]
    with contextlib.suppress(NoSuchKey):
        if step == "put":
            body = backend.open_writer("bucket", key, ObjectMeta(owner="o"))
            body.write(b"%d" % number)
            backend.put_object("bucket", key, body, size=1, etag=f"e{number}", meta=ObjectMeta(owner="o"))
        elif step == "delete":
            backend.delete_objects("bucket", [DeleteTarget(key=key)])
        elif step == "rename":
            backend.rename_object("bucket", key, other)
        else:
            source = backend.head_object("bucket", key)
            if step == "copy":
                backend.copy_object(source, "bucket", "bucket", other, meta=source.meta)
            else:
                backend.update_meta("bucket", source, ObjectMeta(owner="o", tags={"n": str(number)}))


def facts(backend: EmbeddedBackend, key: str) -> tuple[str, dict[str, str], bytes] | None:
    """What a client would be told of the key."""
    try:
        obj = backend.head_object("bucket", key)
    except NoSuchKey:
        return None
    return obj.etag, obj.meta.tags, bytes(backend.read(obj, 0, obj.stored_size))


def test_a_remembered_bucket_is_never_older_than_the_last_answer(tmp_path: Path) -> None:
    """Every change of a bucket is seen by the next look at it; writing objects changes nothing."""
    backend = EmbeddedBackend(tmp_path / "data", in_process=True)
    backend.create_bucket(BucketInfo(name="bucket", owner="o", created_ms=0))
    first = backend.get_bucket("bucket")
    backend.put_config("bucket", "cors", b"{}")
    second = backend.get_bucket("bucket")
    backend.set_versioning("bucket", "Enabled")
    third = backend.get_bucket("bucket")
    backend.close()
    assert ({}, {"cors": b"{}"}, "Enabled") == (first.configs, second.configs, third.versioning)


def test_the_file_has_no_holes_to_fill(tmp_path: Path) -> None:
    """To fill one on a full disk would kill the committer (SIGBUS), also where an older one has left some."""
    (tmp_path / generation.FILE_NAME).write_bytes(b"")
    os.truncate(tmp_path / generation.FILE_NAME, 8 * (2 + generation.SLOTS))
    Generations(tmp_path, writable=True).close()
    found = (tmp_path / generation.FILE_NAME).stat()
    assert found.st_blocks * 512 >= found.st_size
