"""Stored bodies as commands meet them: a file, or an object of an embedded store, read without a gateway.

A file has no metadata beside it, so it is framed when it begins like a frame, and plain otherwise; a raw body needs
its codec named. Frames are found by their headers, never by the trailer, so that what a command shows or decodes does
not depend on the part that it checks.
"""

from __future__ import annotations

import argparse
import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from s4gw.codec import (
    FRAME_HEADER_SIZE,
    FRAME_MAGIC,
    PADDING_MAGIC,
    SIDECAR_MAGIC,
    TRAILER_TAIL_BYTES,
    CodecError,
    CodecId,
    Dictionaries,
    FrameHeader,
    HeaderWalker,
    NeedBytes,
    Site,
    Trailer,
    decode_frame,
    read_trailer,
    stream_raw,
)
from s4gw.tools.places import is_data_dir

_RAW_CODECS: Final = (CodecId.PASSTHROUGH, CodecId.CPU_ZSTD, CodecId.CPU_GZIP)
"""What S4 stores without frames."""
_BLOCK_BYTES: Final = 1024**2
_SCHEME: Final = "s3://"
_ENVELOPES: Final = frozenset(b"S4E%d" % number for number in range(1, 7))  # sse.rs of S4; AES-256-GCM


class SourceError(Exception):
    """The command line names something that cannot be read: misuse, not damage."""


class Stored(Protocol):
    """A stored body. Sizes and offsets in stored bytes."""

    size: int
    framed: bool
    dictionaries: Dictionaries | None
    """Gives what frames of cpu-zstd-dict need, where the source knows."""
    dictionary_name: str
    """Of the dictionary that the body needs, where the source knows."""
    hint: str
    """What was said of the body and by whom, where the source knows."""
    envelope: str
    """Magic of S4's encryption, if it lies around the body; else empty."""
    is_sidecar: bool
    """It is S4's index of another object."""

    def read(self, start: int, end: int) -> bytes:
        """Bytes from *start* to *end*, half-open; fewer at the end of the body."""


class _File:
    """A body in a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.dictionaries: Dictionaries | None = None
        self.dictionary_name = self.hint = ""
        self.size = file.seek(0, os.SEEK_END)
        head = self.read(0, len(FRAME_MAGIC))
        self.framed = head in {FRAME_MAGIC, PADDING_MAGIC}
        self.is_sidecar = head == SIDECAR_MAGIC
        self.envelope = head.decode() if head in _ENVELOPES else ""

    def read(self, start: int, end: int) -> bytes:
        self._file.seek(start)
        return self._file.read(end - start)


class _Object:
    """The body of an object in an embedded store."""

    def __init__(  # noqa: PLR0913 - one object's facts
        self,
        read: Callable[[int, int], bytes],
        size: int,
        *,
        framed: bool,
        dictionaries: Dictionaries | None,
        dictionary_name: str,
        hint: str,
    ) -> None:
        self._read = read
        self.size = size
        self.framed = framed
        self.dictionaries = dictionaries
        self.dictionary_name = dictionary_name
        self.hint = hint
        self.envelope, self.is_sidecar = "", False  # a client's bytes, whatever they begin with

    def read(self, start: int, end: int) -> bytes:
        return self._read(start, min(end, self.size))


class _Reader(io.RawIOBase):
    """A stored body as a readable stream, from its first byte on."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored
        self._at = 0

    def read(self, size: int = -1, /) -> bytes:
        piece = self._stored.read(self._at, self._stored.size if size < 0 else self._at + size)
        self._at += len(piece)
        return piece


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name a stored body."""
    parser.add_argument("source", metavar="FILE|s3://BUCKET/KEY", help="a stored body; s3:// needs --data-dir")
    parser.add_argument("--data-dir", type=Path, help="data directory of an embedded store")
    parser.add_argument("--version-id", help="a version other than the current one")
    parser.add_argument(
        "--codec",
        choices=[codec.label for codec in _RAW_CODECS],
        help="FILE is unframed output of this codec; passthrough takes it as it is",
    )
    parser.add_argument("--dictionary", type=Path, help="zstd dictionary for cpu-zstd-dict frames")


@contextmanager
def open_source(arguments: argparse.Namespace) -> Iterator[Stored]:
    """Open what the arguments of `add_source` name.

    Raises: SourceError; OSError.
    """
    source: str = arguments.source
    if not source.startswith(_SCHEME):
        with Path(source).open("rb") as file:
            yield _File(file)
        return
    bucket, _, key = source.removeprefix(_SCHEME).partition("/")
    if not bucket or not key:
        raise SourceError(f"{source}: write {_SCHEME}BUCKET/KEY")
    if arguments.data_dir is None:
        raise SourceError(f"{source} needs --data-dir")
    if not is_data_dir(arguments.data_dir):
        raise SourceError(f"{arguments.data_dir} is no data directory")
    with _open_object(arguments.data_dir, bucket, key, arguments.version_id) as found:
        yield found


@contextmanager
def _open_object(data_dir: Path, bucket: str, key: str, version_id: str | None) -> Iterator[_Object]:
    # late: only this needs the store and its libraries
    from s4gw.backends import EmbeddedBackend
    from s4gw.objects import DamagedObject, Hints
    from s4gw.objects import Dictionaries as ObjectDictionaries
    from s4gw.s3.errors import S3Error
    from s4gw.store import StoreError

    try:
        backend = EmbeddedBackend(data_dir, read_only=True)
    except StoreError as error:
        raise SourceError(str(error)) from error
    try:
        try:
            found = backend.head_object(bucket, key, version_id)
        except S3Error as error:
            raise FileNotFoundError(errno.ENOENT, error.text, f"{_SCHEME}{bucket}/{key}") from error
        if found.delete_marker:
            raise FileNotFoundError(errno.ENOENT, "is deleted", f"{_SCHEME}{bucket}/{key}")

        hint = Hints(backend).find(bucket, key, found.meta, found.size)

        def dictionary_of(number: int) -> bytes:
            try:
                return ObjectDictionaries(backend).of(bucket, found)(number)
            except (DamagedObject, S3Error) as error:
                raise CodecError(str(error)) from error

        def read(start: int, end: int) -> bytes:
            try:
                return bytes(backend.read(found, start, end))
            except S3Error as error:
                raise CodecError(f"stored bytes {start} to {end}: {error.__cause__ or error.text}") from error

        yield _Object(
            read,
            found.stored_size,
            framed=found.meta.framed,
            dictionaries=dictionary_of if found.meta.dictionary else None,
            dictionary_name=found.meta.dictionary,
            hint="" if hint is None else str(hint),
        )
    finally:
        backend.close()


def raw_codec(arguments: argparse.Namespace) -> CodecId | None:
    """Codec that the command line says a file is the bare output of."""
    return None if arguments.codec is None else CodecId.from_label(arguments.codec)


def sites(stored: Stored) -> Iterator[Site]:
    """Find every frame and padding. Raises: CorruptFrame and its kin, where the body stops making sense."""
    walker = HeaderWalker(stored.size)
    while not walker.done:
        yield walker.accept(stored.read(walker.offset, walker.offset + walker.wanted))


def find_trailer(stored: Stored) -> Trailer:
    """Read the trailer of a framed body that ends with a padding. Raises: NoTrailer, CorruptTrailer."""
    size = TRAILER_TAIL_BYTES
    while True:
        found = read_trailer(stored.read(max(0, stored.size - size), stored.size), stored.size)
        if not isinstance(found, NeedBytes):
            return found
        size = found.size


def frames(stored: Stored, start: int, end: int, dictionary: bytes | None = None) -> Iterator[bytes]:
    """Decode original bytes *start* to *end* of a framed body, reading the payloads of the frames they are in only.

    Raises: CodecError, before any byte of the frame that is damaged.
    """
    at = 0
    for site in sites(stored):
        header = site.header
        if not isinstance(header, FrameHeader):
            continue
        if at >= end:
            return
        if at + header.original_size > start:
            payload_at = site.offset + FRAME_HEADER_SIZE
            payload = stored.read(payload_at, payload_at + header.payload_size)
            dictionaries = stored.dictionaries if dictionary is None else (lambda _number: dictionary)
            decoded = decode_frame(header, payload, dictionaries=dictionaries)
            yield bytes(decoded[max(0, start - at) : end - at])
        at += header.original_size


def raw(stored: Stored, codec: CodecId | None) -> Iterator[bytes]:
    """Decode an unframed body; with no codec, or passthrough, its bytes as they are. Raises: CodecError."""
    if codec not in {None, CodecId.PASSTHROUGH}:
        assert codec is not None
        yield from stream_raw(codec, _Reader(stored))
        return
    for start in range(0, stored.size, _BLOCK_BYTES):
        yield stored.read(start, start + _BLOCK_BYTES)
