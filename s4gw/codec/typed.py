"""Codec 65: numbers are rearranged (`s4gw.codec.transform`), then each stream of them is squeezed.

It reads what it is told to, right or wrong: a filter that does not fit the data costs ratio, never bytes. A reader
needs zstd and the few lines of numpy in `transform`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from s4gw.checksum import Buffer
from s4gw.codec import streams, transform
from s4gw.codec.choice import Filter
from s4gw.codec.errors import CorruptFrame, TruncatedFrame
from s4gw.codec.layout import (
    NUMBERS_BYTES_MAX,
    PAYLOAD_VERSION,
    RECORD_BYTES_MAX,
    RECORD_BYTES_MIN,
    TYPED_BIG_ENDIAN,
    TYPED_HEADER,
    TYPED_HEADER_SIZE,
    StreamKind,
    TypedFilter,
)
from s4gw.codec.transform import Bytes

WIDTHS: Final = frozenset(transform.UNSIGNED)


def encode(data: Buffer, level: int, wanted: Filter) -> bytes:
    """Rearrange *data*, at most `NUMBERS_BYTES_MAX` bytes, and compress its streams with zstd at *level*.

    Raises: ValueError, for a filter that does not exist.
    """
    check(wanted)
    whole = transform.to_bytes(data)
    size = len(whole) - len(whole) % wanted.width
    head, pieces = forward(whole[:size], wanted)
    squeezed = [streams.squeeze(piece.data, level) for piece in pieces]
    return assemble(head, whole[size:].data, squeezed)


def assemble(head: bytes, tail: Buffer, squeezed: Sequence[tuple[StreamKind, Buffer]]) -> bytes:
    """Make the payload: what `forward` gave, the odd tail of the data, the streams in the forms chosen for them."""
    return b"".join([head, tail, *streams.join(squeezed)])


def forward(data: Bytes, wanted: Filter) -> tuple[bytes, list[Bytes]]:
    """Rearrange a whole number of elements: (header and parameters, the streams before compression).

    The payload is these bytes, the odd tail of the data, and `streams.join` of the streams in their smallest forms.
    """
    kind, width = wanted.kind, wanted.width
    head = TYPED_HEADER.pack(PAYLOAD_VERSION, kind, width, TYPED_BIG_ENDIAN if wanted.big_endian else 0)
    if kind is TypedFilter.PLANES:
        planes = transform.to_planes(data, width)
        mask = wanted.mask.to_bytes(_mask_size(width), "little")
        return head + mask, [_plane_forward(planes[place], wanted.mask >> place & 1) for place in range(width)]
    values = transform.to_elements(data, width, big_endian=wanted.big_endian)
    if kind is TypedFilter.DELTA:
        return head, [transform.difference(values).view(np.uint8)]
    if kind is TypedFilter.DELTA_PLANES:
        return head, transform.split(transform.zigzag(transform.difference(values)))
    first, least, bits, rest = transform.pack(values)
    numbers = bytes([bits]) + first.to_bytes(width, "little") + least.to_bytes(width, "little")
    return head + numbers, transform.to_bit_planes(rest, bits)


def decode(payload: Buffer, original_size: int) -> memoryview:
    """Decompress to *original_size* bytes of their own.

    Raises: CorruptFrame, if the payload holds more, fewer or no sound bytes, or if the size is more than
        `NUMBERS_BYTES_MAX`: nothing of that size was ever written, and a few bytes may stand for many.
    """
    view = memoryview(payload).cast("B")
    if original_size > NUMBERS_BYTES_MAX:
        raise CorruptFrame(f"a typed frame cannot hold {original_size} bytes")
    wanted, at = read_filter(view)
    count, tail_size = divmod(original_size, wanted.width)
    parameters_size = 1 + 2 * wanted.width if wanted.kind is TypedFilter.PACK else 0
    body = at + parameters_size + tail_size
    if len(view) < body:
        raise TruncatedFrame("the typed header is cut")
    out = np.empty(original_size, np.uint8)
    elements = out[: count * wanted.width]
    if wanted.kind is TypedFilter.PACK:
        _restore_packed(elements, view[at : at + parameters_size], view[body:], wanted)
    else:
        _restore(elements, view[body:], wanted)
    if tail_size:
        out[len(elements) :] = transform.to_bytes(view[body - tail_size : body])
    return out.data


def read_filter(view: memoryview) -> tuple[Filter, int]:
    """Read header and mask: (the filter, where they end). Raises: TruncatedFrame, CorruptFrame."""
    if len(view) < TYPED_HEADER_SIZE:
        raise TruncatedFrame("the typed header is cut")
    version, number, width, flags = TYPED_HEADER.unpack_from(view)
    if version != PAYLOAD_VERSION or flags & ~TYPED_BIG_ENDIAN:
        raise CorruptFrame(f"version {version}, flags {flags} of a typed payload")
    end, mask = TYPED_HEADER_SIZE, 0
    if number == TypedFilter.PLANES:
        end += _mask_size(width)
        mask = int.from_bytes(view[TYPED_HEADER_SIZE:end], "little")
    try:
        wanted = Filter(TypedFilter(number), width, bool(flags), mask)
        check(wanted)
    except ValueError as error:
        raise CorruptFrame(f"typed payload: {error}") from error
    return wanted, end


def check(wanted: Filter) -> None:
    """Refuse what no payload says. Raises: ValueError."""
    if wanted.kind is not TypedFilter.PLANES:
        sound = wanted.width in WIDTHS and not wanted.mask
    else:
        sound = RECORD_BYTES_MIN <= wanted.width <= RECORD_BYTES_MAX and not wanted.big_endian
        sound = sound and not wanted.mask >> wanted.width
    if not sound:
        raise ValueError(f"no filter is {wanted}")


def _mask_size(stride: int) -> int:
    return -(-stride // 8)


def _plane_forward(plane: Bytes, differs: int) -> Bytes:
    return transform.difference(plane) if differs else plane


def _expand(view: memoryview, sizes: Sequence[int]) -> list[Bytes]:
    """Decode the streams that fill *view*, whose decoded sizes are known; those at the end that are zero are left out.

    Gives one at least, if there is any.
    """
    found = streams.split(view, len(sizes))
    while len(found) > 1 and streams.is_zero(*found[-1]):
        found.pop()
    return [
        transform.to_bytes(streams.expand(kind, stored, size))
        for (kind, stored), size in zip(found, sizes, strict=False)
    ]


def _restore(out: Bytes, view: memoryview, wanted: Filter) -> None:
    """Undo `forward` for every filter but PACK, into *out*."""
    width = wanted.width
    count = len(out) // width
    if wanted.kind is TypedFilter.PLANES:
        planes = _expand(view, [count] * width)
        for place in range(len(planes)):
            if wanted.mask >> place & 1:
                planes[place] = transform.accumulate(planes[place])
        transform.fill_planes(out, planes, width)
        return
    values = out.view(transform.UNSIGNED[width])
    if wanted.kind is TypedFilter.DELTA:
        (stream,) = _expand(view, [len(out)])
        transform.accumulate(stream.view(values.dtype), values)
    else:
        transform.fill_elements(values, _expand(view, [count] * width), transform.unzigzag)
        transform.accumulate(values, values)
    if wanted.big_endian:
        values.byteswap(inplace=True)


def _restore_packed(out: Bytes, parameters: memoryview, view: memoryview, wanted: Filter) -> None:
    """Undo `forward` for PACK, into *out*."""
    width = wanted.width
    count, bits = len(out) // width, parameters[0]
    if bits > 8 * width:
        raise CorruptFrame(f"{bits} bits in elements of {width} bytes")
    first, least = (int.from_bytes(parameters[at : at + width], "little") for at in (1, 1 + width))
    whole, over = divmod(bits, 8)
    sizes = [count] * whole + ([over * -(-count // 8)] if over else [])
    values = out.view(transform.UNSIGNED[width])
    transform.from_bit_planes(values, _expand(view, sizes), bits)
    transform.unpack(first, least, values)
    if wanted.big_endian:
        values.byteswap(inplace=True)
