"""Measuring the product's own path over a body in memory: select, compress, decompress, check.

The path is that of `s4gw.objects.receive`, but for the joining of tiny frames: frames of a fixed size, one `Selection`
per body, `encode_frame`; the way back is `decode_frame`, which checks every frame, and the result is compared with the
original. Everything runs in one thread; a gateway runs as many of these as it has cores.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from s4gw.checksum import b64
from s4gw.codec import (
    FRAME_HEADER_SIZE,
    AlwaysDispatcher,
    Choice,
    CodecId,
    Dispatcher,
    EncodedFrame,
    FrameIndex,
    Manifest,
    Selection,
    decode_frame,
    encode_frame,
    encode_trailer,
    parse_frame_header,
)

GIGA: Final = 1e9
ZSTD3: Final = Choice(CodecId.CPU_ZSTD, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one way of compressing made of one body. Times are the best of all rounds."""

    original_size: int
    payload_size: int
    """Compressed bytes alone, as S4's table counts them."""
    stored_size: int
    """Bytes of the object: payloads, frame headers and trailer."""
    compress_s: float
    """Wall seconds."""
    decompress_s: float
    compress_cpu_s: float
    decompress_cpu_s: float
    codecs: Mapping[str, int]
    """Codec name -> original bytes, most first."""

    @property
    def ratio(self) -> float:
        """Original bytes per payload byte."""
        return self.original_size / max(1, self.payload_size)

    @property
    def stored_ratio(self) -> float:
        """Original bytes per stored byte."""
        return self.original_size / max(1, self.stored_size)

    @property
    def compress_gb_s(self) -> float:
        """Original GB per second of CPU time: what the one thread needs, whatever else the machine does."""
        return self.original_size / self.compress_cpu_s / GIGA

    @property
    def decompress_gb_s(self) -> float:
        """Original GB per second of CPU time."""
        return self.original_size / self.decompress_cpu_s / GIGA

    @property
    def codec(self) -> str:
        """The codecs that were chosen, with their shares where there are several."""
        if len(self.codecs) == 1:
            return next(iter(self.codecs))
        shares = {name: round(100 * size / self.original_size) for name, size in self.codecs.items()}
        return ", ".join(f"{name} {share} %" for name, share in shares.items() if share)


def measure(data: bytes, dispatcher: Dispatcher, *, frame_bytes: int, rounds: int = 1) -> Measured:
    """Compress and decompress *data* some times and give the best times.

    Args:
        data: The body; not empty.
        dispatcher: Chooses codecs, as in the gateway.
        frame_bytes: Original bytes per frame.
        rounds: How often; the sizes are those of the first round, since choosing is deterministic.

    Raises: AssertionError, if what comes back is not what went in.
    """
    compress: list[tuple[float, float]] = []
    decompress: list[tuple[float, float]] = []
    frames: list[EncodedFrame] = []
    for _ in range(rounds):
        frames.clear()  # the frames of a round go before the next one allocates
        compress.append(_timed(lambda: _compress(data, dispatcher, frame_bytes, frames)))
        decompress.append(_timed(lambda: _decompress(frames)))
    at = 0
    for block in (_decode(frame) for frame in frames):
        if block != data[at : at + len(block)]:
            raise AssertionError(f"bytes {at} to {at + len(block)} came back different")
        at += len(block)
    if at != len(data):
        raise AssertionError(f"{at} of {len(data)} bytes came back")
    stored = sum(frame.stored_size for frame in frames)
    codecs: dict[str, int] = {}
    for frame in frames:
        codecs[frame.codec.label] = codecs.get(frame.codec.label, 0) + frame.original_size
    return Measured(
        original_size=len(data),
        payload_size=stored - FRAME_HEADER_SIZE * len(frames),
        stored_size=stored + (len(encode_trailer(_index(frames), _manifest(data))) if len(frames) > 1 else 0),
        compress_s=min(wall for wall, _ in compress),
        decompress_s=min(wall for wall, _ in decompress),
        compress_cpu_s=min(cpu for _, cpu in compress),
        decompress_cpu_s=min(cpu for _, cpu in decompress),
        codecs=dict(sorted(codecs.items(), key=lambda item: -item[1])),
    )


def measure_zstd3(data: bytes, *, frame_bytes: int, rounds: int = 1) -> Measured:
    """The same with zstd 3 in every frame, whatever the bytes are: the yardstick."""
    return measure(data, AlwaysDispatcher(ZSTD3), frame_bytes=frame_bytes, rounds=rounds)


def _timed(work: Callable[[], None]) -> tuple[float, float]:
    """Run *work*. Returns: wall seconds, CPU seconds of the process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return max(time.perf_counter() - wall, 1e-9), max(time.process_time() - cpu, 1e-9)


def _compress(data: bytes, dispatcher: Dispatcher, frame_bytes: int, frames: list[EncodedFrame]) -> None:
    selection, view = Selection(dispatcher), memoryview(data)
    # None: a long body's frames are chosen for without a size, see `s4gw.objects.receive`
    size = len(data) if len(data) <= frame_bytes else None
    for start in range(0, len(data), frame_bytes):
        piece = view[start : start + frame_bytes]
        frame = encode_frame(piece, selection.choose(piece, size))
        selection.observe(frame)
        frames.append(frame)


def _decompress(frames: list[EncodedFrame]) -> None:
    for frame in frames:
        _decode(frame)


def _decode(frame: EncodedFrame) -> bytes:
    return bytes(decode_frame(parse_frame_header(frame.header), frame.payload))


def _index(frames: list[EncodedFrame]) -> FrameIndex:
    index = FrameIndex()
    for frame in frames:
        index.append(frame.original_size, frame.stored_size)
    return index


def _manifest(data: bytes) -> Manifest:
    """As large as the gateway's own: one with an ETag and the default checksum, neither of which can be squished."""
    digest = hashlib.sha256(b"as good as any").digest()
    return Manifest(
        original_size=len(data), crc32c=2**32 - 1, etag=digest[:16].hex(), checksums={"CRC64NVME": b64(digest[16:24])}
    )
