"""Running digests of object bytes: the algorithms that S3 names, under S3's names.

Invariants: every function accepts any contiguous buffer; CRC and XXHash digests come out big-endian, which is how S3
puts them into base64; digests of equal bytes are equal however the bytes were split over calls. Comparing digests with
what a client sent, and the headers' meaning, are left to the caller.
"""

from __future__ import annotations

import binascii
import hashlib
import zlib
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol

from awscrt import checksums as _awscrt

Buffer = bytes | bytearray | memoryview


class Algorithm(StrEnum):
    """A checksum algorithm; the value is S3's spelling."""

    CRC32 = "CRC32"
    CRC32C = "CRC32C"
    CRC64NVME = "CRC64NVME"
    SHA1 = "SHA1"
    SHA256 = "SHA256"
    SHA512 = "SHA512"
    MD5 = "MD5"
    XXHASH64 = "XXHASH64"
    XXHASH3 = "XXHASH3"
    XXHASH128 = "XXHASH128"


HEADER: Final[Mapping[Algorithm, str]] = MappingProxyType(
    {algorithm: f"x-amz-checksum-{algorithm.value.lower()}" for algorithm in Algorithm}
)
"""Lower-case header that carries each digest in base64. Source: the PutObject page of the S3 API reference."""

DIGEST_BYTES: Final[Mapping[Algorithm, int]] = MappingProxyType(
    {
        Algorithm.CRC32: 4,
        Algorithm.CRC32C: 4,
        Algorithm.CRC64NVME: 8,
        Algorithm.SHA1: 20,
        Algorithm.SHA256: 32,
        Algorithm.SHA512: 64,
        Algorithm.MD5: 16,
        Algorithm.XXHASH64: 8,
        Algorithm.XXHASH3: 8,
        Algorithm.XXHASH128: 16,
    }
)


class Digest(Protocol):
    """A digest that is fed bytes and may be asked for its value at any time."""

    def update(self, data: Buffer, /) -> None:
        """Take the next bytes; the buffer may be reused as soon as this returns."""

    def digest(self) -> bytes:
        """Digest of everything fed so far; feeding may go on."""


class _Crc:
    """A CRC as a `Digest`. Not thread-safe, like hashlib's objects."""

    __slots__ = ("_size", "_step", "_value")

    def __init__(self, step: Callable[[Buffer, int], int], size: int) -> None:
        self._step = step
        self._size = size
        self._value = 0

    def update(self, data: Buffer, /) -> None:
        self._value = self._step(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


class _XxHash:
    """An XXHash with seed 0 as a `Digest`."""

    __slots__ = ("_running",)

    def __init__(self, running: _awscrt.XXHash) -> None:
        self._running = running

    def update(self, data: Buffer, /) -> None:
        self._running.update(bytes(data))  # awscrt takes no other buffer here

    def digest(self) -> bytes:
        return bytes(self._running.finalize())


def crc32c(buffer: Buffer, value: int = 0) -> int:
    """CRC-32C (Castagnoli) of *buffer*, going on from *value*, the CRC of what came before.

    PERF: awscrt's takes half the time of the crc32c package's (19 against 38 us for 1 MiB, with AVX-512, 2026-11).
    Source: RFC 3720, section B.4.
    """
    return int(_awscrt.crc32c(buffer, value))


def crc32(buffer: Buffer, value: int = 0) -> int:
    """CRC-32 (ISO-HDLC, as in zip) of *buffer*, going on from *value*."""
    return zlib.crc32(buffer, value)


def crc64nvme(buffer: Buffer, value: int = 0) -> int:
    """CRC-64/NVME of *buffer*, going on from *value*. Source: NVMe NVM command set specification, section 5.2.1.3.4."""
    return int(_awscrt.crc64nvme(buffer, value))


_FACTORIES: Final[Mapping[Algorithm, Callable[[], Digest]]] = MappingProxyType(
    {
        Algorithm.CRC32: lambda: _Crc(crc32, 4),
        Algorithm.CRC32C: lambda: _Crc(crc32c, 4),
        Algorithm.CRC64NVME: lambda: _Crc(crc64nvme, 8),
        # usedforsecurity=False: S3's ETag and checksums guard against accidents; FIPS builds refuse MD5 otherwise
        Algorithm.SHA1: lambda: hashlib.sha1(usedforsecurity=False),
        Algorithm.SHA256: hashlib.sha256,
        Algorithm.SHA512: hashlib.sha512,
        Algorithm.MD5: lambda: hashlib.md5(usedforsecurity=False),
        Algorithm.XXHASH64: lambda: _XxHash(_awscrt.XXHash.new_xxhash64()),
        Algorithm.XXHASH3: lambda: _XxHash(_awscrt.XXHash.new_xxhash3_64()),
        Algorithm.XXHASH128: lambda: _XxHash(_awscrt.XXHash.new_xxhash3_128()),
    }
)

_WHOLE: Final[Mapping[Algorithm, Callable[[Buffer], bytes]]] = MappingProxyType(
    {
        Algorithm.CRC32: lambda data: zlib.crc32(data).to_bytes(4, "big"),
        Algorithm.CRC32C: lambda data: _awscrt.crc32c(data).to_bytes(4, "big"),
        Algorithm.CRC64NVME: lambda data: _awscrt.crc64nvme(data).to_bytes(8, "big"),
        Algorithm.SHA1: lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
        Algorithm.SHA256: lambda data: hashlib.sha256(data).digest(),
        Algorithm.SHA512: lambda data: hashlib.sha512(data).digest(),
        Algorithm.MD5: lambda data: hashlib.md5(data, usedforsecurity=False).digest(),
        Algorithm.XXHASH64: lambda data: bytes(_awscrt.XXHash.compute_xxhash64(bytes(data))),
        Algorithm.XXHASH3: lambda data: bytes(_awscrt.XXHash.compute_xxhash3_64(bytes(data))),
        Algorithm.XXHASH128: lambda data: bytes(_awscrt.XXHash.compute_xxhash3_128(bytes(data))),
    }
)

_COMBINERS: Final[Mapping[Algorithm, tuple[Callable[[int, int, int], int], int]]] = MappingProxyType(
    {
        Algorithm.CRC32: (_awscrt.combine_crc32, 4),
        Algorithm.CRC32C: (_awscrt.combine_crc32c, 4),
        Algorithm.CRC64NVME: (_awscrt.combine_crc64nvme, 8),
    }
)


def new(algorithm: Algorithm) -> Digest:
    """Give a fresh digest of *algorithm*; use it from one thread at a time."""
    return _FACTORIES[algorithm]()


def of_whole(algorithm: Algorithm, data: Buffer) -> bytes:
    """Digest of *data*, which is all there is. PERF: nothing is made that could take more."""
    return _WHOLE[algorithm](data)


def whole(algorithm: Algorithm) -> Callable[[Buffer], bytes]:
    """What `of_whole` does, for one *algorithm*."""
    return _WHOLE[algorithm]


def combine(algorithm: Algorithm, first: bytes, second: bytes, second_size: int) -> bytes:
    """Digest of the concatenation of two byte strings, from their digests alone.

    Args:
        algorithm: One of the three CRCs.
        first: Digest of the first string, big-endian.
        second: Digest of the second string, big-endian.
        second_size: Length of the second string in bytes.

    Raises: ValueError, for an algorithm that cannot be combined or a digest of another length.
    Source: "Checking object integrity", full-object checksums of multipart uploads, S3 user guide.
    """
    try:
        combiner, size = _COMBINERS[algorithm]
    except KeyError:
        raise ValueError(f"{algorithm} digests cannot be combined") from None
    if len(first) != size or len(second) != size:
        raise ValueError(f"a {algorithm} digest has {size} bytes")
    value = combiner(int.from_bytes(first, "big"), int.from_bytes(second, "big"), second_size)
    return int(value).to_bytes(size, "big")


def b64(digest: bytes) -> str:
    """Spell a digest as S3's headers do: standard base64 with padding."""
    return binascii.b2a_base64(digest, newline=False).decode("ascii")
