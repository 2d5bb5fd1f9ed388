"""Byte layout of everything this library writes or reads. Little-endian, unsigned, sizes in bytes.

**S4F2 frame.** A stored object is any sequence of frames and paddings; its end falls on a boundary.

    0   4  magic, b"S4F2"                      16   8  payload size (this header excluded)
    4   4  codec id, see CodecId               24   4  CRC-32C of the decoded bytes
    8   8  original size (decoded)             28  ..  payload

**S4P1 padding.** Readers skip it. Other writers fill it with zeros; ours is filled with the trailer.

    0   4  magic, b"S4P1"                       4   8  size of what follows
                                               12  ..  that many bytes

**Trailer**: the payload of one S4P1 padding that ends an object of more than one frame.

    index     n x (u32 original size, u32 stored size, header included), in stored order
    manifest  msgpack, see `s4gw.codec.manifest`
    footer    24 bytes, the last of the object:
     0   4  magic, b"S4GT"                      8   4  index size, as stored
     4   1  version, 1                         12   4  manifest size, as stored
     5   3  zero                               16   4  number of frames
                                               20   4  CRC-32C of index, manifest and bytes 0-19 of the footer

Index and manifest are each replaced by one zstd frame, with content size, where that is smaller. It shows: zstd's
magic read as a size is 4,247,762,216 bytes, more than an index may say, and no manifest starts with its first byte.
A reader checks that the frames of the index fill exactly what stands before the padding, and that the manifest's
original size is theirs; a trailer copied from another object is therefore refused.

**FCG1 container**: the payload of the nvCOMP codecs (2, 3, 6), which a GPU writes in independent chunks.

    0   4  magic, b"FCG1"                       8   8  original size
    4   1  algorithm, see FcgAlgorithm         16   4  chunk size (the last chunk may decode to fewer)
    5   3  reserved (bitcomp: data type)       20   4  number of chunks
                                               24  ..  n x u32 chunk sizes as stored, then the chunks

**S4IX sidecar** of S4, an object of its own beside the data, named `<key>.s4index`. It holds no checksum.

    0   4  magic, b"S4IX"                       8   8  number of entries
    4   4  version: 1, 2 or 3                  16   8  original size of the whole
                                               24   8  size of all frames and paddings, before encryption
    version 2 and 3 go on with
    32  8  size of the stored object, 0 = unknown
    40  4  length of the ETag, 0 = unknown     44  ..  ETag without quotes
    version 3 goes on with
    +0  4  encrypted chunk size                10   8  salt
    +4  4  number of encrypted chunks          18   8  plaintext size
    +8  2  key id                              26   4  size of the envelope's header
    then n entries of 32 bytes: original offset, original size, stored offset (of the frame's magic), stored size
    (header included, padding excluded), 8 bytes each

**Payloads of our own codecs.** Each begins with its version, 1. What is called zstd is one stock zstd frame with its
content size. None of them holds more than 64 MiB of original: a few bytes may stand for many.

*zstd-cascade (64)*: version u8, then zstd of zstd of the original.

*typed (65)*: elements of *w* bytes, rearranged by a filter; what is left at the end is the odd tail.

    0   1  version, 1                           2   1  w
    1   1  filter, see TypedFilter              3   1  bit 0: elements are big-endian
    then parameters: of PLANES ceil(w/8) bytes, bit i of which is set where plane i holds differences;
         of PACK bits u8, the first element, the base, w bytes each; of the others none
    then original size mod w bytes: the odd tail as it is
    then the table: for each stream, size << 2 | StreamKind as LEB128; then the streams, back to back, to the end

    DELTA         w 2, 4, 8. One stream: each element less the one before (the first less 0), modulo 2**(8w).
    PLANES        w 2-64. w streams: byte 0 of every element, byte 1 ... In planes of the mask, each byte is less the
                  one before in that plane, modulo 256.
    DELTA_PLANES  w 2, 4, 8. The differences of DELTA, zigzag (0, -1, 1, -2 ... as 0, 1, 2, 3 ...), then w planes.
    PACK          w 2, 4, 8. The differences of DELTA less the base, modulo 2**(8w), the first one 0, all below 2**bits
                  (the base is any number; writers take the smallest difference, or the smallest that is not negative):
                  bits // 8 planes of whole bytes, the lowest first; then, unless bits is a multiple of 8, one stream
                  of bits % 8 planes of bits: each ceil(n/8) bytes, bit 0 of its first byte belongs to element 0.
    Elements, differences and parameters are little-endian, unless bit 0 of the flags is set: then the elements of
    the original (and nothing else) have their highest byte first.

    StreamKind    RAW: the stream. ZSTD: one zstd frame. CASCADE: zstd of zstd. REPEAT: a piece of the stream that
                  is repeated to its end.

*pco (66)*: numbers of one type, then nothing else.

    0   1  version, 1                           2   1  bit 0: elements are big-endian
    1   1  type, see PcoType                    3  ..  odd tail of the original, then a standalone file of pcodec
                                                       with the elements; nothing if there are none

*segments (67)*: consecutive pieces of the original, each stored as the payload of a codec 0, 1, 64, 65 or 66.

    0   1  version, 1                           3  ..  n entries of 9 bytes: codec id u8, original size u32,
    1   2  number of pieces n                          stored size u32; then the payloads, back to back, to the end

Codec ids 0-8 are S4's; ids from 64 on are ours. An id is never used again for something else.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

FRAME_MAGIC: Final = b"S4F2"
FRAME_HEADER: Final = struct.Struct("<4sIQQI")
FRAME_HEADER_SIZE: Final = 28
assert FRAME_HEADER.size == FRAME_HEADER_SIZE

PADDING_MAGIC: Final = b"S4P1"
PADDING_HEADER: Final = struct.Struct("<4sQ")
PADDING_HEADER_SIZE: Final = 12
assert PADDING_HEADER.size == PADDING_HEADER_SIZE

MAGIC_SIZE: Final = 4

FOOTER_MAGIC: Final = b"S4GT"
FOOTER: Final = struct.Struct("<4sB3sIIII")
FOOTER_SIZE: Final = 24
FOOTER_CRC_AT: Final = 20
assert FOOTER.size == FOOTER_SIZE
TRAILER_VERSION: Final = 1

ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"  # RFC 8878, section 3.1.1

INDEX_ENTRY_SIZE: Final = 8
INDEX_SIZE_MAX: Final = int.from_bytes(ZSTD_MAGIC, "little") - 1  # see above; we write frames of 1 MiB

TRAILER_TAIL_BYTES: Final = 65536
"""Suffix that a reader fetches first: holds footer, manifest and index of any ordinary object up to 6 GiB."""

FRAMES_MAX: Final = 16_777_216  # S4's own bound; 16 TiB in frames of 1 MiB, three times what S3 allows an object
MANIFEST_BYTES_MAX: Final = 16 * 1024**2  # 10,000 parts with two SHA-256 each take about 1 MiB

ORIGINAL_BYTES_MAX: Final = 5 * 1024**3  # largest part, so S4's largest frame
FRAME_BYTES: Final = 1024**2
"""Original bytes in a frame that we write: a 4 KiB range costs 0.6 ms, and the ratio is within 1 % of 4 MiB frames."""

FCG1_MAGIC: Final = b"FCG1"
FCG1_HEADER: Final = struct.Struct("<4sB3sQII")
FCG1_HEADER_SIZE: Final = 24
FCG1_CHUNK_BYTES_MAX: Final = 16 * 1024**2  # bound of the writer
assert FCG1_HEADER.size == FCG1_HEADER_SIZE

SIDECAR_MAGIC: Final = b"S4IX"
SIDECAR_HEADER: Final = struct.Struct("<4sIQQQ")
SIDECAR_BINDING: Final = struct.Struct("<QI")
SIDECAR_ENCRYPTION: Final = struct.Struct("<IIH8sQI")
SIDECAR_ENTRY_SIZE: Final = 32
SIDECAR_ETAG_BYTES_MAX: Final = 4096
SIDECAR_VERSION: Final = 2  # what we write; 3 describes encrypted bodies
SIDECAR_VERSION_ENCRYPTED: Final = 3
SIDECAR_VERSIONS: Final = frozenset({1, 2, 3})
SIDECAR_HEADER_SIZE: Final = 32
SIDECAR_BINDING_SIZE: Final = 12
SIDECAR_ENCRYPTION_SIZE: Final = 30
assert SIDECAR_HEADER.size == SIDECAR_HEADER_SIZE
assert SIDECAR_BINDING.size == SIDECAR_BINDING_SIZE
assert SIDECAR_ENCRYPTION.size == SIDECAR_ENCRYPTION_SIZE


PAYLOAD_VERSION: Final = 1
NUMBERS_BYTES_MAX: Final = 64 * 1024**2
"""Original bytes in a frame of codecs 64 and up: 64 of the frames that we write, and what a gateway's reader holds."""
TYPED_HEADER: Final = struct.Struct("<BBBB")
TYPED_HEADER_SIZE: Final = 4
TYPED_BIG_ENDIAN: Final = 1
RECORD_BYTES_MIN: Final = 2
RECORD_BYTES_MAX: Final = 64
STREAM_VARINT_BYTES_MAX: Final = 5  # 64 MiB << 2 takes 28 bits
assert TYPED_HEADER.size == TYPED_HEADER_SIZE
PCO_HEADER: Final = struct.Struct("<BBB")
PCO_HEADER_SIZE: Final = 3
PCO_BIG_ENDIAN: Final = 1
assert PCO_HEADER.size == PCO_HEADER_SIZE
SEGMENTS_HEADER: Final = struct.Struct("<BH")
SEGMENTS_HEADER_SIZE: Final = 3
SEGMENT_ENTRY: Final = struct.Struct("<BII")
SEGMENT_ENTRY_SIZE: Final = 9
SEGMENT_BYTES: Final = 256 * 1024
"""Grid that a writer cuts on; readers take pieces of any size."""
assert SEGMENTS_HEADER.size == SEGMENTS_HEADER_SIZE
assert SEGMENT_ENTRY.size == SEGMENT_ENTRY_SIZE


class CodecId(IntEnum):
    """Number of a codec in a frame header. Ids 64 and up are ours, see the module's text."""

    PASSTHROUGH = 0
    CPU_ZSTD = 1
    NVCOMP_ZSTD = 2
    NVCOMP_BITCOMP = 3
    NVCOMP_GANS = 4
    DIETGPU_ANS = 5
    NVCOMP_GDEFLATE = 6
    CPU_GZIP = 7
    CPU_ZSTD_DICT = 8
    ZSTD_CASCADE = 64
    TYPED = 65
    PCO = 66
    SEGMENTS = 67

    @property
    def label(self) -> str:
        """Name in metadata, logs and metrics, e.g. "cpu-zstd"."""
        return _LABELS[self]

    @classmethod
    def from_label(cls, label: str) -> CodecId:
        """Find a codec by its metadata name. Raises: ValueError."""
        for codec in cls:
            if codec.label == label:
                return codec
        raise ValueError(f"no codec is called {label!r}")


_LABELS: Final = {codec: codec.name.lower().replace("_", "-") for codec in CodecId}


class FcgAlgorithm(IntEnum):
    """What the chunks of an FCG1 container are compressed with."""

    SNAPPY = 1
    LZ4 = 2
    ZSTD = 3
    BITCOMP = 4
    GDEFLATE = 5


class TypedFilter(IntEnum):
    """How codec 65 rearranges elements."""

    DELTA = 1
    PLANES = 2
    DELTA_PLANES = 3
    PACK = 4


class StreamKind(IntEnum):
    """Form in which codec 65 stores a stream."""

    RAW = 0
    ZSTD = 1
    CASCADE = 2
    REPEAT = 3


class PcoType(IntEnum):
    """What the numbers of codec 66 are."""

    U16 = 1
    U32 = 2
    U64 = 3
    F32 = 4
    F64 = 5
