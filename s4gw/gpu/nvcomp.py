"""The engine of NVIDIA's GPUs: nvCOMP 6 and cupy, which this module alone loads, in the worker process alone.

**Not run on a GPU yet.** Names, keywords and sizes are held against the installed libraries by
`tests/gpu/test_nvcomp_library.py`, the order of calls against a strict fake by `tests/gpu/test_nvcomp.py`, and
``s4gw gpu check`` runs the rest where there is a device.

A launch is one batch: chunks are copied to one block of device memory (the ring is registered as pinned once), cut into
pieces for parallelism, compressed with the RAW bitstream kind, which adds no header of NVIDIA's, and brought back with
one strided copy. Pieces of zstd are stock zstd frames, which follow one another in the payload of codec 1; gzip is one
member per chunk; bitcomp and gdeflate go into S4's FCG1 container. Those two have no decoder on the CPU, so that every
result is decoded here and compared before it is given.
"""

from __future__ import annotations

import ctypes
import importlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from s4gw.checksum import Buffer
from s4gw.codec import (
    CodecError,
    CodecId,
    Container,
    FcgAlgorithm,
    Filter,
    StreamKind,
    TypedFilter,
    assemble_typed,
    finish_stream,
    forward_typed,
    parse_container,
)
from s4gw.gpu import nvml
from s4gw.gpu.batch import Plan
from s4gw.gpu.engine import (
    DamagedPayload,
    DeviceLost,
    DeviceOutOfMemory,
    EngineError,
    EngineUnavailable,
    Task,
)
from s4gw.gpu.protocol import pack_filter, unpack_filter
from s4gw.observability import get_logger

VERSION_MAJOR: Final = 6
"""5.x has no BatchArray; a 7 has not been seen."""

PIECE_BYTES: Final = 64 * 1024
"""NVIDIA's advice for zstd: larger pieces give ratio, smaller ones parallelism. To be measured on a GPU."""
ALIGNMENT: Final = 16
"""Enough for every algorithm in both directions."""

BATCH_BYTES_MAX: Final = 64 * 1024**2
LINGER_S: Final = 0.002
STREAMS: Final = 2
"""One copies while the other computes. 1024 pieces a launch fill a large GPU; to be measured."""

TYPED_SAMPLES: Final = (
    Filter(TypedFilter.PLANES, 8, mask=255),
    Filter(TypedFilter.DELTA, 4, big_endian=True),
    Filter(TypedFilter.DELTA_PLANES, 8),
    Filter(TypedFilter.PACK, 8),
)
"""What codec 65 is tried with before it is offered: a kernel of each kind."""

_TYPES: Final = {1: ("|u1", 1), 2: ("<u2", 2), 4: ("<u4", 3), 8: ("<u8", 4)}
"""Bytes of an element -> (nvCOMP's type string, number of the type in FCG1)."""
_TYPE_STRINGS: Final = {0: "|i1", 1: "|u1", 2: "<u2", 3: "<u4", 4: "<u8", 5: "|i1", 6: "<i2", 7: "<i4", 8: "<i8"}
"""Number of the type in FCG1 -> nvCOMP's type string; 0 is char."""

_CONTAINERS: Final = {
    CodecId.NVCOMP_BITCOMP: (FcgAlgorithm.BITCOMP, "Bitcomp"),
    CodecId.NVCOMP_GDEFLATE: (FcgAlgorithm.GDEFLATE, "GDeflate"),
}
_ALGORITHMS: Final = {
    FcgAlgorithm.SNAPPY: "Snappy",
    FcgAlgorithm.LZ4: "LZ4",
    FcgAlgorithm.ZSTD: "Zstd",
    FcgAlgorithm.BITCOMP: "Bitcomp",
    FcgAlgorithm.GDEFLATE: "GDeflate",
}


class NvcompEngine:
    """One GPU.

    Args:
        device: Its number.
        cupy: The library; a test may pass a fake.
        nvcomp: The library.
        name: Of the device, for people.

    Raises: EngineUnavailable.
    """

    decodes: frozenset[int] = frozenset(
        map(int, (CodecId.NVCOMP_ZSTD, CodecId.NVCOMP_BITCOMP, CodecId.NVCOMP_GDEFLATE))
    )

    def __init__(self, device: int, cupy: Any, nvcomp: Any, name: str) -> None:
        self.name = f"nvcomp {nvcomp.__version__} on {name}"
        self.plan = Plan(batch_bytes_max=BATCH_BYTES_MAX, linger_s=LINGER_S, streams=STREAMS)
        self._device = device
        self._cupy = cupy
        self._nvcomp = nvcomp
        self._local = threading.local()
        self.encodes: frozenset[int] = frozenset()
        # Kernels are loaded at their first use, which takes long: better now than under a deadline.
        sample = memoryview(bytes(range(256)) * 1024)
        for codec in (CodecId.CPU_ZSTD, CodecId.CPU_GZIP, CodecId.NVCOMP_BITCOMP, CodecId.NVCOMP_GDEFLATE):
            (result,) = self.encode_batch(Task(codec), [sample])
            if isinstance(result, EngineError):
                raise EngineUnavailable(f"{codec.label} does not work: {result}") from result
            self.encodes |= {int(codec)}
        self._try_typed(sample)
        self._local = threading.local()  # scratch memory of a thread that compresses nothing more

    def _try_typed(self, sample: memoryview) -> None:
        """Offer codec 65 if cupy can compile its kernels here: that takes NVRTC, which nothing else does."""
        try:
            for wanted in TYPED_SAMPLES:
                self.encode_batch(Task(CodecId.TYPED, parameters=pack_filter(wanted)), [sample])
        except DeviceLost:
            raise
        except Exception as error:  # noqa: BLE001 - a compiler that is missing shows in many ways
            get_logger().warning("gpu: typed frames stay on the CPU", reason=f"{type(error).__name__}: {error}"[:200])
            return
        self.encodes |= {int(CodecId.TYPED)}

    def adopt(self, ring: memoryview) -> None:
        """Register the ring as pinned, so that copies to the device run beside everything else."""
        try:
            with self._cupy.cuda.Device(self._device):
                self._cupy.cuda.runtime.hostRegister(_address(ring), len(ring), 0)
        except RuntimeError as error:
            get_logger().warning("gpu: the ring cannot be pinned; copies will be slower", reason=str(error))

    def encode_batch(self, task: Task, chunks: Sequence[memoryview]) -> Sequence[bytes | EngineError]:
        return self._guarded(lambda: self._encode(task, chunks))

    def decode_batch(
        self,
        task: Task,  # noqa: ARG002 - the containers tell
        payloads: Sequence[memoryview],
        sizes: Sequence[int],
    ) -> Sequence[bytes | EngineError]:
        pairs = list(zip(payloads, sizes, strict=True))
        return self._guarded(lambda: [self._decode_one(payload, size) for payload, size in pairs])

    # -- encoding --------------------------------------------------------------------------------------------------
    def _encode(self, task: Task, chunks: Sequence[memoryview]) -> list[bytes | EngineError]:
        codec = CodecId(task.codec)
        if codec is CodecId.CPU_ZSTD:
            return [b"".join(pieces) for pieces in self._compress("Zstd", "", chunks, PIECE_BYTES)]
        if codec is CodecId.CPU_GZIP:
            longest = max(map(len, chunks))
            return [b"".join(pieces) for pieces in self._compress("Gzip", "", chunks, longest)]
        if codec is CodecId.TYPED:
            return self._encode_typed(unpack_filter(task.parameters), chunks)
        if codec not in _CONTAINERS:
            raise EngineError(f"{codec.label} is not for a GPU")
        if codec is CodecId.NVCOMP_GDEFLATE:
            return self._encode_container(codec, "", 0, chunks)
        width = task.parameters[0] if task.parameters and task.parameters[0] in _TYPES else 1
        # Bitcomp takes whole elements: the end of a body may have a part of one, and goes as bytes.
        whole = [chunk for chunk in chunks if len(chunk) % width == 0]
        other = [chunk for chunk in chunks if len(chunk) % width]
        made = iter(self._encode_container(codec, *_TYPES[width], whole) if whole else ())
        rest = iter(self._encode_container(codec, *_TYPES[1], other) if other else ())
        return [next(rest if len(chunk) % width else made) for chunk in chunks]

    def _encode_container(
        self, codec: CodecId, data_type: str, number: int, chunks: Sequence[memoryview]
    ) -> list[bytes | EngineError]:
        algorithm, name = _CONTAINERS[codec]
        made = self._compress(name, data_type, chunks, PIECE_BYTES)
        return [
            self._checked(Container(algorithm, number, len(chunk), PIECE_BYTES, pieces), chunk)
            for chunk, pieces in zip(chunks, made, strict=True)
        ]

    def _checked(self, container: Container, chunk: memoryview) -> bytes | EngineError:
        """Give the container if it decodes to *chunk*: nobody else could tell."""
        if self._decompress(container) != chunk:
            return EngineError(f"{container.algorithm.name.lower()} does not decode to what it was made of")
        return container.pack()

    def _compress(
        self, algorithm: str, data_type: str, chunks: Sequence[memoryview], piece_bytes: int
    ) -> list[list[bytes]]:
        """Compress chunks in pieces of *piece_bytes*: for each chunk its compressed pieces, in order."""
        cupy, cuda = self._cupy, self._cupy.cuda.runtime
        with self._working() as stream:
            counts = [-(-len(chunk) // piece_bytes) for chunk in chunks]
            assert piece_bytes % ALIGNMENT == 0 or max(counts) == 1
            source = cupy.empty(_aligned(piece_bytes) * sum(counts), dtype="uint8")
            offsets, sizes, position = [], [], 0
            for chunk, count in zip(chunks, counts, strict=True):
                place = source.data.ptr + position
                # PERF: one copy; its pieces lie where they are to be, one after another.
                cuda.memcpyAsync(place, _address(chunk), len(chunk), cuda.memcpyHostToDevice, stream.ptr)
                offsets += [position + start for start in range(0, len(chunk), piece_bytes)]
                sizes += [min(piece_bytes, len(chunk) - start) for start in range(0, len(chunk), piece_bytes)]
                position += _aligned(piece_bytes) * count
            pieces = iter(self._launch(self._codec(algorithm, data_type, stream), source, offsets, sizes, stream))
            return [[next(pieces) for _ in range(count)] for count in counts]

    def _encode_typed(self, wanted: Filter, chunks: Sequence[memoryview]) -> list[bytes | EngineError]:
        """Rearrange numbers with the CPU's own code on arrays of the device, then compress the streams of all chunks.

        Each stream is zstd frames of `PIECE_BYTES`, or as it is: what any reader of codec 65 takes.
        """
        cupy, cuda = self._cupy, self._cupy.cuda.runtime
        with self._working() as stream:
            forwarded: list[tuple[bytes, list[Any], memoryview]] = []
            for chunk in chunks:
                data = cupy.empty(len(chunk), dtype="uint8")
                cuda.memcpyAsync(data.data.ptr, _address(chunk), len(chunk), cuda.memcpyHostToDevice, stream.ptr)
                size = len(chunk) - len(chunk) % wanted.width
                head, streams = forward_typed(data[:size], wanted)
                forwarded.append((head, list(streams), chunk[size:]))
            cuts = [
                (each, start, min(PIECE_BYTES, each.size - start))
                for _, streams, _ in forwarded
                for each in streams
                for start in range(0, each.size, PIECE_BYTES)
            ]
            source = cupy.empty(max(1, PIECE_BYTES * len(cuts)), dtype="uint8")
            offsets = [PIECE_BYTES * number for number in range(len(cuts))]
            for offset, (each, start, size) in zip(offsets, cuts, strict=True):
                place = source.data.ptr + offset
                cuda.memcpyAsync(place, each.data.ptr + start, size, cuda.memcpyDeviceToDevice, stream.ptr)
            sizes = [size for _, _, size in cuts]
            made = self._launch(self._codec("Zstd", "", stream), source, offsets, sizes, stream) if cuts else []
            pieces = iter(made)
            return [
                assemble_typed(head, tail, [self._squeezed(each, pieces, stream) for each in streams])
                for head, streams, tail in forwarded
            ]

    def _squeezed(self, each: Any, pieces: Iterator[bytes], stream: Any) -> tuple[StreamKind, Buffer]:
        """The smallest form of one stream, of which the next *pieces* were made."""
        packed = b"".join(next(pieces) for _ in range(0, each.size, PIECE_BYTES))
        if not each.size:
            return StreamKind.RAW, b""
        form = finish_stream(packed, each.size)
        return form or (StreamKind.RAW, b"".join(self._bring_back(each.data.ptr, each.size, [each.size], stream)))

    def _launch(self, codec: Any, source: Any, offsets: list[int], sizes: list[int], stream: Any) -> list[bytes]:
        """Compress pieces that lie in device memory, all at once."""
        batch = self._nvcomp.as_arrays(source, offsets, sizes, stream.ptr)
        room = _aligned(int(codec.get_max_comp_buffer_size(batch[sizes.index(max(sizes))])))
        target = self._cupy.empty(room * len(sizes), dtype="uint8")
        rows = [room * number for number in range(len(sizes))]
        out = self._nvcomp.as_arrays(target, rows, [room] * len(sizes), stream.ptr)
        made = [int(size) for size in codec.encode(batch, out=out).buffer_sizes]
        return self._bring_back(target.data.ptr, room, made, stream)

    # -- decoding --------------------------------------------------------------------------------------------------
    def _decode_one(self, payload: memoryview, size: int) -> bytes | EngineError:
        try:
            container = parse_container(payload, size)
        except CodecError as error:
            return DamagedPayload(str(error))
        return self._decompress(container)

    def _decompress(self, container: Container) -> bytes:
        """Decode every chunk of a container in one launch. Raises: DamagedPayload."""
        cupy, cuda = self._cupy, self._cupy.cuda.runtime
        if not container.chunks:
            return b""
        data_type = ""
        if container.algorithm is FcgAlgorithm.BITCOMP:
            data_type = _TYPE_STRINGS.get(container.data_type, "")
            if not data_type:
                raise DamagedPayload(f"bitcomp type {container.data_type}")
        views = [memoryview(chunk) for chunk in container.chunks]
        with self._working() as stream:
            sizes = [len(view) for view in views]
            if not min(sizes):
                raise DamagedPayload("a chunk of no bytes")
            pitch = _aligned(max(sizes))
            source = cupy.empty(pitch * len(views), dtype="uint8")
            for number, view in enumerate(views):
                cuda.memcpyAsync(
                    source.data.ptr + pitch * number, _address(view), len(view), cuda.memcpyHostToDevice, stream.ptr
                )
            offsets = [pitch * number for number in range(len(views))]
            batch = self._nvcomp.as_arrays(source, offsets, sizes, stream.ptr)
            wanted = container.sizes()
            room = _aligned(container.chunk_bytes)
            target = cupy.empty(room * len(wanted), dtype="uint8")
            rows = [room * number for number in range(len(wanted))]
            out = self._nvcomp.as_arrays(target, rows, wanted, stream.ptr)
            codec = self._codec(_ALGORITHMS[container.algorithm], data_type, stream)
            made = [int(size) for size in codec.decode(batch, out=out).buffer_sizes]
            if made != wanted:
                raise DamagedPayload("the chunks decode to other sizes than the container says")
            return b"".join(self._bring_back(target.data.ptr, room, made, stream))

    # -- device ----------------------------------------------------------------------------------------------------
    def _bring_back(self, source: int, pitch: int, sizes: list[int], stream: Any) -> list[bytes]:
        """Copy rows of *sizes* bytes, *pitch* apart, to the host, with one strided copy."""
        cuda = self._cupy.cuda.runtime
        width = max(sizes)
        if width > pitch or min(sizes) < 0:
            raise EngineError(f"a piece of {width} bytes where {pitch} are the most")
        staging = self._cupy.cuda.alloc_pinned_memory(max(1, width * len(sizes)))
        cuda.memcpy2DAsync(staging.ptr, width, source, pitch, width, len(sizes), cuda.memcpyDeviceToHost, stream.ptr)
        stream.synchronize()
        return [ctypes.string_at(staging.ptr + width * number, size) for number, size in enumerate(sizes)]

    @contextmanager
    def _working(self) -> Iterator[Any]:
        """The stream of this thread; nothing is under way on it afterwards, so that memory may be given back."""
        with self._cupy.cuda.Device(self._device), self._stream() as stream:
            try:
                yield stream
            finally:
                stream.synchronize()

    def _stream(self) -> Any:
        stream = getattr(self._local, "stream", None)
        if stream is None:
            stream = self._local.stream = self._cupy.cuda.Stream(non_blocking=True)
            self._local.codecs = {}
        return stream

    def _codec(self, algorithm: str, data_type: str, stream: Any) -> Any:
        """The codec of this thread for an algorithm."""
        codec = self._local.codecs.get((algorithm, data_type))
        if codec is None:
            options = {"data_type": data_type} if data_type else {}
            codec = self._nvcomp.Codec(
                algorithm=algorithm,
                device_id=self._device,
                cuda_stream=stream.ptr,
                bitstream_kind=self._nvcomp.BitstreamKind.RAW,
                **options,
            )
            self._local.codecs[algorithm, data_type] = codec
        return codec

    def _guarded(self, work: Callable[[], list[bytes | EngineError]]) -> list[bytes | EngineError]:
        """Turn the libraries' errors into ours, and find out whether the device is still there."""
        try:
            return work()
        except EngineError:
            raise
        except MemoryError as error:  # cupy's OutOfMemoryError is one
            self._cupy.get_default_memory_pool().free_all_blocks()
            raise DeviceOutOfMemory(str(error)) from error
        except (RuntimeError, ValueError) as error:
            try:
                self._cupy.cuda.runtime.deviceSynchronize()
            except RuntimeError as lost:
                raise DeviceLost(f"{error}; {lost}") from error
            if "memory" in str(error).lower():
                raise DeviceOutOfMemory(str(error)) from error
            raise EngineError(f"{type(error).__name__}: {error}") from error


def make(device: int) -> NvcompEngine:
    """The engine, for the worker. Raises: EngineUnavailable."""
    nvml.require(device)
    try:
        cupy = importlib.import_module("cupy")
        nvcomp = importlib.import_module("nvidia.nvcomp")
    except ImportError as error:
        raise EngineUnavailable(f"s4gw[gpu] is not installed: {error}") from error
    if int(nvcomp.__version__.partition(".")[0]) != VERSION_MAJOR:
        raise EngineUnavailable(f"nvCOMP {nvcomp.__version__}; {VERSION_MAJOR}.x is needed")
    try:
        name = cupy.cuda.runtime.getDeviceProperties(device)["name"].decode()
        return NvcompEngine(device, cupy, nvcomp, name)
    except (EngineError, RuntimeError, ValueError) as error:
        raise EngineUnavailable(str(error)) from error


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _address(view: memoryview) -> int:
    """Where a view lies in memory; it must outlive the use of that."""
    return int(np.frombuffer(view, np.uint8).ctypes.data)
