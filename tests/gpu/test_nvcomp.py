"""Tests of s4gw.gpu.nvcomp over a strict fake of its libraries: the bytes it makes of their results, and its errors.

Nothing here runs on a GPU; `s4gw gpu check` does where there is one.
"""

from __future__ import annotations

import gzip
import io
import os

import pytest
import zstandard

from s4gw.codec import CodecId, FcgAlgorithm, Filter, TypedFilter, decode_payload, parse_container
from s4gw.gpu import nvcomp, nvml
from s4gw.gpu.engine import DamagedPayload, DeviceLost, DeviceOutOfMemory, EngineError, EngineUnavailable, Task
from s4gw.gpu.nvcomp import PIECE_BYTES, NvcompEngine
from s4gw.gpu.protocol import pack_filter
from tests.gpu.fake_cuda import Codec, Cuda, DeviceArray
from tests.gpu.kit import text

SIZES = (1, 100, PIECE_BYTES, PIECE_BYTES + 1, 16 * PIECE_BYTES)


@pytest.fixture
def cuda() -> Cuda:
    return Cuda()


@pytest.fixture
def engine(cuda: Cuda) -> NvcompEngine:
    return NvcompEngine(0, cuda.cupy, cuda.nvcomp, "fake")


def encoded(engine: NvcompEngine, task: Task, chunks: list[bytes]) -> list[bytes]:
    """Results that must all be bytes."""
    results = engine.encode_batch(task, [memoryview(chunk) for chunk in chunks])
    return [result for result in results if isinstance(result, bytes)]


def test_zstd_is_stock_zstd(engine: NvcompEngine, cuda: Cuda) -> None:
    """Any zstd reads it: one launch, one copy back, pieces as frames that follow one another."""
    chunks = [text(size, size) for size in SIZES]
    before = cuda.copies
    payloads = encoded(engine, Task(CodecId.CPU_ZSTD), chunks)
    assert 1 == cuda.copies - before
    stock = zstandard.ZstdDecompressor()
    read = [stock.stream_reader(io.BytesIO(payload), read_across_frames=True).read() for payload in payloads]
    assert chunks == read
    assert chunks == [
        decode_payload(CodecId.CPU_ZSTD, payload, len(chunk)) for payload, chunk in zip(payloads, chunks, strict=True)
    ]


def test_gzip_is_one_member(engine: NvcompEngine) -> None:
    """As gunzip and our own strict reader want it."""
    chunks = [text(size, size) for size in SIZES]
    payloads = encoded(engine, Task(CodecId.CPU_GZIP), chunks)
    assert chunks == [gzip.decompress(payload) for payload in payloads]
    assert chunks == [
        decode_payload(CodecId.CPU_GZIP, payload, len(chunk)) for payload, chunk in zip(payloads, chunks, strict=True)
    ]


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(TypedFilter.PLANES, 8),
        Filter(TypedFilter.PLANES, 21, mask=5),
        Filter(TypedFilter.DELTA, 4, big_endian=True),
        Filter(TypedFilter.DELTA_PLANES, 8),
        Filter(TypedFilter.PACK, 8),
        Filter(TypedFilter.PACK, 2),
    ],
)
def test_typed_is_our_own_format(engine: NvcompEngine, wanted: Filter) -> None:
    """The CPU's transform on the device's arrays: our decoder reads it, odd tails, noise and repetition included."""
    numbers = b"".join((10**12 + number * number).to_bytes(8, "little") for number in range(20_000))
    chunks = [numbers + b"odd", text(PIECE_BYTES + 3), bytes(100_000), numbers[:7], numbers[:9], os.urandom(50_000)]
    payloads = encoded(engine, Task(CodecId.TYPED, parameters=pack_filter(wanted)), chunks)
    pairs = zip(payloads, chunks, strict=True)
    assert chunks == [decode_payload(CodecId.TYPED, payload, len(chunk)) for payload, chunk in pairs]
    assert len(payloads[2]) < 500  # zeros, once for each plane of the widest filter


def test_typed_needs_a_compiler(cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without NVRTC everything else serves all the same."""
    monkeypatch.setattr(DeviceArray, "__array_ufunc__", None)
    engine = NvcompEngine(0, cuda.cupy, cuda.nvcomp, "fake")
    assert (False, True) == (CodecId.TYPED in engine.encodes, CodecId.CPU_ZSTD in engine.encodes)


@pytest.mark.parametrize(("width", "number"), [(0, 1), (1, 1), (2, 2), (4, 3), (8, 4)])
def test_bitcomp_goes_into_s4s_container(engine: NvcompEngine, width: int, number: int) -> None:
    """With the type of the elements, or as bytes where the last one is not whole; and each comes back."""
    chunks = [text(3 * PIECE_BYTES + 5), text(3 * PIECE_BYTES + 8), text(PIECE_BYTES - 1), text(PIECE_BYTES)]
    payloads = encoded(engine, Task(CodecId.NVCOMP_BITCOMP, parameters=bytes((width,))), chunks)
    containers = [parse_container(payload, len(chunk)) for payload, chunk in zip(payloads, chunks, strict=True)]
    odd = 1 if width > 1 else number
    assert [(odd, 4), (number, 4), (odd, 1), (number, 1)] == [
        (container.data_type, len(container.chunks)) for container in containers
    ]
    assert {(FcgAlgorithm.BITCOMP, PIECE_BYTES)} == {(each.algorithm, each.chunk_bytes) for each in containers}
    views = [memoryview(payload) for payload in payloads]
    assert chunks == engine.decode_batch(Task(CodecId.NVCOMP_BITCOMP), views, list(map(len, chunks)))


def test_gdeflate_goes_into_s4s_container(engine: NvcompEngine) -> None:
    """And comes back, several at once."""
    chunks = [text(size, size) for size in SIZES]
    payloads = encoded(engine, Task(CodecId.NVCOMP_GDEFLATE), chunks)
    views = [memoryview(payload) for payload in payloads]
    assert chunks == engine.decode_batch(Task(CodecId.NVCOMP_GDEFLATE), views, list(SIZES))


def test_what_no_cpu_reads_is_decoded_before_it_is_given(engine: NvcompEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong bitcomp stream is an error, never a result."""
    sound = Codec._compress
    monkeypatch.setattr(Codec, "_compress", lambda self, data: sound(self, bytes(len(data))))
    (result,) = engine.encode_batch(Task(CodecId.NVCOMP_BITCOMP), [memoryview(text(1000))])
    assert isinstance(result, EngineError)


def test_damaged_containers_never_reach_a_decoder(engine: NvcompEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """NvCOMP trusts its input."""
    (payload,) = encoded(engine, Task(CodecId.NVCOMP_GDEFLATE), [text(1000)])
    monkeypatch.setattr(Codec, "decode", lambda *_: pytest.fail("a decoder was called"))
    for damaged, size in ((payload[:-1], 1000), (payload, 999), (b"nothing", 1000), (b"", 1000)):
        (result,) = engine.decode_batch(Task(CodecId.NVCOMP_GDEFLATE), [memoryview(damaged)], [size])
        assert isinstance(result, DamagedPayload)


def test_the_ring_is_pinned_once(engine: NvcompEngine, cuda: Cuda) -> None:
    """With its address and size."""
    ring = bytearray(4096)
    engine.adopt(memoryview(ring))
    ((_, size),) = cuda.registered
    assert 4096 == size


def test_want_of_memory_is_told_apart(engine: NvcompEngine, cuda: Cuda) -> None:
    """The worker makes smaller batches then."""
    cuda.room = 1000
    with pytest.raises(DeviceOutOfMemory):
        engine.encode_batch(Task(CodecId.CPU_ZSTD), [memoryview(text(10_000))])


def test_a_lost_device_is_told_apart(engine: NvcompEngine, cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker ends then: a CUDA context does not recover from some errors."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("an illegal memory access was encountered")

    monkeypatch.setattr(Codec, "encode", broken)
    with pytest.raises(EngineError) as plain:
        engine.encode_batch(Task(CodecId.CPU_ZSTD), [memoryview(text(1000))])
    cuda.lost = True
    with pytest.raises(DeviceLost):
        engine.encode_batch(Task(CodecId.CPU_ZSTD), [memoryview(text(1000))])
    assert not isinstance(plain.value, DeviceLost)


def test_an_engine_that_does_not_work_is_none(cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every codec is tried before the worker says that it is ready."""
    monkeypatch.setattr(Codec, "_decompress", lambda *_: b"other bytes")
    with pytest.raises(EngineError):
        NvcompEngine(0, cuda.cupy, cuda.nvcomp, "fake")


def test_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra there is no engine, and the reason says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    with pytest.raises(EngineUnavailable, match=r"s4gw\[gpu\] is not installed"):
        nvcomp.make(0)
    with pytest.raises(EngineUnavailable):
        nvml.require(0)
