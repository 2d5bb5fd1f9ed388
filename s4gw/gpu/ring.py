"""The ring: shared memory of fixed slots, cut into lanes, and the queues that go with each lane.

The gateway's master makes it before it forks; gateway workers inherit it, the GPU worker is handed its descriptor. The
memory has no name (memfd): nothing is left behind by any kill -9, nobody else can open it, no tracker process is needed
as for `multiprocessing.shared_memory`, and a container's 64 MiB of /dev/shm do not limit it. It is not taken until the
GPU worker has an engine and reserves it, so that a ring nobody uses costs nothing and want of memory is an error
message instead of a SIGBUS.

A lane is held by at most one gateway worker, through a lock on one byte of a file that the kernel releases when the
holder dies.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from dataclasses import dataclass
from pathlib import Path

from s4gw.gpu import protocol
from s4gw.gpu.lane import LaneQueue
from s4gw.gpu.protocol import State


class Ring:
    """The shared memory, attached.

    Args:
        descriptor: Of the memory; the ring owns it. A child gets it to attach as well.

    Raises: OSError; ProtocolError, if it is not one of this release.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._view = memoryview(mmap.mmap(descriptor, 0))
        self.lanes, self.slots = protocol.unpack_geometry(bytes(self._view[: protocol.GEOMETRY.size]))
        if len(self._view) != protocol.ring_bytes(self.lanes, self.slots):
            raise protocol.ProtocolError(f"a ring of {len(self._view)} bytes")

    @classmethod
    def make(cls, lanes: int, slots: int) -> Ring:
        """A new ring, with the state OFF. Raises: OSError."""
        descriptor = os.memfd_create("s4gw-ring")
        os.ftruncate(descriptor, protocol.ring_bytes(lanes, slots))
        os.pwrite(descriptor, protocol.pack_geometry(lanes, slots), 0)
        os.pwrite(descriptor, protocol.pack_codecs(()) * 2, protocol.ENCODES_AT)
        return cls(descriptor)

    def reserve(self) -> None:
        """Take the memory of all slots now. Raises: OSError, when there is not enough."""
        os.posix_fallocate(self.descriptor, 0, len(self._view))

    def slot(self, lane: int, slot: int) -> memoryview:
        """The bytes of a slot that hold the chunk; for its gateway worker to write."""
        start = protocol.slot_offset(lane, slot, self.slots)
        return self._view[start : start + protocol.SLOT_BYTES]

    def result(self, lane: int, slot: int) -> memoryview:
        """The bytes of a slot that hold the result; for the GPU worker to write."""
        start = protocol.result_offset(lane, slot, self.slots)
        return self._view[start : start + protocol.SLOT_BYTES]

    @property
    def whole(self) -> memoryview:
        """All of it, header included; for an engine that registers it with a device."""
        return self._view

    # -- header ----------------------------------------------------------------------------------------------------
    @property
    def generation(self) -> int:
        """Number of the GPU worker that serves now."""
        return self._u32(protocol.GENERATION_AT)

    def set_generation(self, generation: int) -> None:
        """A new GPU worker is about to start; the one before is dead for certain."""
        protocol.U32.pack_into(self._view, protocol.GENERATION_AT, generation)

    @property
    def state(self) -> State:
        """What the GPU worker can do now."""
        if self._u32(protocol.DISABLED_AT):
            return State.DISABLED
        return State(self._u32(protocol.STATE_AT))

    @property
    def serving(self) -> int:
        """Generation of the GPU worker if that is ready and sound, else 0."""
        # PERF: asked twice for each chunk.
        disabled, generation, state = protocol.SERVING.unpack_from(self._view, protocol.DISABLED_AT)
        return generation if state == State.READY and not disabled else 0

    @property
    def reason(self) -> str:
        """Why the state is what it is."""
        return protocol.unpack_text(self._field(protocol.REASON_AT, protocol.TEXT_BYTES))

    def set_state(self, state: State, reason: str = "") -> None:
        """Tell everybody."""
        self._view[protocol.REASON_AT : protocol.REASON_AT + protocol.TEXT_BYTES] = protocol.pack_text(reason)
        protocol.U32.pack_into(self._view, protocol.STATE_AT, state)

    def disable(self, reason: str) -> None:
        """The engine gave wrong bytes: nobody is to use it any more. Whatever else is written, this stays."""
        protocol.U32.pack_into(self._view, protocol.DISABLED_AT, 1)
        self._view[protocol.REASON_AT : protocol.REASON_AT + protocol.TEXT_BYTES] = protocol.pack_text(reason)

    @property
    def heartbeat_s(self) -> float:
        """When the GPU worker was last seen alive, on CLOCK_MONOTONIC."""
        return float(protocol.U64.unpack_from(self._view, protocol.HEARTBEAT_AT)[0]) / 1e9

    def beat(self) -> None:
        """The GPU worker is alive."""
        protocol.U64.pack_into(self._view, protocol.HEARTBEAT_AT, time.monotonic_ns())

    @property
    def engine(self) -> str:
        """What does the work, e.g. "nvcomp on NVIDIA L4"."""
        return protocol.unpack_text(self._field(protocol.ENGINE_AT, protocol.TEXT_BYTES))

    @property
    def encodes(self) -> frozenset[int]:
        """Ids of codecs that the engine encodes."""
        return protocol.unpack_codecs(self._field(protocol.ENCODES_AT, protocol.CODECS_MAX))

    @property
    def decodes(self) -> frozenset[int]:
        """Ids of codecs that the engine decodes."""
        return protocol.unpack_codecs(self._field(protocol.DECODES_AT, protocol.CODECS_MAX))

    def describe(self, engine: str, encodes: frozenset[int], decodes: frozenset[int]) -> None:
        """Say what the engine is and can; before the state READY."""
        self._view[protocol.ENGINE_AT : protocol.ENGINE_AT + protocol.TEXT_BYTES] = protocol.pack_text(engine)
        self._view[protocol.ENCODES_AT : protocol.ENCODES_AT + protocol.CODECS_MAX] = protocol.pack_codecs(encodes)
        self._view[protocol.DECODES_AT : protocol.DECODES_AT + protocol.CODECS_MAX] = protocol.pack_codecs(decodes)

    def _u32(self, offset: int) -> int:
        value: int = protocol.U32.unpack_from(self._view, offset)[0]
        return value

    def _field(self, offset: int, size: int) -> bytes:
        return bytes(self._view[offset : offset + size])


@dataclass(frozen=True, slots=True)
class Link:
    """All that connects gateway workers with the GPU worker. Made by the master before it forks.

    Attributes:
        ring: The shared memory.
        requests: A queue per lane, to the GPU worker.
        answers: A queue per lane, back.
        locks: File of which byte N is locked by the holder of lane N.
    """

    ring: Ring
    requests: tuple[LaneQueue, ...]
    answers: tuple[LaneQueue, ...]
    locks: Path

    @classmethod
    def make(cls, lanes: int, slots: int, locks: Path) -> Link:
        """A new ring with its queues; *locks* is a file to be made. Raises: OSError."""
        locks.touch(mode=0o600)
        ring = Ring.make(lanes, slots)
        return cls(
            ring,
            tuple(LaneQueue.make(protocol.REQUEST_SIZE) for _ in range(lanes)),
            tuple(LaneQueue.make(protocol.ANSWER_SIZE) for _ in range(lanes)),
            locks,
        )

    def claim(self) -> Claim | None:
        """Take a lane that nobody holds, for the life of this process or until it is given back."""
        descriptor = os.open(self.locks, os.O_RDWR | os.O_CLOEXEC)
        for lane in range(self.ring.lanes):
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, lane)
            except OSError:
                continue
            return Claim(lane, descriptor)
        os.close(descriptor)
        return None


@dataclass(frozen=True, slots=True)
class Claim:
    """A lane that this process holds. One per process: closing the file's descriptor gives up all its locks."""

    lane: int
    descriptor: int

    def give_back(self) -> None:
        """Let somebody else have the lane; nobody of this process uses it any more."""
        os.close(self.descriptor)
