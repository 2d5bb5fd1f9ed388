"""What encodes frames in place of this process's own threads, as the squishing layer sees it."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Protocol

from s4gw.codec import Choice, EncodedFrame, FrameHeader
from s4gw.objects.buffers import Room


class Encoder(Protocol):
    """Encodes frames elsewhere: `s4gw.gpu.Client`."""

    @property
    def bytes_min(self) -> int:
        """Smaller frames are encoded where they are."""

    def reserve(self, size: int, /) -> Room | None:
        """Memory that a frame of up to *size* bytes need not be copied from; None where there is none to spare."""

    def submit(self, data: memoryview, choice: Choice, room: Room, /) -> Future[EncodedFrame]:
        """Encode *data*, in *room*, which stays as it is until the future is done; it always comes to an end."""

    def decode(self, header: FrameHeader, payload: memoryview, /) -> bytes:
        """Decode a frame that needs a GPU: see `s4gw.objects.get.Decoder`."""

    def close(self) -> None:
        """What is under way ends, nothing new begins elsewhere."""
