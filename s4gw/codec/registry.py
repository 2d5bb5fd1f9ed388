"""Which code decodes and encodes which codec id.

A new codec is a module, a number in `CodecId` and a row here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from s4gw.checksum import Buffer
from s4gw.codec import cascade, estimate, fcg1, gzip, passthrough, pco, segments, typed, zstd, zstd_dict
from s4gw.codec.choice import Choice, Column, Filter
from s4gw.codec.errors import DictionaryMissing, UnsupportedCodec
from s4gw.codec.layout import NUMBERS_BYTES_MAX, CodecId

SHRINK_MIN_PERCENT: Final = 1
"""A payload that does not shrink by this much is stored as it is: decoding it would cost more than it saves."""

Dictionaries = Callable[[int], bytes]
"""Gives the zstd dictionary of a number, or raises DictionaryMissing."""

_DECODERS: Final[Mapping[CodecId, Callable[[Buffer, int], Buffer]]] = MappingProxyType(
    {
        CodecId.PASSTHROUGH: passthrough.decode,
        CodecId.CPU_ZSTD: zstd.decode,
        CodecId.NVCOMP_ZSTD: fcg1.decode,
        CodecId.NVCOMP_BITCOMP: fcg1.decode,
        CodecId.NVCOMP_GDEFLATE: fcg1.decode,
        CodecId.CPU_GZIP: gzip.decode,
        CodecId.ZSTD_CASCADE: cascade.decode,
        CodecId.TYPED: typed.decode,
        CodecId.PCO: pco.decode,
        CodecId.SEGMENTS: lambda payload, size: segments.decode(payload, size, decode),
    }
)

_ENCODERS: Final[Mapping[CodecId, Callable[[Buffer, int], Buffer]]] = MappingProxyType(
    {
        CodecId.PASSTHROUGH: lambda data, _level: passthrough.encode(data),
        CodecId.CPU_ZSTD: zstd.encode,
        CodecId.CPU_GZIP: gzip.encode,
    }
)

_STREAMS: Final[Mapping[CodecId, Callable[[zstd.Readable], Iterator[bytes]]]] = MappingProxyType(
    {CodecId.CPU_ZSTD: zstd.stream, CodecId.CPU_GZIP: gzip.stream}
)

LEVEL_DEFAULT: Final[Mapping[CodecId, int]] = MappingProxyType(
    {
        CodecId.PASSTHROUGH: 0,
        CodecId.CPU_ZSTD: zstd.LEVEL_DEFAULT,
        CodecId.CPU_GZIP: gzip.LEVEL_DEFAULT,
        CodecId.CPU_ZSTD_DICT: zstd.LEVEL_DEFAULT,
        CodecId.ZSTD_CASCADE: zstd.LEVEL_DEFAULT,
    }
)
"""Level of codecs that need nothing but a level, when nobody names one."""

WRITTEN: Final = frozenset({*LEVEL_DEFAULT, CodecId.TYPED, CodecId.PCO, CodecId.SEGMENTS})
"""The codecs that can be written."""


def encode(choice: Choice, data: Buffer, dictionary: bytes | None = None) -> tuple[CodecId, Buffer]:
    """Compress *data*: (the codec that came of it, its payload); passthrough gives *data* itself.

    The codec is the one chosen, except where its own rules prefer plain zstd: nothing to cascade, or more than
    `NUMBERS_BYTES_MAX` bytes.

    Raises: UnsupportedCodec, for codecs that are only read; DictionaryMissing; ValueError, for a level out of range
        or parameters that the codec does not have.
    """
    codec, level, parameters = choice.codec, choice.level, choice.parameters
    if codec is CodecId.CPU_ZSTD_DICT:
        if dictionary is None:
            raise DictionaryMissing(0)
        return codec, zstd_dict.encode(data, level, dictionary)
    encoder = _ENCODERS.get(codec)
    if encoder is not None:
        return codec, encoder(data, level)
    if codec not in WRITTEN:
        raise UnsupportedCodec(codec.label)
    if memoryview(data).nbytes > NUMBERS_BYTES_MAX:
        return CodecId.CPU_ZSTD, zstd.encode(data, level)
    if codec is CodecId.ZSTD_CASCADE:
        return cascade.encode(data, level)
    if codec is CodecId.TYPED and isinstance(parameters, Filter):
        return codec, typed.encode(data, level, parameters)
    if codec is CodecId.PCO and isinstance(parameters, Column):
        return codec, pco.encode(data, parameters)
    if codec is CodecId.SEGMENTS and isinstance(parameters, tuple):
        return _encode_segments(data, parameters)
    raise ValueError(f"{codec.label} with {parameters}")


def _encode_segments(data: Buffer, choices: tuple[Choice, ...]) -> tuple[CodecId, Buffer]:
    runs = segments.cut(data, lambda piece, start: estimate.best_of(choices, piece, start))
    if len(runs) == 1:
        return encode(runs[0][2], data)
    return CodecId.SEGMENTS, segments.encode(data, runs, encode_shrunk)


def encode_shrunk(choice: Choice, data: Buffer, dictionary: bytes | None = None) -> tuple[CodecId, Buffer]:
    """Do what `encode` does, but leave *data* as it is when that does not save 1 %."""
    codec, payload = encode(choice, data, dictionary)
    original_size = memoryview(data).nbytes
    if memoryview(payload).nbytes * 100 > original_size * (100 - SHRINK_MIN_PERCENT):
        return CodecId.PASSTHROUGH, data
    return codec, payload


def decode(codec: CodecId, payload: Buffer, original_size: int, dictionaries: Dictionaries | None = None) -> Buffer:
    """Decompress *payload* to exactly *original_size* bytes, which the caller has bounded.

    Raises: CorruptFrame, UnsupportedCodec, DictionaryMissing.
    """
    if codec is CodecId.CPU_ZSTD_DICT:
        return zstd_dict.decode(payload, original_size, dictionaries)
    decoder = _DECODERS.get(codec)
    if decoder is None:
        raise UnsupportedCodec(codec.label)
    return decoder(payload, original_size)


def stream(codec: CodecId, source: zstd.Readable) -> Iterator[bytes]:
    """Decompress a raw, unframed body whose size nobody knows. Raises: UnsupportedCodec, CorruptFrame."""
    streamer = _STREAMS.get(codec)
    if streamer is None:
        raise UnsupportedCodec(f"{codec.label} without frames")
    return streamer(source)
