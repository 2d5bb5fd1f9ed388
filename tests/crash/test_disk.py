"""A full or lying disk: writes are refused, reads refuse damage, and nothing acknowledged is lost."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest

from s4gw.backends import EmbeddedBackend, ObjectMeta
from s4gw.s3.errors import InternalError, ServiceUnavailable
from s4gw.store.layout import volume_path
from tests.crash.kit import BUCKET, body_of, check, make_bucket, put


def test_files_that_may_not_grow_refuse_writes_and_keep_what_they_have(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: writes come back short, then fail."""
    data_dir = tmp_path / "data"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    backend = EmbeddedBackend(data_dir, in_process=True)
    make_bucket(backend)
    acknowledged, refused = [], []
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, limits[1]))
        for number in range(60):
            try:
                put(backend, f"k{number}")
                acknowledged.append(f"k{number}")
            except ServiceUnavailable as error:
                refused.append(error.headers)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    check(backend, acknowledged, acknowledged)
    put(backend, "after")
    backend.close()
    backend = EmbeddedBackend(data_dir, in_process=True)
    check(backend, [*acknowledged, "after"], [*acknowledged, "after"])
    backend.close()
    assert refused
    assert [{"Retry-After": "1"}] * len(refused) == refused


@pytest.mark.parametrize("size", [5000, 70_000, 3_000_000])
def test_a_damaged_body_is_refused_never_served(tmp_path: Path, size: int) -> None:
    backend = EmbeddedBackend(tmp_path / "data", in_process=True)
    make_bucket(backend)
    data = os.urandom(size)
    writer = backend.open_writer(BUCKET, "k", ObjectMeta())
    writer.write(data)
    backend.put_object(BUCKET, "k", writer, size=size, etag="e", meta=ObjectMeta())
    path = volume_path(tmp_path / "data", 1)
    place = path.read_bytes().index(data) + size // 2
    obj = backend.head_object(BUCKET, "k")
    for bit in range(8):
        with path.open("r+b") as file:
            file.seek(place)
            file.write(bytes([data[size // 2] ^ 1 << bit]))
        with pytest.raises(InternalError):
            backend.read(obj, 0, size)
        with pytest.raises(InternalError):
            backend.read(obj, size // 2, size // 2 + 1)
    with path.open("r+b") as file:
        file.seek(place)
        file.write(data[size // 2 : size // 2 + 1])
    assert data == backend.read(obj, 0, size)
    path.unlink()
    backend.close()
    backend = EmbeddedBackend(tmp_path / "data", read_only=True)
    with pytest.raises(InternalError):
        backend.read(backend.head_object(BUCKET, "k"), 0, size)
    backend.close()


def test_bodies_are_as_their_keys_say() -> None:
    """Guards the kit: contents differ between keys and do not change."""
    assert len({body_of(f"k{number}") for number in range(20)}) > 10
