"""Layout of what gateway workers and the GPU worker share: one block of memory, and the messages about it.

Little-endian, unsigned, sizes in bytes. Both sides are always of one release, so that a version is checked, never
negotiated. Messages carry slot numbers and sizes, never chunk bytes.

**Shared memory.** A header of `HEADER_SIZE` bytes, then the slots of lane 0, of lane 1 and so on. A lane belongs to one
gateway worker at a time. A slot is twice `SLOT_BYTES`: the gateway worker writes a chunk to the start of the first
half, the GPU worker its result to the start of the second. Neither writes to the other's half, so that a chunk can be
received where it lies, and hashed, verified and done again by its owner whatever the GPU worker makes of it.

     0   4  magic, b"S4RG"                        32   4  generation: number of the GPU worker that serves now
     4   4  version, 2                            36   4  state, see State
     8   4  lanes                                 40   8  heartbeat of the GPU worker, CLOCK_MONOTONIC in ns
    12   4  slots per lane                        48  64  reason of the state, UTF-8, zero-filled
    16   4  bytes of half a slot                 112  64  device or engine, UTF-8, zero-filled
    20   4  1: wrong bytes were met, see below   176  64  ids of codecs that the engine encodes, 255 = none
    24   8  zero                                 240  64  ids of codecs that it decodes, 255 = none

The supervisor writes the generation, the GPU worker what follows it. A gateway worker that was given wrong bytes writes
1 at 20, which ends the engine for everybody and is never taken back.

**Request**, gateway worker to GPU worker, `REQUEST_SIZE` bytes:

     0   4  generation it is meant for            16   1  operation, see Operation
     4   4  epoch, a number of the sender's life  17   1  codec id
     8   4  sequence number                       18   1  level, for codecs that have one
    12   4  slot of the sender's lane             19   1  size of the parameters
                                                  20   4  bytes in the slot
                                                  24   4  CRC-32C of those bytes; checked before decoding
                                                  28   4  decode: bytes of the original
                                                  32  64  parameters, zero-filled

Parameters of codec 65 (typed) are its filter: kind, bytes of an element, 1 for big-endian, 1 byte each, then a mask of
8. Codec 3 (bitcomp) has one: bytes of an element. Codec 64 (cascade) is asked for as codec 1: its second pass, over a
few KiB, is the CPU's.

**Answer**, the other way, `ANSWER_SIZE` bytes:

     0   4  generation of the sender              12   1  status, see Status
     4   4  epoch of the request                  13   3  zero
     8   4  sequence number of the request        16   4  bytes of the result in the slot
                                                  20   4  CRC-32C of them
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import Final

import msgspec

from s4gw.codec import Choice, CodecId, Filter, TypedFilter

MAGIC: Final = b"S4RG"
VERSION: Final = 2

HEADER_SIZE: Final = 4096
GEOMETRY: Final = struct.Struct("<4sIIII")
DISABLED_AT: Final = 20
GENERATION_AT: Final = 32
STATE_AT: Final = 36
SERVING: Final = struct.Struct("<I8xII")
"""From `DISABLED_AT`: that, the generation and the state."""
HEARTBEAT_AT: Final = 40
REASON_AT: Final = 48
ENGINE_AT: Final = 112
TEXT_BYTES: Final = 64
ENCODES_AT: Final = 176
DECODES_AT: Final = 240
CODECS_MAX: Final = 64
NO_CODEC: Final = 255
assert DECODES_AT + CODECS_MAX <= HEADER_SIZE
U32: Final = struct.Struct("<I")
U64: Final = struct.Struct("<Q")

CHUNK_BYTES_MAX: Final = 1024**2
"""A chunk is a frame of the gateway."""
SLOT_BYTES: Final = CHUNK_BYTES_MAX + 64 * 1024
"""Half a slot: a frame and room for payloads of other writers, and tables. A multiple of every page size."""
LANES_MAX: Final = 1024
SLOTS_PER_LANE_MAX: Final = 64

REQUEST: Final = struct.Struct("<IIIIBBBBIII64s")
ANSWER: Final = struct.Struct("<IIIB3xII")
PARAMETERS_MAX: Final = 64
FILTER: Final = struct.Struct("<BBBQ")
REQUEST_SIZE: Final = 96
ANSWER_SIZE: Final = 24
assert REQUEST.size == REQUEST_SIZE
assert ANSWER.size == ANSWER_SIZE


class ProtocolError(Exception):
    """A message or a header is not one of ours."""


class State(IntEnum):
    """What the GPU worker can do now."""

    OFF = 0
    STARTING = 1
    READY = 2
    DISABLED = 3
    """It gave wrong bytes: nobody uses it until the gateway is started again."""
    UNAVAILABLE = 4
    """There is no device, driver or library, or no memory for the ring."""


class Operation(IntEnum):
    """What a request asks for."""

    HELLO = 0
    """Somebody new has the lane: answer when nothing of the one before is under way."""
    ENCODE = 1
    DECODE = 2


class Status(IntEnum):
    """How a request ended."""

    DONE = 0
    WELCOME = 1
    INCOMPRESSIBLE = 2
    """The result would not be smaller; nothing is in the slot."""
    FAILED = 3
    OUT_OF_MEMORY = 4
    CORRUPT = 5
    """Decode: the payload is damaged, in itself or on its way through the slot."""


_OPERATIONS: Final = {int(each): each for each in Operation}
_STATUSES: Final = {int(each): each for each in Status}


class Request(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a gateway worker asks for."""

    generation: int
    epoch: int
    sequence: int
    operation: Operation
    slot: int = 0
    codec: int = 0
    level: int = 0
    parameters: bytes = b""
    size: int = 0
    crc32c: int = 0
    original_size: int = 0

    def pack(self) -> bytes:
        """Give the bytes of the message. Raises: ProtocolError, for parameters that do not fit."""
        if len(self.parameters) > PARAMETERS_MAX:
            raise ProtocolError(f"{len(self.parameters)} bytes of parameters")
        return REQUEST.pack(
            self.generation,
            self.epoch,
            self.sequence,
            self.slot,
            self.operation,
            self.codec,
            self.level,
            len(self.parameters),
            self.size,
            self.crc32c,
            self.original_size,
            self.parameters,
        )

    @classmethod
    def unpack(cls, message: bytes, slots: int) -> Request:
        """Read and check a message.

        Args:
            message: As received.
            slots: Slots of a lane.

        Raises: ProtocolError.
        """
        if len(message) != REQUEST.size:
            raise ProtocolError(f"a request of {len(message)} bytes")
        generation, epoch, sequence, slot, operation, codec, level, used, size, crc32c, original, parameters = (
            REQUEST.unpack(message)
        )
        if slot >= slots or size > SLOT_BYTES or original > SLOT_BYTES or used > PARAMETERS_MAX:
            raise ProtocolError(f"slot {slot}, {size} bytes, original {original}")
        known = _OPERATIONS.get(operation)
        if known is None:
            raise ProtocolError(f"operation {operation}")
        return cls(
            generation=generation,
            epoch=epoch,
            sequence=sequence,
            operation=known,
            slot=slot,
            codec=codec,
            level=level,
            parameters=parameters[:used],
            size=size,
            crc32c=crc32c,
            original_size=original,
        )


class Answer(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What became of a request."""

    generation: int
    epoch: int
    sequence: int
    status: Status
    size: int = 0
    crc32c: int = 0

    def pack(self) -> bytes:
        """Give the bytes of the message."""
        return ANSWER.pack(self.generation, self.epoch, self.sequence, self.status, self.size, self.crc32c)

    @classmethod
    def unpack(cls, message: bytes) -> Answer:
        """Read and check a message. Raises: ProtocolError."""
        if len(message) != ANSWER.size:
            raise ProtocolError(f"an answer of {len(message)} bytes")
        generation, epoch, sequence, number, size, crc32c = ANSWER.unpack(message)
        status = _STATUSES.get(number)
        if status is None:
            raise ProtocolError(f"status {number}")
        if size > SLOT_BYTES:
            raise ProtocolError(f"a result of {size} bytes")
        return cls(generation=generation, epoch=epoch, sequence=sequence, status=status, size=size, crc32c=crc32c)


def ring_bytes(lanes: int, slots: int) -> int:
    """Bytes of the shared memory with *slots* slots in each of *lanes* lanes."""
    return HEADER_SIZE + lanes * slots * 2 * SLOT_BYTES


def slot_offset(lane: int, slot: int, slots: int) -> int:
    """Where the chunk of a slot begins."""
    return HEADER_SIZE + (lane * slots + slot) * 2 * SLOT_BYTES


def result_offset(lane: int, slot: int, slots: int) -> int:
    """Where the result of a slot begins."""
    return slot_offset(lane, slot, slots) + SLOT_BYTES


def pack_geometry(lanes: int, slots: int) -> bytes:
    """Give the start of the header. Raises: ProtocolError, beyond the limits."""
    if not (0 < lanes <= LANES_MAX and 0 < slots <= SLOTS_PER_LANE_MAX):
        raise ProtocolError(f"{lanes} lanes of {slots} slots")
    return GEOMETRY.pack(MAGIC, VERSION, lanes, slots, SLOT_BYTES)


def unpack_geometry(header: bytes) -> tuple[int, int]:
    """Read (lanes, slots per lane). Raises: ProtocolError."""
    magic, version, lanes, slots, slot_bytes = GEOMETRY.unpack_from(header)
    if (magic, version, slot_bytes) != (MAGIC, VERSION, SLOT_BYTES):
        raise ProtocolError("not a ring of this release")
    if not (0 < lanes <= LANES_MAX and 0 < slots <= SLOTS_PER_LANE_MAX):
        raise ProtocolError(f"{lanes} lanes of {slots} slots")
    return lanes, slots


def pack_choice(choice: Choice, prefer: CodecId | None = None) -> tuple[CodecId, bytes] | None:
    """What to ask for to have a frame of *choice*: (codec, parameters); None for codecs that are the CPU's.

    Args:
        choice: What was chosen.
        prefer: Asked for in its place, for everything that shrinks; the parameter is the width of its elements.
    """
    wanted = choice.parameters
    if choice.codec is CodecId.PASSTHROUGH:
        return None
    if prefer is not None:
        return prefer, bytes((wanted.width if isinstance(wanted, Filter) else 1,))
    if choice.codec is CodecId.TYPED and isinstance(wanted, Filter):
        return choice.codec, pack_filter(wanted)
    if wanted is not None:
        return None
    return (CodecId.CPU_ZSTD if choice.codec is CodecId.ZSTD_CASCADE else choice.codec), b""


def pack_filter(wanted: Filter) -> bytes:
    """Give the parameters of codec 65."""
    return FILTER.pack(wanted.kind, wanted.width, wanted.big_endian, wanted.mask)


def unpack_filter(parameters: bytes) -> Filter:
    """Read the parameters of codec 65. Raises: ProtocolError."""
    try:
        kind, width, big_endian, mask = FILTER.unpack(parameters)
        return Filter(TypedFilter(kind), width, bool(big_endian), mask)
    except (struct.error, ValueError) as error:
        raise ProtocolError(f"a filter of {parameters.hex()}") from error


def pack_text(text: str) -> bytes:
    """Give *text*, cut and zero-filled to its field."""
    return text.encode()[: TEXT_BYTES - 1].decode(errors="ignore").encode().ljust(TEXT_BYTES, b"\0")


def unpack_text(field: bytes) -> str:
    """Read a text field."""
    return field.rstrip(b"\0").decode(errors="replace")


def pack_codecs(codecs: Iterable[int]) -> bytes:
    """Give a field of codec ids."""
    return bytes(sorted(codecs)[:CODECS_MAX]).ljust(CODECS_MAX, bytes((NO_CODEC,)))


def unpack_codecs(field: bytes) -> frozenset[int]:
    """Read a field of codec ids."""
    return frozenset(field) - {NO_CODEC}
