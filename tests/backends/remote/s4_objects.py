"""Objects as S4 (Rust) 1.5 stores them, made byte by byte from its format, and a reader as strict as its own.

Nothing here uses this project's codec library: what it makes and what it accepts is S4's word, not ours. Integers are
little-endian; a frame is ``S4F2``, codec u32, original size u64, payload size u64, CRC-32C u32; a padding is ``S4P1``,
size u64, zeros.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import crc32c
import zstandard

PASSTHROUGH, CPU_ZSTD, CPU_GZIP, CPU_ZSTD_DICT = 0, 1, 7, 8
NAMES = {PASSTHROUGH: "passthrough", CPU_ZSTD: "cpu-zstd", CPU_GZIP: "cpu-gzip", CPU_ZSTD_DICT: "cpu-zstd-dict"}
PART_BYTES_MIN = 5 * 1024 * 1024
FRAME = struct.Struct("<4sIQQI")
PADDING = struct.Struct("<4sQ")
ENTRY = struct.Struct("<QQQQ")


@dataclass(frozen=True)
class S4Object:
    """What S4 leaves upstream for one object."""

    body: bytes
    metadata: dict[str, str]
    entries: Sequence[tuple[int, int, int, int]] = ()
    """Original offset and size, stored offset and size of each frame."""
    original: bytes = b""
    beside: dict[str, bytes] = field(default_factory=dict)
    """Other objects of the bucket that it needs."""

    def sidecar(self, version: int, etag: str) -> bytes:
        """Its index object, in the form of *version* 1, 2 or 3."""
        total = sum(entry[1] for entry in self.entries)
        head = struct.pack("<4sIQQQ", b"S4IX", version, len(self.entries), total, len(self.body))
        if version > 1:
            head += struct.pack("<QI", len(self.body), len(etag)) + etag.encode()
        if version == 3:
            head += struct.pack("<IIH8sQI", 65_536, 1, 1, bytes(8), len(self.body), 24)
        return head + b"".join(ENTRY.pack(*entry) for entry in self.entries)


def zstd_stream(data: bytes, dictionary: bytes | None = None) -> bytes:
    """As a streaming encoder writes it: no content size in the header."""
    given = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
    compressor = zstandard.ZstdCompressor(level=3, write_content_size=False, dict_data=given).compressobj()
    return compressor.compress(data) + compressor.flush()


def compressed(data: bytes, codec: int, dictionary: bytes | None = None) -> bytes:
    """Payload of a frame."""
    if codec == CPU_GZIP:
        return gzip.compress(data, 6)
    return data if codec == PASSTHROUGH else zstd_stream(data, dictionary)


def frame(data: bytes, codec: int = CPU_ZSTD, dictionary: bytes | None = None) -> bytes:
    """One frame."""
    payload = compressed(data, codec, dictionary)
    return FRAME.pack(b"S4F2", codec, len(data), len(payload), crc32c.crc32c(data)) + payload


def padding_to(size: int, minimum: int) -> bytes:
    """What is put behind *size* bytes so that they count as a part."""
    if size >= minimum:
        return b""
    return PADDING.pack(b"S4P1", max(0, minimum - size - 12)) + bytes(max(0, minimum - size - 12))


def single(data: bytes, *, chunk: int, codec: int = CPU_ZSTD, dictionary: bytes | None = None) -> S4Object:
    """A PUT, framed."""
    pieces = [data[start : start + chunk] for start in range(0, len(data), chunk)]
    body, entries = _joined([frame(piece, codec, dictionary) for piece in pieces], [b""] * len(pieces), pieces)
    metadata = _manifest(data, body, codec) | {"s4-framed": "true"}
    metadata["s4-logical-etag"] = hashlib.md5(data).hexdigest()
    beside = {}
    if dictionary is not None:
        name = hashlib.sha256(dictionary).hexdigest()[:16]
        metadata["s4-dict-id"] = name
        beside = {f".s4dict/{name}": dictionary}
    return S4Object(body, metadata, entries, data, beside)


def multipart(parts: Sequence[bytes], *, codec: int = CPU_ZSTD, stamped: bool = True) -> S4Object:
    """Parts of one frame each, padded when the part was large enough to be no last one."""
    frames = [frame(part, codec if number % 2 == 0 else PASSTHROUGH) for number, part in enumerate(parts)]
    paddings = [
        padding_to(len(made), PART_BYTES_MIN) if len(part) >= PART_BYTES_MIN else b""
        for made, part in zip(frames, parts, strict=True)
    ]
    body, entries = _joined(frames, paddings, parts)
    metadata = {"s4-multipart": "true", "s4-codec": "cpu-zstd"}
    data = b"".join(parts)
    if stamped:
        digest = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)).hexdigest()
        metadata |= {"s4-original-size": str(len(data)), "s4-logical-etag": f"{digest}-{len(parts)}"}
    return S4Object(body, metadata, entries, data)


def raw(data: bytes, codec: int, *, frames: int = 1) -> S4Object:
    """The bare output of one codec, as S4 0.1 and today's gzip and passthrough are stored."""
    step = -(-len(data) // frames) or 1
    pieces = [data[start : start + step] for start in range(0, len(data), step)] or [b""]
    body = b"".join(compressed(piece, codec) for piece in pieces)
    return S4Object(body, _manifest(data, body, codec), (), data)


def encrypted(data: bytes) -> S4Object:
    """An S4E6 envelope around frames; its content does not matter, nobody here has the key."""
    plain = single(data, chunk=1 << 20)
    body = b"S4E6\x01\x00\x01\x00" + struct.pack(">II", 65_536, 1) + bytes(8) + bytes(16) + plain.body
    return S4Object(body, plain.metadata | {"s4-encrypted": "aes-256-gcm"}, (), data)


def _joined(
    frames: Sequence[bytes], paddings: Sequence[bytes], pieces: Sequence[bytes]
) -> tuple[bytes, list[tuple[int, int, int, int]]]:
    body, entries, position = b"", [], 0
    for made, pad, piece in zip(frames, paddings, pieces, strict=True):
        entries.append((position, len(piece), len(body), len(made)))
        body += made + pad
        position += len(piece)
    return body, entries


def _manifest(data: bytes, body: bytes, codec: int) -> dict[str, str]:
    return {
        "s4-codec": NAMES[codec],
        "s4-original-size": str(len(data)),
        "s4-compressed-size": str(len(body)),
        "s4-crc32c": str(crc32c.crc32c(data)),
    }


def strict_read(body: bytes, dictionaries: dict[str, bytes] | None = None) -> bytes:
    """Decode a framed body as S4's own walker and offline decoder do. Raises: ValueError, for what those refuse."""
    original = []
    position = 0
    while position < len(body):
        magic = body[position : position + 4]
        if magic == b"S4P1":
            (_, size) = PADDING.unpack_from(body, position)
            position += 12 + size
            if position > len(body):
                raise ValueError("padding is cut")
            continue
        if magic != b"S4F2":
            raise ValueError(f"unknown magic {magic!r}")
        _, codec, size, stored, checksum = FRAME.unpack_from(body, position)
        if codec > 8 or size > 5 * 1024**3:
            raise ValueError(f"codec {codec}, {size} bytes")
        payload = body[position + 28 : position + 28 + stored]
        if len(payload) != stored:
            raise ValueError("payload is cut")
        decoded = _decoded(codec, payload, size, dictionaries or {})
        if len(decoded) != size or crc32c.crc32c(decoded) != checksum:
            raise ValueError("size or checksum")
        original.append(decoded)
        position += 28 + stored
    return b"".join(original)


def _decoded(codec: int, payload: bytes, size: int, dictionaries: dict[str, bytes]) -> bytes:
    if codec == PASSTHROUGH:
        return payload
    if codec == CPU_GZIP:
        return gzip.decompress(payload)
    if codec not in (CPU_ZSTD, CPU_ZSTD_DICT):
        raise ValueError(f"codec {codec} needs a GPU")
    given = next(iter(dictionaries.values()), None) if codec == CPU_ZSTD_DICT else None
    decompressor = zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(given) if given else None)
    return decompressor.stream_reader(payload, read_across_frames=True).read(size + 1024)
