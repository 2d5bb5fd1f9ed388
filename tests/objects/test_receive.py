"""Uploads beside one another stay in their threads, a lone one is spread over the pool; the bytes are the same."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from s4gw.backends import EmbeddedBackend
from s4gw.backends.base import BucketInfo, ObjectMeta
from s4gw.checksum import Algorithm
from s4gw.codec import SamplingDispatcher
from s4gw.objects import DigestPlan
from s4gw.objects.buffers import Buffer, BufferPool
from s4gw.objects.receive import FRAMES_IN_FLIGHT, Squisher
from s4gw.objects.received import Received
from s4gw.s3.errors import IncompleteBody

from .bodies import BytesSource, CutSource, mixed
from .test_get import CountingPool

BUCKET = "bucket"
FRAME = 256 * 1024
SIZES = (FRAME, FRAME * 5 + 3)


class Buffers(BufferPool):
    """How many buffers are out at once, at most."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.lock = threading.Lock()
        self.out = self.most = 0
        self.spoil = False

    def take(self) -> Buffer:
        with self.lock:
            self.out += 1
            self.most = max(self.most, self.out)
        return super().take()

    def give(self, buffer: Buffer) -> None:
        with self.lock:
            self.out -= 1
        if self.spoil:
            buffer.view[:] = bytes(len(buffer.view))
        super().give(buffer)


@pytest.fixture(params=["off", "bucket"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedBackend]:
    """Where equal frames are stored once, the end of a buffer belongs to the next frame."""
    made = EmbeddedBackend(tmp_path / "data", in_process=True, dedup=request.param)
    made.create_bucket(BucketInfo(name=BUCKET, owner="o", created_ms=0))
    yield made
    made.close()


@pytest.fixture
def squisher() -> Iterator[Squisher]:
    with CountingPool(2) as pool:
        yield Squisher(SamplingDispatcher(), pool, Buffers(FRAME))


def handed(squisher: Squisher) -> int:
    assert isinstance(squisher.pool, CountingPool)
    return squisher.pool.count


def receive(backend: EmbeddedBackend, squisher: Squisher, source: BytesSource) -> tuple[Received, bytes]:
    """Receive, commit and read back the stored bytes."""
    writer = backend.open_writer(BUCKET, "k", ObjectMeta(owner="o"))
    received = squisher.receive(source, writer, DigestPlan(), raw_allowed=True)
    obj = backend.put_object(BUCKET, "k", writer, size=received.size, etag="e", meta=ObjectMeta(owner="o"))
    return received, bytes(backend.read(obj, 0, obj.stored_size))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["noise", "mixed"])
def test_alone_and_beside_others_give_the_same(
    backend: EmbeddedBackend, squisher: Squisher, kind: str, size: int
) -> None:
    """Stored bytes, digests, index and statistics; only the lone one uses the pool."""
    data = mixed(size) if kind == "mixed" else random.Random(size).randbytes(size)
    alone = receive(backend, squisher, BytesSource(data))
    before = handed(squisher)
    with squisher.crowd:
        beside = receive(backend, squisher, BytesSource(data))
    assert 0 < before == handed(squisher)
    assert alone[1] == beside[1]
    assert hashlib.md5(data).digest() == alone[0].digests[Algorithm.MD5]
    assert alone[0].digests == beside[0].digests
    assert (alone[0].crc32c, list(alone[0].index.stored_sizes)) == (
        beside[0].crc32c,
        list(beside[0].index.stored_sizes),
    )
    assert alone[0].statistics == beside[0].statistics


def test_beside_others_a_body_holds_two_frames(backend: EmbeddedBackend, squisher: Squisher) -> None:
    """The one that is being done with, and the next; a lone one some more."""
    data = mixed(FRAME * 12)
    assert isinstance(squisher.buffers, Buffers)
    with squisher.crowd:
        receive(backend, squisher, BytesSource(data))
    assert squisher.buffers.most <= 2
    receive(backend, squisher, BytesSource(data))
    assert (0, True) == (squisher.buffers.out, squisher.buffers.most <= FRAMES_IN_FLIGHT + 1)


@pytest.mark.parametrize("size", SIZES)
def test_a_body_that_breaks_off_no_longer_counts(backend: EmbeddedBackend, squisher: Squisher, size: int) -> None:
    data = mixed(size)
    for _ in range(3):
        writer = backend.open_writer(BUCKET, "k", ObjectMeta(owner="o"))
        with pytest.raises(IncompleteBody):
            squisher.receive(CutSource(data, size + FRAME * 2), writer, DigestPlan(), raw_allowed=True)
        writer.abort()
    assert squisher.crowd.alone
    with squisher.crowd:
        assert squisher.crowd.alone


def test_a_buffer_is_not_given_back_while_its_end_is_needed(backend: EmbeddedBackend, squisher: Squisher) -> None:
    """Whoever takes a buffer may fill it at once; here that happens as soon as it is given back."""
    assert isinstance(squisher.buffers, Buffers)
    squisher.buffers.spoil = True
    for lone in (True, False):
        data = b"".join(b"%d " % number for number in range(600_000))
        with nullcontext() if lone else squisher.crowd:
            received, _ = receive(backend, squisher, BytesSource(data))
        assert hashlib.md5(data).digest() == received.digests[Algorithm.MD5]


def test_many_uploads_at_once_are_whole(backend: EmbeddedBackend, squisher: Squisher) -> None:
    """Some find the pool free and others do not, and it changes while they run."""
    bodies = [mixed(FRAME * (1 + number % 7) + number, seed=number) for number in range(24)]
    digests: dict[int, bytes] = {}

    def work(mine: int) -> None:
        for number in range(mine, len(bodies), 4):
            writer = backend.open_writer(BUCKET, f"k{number}", ObjectMeta(owner="o"))
            received = squisher.receive(BytesSource(bodies[number]), writer, DigestPlan(), raw_allowed=True)
            digests[number] = received.digests[Algorithm.MD5]
            backend.put_object(BUCKET, f"k{number}", writer, size=received.size, etag="e", meta=ObjectMeta(owner="o"))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: hashlib.md5(data).digest() for number, data in enumerate(bodies)} == digests
