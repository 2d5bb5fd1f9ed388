"""Digests are those that other implementations give, however the bytes are split or buffered."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw import checksum
from s4gw.checksum import Algorithm

CHECK = b"123456789"  # the input of the "check" column in the CRC catalogue
KNOWN = {
    Algorithm.CRC32: "cbf43926",
    Algorithm.CRC32C: "e3069283",
    Algorithm.CRC64NVME: "ae8b14860a799888",
    Algorithm.SHA1: "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    Algorithm.SHA256: "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
    Algorithm.SHA512: "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274a"
    "d27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85",
    Algorithm.XXHASH64: "8cb841db40e6ae83",
    Algorithm.XXHASH3: "72dcb18b67a17dff",
    Algorithm.XXHASH128: "33119477ede5dcd5e9716427681d5860",
    Algorithm.MD5: "25f9e794323b453885f5181f1b624d0b",
}
CRCS = (Algorithm.CRC32, Algorithm.CRC32C, Algorithm.CRC64NVME)


def digest(algorithm: Algorithm, *pieces: bytes) -> bytes:
    """Digest *pieces* one after the other."""
    running = checksum.new(algorithm)
    for piece in pieces:
        running.update(piece)
    return running.digest()


@pytest.mark.parametrize("algorithm", Algorithm)
def test_known_check_value(algorithm: Algorithm) -> None:
    """Each algorithm gives the published digest of "123456789", CRCs big-endian."""
    actual = digest(algorithm, CHECK)
    assert actual.hex() == KNOWN[algorithm]
    assert len(actual) == checksum.DIGEST_BYTES[algorithm]


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: memoryview(bytearray(b"x" + data))[1:]])
def test_any_buffer(algorithm: Algorithm, kind: type) -> None:
    """Bytes, bytearrays, views and views at odd offsets digest alike."""
    running = checksum.new(algorithm)
    running.update(kind(CHECK))
    assert running.digest().hex() == KNOWN[algorithm]


@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=300), cut=st.integers(0, 300), algorithm=st.sampled_from(Algorithm))
def test_any_split(data: bytes, cut: int, algorithm: Algorithm) -> None:
    """Splitting the input changes nothing, and asking for the digest midway does not disturb it."""
    running = checksum.new(algorithm)
    running.update(data[:cut])
    running.digest()
    running.update(data[cut:])
    assert running.digest() == digest(algorithm, data)


@given(data=st.binary(max_size=300), algorithm=st.sampled_from(list(Algorithm)))
def test_all_at_once_is_the_same(data: bytes, algorithm: Algorithm) -> None:
    """The digest of the whole is that of its pieces, also of a view."""
    assert digest(algorithm, data) == checksum.of_whole(algorithm, memoryview(data))


@settings(max_examples=50, deadline=None)
@given(first=st.binary(max_size=300), second=st.binary(max_size=300), algorithm=st.sampled_from(CRCS))
def test_combine(first: bytes, second: bytes, algorithm: Algorithm) -> None:
    """Two CRCs combine to the CRC of the concatenation."""
    actual = checksum.combine(algorithm, digest(algorithm, first), digest(algorithm, second), len(second))
    assert actual == digest(algorithm, first, second)


@pytest.mark.parametrize("algorithm", [item for item in Algorithm if item not in CRCS])
def test_combine_refuses_hashes(algorithm: Algorithm) -> None:
    """Hashes do not combine."""
    with pytest.raises(ValueError, match="cannot be combined"):
        checksum.combine(algorithm, b"", b"", 0)


def test_combine_refuses_other_lengths() -> None:
    """A digest of another length is a mistake of the caller, not a number."""
    with pytest.raises(ValueError, match="4 bytes"):
        checksum.combine(Algorithm.CRC32, b"12345678", b"1234", 1)


@given(data=st.binary(max_size=100), head=st.integers(0, 100))
def test_crc32c_goes_on(data: bytes, head: int) -> None:
    """`crc32c` continues from an earlier value."""
    assert checksum.crc32c(data[head:], checksum.crc32c(data[:head])) == checksum.crc32c(data)


def test_headers() -> None:
    """Every algorithm has the header that S3 gives it."""
    expected = {
        "CRC32": "x-amz-checksum-crc32",
        "CRC32C": "x-amz-checksum-crc32c",
        "CRC64NVME": "x-amz-checksum-crc64nvme",
        "SHA1": "x-amz-checksum-sha1",
        "SHA256": "x-amz-checksum-sha256",
        "SHA512": "x-amz-checksum-sha512",
        "MD5": "x-amz-checksum-md5",
        "XXHASH64": "x-amz-checksum-xxhash64",
        "XXHASH3": "x-amz-checksum-xxhash3",
        "XXHASH128": "x-amz-checksum-xxhash128",
    }
    assert expected == dict(checksum.HEADER)


def test_b64() -> None:
    """Digests are spelled in standard base64 with padding."""
    raw = hashlib.sha256(CHECK).digest()
    assert checksum.b64(raw) == base64.b64encode(raw).decode()
