"""Objects whose frames need a GPU: written and read through it, and refused by name where there is none."""

from __future__ import annotations

import zlib
from concurrent.futures import Executor, Future

import pytest

from s4gw.backends import MemoryBackend
from s4gw.backends.base import BucketInfo, ObjectMeta
from s4gw.checksum import crc32c
from s4gw.codec import (
    Choice,
    CodecId,
    CodecUnavailable,
    Container,
    EncodedFrame,
    FcgAlgorithm,
    FrameHeader,
    SamplingDispatcher,
    parse_container,
)
from s4gw.gateway import faults
from s4gw.objects import DigestPlan, Objects
from s4gw.objects.buffers import Room
from s4gw.s3.errors import ServiceUnavailable
from tests.gpu.kit import text
from tests.objects.bodies import BytesSource

FRAME = 64 * 1024
CODEC = CodecId.NVCOMP_GDEFLATE


class FakeGpu:
    """Stands in for the client: containers whose chunks are zlib's."""

    bytes_min = 1024

    def __init__(self, _pool: Executor) -> None:
        self.decoded = 0

    def reserve(self, _size: int) -> None:
        """No room to spare."""

    def submit(self, data: memoryview, _choice: Choice, _room: Room) -> Future[EncodedFrame]:
        size = data.nbytes
        payload = Container(FcgAlgorithm.GDEFLATE, 0, size, size, [zlib.compress(data)]).pack()
        header = FrameHeader(CODEC, size, len(payload), crc32c(data))
        future: Future[EncodedFrame] = Future()
        future.set_result(EncodedFrame(header.pack(), payload, CODEC, size, header.crc32c))
        return future

    def decode(self, header: FrameHeader, payload: memoryview) -> bytes:
        self.decoded += 1
        (chunk,) = parse_container(payload, header.original_size).chunks
        return zlib.decompress(chunk)

    def close(self) -> None:
        """Nothing is under way."""


@pytest.mark.parametrize("size", [2000, FRAME, 9 * FRAME + 17])
def test_through_a_gpu_and_without(size: int) -> None:
    """One frame and many; a gateway without a GPU says which codec it lacks, and does not call it damage."""
    backend = MemoryBackend()
    backend.create_bucket(BucketInfo(name="b", owner="o", created_ms=0))
    data = text(size)
    there = Objects(backend, SamplingDispatcher(), frame_bytes=FRAME, encoder=FakeGpu)
    there.put("b", "k", BytesSource(data), meta=ObjectMeta(owner="o"), plan=DigestPlan())
    obj = backend.head_object("b", "k")
    assert data == b"".join(there.read("b", obj, 0, size))
    there.close()
    without = Objects(backend, SamplingDispatcher(), frame_bytes=FRAME)
    with pytest.raises(CodecUnavailable, match="gdeflate needs a GPU") as refused:
        next(iter(without.read("b", obj, 0, size)))
    assert isinstance(faults.translate(refused.value), ServiceUnavailable)
    without.close()
