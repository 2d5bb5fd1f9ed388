"""Multipart uploads: parts are squished as they arrive; Complete joins them without rewriting a byte.

Every part is cut into frames of its own. Its frame index and digests wait beside it in the backend, so that Complete
needs only those: it checks the client's list, works out the object's ETag and checksum, writes one trailer and lets
the backend re-point the parts. No padding, so the ratio is that of a single PUT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from s4gw import checksum
from s4gw.backends.base import NO_CONDITIONS, Backend, Conditions, ObjectMeta, PartInfo, StoredObject, Upload
from s4gw.checksum import Algorithm
from s4gw.codec import CodecId, FrameIndex, Manifest, ManifestPart, encode_trailer
from s4gw.objects.digests import DigestPlan
from s4gw.objects.receive import Source, Squisher
from s4gw.objects.received import Received, Statistics
from s4gw.s3.errors import BadDigest, InvalidPart, InvalidRequest, MalformedXML
from s4gw.s3.multipart import check_object_checksum, choose_parts, multipart_etag, object_checksum

PARTS_PAGE: Final = 10_000
"""All parts that an upload can have."""
COMPLETE_ATTEMPTS: Final = 5
"""A part was replaced between look and completion, which takes milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What the client asks of a CompleteMultipartUpload."""

    parts: Sequence[Mapping[str, Any]]
    """boto3's ``MultipartUpload["Parts"]``."""
    conditions: Conditions = NO_CONDITIONS
    object_size: int | None = None
    """``x-amz-mp-object-size``: must equal the sum of the parts."""
    algorithm: Algorithm | None = None
    """Of the whole object's checksum, if the client declares one."""
    checksum: str = ""
    """Base64, for a composite one with "-N"."""
    checksum_type: str = ""


def receive_part(  # noqa: PLR0913 - one part's facts
    backend: Backend, squisher: Squisher, bucket: str, upload: Upload, number: int, source: Source, plan: DigestPlan
) -> PartInfo:
    """Squish one part and make it part *number* of *upload*."""
    writer = backend.open_part_writer(bucket, upload.key, upload.upload_id)
    try:
        received = squisher.receive(source, writer, plan, raw_allowed=False)
        return backend.put_part(bucket, upload.key, upload.upload_id, writer, _part_info(number, received, plan))
    except BaseException:
        writer.abort()
        raise


def _part_info(number: int, received: Received, plan: DigestPlan) -> PartInfo:
    return PartInfo(
        number=number,
        size=received.size,
        etag=received.md5_hex,
        checksums=plan.stored(received.digests),
        crc32c=received.crc32c,
        frames=received.index.pack(),
        codec=received.statistics.main_codec().label,
    )


def complete(backend: Backend, bucket: str, upload: Upload, request: Completion) -> StoredObject:
    """Make the object of the parts that the client lists.

    A part that is uploaded again meanwhile, as by a client or gateway that gave up waiting, is looked at anew: what
    counts, as in S3, is whether a part with that number and ETag is there.

    Raises: InvalidPartOrder, InvalidPart, EntityTooSmall, BadDigest, InvalidRequest, and what the backend raises.
    """
    attempts = COMPLETE_ATTEMPTS
    while True:
        attempts -= 1
        parts = _chosen(request, _uploaded(backend, bucket, upload))
        try:
            return _complete(backend, bucket, upload, request, parts)
        except InvalidPart:
            if not attempts:
                raise


def _complete(
    backend: Backend, bucket: str, upload: Upload, request: Completion, parts: Sequence[PartInfo]
) -> StoredObject:
    """Make the object of exactly these *parts*. Raises: InvalidPart, when one was replaced since it was listed."""
    algorithm = Algorithm(upload.checksum_algorithm) if upload.checksum_algorithm else None
    size = sum(part.size for part in parts)
    if request.object_size is not None and request.object_size != size:
        raise InvalidRequest("The provided 'x-amz-mp-object-size' header value did not match what was computed.")
    value = object_checksum(algorithm, upload.checksum_type, parts) if algorithm else None
    _check_declared(upload, request, value)
    index, codec = _joined(parts)
    meta = msgspec.structs.replace(
        upload.meta,
        checksums={upload.checksum_algorithm: value} if value else {},
        checksum_type=upload.checksum_type if value else "",
        framed=True,
        frames=len(index),
        codec=codec.label,
        crc32c=_whole_crc32c(parts),
        parts=len(parts),
    )
    etag = multipart_etag(part.etag for part in parts)
    tail = backend.open_part_writer(bucket, upload.key, upload.upload_id)
    try:
        tail.write(encode_trailer(index, _manifest(meta, etag, parts)))
        return backend.complete_upload(
            bucket,
            upload.key,
            upload.upload_id,
            parts,
            tail,
            size=size,
            etag=etag,
            meta=meta,
            conditions=request.conditions,
        )
    except BaseException:
        tail.abort()
        raise


def _manifest(meta: ObjectMeta, etag: str, parts: Sequence[PartInfo]) -> Manifest:
    return Manifest(
        original_size=sum(part.size for part in parts),
        crc32c=meta.crc32c,
        etag=etag,
        checksums=meta.checksums,
        checksum_type=meta.checksum_type,
        parts=[
            ManifestPart(
                number=part.number,
                original_size=part.size,
                checksums={name: value for name, value in part.checksums.items() if name in meta.checksums},
            )
            for part in parts
        ],
    )


def _uploaded(backend: Backend, bucket: str, upload: Upload) -> dict[int, PartInfo]:
    found = backend.list_parts(bucket, upload.key, upload.upload_id, limit=PARTS_PAGE)
    return {part.number: part for part in found}


def _chosen(request: Completion, uploaded: Mapping[int, PartInfo]) -> list[PartInfo]:
    """The parts of the object, in order, checked as S3 checks them."""
    if not request.parts:
        raise MalformedXML
    return choose_parts(request.parts, uploaded)


def _whole_crc32c(parts: Sequence[PartInfo]) -> int:
    whole = parts[0].crc32c.to_bytes(4, "big")
    for part in parts[1:]:
        whole = checksum.combine(Algorithm.CRC32C, whole, part.crc32c.to_bytes(4, "big"), part.size)
    return int.from_bytes(whole, "big")


def _check_declared(upload: Upload, request: Completion, value: str | None) -> None:
    """The client's checksum of the whole must be the one that its parts give."""
    if request.checksum_type and request.checksum_type != upload.checksum_type:
        raise InvalidRequest(
            f"The upload was created using the {upload.checksum_type} checksum mode. "
            "The complete request must use the same checksum mode."
        )
    if request.algorithm is None:
        return
    if request.algorithm.value != upload.checksum_algorithm:
        raise BadDigest(f"The upload was created with {upload.checksum_algorithm}, not {request.algorithm.value}.")
    check_object_checksum(request.checksum, value or "")


def _joined(parts: Sequence[PartInfo]) -> tuple[FrameIndex, CodecId]:
    """Frame index of the whole, and the codec that most of it went through."""
    index, statistics = FrameIndex(), Statistics()
    by_label = {codec.label: codec for codec in CodecId}
    for part in parts:
        index.extend(FrameIndex.unpack(part.frames))
        statistics.count(by_label[part.codec], part.size, part.stored_size)
    return index, statistics.main_codec()
