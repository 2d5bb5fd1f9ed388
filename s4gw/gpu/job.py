"""What a gateway worker gives to the GPU worker: a chunk, the slot that it may lie in, and what is to become of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from s4gw.gpu.protocol import Operation


class Lender(Protocol):
    """Whom a slot goes back to: `channel.Channel`."""

    def release(self, number: int) -> None:
        """A thread of this process is done with a slot."""


class Slot:
    """Memory of the ring to receive a chunk into, held until it is given back.

    Attributes:
        view: Writable; nobody uses it after `give_back`.
        number: Of the slot in this process's lane.
    """

    __slots__ = ("_lender", "number", "view")

    def __init__(self, lender: Lender, number: int, view: memoryview) -> None:
        self._lender = lender
        self.number = number
        self.view = view

    def give_back(self) -> None:
        """Nobody of this process needs the chunk any more; once only."""
        self._lender.release(self.number)


class Job(ABC):
    """One chunk and what is to become of it.

    Attributes:
        data: The chunk; stays as it is until the job ends.
        slot: Where it lies, if in the ring already; held until the job has ended.
        operation: What to do with it.
        codec: Codec id to ask for.
        level: Of the codec.
        parameters: Of the codec.
        original_size: Decode: bytes of the original.
        crc32c: Of the chunk.
        answered: The GPU worker has answered, or is not going to; what follows from that may still be under way.
    """

    data: memoryview
    slot: Slot | None = None
    operation: Operation
    codec: int
    level: int = 0
    parameters: bytes = b""
    original_size: int = 0
    crc32c: int = 0
    answered: bool = False

    @abstractmethod
    def done(self, payload: bytes, number: int) -> None:
        """The GPU worker's result, as it put it into the slot; *number* counts the results of this GPU worker."""

    @abstractmethod
    def incompressible(self) -> None:
        """A result would not be smaller than the chunk."""

    @abstractmethod
    def failed(self, reason: str) -> None:
        """There is no result."""
