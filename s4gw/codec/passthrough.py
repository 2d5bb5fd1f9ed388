"""Codec 0: the bytes as they are, without a copy where the caller's buffer allows it."""

from __future__ import annotations

from s4gw.checksum import Buffer
from s4gw.codec.errors import CorruptFrame


def encode(data: Buffer) -> Buffer:
    """Give *data* itself: the caller keeps owning it."""
    return data


def decode(payload: Buffer, original_size: int) -> bytes:
    """Give *payload* as bytes, without a copy if it is bytes already. Raises: CorruptFrame, if the sizes differ."""
    stored_size = memoryview(payload).nbytes
    if stored_size != original_size:
        raise CorruptFrame(f"a passthrough frame of {original_size} bytes holds {stored_size}")
    return payload if isinstance(payload, bytes) else bytes(payload)
