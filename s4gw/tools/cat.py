"""``s4gw cat``: the original of a stored body, to standard output, with no gateway running.

Whole bodies are checked beyond their frames: length and CRC-32C have to be those of the trailer, where there is one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from s4gw.checksum import crc32c
from s4gw.codec import CodecError, FrameHeader, NoTrailer, Padding, UnsupportedCodec
from s4gw.s3.errors import InvalidRange
from s4gw.s3.range import parse_range
from s4gw.tools import stored
from s4gw.tools.stored import SourceError, Stored

if TYPE_CHECKING:
    from s4gw.tools.parsers import Subparsers

OK: Final = 0
DAMAGE: Final = 1
MISUSE: Final = 2


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "cat",
        help="decode a stored object or file to standard output",
        description="Decode a stored body. Every frame's checksum is checked before its bytes are written.",
    )
    stored.add_source(parser)
    parser.add_argument(
        "--range", metavar="A-B", help="bytes A to B of the original, both included; A- and -N work too"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the original. Returns: 0; 1 for damage; 2 for misuse. Raises: OSError."""
    try:
        dictionary = _dictionary(arguments.dictionary)
        with stored.open_source(arguments) as source:
            for block in _blocks(source, arguments, dictionary):
                sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()
    except SourceError as error:
        print(f"s4gw cat: {error}", file=sys.stderr)
        return MISUSE
    except CodecError as error:
        sys.stdout.buffer.flush()
        print(f"s4gw cat: {arguments.source}: {error}", file=sys.stderr)
        return DAMAGE
    return OK


def _dictionary(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()


def _blocks(source: Stored, arguments: argparse.Namespace, dictionary: bytes | None) -> Iterator[bytes]:
    codec = stored.raw_codec(arguments)
    if source.envelope and codec is None:
        raise UnsupportedCodec(f"encryption {source.envelope} of S4")
    if source.framed and codec is None:
        size = _original_size(source)
        start, end = _range(arguments.range, size)
        blocks = stored.frames(source, start, end, dictionary)
        return blocks if arguments.range else _checked(source, blocks)
    if arguments.range is None:
        return stored.raw(source, codec)
    # a raw body does not say how large its original is: decoding it twice keeps no more than a block in memory
    start, end = _range(arguments.range, sum(map(len, stored.raw(source, codec))))
    return _cut(stored.raw(source, codec), start, end)


def _original_size(source: Stored) -> int:
    return sum(site.header.original_size for site in stored.sites(source) if isinstance(site.header, FrameHeader))


def _range(text: str | None, size: int) -> tuple[int, int]:
    """Half-open range that *text* asks for. Raises: SourceError."""
    if text is None:
        return 0, size
    try:
        found = parse_range(f"bytes={text}", size)
    except InvalidRange:
        raise SourceError(f"--range {text}: the original has {size} bytes") from None
    if found is None:
        raise SourceError(f"--range {text}: write A-B, A- or -N")
    return found.start, found.end


def _checked(source: Stored, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Pass the whole original on, and hold it against the trailer at its end. Raises: CodecError."""
    checksum = 0
    for block in blocks:
        checksum = crc32c(block, checksum)
        yield block
    *_, last = stored.sites(source)
    if not isinstance(last.header, Padding):
        return
    try:
        expected = stored.find_trailer(source).manifest.crc32c
    except NoTrailer:  # a padding of S4's, filled with zeros
        return
    if expected not in {None, checksum}:
        raise CodecError(f"CRC-32C of the whole is {checksum:08x}, the trailer says {expected:08x}")


def _cut(blocks: Iterator[bytes], start: int, end: int) -> Iterator[bytes]:
    """Give bytes *start* to *end* of what *blocks* hold together, reading on to their end to see damage there."""
    at = 0
    for block in blocks:
        yield block[max(0, start - at) : max(0, end - at)]
        at += len(block)
