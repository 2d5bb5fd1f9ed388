"""Promised digests are found, and malformed or contradictory promises refused."""

from __future__ import annotations

import pytest

from s4gw.checksum import Algorithm
from s4gw.s3 import errors
from s4gw.s3.checksums import Declared, check_digest, declared, from_trailer, parse_algorithm

MD5 = "1B2M2Y8AsgTpgAmY7PhCfg=="
CRC32 = "AAAAAA=="


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {"x-amz-checksum-mode": "ENABLED", "x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "COMPOSITE"},
            Declared(),
        ),
        ({"content-md5": MD5}, Declared(md5=bytes.fromhex("d41d8cd98f00b204e9800998ecf8427e"))),
        ({"x-amz-checksum-crc32": CRC32}, Declared(algorithm=Algorithm.CRC32, value=bytes(4))),
        ({"x-amz-checksum-crc64nvme": "AAAAAAAAAAA="}, Declared(algorithm=Algorithm.CRC64NVME, value=bytes(8))),
        ({"x-amz-trailer": "X-Amz-Checksum-SHA256"}, Declared(algorithm=Algorithm.SHA256, in_trailer=True)),
        ({"x-amz-trailer": " "}, Declared()),
        (
            {"x-amz-sdk-checksum-algorithm": "crc32", "x-amz-checksum-crc32": CRC32},
            Declared(algorithm=Algorithm.CRC32, value=bytes(4)),
        ),
    ],
)
def test_declared(headers: dict[str, str], expected: Declared) -> None:
    """Content-MD5, one checksum header or one in the trailer."""
    assert expected == declared(headers)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"content-md5": ""}, "InvalidDigest"),
        ({"content-md5": "nonsense"}, "InvalidDigest"),
        ({"content-md5": CRC32}, "InvalidDigest"),
        ({"content-md5": MD5 + "\n" + MD5}, "InvalidDigest"),
        ({"x-amz-checksum-crc32": ""}, "BadDigest"),
        ({"x-amz-checksum-crc32": "AAAAAAAA"}, "BadDigest"),
        ({"x-amz-checksum-crc32": "é"}, "BadDigest"),
        ({"x-amz-checksum-crc32": CRC32, "x-amz-checksum-crc32c": CRC32}, "InvalidRequest"),
        ({"x-amz-checksum-crc32": CRC32, "x-amz-trailer": "x-amz-checksum-crc32"}, "InvalidRequest"),
        ({"x-amz-checksum-crc9": CRC32}, "InvalidRequest"),
        ({"x-amz-trailer": "x-amz-checksum-crc9"}, "InvalidRequest"),
        ({"x-amz-trailer": "content-md5"}, "InvalidRequest"),
        ({"x-amz-trailer": "x-amz-checksum-crc32, x-amz-checksum-sha1"}, "InvalidRequest"),
        ({"x-amz-sdk-checksum-algorithm": "CRC32"}, "InvalidRequest"),
        ({"x-amz-sdk-checksum-algorithm": "SHA1", "x-amz-checksum-crc32": CRC32}, "InvalidRequest"),
    ],
)
def test_promise_that_is_refused(headers: dict[str, str], code: str) -> None:
    """Bad form, unknown algorithms and more than one checksum are refused before the body is read."""
    with pytest.raises(errors.S3Error) as caught:
        declared(headers)

    assert code == caught.value.code


def test_trailer_holds_what_was_announced() -> None:
    """The announced digest is taken from the trailer; nothing announced, nothing taken."""
    promise = declared({"x-amz-trailer": "x-amz-checksum-crc32"})

    got = (from_trailer(promise, {"x-amz-checksum-crc32": CRC32}), from_trailer(Declared(), {}))
    assert (bytes(4), None) == got


@pytest.mark.parametrize(
    ("trailers", "code"), [({}, "MalformedTrailerError"), ({"x-amz-checksum-crc32": "A"}, "BadDigest")]
)
def test_trailer_without_its_digest(trailers: dict[str, str], code: str) -> None:
    """A trailer that lacks the digest, or holds none, is refused."""
    promise = declared({"x-amz-trailer": "x-amz-checksum-crc32"})

    with pytest.raises(errors.S3Error) as caught:
        from_trailer(promise, trailers)

    assert code == caught.value.code


def test_digest_is_compared() -> None:
    """Equal digests pass, others are BadDigest."""
    check_digest(Algorithm.CRC32, b"abcd", b"abcd")
    with pytest.raises(errors.BadDigest) as caught:
        check_digest(Algorithm.CRC32, b"abcd", b"abce")

    assert "CRC32" in caught.value.text


def test_algorithm_names() -> None:
    """Names are read in any case; what S3 does not offer for uploads is refused."""
    assert (None, Algorithm.CRC32C) == (parse_algorithm(None), parse_algorithm("crc32c"))
    for name in ("SHA3", "CRC7", ""):
        with pytest.raises(errors.InvalidRequest):
            parse_algorithm(name)
