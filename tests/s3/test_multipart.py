"""Complete makes an object of exactly the parts that were named, or says why not."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from s4gw.checksum import Algorithm
from s4gw.s3 import errors
from s4gw.s3.multipart import (
    check_object_checksum,
    check_part_number,
    choose_checksum_type,
    choose_parts,
    multipart_etag,
    object_checksum,
    same_parts,
)

MIN = 10


@dataclass(frozen=True, slots=True)
class Part:
    number: int
    size: int
    etag: str
    checksums: Mapping[str, str] = field(default_factory=dict)


UPLOADED = {n: Part(n, MIN if n < 4 else 3, f"e{n}", {"CRC32": f"c{n}"}) for n in (1, 2, 4)}


def named(*numbers: int, **more: Any) -> list[dict[str, Any]]:
    return [{"PartNumber": n, "ETag": f'"e{n}"', **more} for n in numbers]


def test_parts_are_chosen() -> None:
    """Any ascending choice of uploaded parts will do; ETags with or without quotes; the last may be small."""
    chosen = choose_parts([*named(1), {"PartNumber": 4, "ETag": "e4"}], UPLOADED, part_bytes_min=MIN)

    assert [UPLOADED[1], UPLOADED[4]] == chosen


def test_a_part_that_is_listed_twice_counts_once() -> None:
    """Of two entries in a row for one number the later one is held against what was uploaded."""
    chosen = choose_parts([{"PartNumber": 1, "ETag": "of an earlier upload"}, *named(1)], UPLOADED)

    assert [UPLOADED[1]] == chosen


def test_a_retry_is_known_by_its_parts() -> None:
    """A part that is listed twice counts as the later one; what is no MD5 is no part."""
    first, second = (hashlib.md5(data).hexdigest() for data in (b"1", b"2"))
    etag = multipart_etag([first, second])
    parts = [{"PartNumber": 1, "ETag": f'"{first}"'}, {"PartNumber": 5, "ETag": second}]
    lists = [parts, [{"PartNumber": 1, "ETag": second}, *parts], parts[:1], parts[::-1], [], named(1, 2)]

    assert [True, True, False, False, False, False] == [same_parts(requested, etag) for requested in lists]


@pytest.mark.parametrize(
    ("requested", "code"),
    [
        (named(2, 1), "InvalidPartOrder"),
        (named(1, 2, 1), "InvalidPartOrder"),
        (named(1, 3), "InvalidPart"),
        ([{"PartNumber": 1, "ETag": '"other"'}], "InvalidPart"),
        ([{"PartNumber": 1}], "InvalidPart"),
        ([{"ETag": "e1"}], "InvalidArgument"),
        (named(10_001), "InvalidArgument"),
        (named(1, ChecksumCRC32="other"), "InvalidPart"),
    ],
)
def test_list_that_is_refused(requested: list[dict[str, Any]], code: str) -> None:
    """Order, existence, ETag and checksum of each part are checked."""
    with pytest.raises(errors.S3Error) as caught:
        choose_parts(requested, UPLOADED, part_bytes_min=MIN)

    assert code == caught.value.code


def test_small_part_is_refused_before_the_end() -> None:
    """Every part but the last has the least size; the error says which has not."""
    uploaded = {**UPLOADED, 5: Part(5, MIN, "e5")}

    with pytest.raises(errors.EntityTooSmall) as caught:
        choose_parts(named(1, 4, 5), uploaded, part_bytes_min=MIN)

    assert {"ProposedSize": "3", "MinSizeAllowed": "10", "PartNumber": "4", "ETag": "e4"} == caught.value.facts


def test_composite_upload_wants_every_checksum() -> None:
    """A composite checksum is made of checksums that the client names, a full-object one is not."""
    full = choose_parts(named(1), UPLOADED, algorithm=Algorithm.CRC32, checksum_type="FULL_OBJECT")
    with pytest.raises(errors.InvalidRequest) as caught:
        choose_parts(named(1), UPLOADED, algorithm=Algorithm.CRC32, checksum_type="COMPOSITE")

    assert [UPLOADED[1]] == full
    assert "part 1" in caught.value.text


def test_etag_of_parts() -> None:
    """The ETag is the MD5 of the parts' MD5s and their number, from digests or hexadecimal."""
    one, two = hashlib.md5(b"1"), hashlib.md5(b"2")

    expected = hashlib.md5(one.digest() + two.digest()).hexdigest() + "-2"
    assert [expected, expected] == [
        multipart_etag([one.hexdigest(), two.hexdigest()]),
        multipart_etag([one.digest(), two.digest()]),
    ]


@pytest.mark.parametrize("number", [0, 10_001, -1])
def test_part_number_outside(number: int) -> None:
    """Part numbers are 1 to 10,000."""
    with pytest.raises(errors.InvalidArgument) as caught:
        check_part_number(number)

    assert str(number) == caught.value.facts["ArgumentValue"]


@pytest.mark.parametrize(
    ("algorithm", "wanted", "expected"),
    [
        (None, None, ""),
        (None, "COMPOSITE", None),
        (Algorithm.CRC32, None, "COMPOSITE"),
        (Algorithm.CRC32C, "FULL_OBJECT", "FULL_OBJECT"),
        (Algorithm.CRC64NVME, None, "FULL_OBJECT"),
        (Algorithm.CRC64NVME, "COMPOSITE", None),
        (Algorithm.SHA1, None, "COMPOSITE"),
        (Algorithm.SHA256, "COMPOSITE", "COMPOSITE"),
        (Algorithm.SHA256, "FULL_OBJECT", None),
    ],
)
def test_checksum_type(algorithm: Algorithm | None, wanted: str | None, expected: str | None) -> None:
    """Defaults and allowed combinations are S3's; None stands for a refusal."""
    try:
        got: str | None = choose_checksum_type(algorithm, wanted)
    except errors.InvalidRequest:
        got = None

    assert expected == got


def parts_of(algorithm: str, *contents: bytes) -> list[Part]:
    def digest(data: bytes) -> str:
        raw = zlib.crc32(data).to_bytes(4, "big") if algorithm == "CRC32" else hashlib.sha256(data).digest()
        return base64.b64encode(raw).decode()

    return [Part(n, len(data), "", {algorithm: digest(data)}) for n, data in enumerate(contents, 1)]


def test_full_object_checksum_is_the_wholes() -> None:
    """Parts' CRCs combine to the CRC of the object, empty parts included."""
    got = object_checksum(Algorithm.CRC32, "FULL_OBJECT", parts_of("CRC32", b"hello ", b"", b"world"))

    assert base64.b64encode(zlib.crc32(b"hello world").to_bytes(4, "big")).decode() == got


def test_composite_checksum_is_of_checksums() -> None:
    """A composite checksum digests the parts' digests and counts them; a part without one leaves none."""
    got = object_checksum(Algorithm.SHA256, "COMPOSITE", parts_of("SHA256", b"a", b"b"))

    inner = hashlib.sha256(b"a").digest() + hashlib.sha256(b"b").digest()
    assert base64.b64encode(hashlib.sha256(inner).digest()).decode() + "-2" == got
    assert object_checksum(Algorithm.SHA256, "COMPOSITE", [Part(1, 1, "")]) is None


@pytest.mark.parametrize(
    ("promised", "good"), [("abc=-2", True), ("abc=", True), ("abc=-3", False), ("abd=", False), ("", False)]
)
def test_promised_object_checksum(promised: str, good: bool) -> None:
    """The object's checksum is compared with what the client expects, the count of parts being optional."""
    try:
        check_object_checksum(promised, "abc=-2")
        got = True
    except errors.BadDigest:
        got = False

    assert good == got
