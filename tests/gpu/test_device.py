"""On a GPU: what it writes, the CPU reads, and the whole of `s4gw gpu check` passes. Not run on one yet."""

from __future__ import annotations

import io
from typing import Final

import pytest
import zstandard

from s4gw.codec import CodecId, Filter, decode_payload
from s4gw.gpu import nvcomp
from s4gw.gpu.engine import Engine, Task
from s4gw.gpu.protocol import pack_filter
from tests.gpu.kit import text

pytestmark = pytest.mark.gpu
SIZES: Final = (1, 4096, 65536, 65537, 1024 * 1024)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return nvcomp.make(0)


def test_stock_zstd_reads_it(engine: Engine) -> None:
    """Frame after frame."""
    chunks = [text(size, size) for size in SIZES]
    results = engine.encode_batch(Task(CodecId.CPU_ZSTD), [memoryview(bytearray(chunk)) for chunk in chunks])
    stock = zstandard.ZstdDecompressor()
    read = [
        stock.stream_reader(io.BytesIO(result), read_across_frames=True).read()
        for result in results
        if isinstance(result, bytes)
    ]
    assert chunks == read


@pytest.mark.parametrize("codec", [CodecId.CPU_ZSTD, CodecId.CPU_GZIP])
def test_our_decoders_read_it(engine: Engine, codec: CodecId) -> None:
    """As a gateway without a GPU does."""
    chunks = [text(size, size) for size in SIZES]
    results = engine.encode_batch(Task(codec), [memoryview(bytearray(chunk)) for chunk in chunks])
    pairs = zip(chunks, results, strict=True)
    assert chunks == [decode_payload(codec, each, len(chunk)) for chunk, each in pairs if isinstance(each, bytes)]


@pytest.mark.parametrize("wanted", nvcomp.TYPED_SAMPLES)
def test_typed_is_our_own_format(engine: Engine, wanted: Filter) -> None:
    """The transform on the device, if there is NVRTC."""
    if CodecId.TYPED not in engine.encodes:
        pytest.skip("no NVRTC")
    chunks = [text(size, size) for size in SIZES]
    task = Task(CodecId.TYPED, parameters=pack_filter(wanted))
    pairs = zip(chunks, engine.encode_batch(task, [memoryview(bytearray(chunk)) for chunk in chunks]), strict=True)
    assert chunks == [
        decode_payload(CodecId.TYPED, each, len(chunk)) for chunk, each in pairs if isinstance(each, bytes)
    ]


@pytest.mark.parametrize("codec", [CodecId.NVCOMP_BITCOMP, CodecId.NVCOMP_GDEFLATE])
def test_containers_come_back(engine: Engine, codec: CodecId) -> None:
    """Through the same device; nobody else reads them."""
    chunks = [text(size, size) for size in SIZES]
    results = engine.encode_batch(Task(codec, parameters=b"\4"), [memoryview(bytearray(chunk)) for chunk in chunks])
    payloads = [memoryview(each) for each in results if isinstance(each, bytes)]
    assert chunks == list(engine.decode_batch(Task(codec), payloads, list(SIZES)))
