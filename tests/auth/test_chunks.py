"""Chunk signatures: AWS's published chain verifies, and no other."""

from __future__ import annotations

import base64
import hashlib
import zlib

import pytest

from s4gw.auth.chunks import ChunkSigner
from s4gw.auth.credentials import derive_signing_key
from s4gw.s3.errors import SignatureDoesNotMatch
from tests.auth.signing import SECRET_KEY

SCOPE = "20130524/us-east-1/s3/aws4_request"
TIMESTAMP = "20130524T000000Z"
SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
CHUNKS = [
    (b"a" * 65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
    (b"a" * 1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
    (b"", "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
]
TRAILER_SEED = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
TRAILER_CHUNKS = [
    (b"a" * 65536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"),
    (b"a" * 1024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"),
    (b"", "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"),
]
TRAILER_SIGNATURE = "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"


def chain(seed: str) -> ChunkSigner:
    """The start of a chain with AWS's example key."""
    return ChunkSigner(derive_signing_key(SECRET_KEY, "20130524", "us-east-1"), TIMESTAMP, SCOPE, seed)


def digest(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def test_the_chain_of_aws_is_accepted() -> None:
    """Each of the published chunk signatures verifies in order, and the next link is the last signature."""
    signer = chain(SEED)
    for data, signature in CHUNKS:
        signer.check_chunk(signature, digest(data))
    assert CHUNKS[-1][1] == signer._previous


def test_the_trailer_of_aws_is_accepted() -> None:
    """The published chain with a CRC-32C trailer verifies to its end."""
    signer = chain(TRAILER_SEED)
    for data, signature in TRAILER_CHUNKS:
        signer.check_chunk(signature, digest(data))
    signer.check_trailer(TRAILER_SIGNATURE, b"x-amz-checksum-crc32c:sOO8/Q==\n")
    assert TRAILER_SIGNATURE == signer._previous


def test_chunks_cannot_change_places() -> None:
    """The second chunk does not verify as the first."""
    data, signature = CHUNKS[1]
    with pytest.raises(SignatureDoesNotMatch):
        chain(SEED).check_chunk(signature, digest(data))


def test_other_data_is_refused() -> None:
    """A signature covers the data of its chunk."""
    with pytest.raises(SignatureDoesNotMatch):
        chain(SEED).check_chunk(CHUNKS[0][1], digest(b"b" * 65536))


def test_a_chain_cannot_be_cut() -> None:
    """The last chunk does not verify right after the first."""
    signer = chain(SEED)
    signer.check_chunk(CHUNKS[0][1], digest(CHUNKS[0][0]))
    with pytest.raises(SignatureDoesNotMatch):
        signer.check_chunk(CHUNKS[2][1], digest(b""))


def test_another_trailer_is_refused() -> None:
    """The trailer's signature covers its value."""
    signer = chain(TRAILER_SEED)
    for data, signature in TRAILER_CHUNKS:
        signer.check_chunk(signature, digest(data))
    other = base64.b64encode(zlib.crc32(b"other").to_bytes(4, "big"))
    with pytest.raises(SignatureDoesNotMatch):
        signer.check_trailer(TRAILER_SIGNATURE, b"x-amz-checksum-crc32c:" + other + b"\n")


@pytest.mark.parametrize("signature", ["", "0", "é" * 64, "\udcff"])
def test_nonsense_is_refused(signature: str) -> None:
    """Whatever stands in place of a signature is compared, not trusted."""
    with pytest.raises(SignatureDoesNotMatch):
        chain(SEED).check_chunk(signature, digest(b""))
