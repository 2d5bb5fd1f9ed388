"""Rules of multipart uploads: part numbers, which parts make the object, its ETag and checksum.

Nothing here is stored or read; the caller brings the parts that were uploaded and gets the ones to use.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from s4gw import checksum
from s4gw.checksum import Algorithm
from s4gw.s3.conditions import bare_etag
from s4gw.s3.errors import BadDigest, EntityTooSmall, InvalidArgument, InvalidPart, InvalidPartOrder, InvalidRequest

PARTS_MAX: Final = 10_000
PART_BYTES_MIN: Final = 5 * 1024**2
"""Of every part but the last. Source: S3 user guide, "Amazon S3 multipart upload limits"."""
PART_BYTES_MAX: Final = 5 * 1024**3
OBJECT_BYTES_MAX: Final = 50 * 1024**4

COMPOSITE: Final = "COMPOSITE"
FULL_OBJECT: Final = "FULL_OBJECT"

CHECKSUM_MEMBER: Final[Mapping[str, str]] = {f"Checksum{a.value}": a.value for a in Algorithm}
"""boto3's member ("ChecksumCRC32") -> algorithm."""

_FULL_ONLY: Final = frozenset({Algorithm.CRC64NVME})
_COMPOSITE_ONLY: Final = frozenset(Algorithm) - {Algorithm.CRC32, Algorithm.CRC32C, Algorithm.CRC64NVME}
"""What cannot be combined from the checksums of parts."""


class UploadedPart(Protocol):
    """A part as the backend lists it."""

    @property
    def number(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def etag(self) -> str:
        """Bare: hexadecimal MD5 of the part."""

    @property
    def checksums(self) -> Mapping[str, str]:
        """Algorithm -> base64."""


P = TypeVar("P", bound=UploadedPart)


def check_part_number(number: int) -> None:
    """Raise InvalidArgument unless *number* is 1 to `PARTS_MAX`."""
    if not 1 <= number <= PARTS_MAX:
        raise InvalidArgument(
            f"Part number must be an integer between 1 and {PARTS_MAX}, inclusive",
            ArgumentName="partNumber",
            ArgumentValue=str(number),
        )


def multipart_etag(part_md5s: Iterable[str | bytes]) -> str:
    """Give the ETag, bare, of an object made of parts: MD5 of their MD5s (digests, or hexadecimal), and their count."""
    digests = [bytes.fromhex(md5) if isinstance(md5, str) else md5 for md5 in part_md5s]
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"


def choose_checksum_type(algorithm: Algorithm | None, wanted: str | None) -> str:
    """Settle the checksum type of an upload that is being created; "" without *algorithm*.

    Raises: InvalidRequest for a combination that S3 does not have.
    Source: S3 user guide, "Checking object integrity", table of full-object and composite checksum types.
    """
    if algorithm is None:
        if wanted:
            raise InvalidRequest(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
            )
        return ""
    refused = {COMPOSITE: _FULL_ONLY, FULL_OBJECT: _COMPOSITE_ONLY}.get(wanted or "", frozenset())
    if algorithm in refused:
        raise InvalidRequest(
            f"The {wanted} checksum type cannot be used with the {algorithm.value.lower()} checksum algorithm."
        )
    return wanted or (FULL_OBJECT if algorithm in _FULL_ONLY else COMPOSITE)


def choose_parts(
    requested: Sequence[Mapping[str, Any]],
    uploaded: Mapping[int, P],
    *,
    algorithm: Algorithm | None = None,
    checksum_type: str = "",
    part_bytes_min: int = PART_BYTES_MIN,
) -> list[P]:
    """Check the list of a CompleteMultipartUpload against what was uploaded.

    Args:
        requested: boto3's ``MultipartUpload["Parts"]``.
        uploaded: Part number -> part.
        algorithm: Of the upload, if it was created with one.
        checksum_type: Of the upload; COMPOSITE wants every part's checksum in the list.
        part_bytes_min: For every part but the last.

    Returns: The parts of the object, in order.
    Raises: InvalidPartOrder, InvalidPart, EntityTooSmall, InvalidRequest, InvalidArgument.
    """
    parts: list[P] = []
    before = 0
    # A client that sent a part again may list it twice; the later entry counts, as the later upload did.
    following = [item.get("PartNumber", 0) for item in requested[1:]] + [0]
    for wanted, next_number in zip(requested, following, strict=True):
        number: int = wanted.get("PartNumber", 0)
        check_part_number(number)
        if number == next_number:
            continue
        if number <= before:
            raise InvalidPartOrder
        before = number
        part = uploaded.get(number)
        etag = bare_etag(wanted.get("ETag", ""))
        if part is None or etag != part.etag:
            raise InvalidPart(PartNumber=str(number), ETag=etag[:64])
        _check_part_checksums(wanted, part, algorithm if checksum_type == COMPOSITE else None)
        parts.append(part)
    for part in parts[:-1]:
        if part.size < part_bytes_min:
            raise EntityTooSmall(
                ProposedSize=str(part.size),
                MinSizeAllowed=str(part_bytes_min),
                PartNumber=str(part.number),
                ETag=part.etag,
            )
    return parts


def _check_part_checksums(wanted: Mapping[str, Any], part: UploadedPart, needed: Algorithm | None) -> None:
    for member, name in CHECKSUM_MEMBER.items():
        value = wanted.get(member)
        if value is not None and part.checksums.get(name, value) != value:
            raise InvalidPart(PartNumber=str(part.number), ETag=part.etag)
    if needed is not None and wanted.get(f"Checksum{needed.value}") is None:
        raise InvalidRequest(
            f"The upload was created using a {needed.value.lower()} checksum. The complete request must include the "
            f"checksum for each part. It was missing for part {part.number} in the request."
        )


def same_parts(requested: Sequence[Mapping[str, Any]], etag: str) -> bool:
    """Tell whether the list of a CompleteMultipartUpload makes the object with this *etag* (bare).

    A retry of a Complete is known by that; another list is not answered with an object that was made of other parts.
    """
    etags = [
        bare_etag(item.get("ETag", ""))
        for place, item in enumerate(requested, start=1)
        if place == len(requested) or item.get("PartNumber") != requested[place].get("PartNumber")
    ]
    try:
        return multipart_etag(etags) == etag
    except ValueError:  # what is no MD5 is no part's ETag
        return False


def object_checksum(algorithm: Algorithm, checksum_type: str, parts: Sequence[UploadedPart]) -> str | None:
    """Compute the checksum of an object from those of its parts.

    Returns: Base64, for COMPOSITE with "-N"; None when a part has no checksum of *algorithm*.
    """
    digests: list[bytes] = []
    for part in parts:
        value = part.checksums.get(algorithm.value)
        if value is None:
            return None
        digests.append(base64.b64decode(value))
    if checksum_type == COMPOSITE:
        digest = checksum.new(algorithm)
        digest.update(b"".join(digests))
        return f"{checksum.b64(digest.digest())}-{len(parts)}"
    whole = digests[0]
    for part, digest_of_part in zip(parts[1:], digests[1:], strict=True):
        whole = checksum.combine(algorithm, whole, digest_of_part, part.size)
    return checksum.b64(whole)


def check_object_checksum(promised: str, computed: str) -> None:
    """Compare the checksum that a CompleteMultipartUpload promises for the object with the one of its parts.

    Args:
        promised: As in the request's header; "-N" may be missing from a composite one.
        computed: What `object_checksum` gave.

    Raises: BadDigest.
    """
    if promised != computed and promised != computed.partition("-")[0]:
        raise BadDigest("The checksum you specified did not match the calculated checksum of the parts.")
