"""The manifest: what a trailer says about the original beside its frames, as msgpack.

One array, elements in this order; readers ignore elements past those they know, writers append only:

    0  original size                     4  checksum type: 0 none, 1 FULL_OBJECT, 2 COMPOSITE
    1  CRC-32C of the original, or nil   5  parts: nil, or [numbers, original sizes, MD5s, checksums]
    2  ETag                              6  codecs: {id: [frames, original bytes, stored bytes]}
    3  checksums: {algorithm: digest}

An ETag or digest is its raw bytes, or [raw bytes, N] if its text ends in "-N"; what is not plain lower-case hex or
base64 is [its UTF-8, 0], so that every manifest comes back as it was given. Those of all parts stand in one byte
string if each is raw and their lengths are equal, else in an array.

Frames of very regular data take some 40 bytes for a MiB, and the part table is not to outweigh them. Of parts,
therefore, the numbers are an array or, if they are 1 to N, just N; their sizes an array or, if all but the last are
equal and add up to the original with the rest as the last, just that size; their checksums {algorithm: digests} or,
if that is the object's one algorithm, just the digests. MD5s nobody asks for: they are written as no bytes, and what
the object's ETag was made of can be computed again from the parts.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from s4gw.checksum import Buffer, b64
from s4gw.codec.errors import CorruptTrailer

PARTS_MAX: Final = 10_000  # S3's own bound on part numbers
_TYPES: Final = ("", "FULL_OBJECT", "COMPOSITE")
_COUNT: Final = re.compile("[1-9][0-9]{0,4}", re.ASCII)


class ManifestPart(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a multipart object, as the client sent it."""

    number: int
    original_size: int
    etag: str = ""
    """MD5 of the part, 32 hex digits; empty where it is not kept."""
    checksums: dict[str, str] = {}
    """Algorithm in S3's spelling -> base64."""


class CodecTotals(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one codec holds of an object: frames, and bytes before and after, headers included."""

    frames: int
    original_size: int
    stored_size: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is written about an object inside of it. Sizes in bytes."""

    original_size: int
    etag: str = ""
    """Without quotes: MD5 in hex, or "MD5-N" of N parts."""
    crc32c: int | None = None
    """CRC-32C of the whole original, where known."""
    checksums: dict[str, str] = {}
    """Algorithm in S3's spelling -> base64, with "-N" for composite ones."""
    checksum_type: str = ""
    """"FULL_OBJECT", "COMPOSITE" or nothing."""
    parts: Sequence[ManifestPart] = ()
    codecs: Mapping[int, CodecTotals] = {}
    """Codec id -> totals."""


_Digest = bytes | tuple[bytes, int]
_Column = bytes | list[_Digest]


class _Parts(msgspec.Struct, frozen=True, array_like=True):
    """Element 5, by columns: they pack better than rows."""

    numbers: list[int] | int
    sizes: list[int] | int
    md5s: _Column
    checksums: dict[str, _Column] | _Column


class _Wire(msgspec.Struct, frozen=True, array_like=True):
    """The array of the module's text."""

    original_size: int
    crc32c: int | None
    etag: _Digest
    checksums: dict[str, _Digest]
    checksum_type: int
    parts: _Parts | None
    codecs: dict[int, CodecTotals]


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(_Wire)


def encode_manifest(manifest: Manifest) -> bytes:
    """Give the msgpack form. Raises: ValueError, for a checksum type that S3 does not have."""
    return _ENCODER.encode(
        _Wire(
            original_size=manifest.original_size,
            crc32c=manifest.crc32c,
            etag=_narrow(manifest.etag, _from_hex),
            checksums={name: _narrow(text, _from_base64) for name, text in manifest.checksums.items()},
            checksum_type=_TYPES.index(manifest.checksum_type),
            parts=_narrow_parts(manifest) if manifest.parts else None,
            codecs=dict(manifest.codecs),
        )
    )


def decode_manifest(data: Buffer) -> Manifest:
    """Read the msgpack form; elements that a later version appended are ignored. Raises: CorruptTrailer."""
    try:
        wire = _DECODER.decode(data)
        return Manifest(
            original_size=wire.original_size,
            crc32c=wire.crc32c,
            etag=_widen(wire.etag, bytes.hex),
            checksums={name: _widen(digest, b64) for name, digest in wire.checksums.items()},
            checksum_type=_TYPES[wire.checksum_type],
            parts=_widen_parts(wire.parts, wire) if wire.parts is not None else (),
            codecs=wire.codecs,
        )
    except (msgspec.MsgspecError, ValueError, IndexError, UnicodeDecodeError) as error:
        raise CorruptTrailer(f"manifest: {error}") from error


def _narrow_parts(manifest: Manifest) -> _Parts:
    parts = manifest.parts
    numbers, sizes = [part.number for part in parts], [part.original_size for part in parts]
    names = sorted({name for part in parts for name in part.checksums})
    columns = {name: _narrow_column([part.checksums.get(name, "") for part in parts], _from_base64) for name in names}
    return _Parts(
        numbers=len(parts) if numbers == list(range(1, len(parts) + 1)) else numbers,
        sizes=sizes[0] if sizes == _even_sizes(sizes[0], len(parts), manifest.original_size) else sizes,
        md5s=_narrow_column([part.etag for part in parts], _from_hex),
        checksums=columns[names[0]] if names == list(manifest.checksums) and len(names) == 1 else columns,
    )


def _even_sizes(size: int, count: int, original_size: int) -> list[int]:
    """Sizes of *count* parts of *size* bytes, of which the last has what is left."""
    rest = original_size - size * (count - 1)
    return [size] * (count - 1) + [rest]


def _widen_parts(parts: _Parts, wire: _Wire) -> tuple[ManifestPart, ...]:
    count = parts.numbers if isinstance(parts.numbers, int) else len(parts.numbers)
    # SECURITY: a number stands for as many parts, so it is held against the bound before anything is made of it
    if not 0 <= count <= PARTS_MAX:
        raise ValueError(f"{count} parts")
    numbers = range(1, count + 1) if isinstance(parts.numbers, int) else parts.numbers
    sizes = parts.sizes if isinstance(parts.sizes, list) else _even_sizes(parts.sizes, count, wire.original_size)
    if len(sizes) != count or min(sizes, default=0) < 0:
        raise ValueError(f"{count} parts, sizes {sizes[-1:]} of {len(sizes)}")
    etags = _widen_column(parts.md5s, count, bytes.hex)
    columns = {name: _widen_column(column, count, b64) for name, column in _named(parts.checksums, wire).items()}
    return tuple(
        ManifestPart(
            number=number,
            original_size=size,
            etag=etag,
            checksums={name: column[row] for name, column in columns.items() if column[row]},
        )
        for row, (number, size, etag) in enumerate(zip(numbers, sizes, etags, strict=True))
    )


def _named(checksums: dict[str, _Column] | _Column, wire: _Wire) -> dict[str, _Column]:
    if isinstance(checksums, dict):
        return checksums
    (name,) = wire.checksums
    return {name: checksums}


def _narrow_column(texts: Sequence[str], decode: Callable[[str], bytes | None]) -> _Column:
    values = [_narrow(text, decode) for text in texts]
    raws = [value for value in values if isinstance(value, bytes)]
    if len(raws) == len(values) and len({len(raw) for raw in raws}) == 1:
        return b"".join(raws)
    return values


def _widen_column(column: _Column, count: int, encode: Callable[[bytes], str]) -> list[str]:
    if isinstance(column, bytes):
        size, rest = divmod(len(column), count) if count else (0, len(column))
        if rest:
            raise ValueError(f"{len(column)} bytes of digests for {count} parts")
        column = [column[row * size : (row + 1) * size] for row in range(count)]
    if len(column) != count:
        raise ValueError(f"{len(column)} digests for {count} parts")
    return [_widen(value, encode) for value in column]


def _narrow(text: str, decode: Callable[[str], bytes | None]) -> _Digest:
    """Give the raw bytes behind *text*, where that loses nothing."""
    if (raw := decode(text)) is not None:
        return raw
    head, dash, tail = text.rpartition("-")
    if dash and _COUNT.fullmatch(tail) and (raw := decode(head)) is not None:
        return raw, int(tail)
    return text.encode(), 0


def _widen(value: _Digest, encode: Callable[[bytes], str]) -> str:
    if isinstance(value, bytes):
        return encode(value)
    raw, count = value
    return f"{encode(raw)}-{count}" if count else raw.decode()


def _from_hex(text: str) -> bytes | None:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        return None
    return raw if raw.hex() == text else None


def _from_base64(text: str) -> bytes | None:
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return raw if b64(raw) == text else None
