"""Compression library: frames, index, trailer and codecs, usable without the rest of the package.

Pure: bytes and values in, bytes, values or `CodecError` out. `layout` holds the formats, `docs/format.md` tells them
in prose.
"""

from s4gw.codec.auto import AUTO_BYTES_MIN as HINTED_BYTES_MIN
from s4gw.codec.auto import AutoDispatcher, explain
from s4gw.codec.cascade import finish as finish_cascade
from s4gw.codec.choice import Choice, Column, Filter
from s4gw.codec.cutting import GRID_BYTES, cut
from s4gw.codec.describe import describe
from s4gw.codec.dispatch import SMALL_BYTES, AlwaysDispatcher, Dispatcher, SamplingDispatcher
from s4gw.codec.errors import (
    ChecksumMismatch,
    CodecError,
    CodecUnavailable,
    CorruptFrame,
    CorruptIndex,
    CorruptSidecar,
    CorruptTrailer,
    DictionaryMissing,
    FrameTooLarge,
    NotFramed,
    NoTrailer,
    RangeOutsideObject,
    TooFewSamples,
    TrailerError,
    TruncatedFrame,
    UnknownCodec,
    UnsupportedCodec,
    UnsupportedSidecar,
)
from s4gw.codec.fcg1 import Container
from s4gw.codec.fcg1 import parse as parse_container
from s4gw.codec.frame import (
    EncodedFrame,
    Frame,
    FrameHeader,
    FrameReader,
    Padding,
    checked_original,
    decode_frame,
    encode_frame,
    encode_padding,
    parse_frame_header,
    parse_header,
)
from s4gw.codec.hint import is_hint
from s4gw.codec.index import FrameEntry, FrameIndex, FrameSpan
from s4gw.codec.layout import (
    FRAME_BYTES,
    FRAME_HEADER_SIZE,
    FRAME_MAGIC,
    ORIGINAL_BYTES_MAX,
    PADDING_MAGIC,
    SIDECAR_MAGIC,
    TRAILER_TAIL_BYTES,
    CodecId,
    FcgAlgorithm,
    PcoType,
    StreamKind,
    TypedFilter,
)
from s4gw.codec.manifest import CodecTotals, Manifest, ManifestPart
from s4gw.codec.pipeline import Compressor, compress, decompress, is_framed
from s4gw.codec.reader import Reader, open_reader
from s4gw.codec.registry import LEVEL_DEFAULT, SHRINK_MIN_PERCENT, Dictionaries
from s4gw.codec.registry import decode as decode_payload
from s4gw.codec.registry import encode_shrunk as encode_payload
from s4gw.codec.registry import stream as stream_raw
from s4gw.codec.s4_metadata import Body, BodyKind, classify, split_metadata
from s4gw.codec.selection import Selection
from s4gw.codec.sidecar import Sidecar, SidecarEncryption, encode_sidecar, read_sidecar
from s4gw.codec.streams import finish as finish_stream
from s4gw.codec.trailer import NeedBytes, Trailer, encode_trailer, read_trailer
from s4gw.codec.typed import assemble as assemble_typed
from s4gw.codec.typed import forward as forward_typed
from s4gw.codec.walk import HeaderWalker, Site
from s4gw.codec.zstd_dict import DICTIONARY_BYTES_MAX, train_dictionary

__all__ = [
    "DICTIONARY_BYTES_MAX",
    "FRAME_BYTES",
    "FRAME_HEADER_SIZE",
    "FRAME_MAGIC",
    "GRID_BYTES",
    "HINTED_BYTES_MIN",
    "LEVEL_DEFAULT",
    "ORIGINAL_BYTES_MAX",
    "PADDING_MAGIC",
    "SHRINK_MIN_PERCENT",
    "SIDECAR_MAGIC",
    "SMALL_BYTES",
    "TRAILER_TAIL_BYTES",
    "AlwaysDispatcher",
    "AutoDispatcher",
    "Body",
    "BodyKind",
    "ChecksumMismatch",
    "Choice",
    "CodecError",
    "CodecId",
    "CodecTotals",
    "CodecUnavailable",
    "Column",
    "Compressor",
    "Container",
    "CorruptFrame",
    "CorruptIndex",
    "CorruptSidecar",
    "CorruptTrailer",
    "Dictionaries",
    "DictionaryMissing",
    "Dispatcher",
    "EncodedFrame",
    "FcgAlgorithm",
    "Filter",
    "Frame",
    "FrameEntry",
    "FrameHeader",
    "FrameIndex",
    "FrameReader",
    "FrameSpan",
    "FrameTooLarge",
    "HeaderWalker",
    "Manifest",
    "ManifestPart",
    "NeedBytes",
    "NoTrailer",
    "NotFramed",
    "Padding",
    "PcoType",
    "RangeOutsideObject",
    "Reader",
    "SamplingDispatcher",
    "Selection",
    "Sidecar",
    "SidecarEncryption",
    "Site",
    "StreamKind",
    "TooFewSamples",
    "Trailer",
    "TrailerError",
    "TruncatedFrame",
    "TypedFilter",
    "UnknownCodec",
    "UnsupportedCodec",
    "UnsupportedSidecar",
    "assemble_typed",
    "checked_original",
    "classify",
    "compress",
    "cut",
    "decode_frame",
    "decode_payload",
    "decompress",
    "describe",
    "encode_frame",
    "encode_padding",
    "encode_payload",
    "encode_sidecar",
    "encode_trailer",
    "explain",
    "finish_cascade",
    "finish_stream",
    "forward_typed",
    "is_framed",
    "is_hint",
    "open_reader",
    "parse_container",
    "parse_frame_header",
    "parse_header",
    "read_sidecar",
    "read_trailer",
    "split_metadata",
    "stream_raw",
    "train_dictionary",
]
