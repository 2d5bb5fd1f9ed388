"""Codec 8: one stock zstd frame that needs a dictionary kept outside of it.

The zstd frame names its dictionary by the number in the dictionary's own header; raw-content dictionaries have
number 0. Dictionaries pay for objects of up to 64 KiB and lose in frames of 256 KiB and more, so nothing chooses
this codec by itself.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import zstandard

from s4gw.checksum import Buffer
from s4gw.codec.errors import CorruptFrame, DictionaryMissing, TooFewSamples
from s4gw.codec.zstd import WINDOW_BYTES_MAX, decode_with

DICTIONARY_BYTES_MAX: Final = 1024**2  # S4's bound for `.s4dict/` objects
_CONTEXTS_MAX: Final = 16  # dictionaries that a thread keeps digested; S4 keeps as many


class _Contexts(threading.local):
    """This thread's contexts, least recently used first."""

    def __init__(self) -> None:
        self.compressors: OrderedDict[tuple[bytes, int], zstandard.ZstdCompressor] = OrderedDict()
        self.decompressors: OrderedDict[bytes, zstandard.ZstdDecompressor] = OrderedDict()


_CONTEXTS: Final = _Contexts()


def encode(data: Buffer, level: int, dictionary: bytes) -> bytes:
    """Compress *data* into one zstd frame with the help of *dictionary* (at most 1 MiB)."""
    contexts = _CONTEXTS.compressors
    compressor = contexts.pop((dictionary, level), None)
    if compressor is None:
        compressor = zstandard.ZstdCompressor(level=level, dict_data=_load(dictionary), write_content_size=True)
    contexts[dictionary, level] = compressor
    if len(contexts) > _CONTEXTS_MAX:
        contexts.popitem(last=False)
    return compressor.compress(data)


def train_dictionary(samples: Sequence[bytes], size: int) -> bytes:
    """Make a dictionary of what *samples* have in common; the same samples give the same one.

    Args:
        samples: Whole small objects, as many as there are up to some thousands; a hundred times *size* is plenty.
        size: Bytes of the dictionary at most; 16 KiB do as well as 112 KiB.

    Raises: TooFewSamples.
    """
    try:
        return bytes(zstandard.train_dictionary(size, list(samples)).as_bytes())
    except zstandard.ZstdError as error:
        raise TooFewSamples(str(error)) from error


def decode(payload: Buffer, original_size: int, dictionaries: Callable[[int], bytes] | None) -> bytes:
    """Decompress a zstd frame of *original_size* bytes.

    Args:
        payload: The zstd frame.
        original_size: Bytes to be had, bounded by the caller.
        dictionaries: Gives the dictionary of a number; it may raise DictionaryMissing.

    Raises: DictionaryMissing; CorruptFrame.
    """
    try:
        dictionary_id = zstandard.get_frame_parameters(payload).dict_id
    except zstandard.ZstdError as error:
        raise CorruptFrame(f"zstd: {error}") from error
    if dictionaries is None:
        raise DictionaryMissing(dictionary_id)
    dictionary = dictionaries(dictionary_id)
    contexts = _CONTEXTS.decompressors
    decompressor = contexts.pop(dictionary, None)
    if decompressor is None:
        decompressor = zstandard.ZstdDecompressor(dict_data=_load(dictionary), max_window_size=WINDOW_BYTES_MAX)
    contexts[dictionary] = decompressor
    if len(contexts) > _CONTEXTS_MAX:
        contexts.popitem(last=False)
    return decode_with(decompressor, payload, original_size)


def _load(dictionary: bytes) -> zstandard.ZstdCompressionDict:
    if len(dictionary) > DICTIONARY_BYTES_MAX:
        raise ValueError(f"a dictionary has at most {DICTIONARY_BYTES_MAX} bytes")
    return zstandard.ZstdCompressionDict(dictionary)
