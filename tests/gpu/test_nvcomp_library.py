"""The adapter held against the real libraries, where ``s4gw[gpu]`` is installed: no GPU is needed for this.

CI's optional job installs them (`make test-gpu`). nvCOMP checks algorithms and keywords before it looks for a driver,
so that a wrong name is a ValueError and a right one gets as far as the missing driver.
"""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from s4gw.gpu import nvcomp as adapter
from s4gw.gpu.engine import EngineUnavailable
from tests.gpu.device import has_device
from tests.gpu.fake_cuda import DeviceArray

pynvml = pytest.importorskip("pynvml", reason="NOT RUN: s4gw[gpu] is not installed")
cupy: Any = pytest.importorskip("cupy", reason="NOT RUN: s4gw[gpu] is not installed")
nvcomp: Any = pytest.importorskip("nvidia.nvcomp", reason="NOT RUN: s4gw[gpu] is not installed")


def options(algorithm: str, data_type: str) -> dict[str, Any]:
    """What the adapter gives to `Codec`."""
    given = {"algorithm": algorithm, "device_id": 0, "bitstream_kind": nvcomp.BitstreamKind.RAW}
    return given | ({"data_type": data_type} if data_type else {})


def test_the_version_is_the_one_that_was_written_for() -> None:
    """A batch over one buffer came with 6.0."""
    assert str(adapter.VERSION_MAJOR) == nvcomp.__version__.partition(".")[0]
    assert callable(nvcomp.as_arrays)
    assert {"buffer_sizes"} <= set(dir(nvcomp.BatchArray))
    assert {"encode", "decode", "get_max_comp_buffer_size"} <= set(dir(nvcomp.Codec))


@pytest.mark.skipif(has_device(), reason="a GPU is at hand: see `s4gw gpu check`")
@pytest.mark.parametrize("algorithm", ["Zstd", "Gzip", "GDeflate", "Bitcomp", "Snappy", "LZ4"])
def test_names_and_keywords_are_right(algorithm: str) -> None:
    """They get as far as the missing driver."""
    for data_type in ["|u1", "<u2", "<u4", "<u8"] if algorithm == "Bitcomp" else [""]:
        with pytest.raises(RuntimeError, match="driver"):
            nvcomp.Codec(**options(algorithm, data_type), cuda_stream=1)


def test_wrong_names_and_keywords_are_noticed() -> None:
    """Or the test above would show nothing."""
    with pytest.raises(ValueError, match="algorithm"):
        nvcomp.Codec(**options("Zstandard", ""))
    with pytest.raises(ValueError, match="argument"):
        nvcomp.Codec(**options("Zstd", ""), level=3)


def test_signatures_have_the_arguments_that_are_given() -> None:
    """By the documentation in the libraries."""
    assert "buffer: object, offsets: list[int], sizes: list[int], cuda_stream: int" in nvcomp.as_arrays.__doc__
    for method in (nvcomp.Codec.encode, nvcomp.Codec.decode):
        assert "nvcomp.nvcomp_impl.BatchArray" in method.__doc__
        assert "out: object = None" in method.__doc__
    runtime = cupy.cuda.runtime
    assert (
        "memcpyAsync(intptr_t dst, intptr_t src, size_t size, int kind, intptr_t stream)" in runtime.memcpyAsync.__doc__
    )
    copy = "intptr_t dst, size_t dpitch, intptr_t src, size_t spitch, size_t width, size_t height, MemoryKind kind"
    assert copy in runtime.memcpy2DAsync.__doc__
    assert "hostRegister(intptr_t ptr, size_t size, unsigned int flags)" in runtime.hostRegister.__doc__
    assert (1, 2) == (int(runtime.memcpyHostToDevice), int(runtime.memcpyDeviceToHost))
    assert issubclass(cupy.cuda.memory.OutOfMemoryError, MemoryError)
    assert "non_blocking" in str(inspect.getdoc(cupy.cuda.Stream))


def test_arrays_have_what_the_transforms_use() -> None:
    """Numpy's functions hand over to cupy's, under these names and options."""
    assert "bitorder" in cupy.packbits.__doc__
    assert all(callable(getattr(cupy, function.__name__)) for function in DeviceArray.HANDED_OVER)
    methods = {"view", "reshape", "copy", "min", "max", "byteswap", "astype", "__array_function__", "__array_ufunc__"}
    assert methods | {"T", "size", "dtype", "data"} <= set(dir(cupy.ndarray))


@pytest.mark.skipif(has_device(), reason="a GPU is at hand: see `s4gw gpu check`")
def test_no_driver_is_no_engine() -> None:
    """What an installation without a GPU meets, in the words that its log shows."""
    with pytest.raises(EngineUnavailable, match="no CUDA device"):
        adapter.make(0)
