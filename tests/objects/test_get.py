"""Long bodies come back bit for bit, whether one or many are read, and their blocks stay as they are."""

from __future__ import annotations

import random
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from s4gw.backends import Buffer, EmbeddedBackend
from s4gw.backends.base import BucketInfo, ObjectMeta, StoredObject
from s4gw.codec import SamplingDispatcher
from s4gw.objects import DamagedObject, DigestPlan, Objects, get
from s4gw.objects.dictionaries import Dictionaries
from s4gw.objects.get import Reader
from s4gw.objects.layout import LayoutCache
from s4gw.s3.errors import InternalError

from .bodies import BytesSource, mixed

BUCKET = "bucket"
FRAME = 128 * 1024
TEXT = b"".join(b"line %d of a log that shrinks\n" % number for number in range(60_000))
NOISE = random.Random(3).randbytes(1_700_000)


class CountingPool(ThreadPoolExecutor):
    """How often work was handed over."""

    count = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.count += 1
        return super().submit(fn, *args, **kwargs)


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[EmbeddedBackend]:
    made = EmbeddedBackend(tmp_path / "data", in_process=True)
    made.create_bucket(BucketInfo(name=BUCKET, owner="o", created_ms=0))
    yield made
    made.close()


@pytest.fixture
def pool() -> Iterator[CountingPool]:
    with CountingPool(2) as made:
        yield made


@pytest.fixture
def reader(backend: EmbeddedBackend, pool: CountingPool) -> Reader:
    return Reader(backend, LayoutCache(backend), Dictionaries(backend), pool)


def put(backend: EmbeddedBackend, key: str, data: bytes) -> StoredObject:
    objects = Objects(backend, SamplingDispatcher(), frame_bytes=FRAME, threads=1)
    objects.put(BUCKET, key, BytesSource(data), meta=ObjectMeta(owner="o"), plan=DigestPlan())
    objects.close()
    return backend.head_object(BUCKET, key)


def test_a_lone_reader_decodes_ahead_and_several_do_not(
    backend: EmbeddedBackend, reader: Reader, pool: CountingPool
) -> None:
    """Beside another body each stays in its thread, and goes ahead again when that one is done."""
    text, other = put(backend, "text", TEXT), put(backend, "mixed", mixed(FRAME * 9 + 17))
    frames = -(-len(TEXT) // FRAME)
    assert TEXT == b"".join(reader.read(BUCKET, text, 0, text.size))
    assert frames == pool.count
    first, second = reader.read(BUCKET, text, 0, text.size), reader.read(BUCKET, other, 0, other.size)
    given = [next(second)]
    handed = pool.count
    joined = b"".join(first)
    assert handed == pool.count
    assert (TEXT, mixed(FRAME * 9 + 17)) == (joined, b"".join([*given, *second]))
    assert TEXT == b"".join(reader.read(BUCKET, text, 0, text.size))
    assert pool.count >= handed + frames


def test_what_is_stored_as_it_is_needs_no_pool_and_no_copy(
    backend: EmbeddedBackend, reader: Reader, pool: CountingPool
) -> None:
    obj = put(backend, "noise", NOISE)
    kept = list(reader.read(BUCKET, obj, 0, obj.size))
    assert 0 == pool.count
    assert all(isinstance(block, memoryview) for block in kept)
    list(reader.read(BUCKET, obj, 0, obj.size))
    assert NOISE == b"".join(kept)


@pytest.mark.parametrize("data", [TEXT, NOISE, mixed(2_000_000)], ids=["text", "noise", "mixed"])
def test_ranges_beside_another_reader_are_slices(backend: EmbeddedBackend, reader: Reader, data: bytes) -> None:
    obj, rng = put(backend, "k", data), random.Random(11)
    beside = reader.read(BUCKET, obj, 0, obj.size)
    for _ in range(15):
        start = rng.randrange(len(data))
        end = rng.randrange(start, len(data)) + 1
        assert data[start:end] == b"".join(reader.read(BUCKET, obj, start, end))
        next(beside, None)


class Block(bytearray):
    """A decoded frame that tells when nobody holds it any more."""


@pytest.mark.parametrize("readers", [1, 2])
def test_blocks_that_have_left_are_held_by_nobody(
    backend: EmbeddedBackend, reader: Reader, monkeypatch: pytest.MonkeyPatch, readers: int
) -> None:
    """However slow a client is, it keeps what is under way to it, not what it has had."""
    obj, decode = put(backend, "k", TEXT), get._Frame.decode
    monkeypatch.setattr(get._Frame, "decode", lambda *arguments: Block(decode(*arguments)))
    opened = [reader.read(BUCKET, obj, 0, obj.size) for _ in range(readers)]
    left = [weakref.ref(cast("Block", next(opened[0]))) for _ in range(8)]
    assert [None] * 4 == [block() for block in left[:4]]  # the pool's threads may still be letting go of the last ones


def test_a_reader_that_is_given_up_no_longer_counts(backend: EmbeddedBackend, reader: Reader) -> None:
    obj = put(backend, "k", TEXT)
    given_up = [reader.read(BUCKET, obj, 0, obj.size) for _ in range(3)]
    before = reader.crowd.alone
    given_up.clear()
    assert (False, True) == (before, reader.crowd.alone)
    assert TEXT == b"".join(reader.read(BUCKET, obj, 0, obj.size))


def test_damage_in_the_middle_ends_the_answer_before_it(
    backend: EmbeddedBackend, reader: Reader, tmp_path: Path
) -> None:
    """Blocks before the damage are right, nothing of the damaged frame is given."""
    obj = put(backend, "k", NOISE)
    volume = next((tmp_path / "data" / "volumes").iterdir())
    content = bytearray(volume.read_bytes())
    at = content.index(NOISE[900_000:900_100])
    content[at] ^= 1
    volume.write_bytes(content)
    given: list[Buffer] = []
    with pytest.raises((DamagedObject, InternalError)):
        given.extend(reader.read(BUCKET, obj, 0, obj.size))
    assert NOISE.startswith(b"".join(given))
