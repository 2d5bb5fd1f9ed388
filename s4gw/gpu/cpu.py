"""The engine of machines without a GPU, and of tests: the codec library on threads.

`--gpu=cpu` moves compression out of the gateway workers into one process, by the very path that a GPU is used through.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from s4gw.codec import Choice, CodecError, CodecId, UnsupportedCodec, decode_payload, encode_payload
from s4gw.gpu import protocol
from s4gw.gpu.batch import Plan
from s4gw.gpu.engine import DamagedPayload, EngineError, Incompressible, Task

ENCODES: Final = frozenset({CodecId.CPU_ZSTD, CodecId.CPU_GZIP, CodecId.TYPED})
DECODES: Final = frozenset({*ENCODES, CodecId.NVCOMP_ZSTD})
BATCH_BYTES_MAX: Final = 2 * 1024**2
"""Two frames: enough to be done with few messages, too few to keep the other threads waiting."""


class CpuEngine:
    """The codec library on as many threads as there are cores: each launch is one of them."""

    name = "cpu"
    encodes: frozenset[int] = frozenset(map(int, ENCODES))
    decodes: frozenset[int] = frozenset(map(int, DECODES))

    def __init__(self, threads: int | None = None) -> None:
        # No linger: a thread that waits for company is a core that idles.
        streams = threads or len(os.sched_getaffinity(0))
        self.plan = Plan(batch_bytes_max=BATCH_BYTES_MAX, linger_s=0.0, streams=streams)

    def adopt(self, ring: memoryview) -> None:
        """Nothing to register."""

    def encode_batch(self, task: Task, chunks: Sequence[memoryview]) -> Sequence[bytes | EngineError]:
        codec = CodecId(task.codec)
        parameters = protocol.unpack_filter(task.parameters) if codec is CodecId.TYPED else None
        choice = Choice(codec, task.level, parameters)
        return [_encode(choice, chunk) for chunk in chunks]

    def decode_batch(
        self, task: Task, payloads: Sequence[memoryview], sizes: Sequence[int]
    ) -> Sequence[bytes | EngineError]:
        codec = CodecId(task.codec)
        return [_decode(codec, payload, size) for payload, size in zip(payloads, sizes, strict=True)]


def _encode(choice: Choice, chunk: memoryview) -> bytes | EngineError:
    try:
        codec, payload = encode_payload(choice, chunk)
    except (CodecError, ValueError) as error:
        return EngineError(str(error))
    return Incompressible() if codec is CodecId.PASSTHROUGH else bytes(payload)


def _decode(codec: CodecId, payload: memoryview, size: int) -> bytes | EngineError:
    try:
        return bytes(decode_payload(codec, payload, size))
    except UnsupportedCodec as error:
        return EngineError(str(error))
    except CodecError as error:
        return DamagedPayload(str(error))


def make(device: int) -> CpuEngine:  # noqa: ARG001 - every engine is made alike
    """The engine, for the worker."""
    return CpuEngine()
