"""Over a store that keeps equal bytes once, the content says where frames end, and what moved is found again."""

from __future__ import annotations

import io
import os
import random
import sysconfig
import tarfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s4gw.backends.base import BucketInfo, ObjectMeta, StoredObject, Upload
from s4gw.backends.embedded import EmbeddedBackend
from s4gw.checksum import Buffer
from s4gw.codec import AutoDispatcher, Choice, CodecId, Dispatcher, FrameIndex, SamplingDispatcher
from s4gw.objects import Completion, DigestPlan, Objects
from s4gw.objects.joining import TINY_RATIO
from s4gw.objects.layout import LayoutCache
from s4gw.store import upkeeping

from .bodies import BytesSource, mixed

BUCKET = "b"
FRAME = 64 * 1024
MIB = 1024**2
PART = 8 * MIB
PLAIN = DigestPlan()


def opened(data_dir: Path, dispatcher: Dispatcher, frame_bytes: int = MIB, dedup: str = "bucket") -> Objects:
    backend = EmbeddedBackend(data_dir, in_process=True, dedup=dedup)
    backend.create_bucket(BucketInfo(name=BUCKET, owner="o", created_ms=1))
    return Objects(backend, dispatcher, frame_bytes=frame_bytes, threads=2)


def closed(objects: Objects) -> None:
    objects.close()
    objects.backend.close()


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Objects]:
    service = opened(tmp_path_factory.mktemp("sharing"), SamplingDispatcher(), FRAME)
    yield service
    closed(service)


def put(objects: Objects, key: str, body: bytes, *, known: bool = True) -> StoredObject:
    return objects.put(BUCKET, key, BytesSource(body, known=known), meta=ObjectMeta(owner="o"), plan=PLAIN).object


def put_parts(objects: Objects, key: str, body: bytes) -> StoredObject:
    """As clients do it: parts of one size, each a body of its own."""
    upload = Upload(upload_id=f"upload-{key}", key=key, started_ms=1, meta=ObjectMeta(owner="o"))
    objects.backend.create_upload(BUCKET, upload)
    parts = []
    for number, start in enumerate(range(0, len(body), PART), 1):
        part = objects.put_part(BUCKET, upload, number, BytesSource(body[start : start + PART]), PLAIN)
        parts.append({"PartNumber": number, "ETag": part.etag})
    return objects.complete(BUCKET, upload, Completion(parts=parts))


def index_of(objects: Objects, obj: StoredObject) -> FrameIndex:
    return LayoutCache(objects.backend).load(BUCKET, obj).index


def read(objects: Objects, obj: StoredObject, start: int, end: int) -> bytes:
    return b"".join(objects.read(BUCKET, obj, start, end))


def unique(data_dir: Path) -> int:
    return upkeeping.stats(data_dir).unique_bytes


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), noise=st.booleans(), known=st.booleans())
def test_frames_of_any_size_give_every_range_back(
    objects: Objects, data: st.DataObject, noise: bool, known: bool
) -> None:
    """The whole and any range of it; frames have half of their bound or more, and above it only what is tiny."""
    size = data.draw(st.one_of(st.integers(0, 8 * FRAME), st.sampled_from([FRAME, 2 * FRAME, 3 * FRAME + 512])))
    body = random.Random(size).randbytes(size) if noise else mixed(size, seed=size)
    obj = objects.backend.head_object(BUCKET, put(objects, "k", body, known=known).key)
    start = data.draw(st.integers(0, size))
    end = data.draw(st.integers(start, size))
    assert body == read(objects, obj, 0, size)
    assert body[start:end] == read(objects, obj, start, end)
    if obj.meta.frames > 1:
        index = index_of(objects, obj)
        sizes = list(index.original_sizes)
        assert size == sum(sizes)
        assert all(FRAME // 2 < each and each % 512 == 0 for each in sizes[:-1]), sizes
        joined = [stored * TINY_RATIO <= each for each, stored in zip(sizes, index.stored_sizes, strict=True)]
        assert all(0 < each <= FRAME or tiny for each, tiny in zip(sizes, joined, strict=True)), sizes


def test_frames_have_one_size_where_nothing_is_shared(tmp_path: Path) -> None:
    """Without a search for equal bytes, frames are what fits into a buffer."""
    objects = opened(tmp_path / "data", SamplingDispatcher(), FRAME, dedup="off")
    obj = put(objects, "k", random.Random(1).randbytes(5 * FRAME + 9))
    sizes = list(index_of(objects, objects.backend.head_object(BUCKET, obj.key)).original_sizes)
    closed(objects)
    assert [FRAME] * 5 + [9] == sizes


class FirstByte:
    """Chooses by the first byte and sees nothing new ever after: what came first decides for what follows."""

    def choose(self, sample: Buffer, size: int | None) -> Choice:  # noqa: ARG002 - the port's signature
        return Choice(CodecId.CPU_ZSTD, 1 + memoryview(sample)[0] % 2 * 8)

    def glance(self, choice: Choice, frame: Buffer) -> int:  # noqa: ARG002
        return 0

    def hinted(self, hint: str) -> Dispatcher:  # noqa: ARG002
        return self


def test_what_came_before_does_not_choose_for_ever(tmp_path: Path) -> None:
    """Bodies that begin differently come to choose alike, so that equal frames of theirs are stored equally."""
    words = random.Random(2)
    lines = [b"%x %d\n" % (words.getrandbits(160), words.randrange(10**6)) for _ in range(200_000)]
    common = b"".join(lines)
    objects = opened(tmp_path / "data", FirstByte(), 4 * FRAME)
    put(objects, "even", b"\0" * 512 + common)
    once = unique(tmp_path / "data")
    put(objects, "odd", b"\1" * 1024 + common)
    added = unique(tmp_path / "data") - once
    closed(objects)
    assert added < once // 2


def test_frames_that_shrink_to_almost_nothing_are_shared_in_runs(tmp_path: Path) -> None:
    """They are too small to be kept one by one; what they are joined to begins and ends with the content, too."""
    words = random.Random(4)
    line = b"2026-11-28T00:00:00Z host-%02d service[%05d]: GET /healthz 200 in 0 ms, nothing else to say about it\n"
    common = b"".join(line % (words.randrange(8), number) for number in range(400_000))
    objects = opened(tmp_path / "data", SamplingDispatcher(), 4 * FRAME)
    first = put(objects, "one", common)
    once = unique(tmp_path / "data")
    moved = put(objects, "two", bytes(3 * 512) + common)
    added = unique(tmp_path / "data") - once
    assert bytes(3 * 512) + common == read(objects, objects.backend.head_object(BUCKET, "two"), 0, moved.size)
    closed(objects)
    assert first.size > 12 * first.stored_size
    assert added < once // 4


def files(size: int) -> list[tuple[str, bytes]]:
    """Real files, of Python itself and of what is installed, *size* bytes or what there is."""
    found, have = [], 0
    for place in ("stdlib", "purelib"):
        for folder, folders, names in os.walk(sysconfig.get_path(place)):
            folders.sort()
            for path in (Path(folder, name) for name in sorted(names)):
                if have < size and path.is_file() and not path.is_symlink():
                    found.append((str(path.relative_to(path.anchor)), path.read_bytes()))
                    have += len(found[-1][1])
    return found


def tar(members: Sequence[tuple[str, bytes]]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as writer:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            writer.addfile(entry, io.BytesIO(data))
    return archive.getvalue()


def test_tars_share_what_follows_a_file_that_grew(tmp_path: Path) -> None:
    """Nine tenths and more of what two archives of real files have in common are stored once, as the store counts."""
    members = files(64 * MIB)
    place = len(members) // 5
    name, data = members[place]
    objects = opened(tmp_path / "data", AutoDispatcher())
    stored = []
    for number in range(3):
        if number == 1:
            members[place] = (name, data + random.Random(1).randbytes(3000))
        elif number == 2:
            members[place : place + 2] = [(name, data[:-1])]
        body = tar(members)
        put(objects, str(number), body)
        stored.append(upkeeping.stats(tmp_path / "data"))
        obj = objects.backend.head_object(BUCKET, str(number))
        assert body[-3 * MIB :] == read(objects, obj, len(body) - 3 * MIB, len(body))
        assert len(body) > 32 * MIB, "too few files for a verdict"
    closed(objects)
    once = stored[0].unique_bytes
    assert [True, True] == [b.unique_bytes - a.unique_bytes < once // 10 for a, b in pairwise(stored)], stored
    assert stored[2].referenced_bytes > 2.9 * once


def test_parts_share_what_moved(tmp_path: Path) -> None:
    """Parts are cut at fixed places, so each falls into step for itself: of 8 MiB most is found again."""
    body = random.Random(3).randbytes(5 * PART)
    objects = opened(tmp_path / "data", SamplingDispatcher())
    first = put_parts(objects, "one", body)
    once = unique(tmp_path / "data")
    moved = body[:MIB] + bytes(5 * 512) + body[MIB:]
    put_parts(objects, "two", moved)
    added = unique(tmp_path / "data") - once
    obj = objects.backend.head_object(BUCKET, "two")
    assert moved[PART - 9 : PART + 9] == read(objects, obj, PART - 9, PART + 9)
    assert moved == read(objects, obj, 0, len(moved))
    assert first.stored_size > once * 0.99
    closed(objects)
    assert added < once * 0.4
