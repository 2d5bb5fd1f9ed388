"""Carrying a plan out: one object upstream of staged pieces and a tail, in parallel and with bounded memory.

Pieces are immutable and named with the ETag that they were listed with, so that nothing else can get in. Sizes are held
against the plan before the upload is completed: some servers take a request to copy for an empty part.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass
from typing import Any, Final

from s4gw.backends.remote.base import Handle
from s4gw.backends.remote.compose import PlannedPart, Segment
from s4gw.backends.remote.pools import Pools
from s4gw.s3.errors import InternalError, InvalidArgument, InvalidRequest, MethodNotAllowed, PreconditionFailed
from s4gw.s3.errors import NotImplemented as S3NotImplemented

IN_MEMORY_BYTES_MAX: Final = 32 * 1024 * 1024
"""A part that is sent again and larger than this is read while it is sent."""
READ_BYTES: Final = 8 * 1024 * 1024
_UNKNOWN: Final = (S3NotImplemented, MethodNotAllowed)
_REFUSED: Final = (InvalidRequest, InvalidArgument, PreconditionFailed)  # the last: an ETag that it knows otherwise

Call = Callable[..., dict[str, Any]]
Fetch = Callable[[Handle, int, int], bytes]


class CannotCopyParts(Exception):
    """The upstream does not copy parts.

    Attributes:
        lasting: It does not know UploadPartCopy, or takes it for something else; otherwise it refused this one.
    """

    def __init__(self, *, lasting: bool) -> None:
        super().__init__()
        self.lasting = lasting


@dataclass(frozen=True, slots=True)
class Pieces:
    """Staged pieces in the object's order, and the bytes that follow them."""

    handles: Sequence[Handle]
    tail: bytes
    fetch: Fetch
    """Reads a span of a piece."""

    def read(self, segment: Segment) -> bytes:
        """Bytes of one segment."""
        if segment.piece == len(self.handles):
            return self.tail[segment.start : segment.end]
        return self.fetch(self.handles[segment.piece], segment.start, segment.end)


class SegmentReader(io.RawIOBase):
    """Segments as one seekable file, read `READ_BYTES` at a time: a body too large to be held."""

    def __init__(self, pieces: Pieces, segments: Sequence[Segment]) -> None:
        super().__init__()
        self._pieces = pieces
        self._segments = segments
        self._size = sum(segment.size for segment in segments)
        self._position = 0
        self._block = b""
        self._block_start = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        if self._position >= self._size:
            return 0
        if not self._block_start <= self._position < self._block_start + len(self._block):
            self._load()
        start = self._position - self._block_start
        size = min(len(buffer), len(self._block) - start)
        memoryview(buffer)[:size] = memoryview(self._block)[start : start + size]
        self._position += size
        return size

    def _load(self) -> None:
        at = 0
        for segment in self._segments:
            if self._position < at + segment.size:
                start = segment.start + self._position - at
                self._block = self._pieces.read(Segment(segment.piece, start, min(segment.end, start + READ_BYTES)))
                self._block_start = self._position
                return
            at += segment.size


class Assembly:
    """One upload of the upstream's that is being filled by a plan.

    Args:
        call: Carries an operation out upstream.
        pools: Threads for it.
        pieces: What the plan speaks of.
        place: Bucket, Key and UploadId.
    """

    def __init__(self, call: Call, pools: Pools, pieces: Pieces, place: Mapping[str, str]) -> None:
        self._call = call
        self._pools = pools
        self._pieces = pieces
        self._place = place

    def present(self) -> dict[int, tuple[int, str]]:
        """Parts that are there: number -> (size, ETag). Raises: NoSuchUpload and others."""
        found: dict[int, tuple[int, str]] = {}
        after: int | None = None
        while True:
            page = self._call("ListParts", **self._place, PartNumberMarker=after)
            for part in page.get("Parts") or ():
                found[int(part["PartNumber"])] = int(part["Size"]), str(part["ETag"])
            following = int(page.get("NextPartNumberMarker") or 0)
            if not page.get("IsTruncated") or following <= (after or 0):
                return found
            after = following

    def fill(self, plan: Sequence[PlannedPart], present: Mapping[int, tuple[int, str]]) -> list[dict[str, Any]]:
        """Send or copy the parts that are not *present* yet. Returns: the list that completes the upload.

        Raises: CannotCopyParts; S3Error, of the first call that failed, when all that were under way have ended.
        """
        futures: dict[int, Future[str]] = {}
        etags: dict[int, str] = {}
        for number, part in enumerate(plan, 1):
            size, etag = present.get(number, (-1, ""))
            if size == part.size:
                etags[number] = etag
            elif part.copied:
                futures[number] = self._pools.requests.submit(self._copy, number, part)
            else:
                futures[number] = self._pools.bodies.submit(self._merge, number, part)
        done, running = wait(futures.values(), return_when=FIRST_EXCEPTION)
        for future in running:
            future.cancel()
        wait(running)
        for future in done:
            future.result()
        etags |= {number: future.result() for number, future in futures.items()}
        if any(part.copied for part in plan):
            self._check(plan)
        return [{"PartNumber": number, "ETag": etags[number]} for number in sorted(etags)]

    def _copy(self, number: int, part: PlannedPart) -> str:
        (segment,) = part.segments
        handle = self._pieces.handles[segment.piece]
        source = {"Bucket": handle.bucket, "Key": handle.key}
        if handle.version_id:
            source["VersionId"] = handle.version_id
        try:
            result = self._call(
                "UploadPartCopy",
                **self._place,
                PartNumber=number,
                CopySource=source,
                CopySourceIfMatch=f'"{handle.etag}"' if handle.etag else None,
                CopySourceRange=f"bytes={segment.start}-{segment.end - 1}",
            )
        except (*_UNKNOWN, *_REFUSED) as error:
            raise CannotCopyParts(lasting=isinstance(error, _UNKNOWN)) from error
        etag = (result.get("CopyPartResult") or {}).get("ETag")
        if not etag:
            raise CannotCopyParts(lasting=True)
        return str(etag)

    def _merge(self, number: int, part: PlannedPart) -> str:
        body: bytes | io.RawIOBase
        if part.size <= IN_MEMORY_BYTES_MAX:
            body = b"".join(self._pools.requests.map(self._pieces.read, part.segments))
            if len(body) != part.size:
                raise InternalError
        else:
            body = SegmentReader(self._pieces, part.segments)
        return str(self._call("UploadPart", **self._place, PartNumber=number, Body=body)["ETag"])

    def _check(self, plan: Sequence[PlannedPart]) -> None:
        """Hold the upstream's sizes against the plan. Raises: CannotCopyParts."""
        try:
            present = self.present()
        except _UNKNOWN:
            return
        wanted = {number: part.size for number, part in enumerate(plan, 1)}
        if {number: size for number, (size, _) in present.items()} != wanted:
            raise CannotCopyParts(lasting=True)


def read_whole(pools: Pools, pieces: Pieces, sizes: Sequence[int]) -> bytes:
    """All pieces and the tail as one body. Raises: S3Error."""
    segments = [Segment(piece, 0, size) for piece, size in enumerate([*sizes, len(pieces.tail)])]
    return b"".join(pools.requests.map(pieces.read, segments))
