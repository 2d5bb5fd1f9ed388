"""The engine of machines without a GPU, and of tests: the codec library on threads.

`--gpu=cpu` moves compression out of the gateway workers into one process, by the very path that a GPU is used through.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from s4gw.codec import Choice, CodecError, CodecId, UnsupportedCodec, decode_payload, encode_payload
from s4gw.gpu import protocol
from s4gw.gpu.batch import Plan
from s4gw.gpu.engine import DamagedPayload, EngineError, Incompressible, Task

ENCODES: Final = frozenset({CodecId.CPU_ZSTD, CodecId.CPU_GZIP, CodecId.TYPED})
DECODES: Final = frozenset({*ENCODES, CodecId.NVCOMP_ZSTD})
BATCH_BYTES_MAX: Final = 1
"""One chunk at a time: what a second one waits for its answer, another core idles."""
TASKS_KEPT: Final = 64
"""Codecs with parameters that are in use at a time; a few."""


class CpuEngine:
    """The codec library on as many threads as there are cores: each launch is a chunk on one of them."""

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
        choice = _choice(task)
        return [_encode(choice, chunk) for chunk in chunks]

    def decode_batch(
        self, task: Task, payloads: Sequence[memoryview], sizes: Sequence[int]
    ) -> Sequence[bytes | EngineError]:
        codec = CodecId(task.codec)
        return [_decode(codec, payload, size) for payload, size in zip(payloads, sizes, strict=True)]


@lru_cache(maxsize=TASKS_KEPT)
def _choice(task: Task) -> Choice:
    codec = CodecId(task.codec)
    return Choice(codec, task.level, protocol.unpack_filter(task.parameters) if codec is CodecId.TYPED else None)


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
