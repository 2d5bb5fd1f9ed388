"""Memory of frames: whatever becomes of a body, each room is given back once, when nobody reads it any more."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from typing import Final

import pytest

from s4gw.backends import MemoryBackend
from s4gw.backends.base import BucketInfo, ObjectMeta, StoredObject
from s4gw.checksum import Algorithm
from s4gw.codec import Choice, EncodedFrame, FrameHeader, SamplingDispatcher, encode_frame
from s4gw.objects import DigestPlan, Expected, Objects
from s4gw.objects.buffers import Room
from s4gw.s3.errors import BadDigest, IncompleteBody

from .bodies import BytesSource, CutSource, mixed

FRAME: Final = 64 * 1024
POISON: Final = b"\xa5"


class Lent:
    """Memory that is spoiled when it is given back, so that whoever still reads it reads nonsense."""

    def __init__(self, size: int) -> None:
        self.view = memoryview(bytearray(size))
        self.given_back = 0

    def give_back(self) -> None:
        self.given_back += 1
        self.view[:] = POISON * len(self.view)


class Lender:
    """Stands in for the GPU worker's client: lends up to *limit* rooms at a time, encodes on the pool, may break."""

    bytes_min = 1024

    def __init__(self, pool: Executor, limit: int, breaks_at: int) -> None:
        self._pool = pool
        self._limit = limit
        self._left = breaks_at
        self.rooms: list[Lent] = []
        self.copied = 0

    def reserve(self, size: int) -> Lent | None:
        if sum(not room.given_back for room in self.rooms) >= self._limit:
            return None
        self.rooms.append(Lent(size))
        return self.rooms[-1]

    def submit(self, data: memoryview, choice: Choice, room: Room) -> Future[EncodedFrame]:
        self.copied += not isinstance(room, Lent)
        self._left -= 1
        if not self._left:
            return self._pool.submit(_broken)
        return self._pool.submit(encode_frame, data, choice)

    def decode(self, header: FrameHeader, payload: memoryview) -> bytes:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is under way."""


def _broken() -> EncodedFrame:
    raise RuntimeError("broken")


class Bench:
    """A service that receives into lent rooms."""

    def __init__(self, limit: int = 100, breaks_at: int = 0) -> None:
        self.backend = MemoryBackend()
        self.backend.create_bucket(BucketInfo(name="b", owner="o", created_ms=0))
        made: list[Lender] = []

        def lender(pool: Executor) -> Lender:
            made.append(Lender(pool, limit, breaks_at))
            return made[0]

        self.objects = Objects(self.backend, SamplingDispatcher(), frame_bytes=FRAME, threads=2, encoder=lender)
        (self.lender,) = made

    def put(self, source: BytesSource, plan: DigestPlan | None = None) -> StoredObject:
        return self.objects.put("b", "k", source, meta=ObjectMeta(owner="o"), plan=plan or DigestPlan()).object

    def read(self, obj: StoredObject) -> bytes:
        return b"".join(self.objects.read("b", obj, 0, obj.size))

    def returned(self) -> bool:
        """Every room came back, once."""
        return [1] * len(self.lender.rooms) == [room.given_back for room in self.lender.rooms]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("size", [0, 5000, FRAME - 1, FRAME, FRAME + 1, 9 * FRAME, 9 * FRAME + 17])
def test_bodies_are_received_where_they_are_encoded(size: int, *, known: bool) -> None:
    """Every frame but the first of a body of unknown length; and what was stored is right."""
    bench = Bench()
    data = mixed(size)
    obj = bench.put(BytesSource(data, known=known))
    assert (data, True) == (bench.read(obj), bench.returned())
    assert (0 if known else min(1, size)) == bench.lender.copied
    bench.objects.close()


def test_what_is_joined_leaves_its_rooms() -> None:
    """Of frames of next to nothing the first few are encoded one by one; none is looked at after its room was given."""
    bench = Bench()
    data = bytes(40 * FRAME) + mixed(3 * FRAME, seed=3)
    obj = bench.put(BytesSource(data))
    assert (data, True) == (bench.read(obj), bench.returned())
    assert obj.meta.frames < 10
    bench.objects.close()


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_where_there_is_no_room_it_is_ours(limit: int) -> None:
    """A ring that is nearly full lends what it has, and the rest is copied."""
    bench = Bench(limit)
    data = mixed(12 * FRAME)
    obj = bench.put(BytesSource(data))
    assert (data, True, True) == (bench.read(obj), bench.returned(), bench.lender.copied > 0)
    bench.objects.close()


@pytest.mark.parametrize("sent", [0, 10, FRAME - 1, FRAME, 3 * FRAME + 5, 9 * FRAME])
@pytest.mark.parametrize("promised", [FRAME, 10 * FRAME])
def test_a_client_that_goes_away_leaves_nothing_behind(sent: int, promised: int) -> None:
    """In the middle of the first frame, between two, in the last one."""
    bench = Bench()
    with pytest.raises(IncompleteBody):
        bench.put(CutSource(mixed(min(sent, promised - 1)), promised))
    assert bench.returned()
    bench.objects.close()


@pytest.mark.parametrize("frame", [1, 2, 5, 10])
def test_a_frame_that_cannot_be_encoded(frame: int) -> None:
    """The write fails, and no room is lost."""
    bench = Bench(breaks_at=frame)
    with pytest.raises(RuntimeError, match="broken"):
        bench.put(BytesSource(mixed(12 * FRAME)))
    assert bench.returned()
    bench.objects.close()


@pytest.mark.parametrize("size", [5000, 5 * FRAME])
def test_a_digest_that_does_not_fit(size: int) -> None:
    """Known at the very end, when all rooms are back."""
    bench = Bench()
    plan = DigestPlan(expected=(Expected(Algorithm.MD5, bytes(16)),))
    with pytest.raises(BadDigest):
        bench.put(BytesSource(mixed(size)), plan)
    assert bench.returned()
    bench.objects.close()
