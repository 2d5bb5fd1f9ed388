"""A strict fake of the parts of cupy and nvCOMP that the adapter calls: what is given to it is checked, then done on
the CPU. It shows the order and the arguments of calls; it says nothing about any GPU.
"""

from __future__ import annotations

import ctypes
import types
import zlib
from typing import Any, Self

import numpy as np
import zstandard

HOST_TO_DEVICE, DEVICE_TO_HOST, DEVICE_TO_DEVICE = 1, 2, 3


class Stream:
    """A stream; work is done at once, and must be waited for all the same."""

    made = 0

    def __init__(self, *, non_blocking: bool) -> None:
        assert non_blocking
        Stream.made += 1
        self.ptr = 0x1000 + Stream.made
        self.pending = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.pending == 0, "left a stream that was not waited for"

    def synchronize(self) -> None:
        self.pending = 0


class DeviceArray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array in the device's memory: numpy hands over to it, and never gets at its bytes."""

    # cupy has each of them
    HANDED_OVER = frozenset({np.empty_like, np.cumsum, np.concatenate, np.packbits, np.count_nonzero})

    def __init__(self, host: Any) -> None:
        self.host = host

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed")  # cupy's words

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = (), **options: Any) -> Any:
        assert method == "__call__"
        given = {"out": tuple(_host(each) for each in out)} if out else {}
        result = ufunc(*[_host(each) for each in inputs], **given, **options)
        return out[0] if out else DeviceArray(np.asarray(result))

    def __array_function__(self, function: Any, _kinds: Any, arguments: Any, options: Any) -> Any:
        assert function in self.HANDED_OVER, function
        given = {name: _host(each) for name, each in options.items()}
        return DeviceArray(np.asarray(function(*_host(arguments), **given)))

    @property
    def data(self) -> Any:
        return types.SimpleNamespace(ptr=int(self.host.__array_interface__["data"][0]))

    @property
    def dtype(self) -> Any:
        return self.host.dtype

    @property
    def size(self) -> int:
        return int(self.host.size)

    @property
    def T(self) -> DeviceArray:  # noqa: N802 - numpy's name
        return DeviceArray(self.host.T)

    def __len__(self) -> int:
        return len(self.host)

    def __int__(self) -> int:
        return int(self.host)

    def __getitem__(self, where: Any) -> DeviceArray:
        return DeviceArray(np.asarray(self.host[where]))

    def __setitem__(self, where: Any, value: Any) -> None:
        self.host[where] = _host(value)

    def __getattr__(self, name: str) -> Any:
        if name not in {"view", "reshape", "copy", "min", "max", "byteswap", "astype"}:
            raise AttributeError(name)
        return lambda *arguments: DeviceArray(np.asarray(getattr(self.host, name)(*arguments)))


def _host(value: Any) -> Any:
    if isinstance(value, DeviceArray):
        return value.host
    return type(value)(map(_host, value)) if isinstance(value, list | tuple) else value


class OutOfMemoryError(MemoryError):
    """As cupy's."""


class Batch:
    """nvCOMP's BatchArray over one buffer."""

    def __init__(self, buffer: DeviceArray, offsets: list[int], sizes: list[int]) -> None:
        assert len(offsets) == len(sizes) > 0
        for offset, size in zip(offsets, sizes, strict=True):
            assert offset % 16 == 0
            assert 0 < size <= buffer.host.nbytes - offset
        self.entries = [buffer.host[offset : offset + size] for offset, size in zip(offsets, sizes, strict=True)]
        self.sizes = sizes

    def __getitem__(self, number: int) -> Any:
        return self.entries[number]

    @property
    def buffer_sizes(self) -> list[int]:
        return self.sizes


class Codec:
    """nvCOMP's Codec: RAW only, with stock libraries behind it."""

    OPTIONS = frozenset({"algorithm", "device_id", "cuda_stream", "bitstream_kind", "data_type"})

    def __init__(self, **options: Any) -> None:
        assert set(options) <= self.OPTIONS
        assert options["bitstream_kind"] == "raw"
        assert (options["algorithm"] == "Bitcomp") == ("data_type" in options)
        self.algorithm = options["algorithm"]
        self.width = int(options.get("data_type", "|u1")[-1])

    def get_max_comp_buffer_size(self, source: Any) -> int:
        return len(source) + 1000

    def encode(self, batch: Batch, *, out: Batch) -> Batch:
        assert not any(len(entry) % self.width for entry in batch.entries)  # Bitcomp takes whole elements
        return self._fill(out, [self._compress(entry.tobytes()) for entry in batch.entries])

    def decode(self, batch: Batch, *, out: Batch) -> Batch:
        return self._fill(out, [self._decompress(entry.tobytes()) for entry in batch.entries])

    def _fill(self, out: Batch, results: list[bytes]) -> Batch:
        for entry, result in zip(out.entries, results, strict=True):
            if len(result) > len(entry):
                raise ValueError("output buffer too small")
            entry[: len(result)] = np.frombuffer(result, np.uint8)
        out.sizes = list(map(len, results))
        return out

    def _compress(self, data: bytes) -> bytes:
        if self.algorithm == "Zstd":
            return bytes(zstandard.ZstdCompressor(level=1).compress(data))
        if self.algorithm == "Gzip":
            squeeze = zlib.compressobj(1, zlib.DEFLATED, 31)
            return bytes(squeeze.compress(data) + squeeze.flush())
        return str(self.algorithm).encode()[:4] + zlib.compress(data, 1)

    def _decompress(self, data: bytes) -> bytes:
        if self.algorithm == "Zstd":
            return bytes(zstandard.ZstdDecompressor().decompress(data))
        if data[:4] != self.algorithm.encode()[:4]:
            raise RuntimeError("a decoder that trusts its input would crash here")
        return zlib.decompress(data[4:])


class Cuda:
    """The two modules, of one device with *room* bytes."""

    def __init__(self, room: int = 2**30) -> None:
        self.room = room
        self.lost = False
        self.allocated: list[DeviceArray] = []
        self.registered: list[tuple[int, int]] = []
        self.copies = 0
        self.streams: dict[int, Stream] = {}
        runtime = types.SimpleNamespace(
            memcpyHostToDevice=HOST_TO_DEVICE,
            memcpyDeviceToHost=DEVICE_TO_HOST,
            memcpyDeviceToDevice=DEVICE_TO_DEVICE,
            memcpyAsync=self.memcpy,
            memcpy2DAsync=self.memcpy_2d,
            hostRegister=lambda address, size, _flags: self.registered.append((address, size)),
            deviceSynchronize=self.synchronize,
        )
        self.cupy = types.SimpleNamespace(
            empty=self.empty,
            get_default_memory_pool=lambda: types.SimpleNamespace(free_all_blocks=self.allocated.clear),
            cuda=types.SimpleNamespace(
                runtime=runtime, Stream=self.stream, Device=_Device, alloc_pinned_memory=self.pinned
            ),
        )
        self.nvcomp = types.SimpleNamespace(
            __version__="6.0.0",
            Codec=Codec,
            BitstreamKind=types.SimpleNamespace(RAW="raw"),
            as_arrays=self.as_arrays,
        )

    def stream(self, *, non_blocking: bool) -> Stream:
        made = Stream(non_blocking=non_blocking)
        self.streams[made.ptr] = made
        return made

    def empty(self, size: int, dtype: str) -> DeviceArray:
        assert dtype == "uint8"
        made = DeviceArray(np.full(size, 0xEE, np.uint8))
        self.allocated.append(made)
        if sum(array.host.nbytes for array in self.allocated[-2:]) > self.room:
            raise OutOfMemoryError
        return made

    def as_arrays(self, buffer: DeviceArray, offsets: list[int], sizes: list[int], stream: int) -> Batch:
        assert stream in self.streams
        return Batch(buffer, offsets, sizes)

    def pinned(self, size: int) -> Any:
        memory = ctypes.create_string_buffer(size)
        return types.SimpleNamespace(ptr=ctypes.addressof(memory), memory=memory)

    def memcpy(self, target: int, source: int, size: int, kind: int, stream: int) -> None:
        assert kind in {HOST_TO_DEVICE, DEVICE_TO_DEVICE}
        self.streams[stream].pending += 1
        ctypes.memmove(target, source, size)

    def memcpy_2d(self, *arguments: int) -> None:
        target, tpitch, source, spitch, width, height, kind, stream = arguments
        assert (DEVICE_TO_HOST, True) == (kind, width <= min(tpitch, spitch))
        self.copies += 1
        self.streams[stream].pending += 1
        for row in range(height):
            ctypes.memmove(target + row * tpitch, source + row * spitch, width)

    def synchronize(self) -> None:
        if self.lost:
            raise RuntimeError("cudaErrorIllegalAddress")
        for stream in self.streams.values():
            stream.pending = 0


class _Device:
    """cupy's context manager."""

    def __init__(self, number: int) -> None:
        assert number == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to undo."""
