"""The originals of stored objects as an fsspec filesystem, over any other one, with no gateway in between.

``s4://`` names paths of the target filesystem (``target_protocol``, ``target_options``); ``s4::s3://bucket/key`` says
both at once. What is written is framed, what is read is decoded and checked, sizes are those of the originals. Files
that no gateway compressed are read as they are. Index objects and reserved folders of gateways are not shown.

This needs fsspec (extra ``fsspec``), which finds the filesystem by its entry point.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from fsspec import filesystem
from fsspec.implementations.chained import ChainedFileSystem

from s4gw.codec import (
    FRAME_BYTES,
    FRAME_MAGIC,
    AlwaysDispatcher,
    BodyKind,
    Choice,
    CodecError,
    CodecId,
    Compressor,
    Dictionaries,
    DictionaryMissing,
    Dispatcher,
    FrameHeader,
    NotFramed,
    Reader,
    classify,
    decode_frame,
    open_reader,
    read_sidecar,
)

if TYPE_CHECKING:
    from types import TracebackType

    from _typeshed import ReadableBuffer

SIDECAR_SUFFIX: Final = ".s4index"
DICTIONARY_FOLDER: Final = ".s4dict"
DICTIONARY_ID: Final = "s4-dict-id"
RESERVED: Final = frozenset({DICTIONARY_FOLDER, ".s4mpu", ".s4gw"})
"""Folders that gateways keep for themselves, and hide."""
AHEAD_BYTES: Final = 4 * 1024**2
"""Stored bytes per request while a file is read in order: each one may be a round trip."""
SIZES_MAX: Final = 65_536
"""Original sizes that are remembered."""
RAW_BYTES_MAX: Final = 1024**3
"""Largest unframed object of S4 that is decoded: it has one checksum, so it takes as much memory as it has bytes."""


_DICTIONARY_NAME: Final = re.compile("[0-9a-f]{16}")


class S4FileSystem(ChainedFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Reads and writes framed objects on another filesystem.

    Args:
        target_protocol: Protocol of the filesystem that holds the stored bytes.
        target_options: What to make it with.
        fs: That filesystem itself, instead of the two.
        codec: Name of the codec to write with, such as "cpu-zstd"; None: chosen from the bytes.
        level: Its level.
        frame_bytes: Original bytes per frame.
        dictionaries: Gives zstd dictionaries by number, for objects that were written with one; where the target knows
            user metadata, those name it, and it is found beside them.
    """

    protocol: ClassVar[str] = "s4"
    root_marker = ""

    def __init__(  # noqa: PLR0913 - fsspec hands options over as keywords
        self,
        target_protocol: str = "file",
        target_options: Mapping[str, Any] | None = None,
        *,
        fs: Any = None,
        codec: str | None = None,
        level: int = 0,
        frame_bytes: int = FRAME_BYTES,
        dictionaries: Dictionaries | None = None,
        fo: str = "",  # noqa: ARG002 - what a chained URL names; the path says it again
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.fs = filesystem(target_protocol, **(target_options or {})) if fs is None else fs
        self._dispatcher: Dispatcher | None = None
        if codec is not None:
            self._dispatcher = AlwaysDispatcher(Choice(CodecId.from_label(codec), level))
        self._frame_bytes = frame_bytes
        self._dictionaries = dictionaries
        self._sizes: OrderedDict[tuple[str, ...], int] = OrderedDict()

    # -- names --------------------------------------------------------------------------------------------------------

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        text = str(path).removeprefix(f"{cls.protocol}://").removeprefix(f"{cls.protocol}::")
        return text.rstrip("/") or text[:1]

    def unstrip_protocol(self, name: str) -> str:
        return f"{self.protocol}://{self._strip_protocol(name)}"

    def _target(self, path: Any) -> str:
        return str(self.fs._strip_protocol(self._strip_protocol(path)))  # noqa: SLF001 - fsspec's own protocol

    # -- reading ------------------------------------------------------------------------------------------------------

    def _open(self, path: str, mode: str = "rb", **_options: Any) -> Any:
        target = self._target(path)
        if mode == "rb":
            return self._reader(target, self.fs.info(target))
        if mode == "wb":
            compressor = Compressor(dispatcher=self._dispatcher, frame_bytes=self._frame_bytes)
            return _Writer(self.fs.open(target, "wb"), compressor)
        raise ValueError(f"mode {mode}: compressed files are read or written whole, not changed")

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """What the target says, with the size of the original; `stored_size` is the target's."""
        return self._described(self.fs.info(self._target(path), **options))

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:  # noqa: FBT001, FBT002 - fsspec's
        """List a folder. With *detail*, each file costs a request for its size, once."""
        found = [entry for entry in self.fs.ls(self._target(path), detail=True, **options) if not _hidden(entry)]
        return [self._described(entry) if detail else entry["name"] for entry in found]

    def _described(self, entry: dict[str, Any]) -> dict[str, Any]:
        if entry["type"] != "file":
            return entry
        return {**entry, "size": self._original_size(entry), "stored_size": entry["size"]}

    def _original_size(self, entry: dict[str, Any]) -> int:
        identity = (entry["name"], *(str(entry.get(name)) for name in ("size", "ETag", "mtime", "LastModified")))
        known = self._sizes.get(identity)
        if known is None:
            with self._reader(entry["name"], entry) as reader:
                known = reader.size if isinstance(reader, Reader) else reader.seek(0, io.SEEK_END)
            self._sizes[identity] = known
            if len(self._sizes) > SIZES_MAX:
                self._sizes.popitem(last=False)
        return known

    def _reader(self, target: str, entry: dict[str, Any]) -> Any:
        """A file with the original of *target*: a `Reader`, or what the target opens where nothing is compressed."""
        metadata = self._metadata(target)
        body = classify(metadata)
        size: int = entry["size"]
        if body.header is not None and body.header.codec is not CodecId.PASSTHROUGH:
            return self._raw(target, body.header)

        def read_range(start: int, end: int) -> bytes:
            return bytes(self.fs.cat_file(target, start=start, end=end))

        try:
            if body.kind is not BodyKind.RAW and size:
                return open_reader(
                    read_range,
                    size=size,
                    sidecar=lambda: self._sidecar(target, entry),
                    dictionaries=self._dictionaries or self._kept_dictionary(target, metadata.get(DICTIONARY_ID, "")),
                    ahead_bytes=AHEAD_BYTES,
                    name=target,
                )
        except NotFramed:
            if body.kind is BodyKind.FRAMED:
                raise
        return self.fs.open(target, "rb")

    def _raw(self, target: str, header: FrameHeader) -> io.BytesIO:
        """The original of an unframed object of S4: one codec's output, described by its metadata."""
        stored = self.fs.cat_file(target)
        return io.BytesIO(decode_frame(header, stored, original_size_max=RAW_BYTES_MAX))

    def _kept_dictionary(self, target: str, name: str) -> Dictionaries | None:
        """The dictionary that an object names: an object of the same bucket, whose name its content bears out."""
        if not _DICTIONARY_NAME.fullmatch(name):
            return None

        def fetch(number: int) -> bytes:
            bucket = target[: target.index("/", 1)]
            try:
                data = bytes(self.fs.cat_file(f"{bucket}/{DICTIONARY_FOLDER}/{name}"))
            except FileNotFoundError as error:
                raise DictionaryMissing(number) from error
            if hashlib.sha256(data).hexdigest()[: len(name)] != name:
                raise DictionaryMissing(number)
            return data

        return fetch

    def _metadata(self, target: str) -> Mapping[str, str]:
        """User metadata, where the target has such a thing, as s3fs has."""
        ask = getattr(self.fs, "metadata", None)
        return {str(name).lower().replace("_", "-"): str(value) for name, value in ask(target).items()} if ask else {}

    def _sidecar(self, target: str, entry: dict[str, Any]) -> bytes | None:
        """S4's index object, unless it says that it belongs to another object."""
        try:
            data = bytes(self.fs.cat_file(target + SIDECAR_SUFFIX))
            bound_to = read_sidecar(data).source_etag
        except (FileNotFoundError, CodecError):
            return None
        etag = str(entry.get("ETag", "")).strip('"')
        return data if not etag or bound_to in {None, etag} else None

    # -- what only moves stored bytes ---------------------------------------------------------------------------------

    def mkdir(self, path: str, create_parents: bool = True, **options: Any) -> None:  # noqa: FBT001, FBT002
        self.fs.mkdir(self._target(path), create_parents=create_parents, **options)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - fsspec's signature
        self.fs.makedirs(self._target(path), exist_ok=exist_ok)

    def rmdir(self, path: str) -> None:
        self.fs.rmdir(self._target(path))

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:  # noqa: FBT001, FBT002
        """Remove files, and folders with all that the target has in them, hidden things included."""
        targets = [self._target(each) for each in path] if isinstance(path, list) else self._target(path)
        self.fs.rm(targets, recursive=recursive, maxdepth=maxdepth)

    def _rm(self, path: str) -> None:
        self.fs.rm_file(self._target(path))

    def cp_file(self, path1: str, path2: str, **options: Any) -> None:
        """Copy the stored bytes as they are."""
        self.fs.cp_file(self._target(path1), self._target(path2), **options)

    def created(self, path: str) -> Any:
        return self.fs.created(self._target(path))

    def modified(self, path: str) -> Any:
        return self.fs.modified(self._target(path))

    def ukey(self, path: str) -> str:
        """A token that changes with the file: the target's."""
        return str(self.fs.ukey(self._target(path)))

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget what is known of sizes and listings."""
        self._sizes.clear()
        self.fs.invalidate_cache(None if path is None else self._target(path))


class _Writer(io.RawIOBase):
    """A file of the target that is being written in frames."""

    def __init__(self, file: Any, compressor: Compressor) -> None:
        super().__init__()
        self._file = file
        self._compressor = compressor
        self._size = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: ReadableBuffer, /) -> int:
        with memoryview(data) as given:
            self._file.write(self._compressor.feed(given))
            self._size += given.nbytes
            return given.nbytes

    def close(self) -> None:
        if not self.closed:
            try:
                self._file.write(self._compressor.finish())
            finally:
                super().close()
                self._file.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not self.closed:
            # what was written so far must not pass for a whole object: a frame that is cut is refused by every reader
            self._file.write(FRAME_MAGIC)
            super().close()
            self._file.close()
        self.close()


def _hidden(entry: dict[str, Any]) -> bool:
    name = entry["name"].rstrip("/")
    return name.endswith(SIDECAR_SUFFIX) or name.rpartition("/")[2] in RESERVED
