"""What an engine is: batches of chunks in, batches of results out. One lives in the GPU worker, nowhere else.

An engine that fails for one chunk gives an error in its place; one that fails for the whole batch raises. It may be
called from as many threads at a time as its plan has streams. It need not be trusted: the worker checks sizes and the
gateway worker decodes what it gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from s4gw.gpu.batch import Plan


class EngineError(Exception):
    """A chunk or a batch could not be done; the CPU does it."""


class Incompressible(EngineError):
    """The payload would not be smaller than the chunk."""


class DamagedPayload(EngineError):
    """A payload does not decode to what was announced."""


class DeviceOutOfMemory(EngineError):
    """The device has no room for a batch of this size."""


class DeviceLost(EngineError):
    """The device or its context is broken: only a new process may find it well again."""


class EngineUnavailable(EngineError):
    """There is no engine here: no library, no driver, no device."""


class Task(msgspec.Struct, frozen=True, gc=False):
    """What a batch has in common.

    Attributes:
        codec: Codec id of the frames.
        level: For codecs that have one.
        parameters: What else the codec needs to know (see the engine); empty for most.
    """

    codec: int
    level: int = 0
    parameters: bytes = b""


class Engine(Protocol):
    """Compresses and decompresses batches."""

    @property
    def name(self) -> str:
        """For people: "cpu", or library and device."""

    @property
    def plan(self) -> Plan:
        """How it wants its work."""

    @property
    def encodes(self) -> frozenset[int]:
        """Codec ids that it writes."""

    @property
    def decodes(self) -> frozenset[int]:
        """Codec ids that it reads."""

    def adopt(self, ring: memoryview) -> None:
        """The chunks of all later calls lie in *ring*: a device may register it."""

    def encode_batch(self, task: Task, chunks: Sequence[memoryview]) -> Sequence[bytes | EngineError]:
        """Compress each chunk into what a frame of the codec has as its payload.

        Raises: EngineError, when nothing of the batch is done.
        """

    def decode_batch(
        self, task: Task, payloads: Sequence[memoryview], sizes: Sequence[int]
    ) -> Sequence[bytes | EngineError]:
        """Decompress each payload to its size of *sizes*. Raises: EngineError."""
