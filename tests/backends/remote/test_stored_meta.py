"""What is told to an upstream about an object comes back, and nothing of it can be forged or seen by clients."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4gw.backends import ObjectMeta
from s4gw.backends.remote import stored_meta
from s4gw.backends.remote.stored_meta import Facts, fits, parameters
from s4gw.codec import BodyKind
from s4gw.s3.errors import MetadataTooLarge

FACTS = Facts(size=1000, etag="0" * 32, stored_size=100)
FRAMED = ObjectMeta(
    framed=True,
    frames=1,
    codec="cpu-zstd",
    crc32c=7,
    checksums={"CRC32": "AAAAAA=="},
    checksum_type="FULL_OBJECT",
)
PLAIN_METADATA = {"a": "plain", "b-c_d": "two words"}


def answer(params: Mapping[str, Any], *, stored_size: int = 100) -> stored_meta.Stored:
    """Read *params* as an upstream gives them back."""
    given = {name: value for name, value in params.items() if name not in ("Tagging", "StorageClass")}
    given |= {"ETag": '"e"', "LastModified": datetime(2026, 1, 2, tzinfo=UTC), "VersionId": "v"}
    return stored_meta.read(given, stored_size)


def test_everything_comes_back() -> None:
    """Metadata, headers, checksums and what decoding needs survive the upstream."""
    meta = msgspec.structs.replace(
        FRAMED,
        metadata=PLAIN_METADATA,
        headers={"content-type": "text/x", "expires": "Thu, 01 Dec 1994 16:00:00 GMT", "content-encoding": "gzip"},
        parts=3,
    )
    found = answer(parameters(meta, FACTS))
    assert (meta, 1000, "0" * 32, True, False) == (found.meta, found.size, found.etag, found.complete, found.foreign)


@given(
    st.dictionaries(
        st.text("abcxyz0-_", min_size=1, max_size=8),
        st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=40),
        max_size=5,
    ),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), min_size=1, max_size=30),
)
def test_any_value_travels_as_plain_ascii(metadata: dict[str, str], value: str) -> None:
    """Bytes that no header should hold, spaces at the ends and look-alikes of our own encoding come back unchanged."""
    headers = {"content-disposition": value, "expires": value}
    params = parameters(msgspec.structs.replace(FRAMED, metadata=metadata, headers=headers), FACTS)
    sent = [*params["Metadata"].values(), params.get("ContentDisposition", "")]
    found = answer(params)
    assert all(text.isascii() and text.isprintable() and text == text.strip() for text in sent)
    assert (metadata, headers) == (found.meta.metadata, found.meta.headers)


def test_encoded_words_of_others_are_left_alone() -> None:
    """An upstream's own encoded words, in an object without our mark, are the client's business."""
    word = "=?UTF-8?B?w6k=?="
    assert word == answer({"Metadata": {"a": word}}).meta.metadata["a"]
    assert word == answer(parameters(ObjectMeta(metadata={"a": word}), FACTS)).meta.metadata["a"]


def test_private_names_are_neither_taken_nor_shown() -> None:
    """A client cannot make a body framed, and does not learn that it is."""
    forged = parameters(ObjectMeta(metadata={"s4-framed": "true", "s4-codec": "cpu-zstd"}), FACTS)["Metadata"]
    assert ("s4-framed" in forged, forged["s4-codec"]) == (False, "passthrough")
    assert {} == answer(parameters(FRAMED, FACTS)).meta.metadata


def test_facts_that_do_not_fit_are_left_to_the_trailer() -> None:
    """Large metadata of a client displace ours, down to the one key that says that there are frames."""
    small, large, too_large = (
        msgspec.structs.replace(FRAMED, metadata={"k": "x" * size}) for size in (1500, 2034, 2035)
    )
    assert (True, False) == (fits(small, FACTS), fits(large, FACTS))
    found = answer(parameters(large, FACTS))
    assert (large.metadata, True, False, None, False) == (
        found.meta.metadata, found.meta.framed, found.complete, found.size, found.foreign
    )  # fmt: skip
    with pytest.raises(MetadataTooLarge):
        parameters(too_large, FACTS)
    assert answer(parameters(msgspec.structs.replace(too_large, framed=False), FACTS)).kind is BodyKind.PLAIN


def test_unknown_facts_are_left_to_the_trailer() -> None:
    """An upload that begins before its end is known says only that it is framed."""
    found = answer(parameters(ObjectMeta(metadata=PLAIN_METADATA)))
    assert (True, False, PLAIN_METADATA) == (found.meta.framed, found.complete, found.meta.metadata)


def test_objects_from_before_are_plain() -> None:
    """Size and ETag of an object that no gateway wrote are the upstream's."""
    found = answer({"Metadata": {"A": "b"}, "ContentType": "binary/octet-stream"}, stored_size=5)
    assert (BodyKind.PLAIN, 5, "e", {"a": "b"}, {}, 1_767_312_000_000) == (
        found.kind, found.size, found.etag, found.meta.metadata, found.meta.headers, found.modified_ms
    )  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "size", "etag", "kind", "foreign"),
    [
        ({"s4-multipart": "true", "s4-codec": "cpu-zstd"}, None, "e", BodyKind.FRAMED, True),
        (
            {"s4-multipart": "true", "s4-codec": "x", "s4-original-size": "9", "s4-logical-etag": "l-2"},
            9, "l-2", BodyKind.FRAMED, True,
        ),
        (
            {"s4-codec": "cpu-gzip", "s4-original-size": "9", "s4-compressed-size": "4", "s4-crc32c": "1"},
            9, "e", BodyKind.RAW, False,
        ),
        (
            {"s4-codec": "cpu-zstd", "s4-framed": "true", "s4-original-size": "9", "s4-compressed-size": "4"},
            9, "e", BodyKind.FRAMED, True,
        ),
        ({"s4-codec": "cpu-gzip", "s4-original-size": "9"}, 4, "e", BodyKind.PLAIN, False),
    ],
)  # fmt: skip
def test_objects_of_s4(keys: dict[str, str], size: int | None, etag: str, kind: BodyKind, foreign: bool) -> None:
    """Each form that S4 writes is told apart by its keys."""
    found = answer({"Metadata": keys}, stored_size=4)
    assert (size, etag, kind, foreign) == (found.size, found.etag, found.kind, found.foreign)


def test_what_the_upstream_does_is_handed_on_and_told() -> None:
    """Encryption, locks and ACLs are the upstream's; class and tags as well."""
    meta = ObjectMeta(
        storage_class="GLACIER_IR",
        tags={"a b": "ü&"},
        forwarded={
            "x-amz-server-side-encryption": "aws:kms",
            "x-amz-server-side-encryption-bucket-key-enabled": "TRUE",
            "x-amz-acl": "public-read",
            "x-amz-object-lock-mode": "GOVERNANCE",
        },
    )
    params = parameters(meta, FACTS)
    found = answer({"ServerSideEncryption": "aws:kms", "BucketKeyEnabled": True, "ObjectLockMode": "GOVERNANCE"})
    assert ("GLACIER_IR", "a%20b=%C3%BC%26", "aws:kms", True, "public-read", "GOVERNANCE") == (
        *(params[name] for name in ("StorageClass", "Tagging", "ServerSideEncryption", "BucketKeyEnabled", "ACL")),
        params["ObjectLockMode"],
    )
    assert {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-bucket-key-enabled": "true",
        "x-amz-object-lock-mode": "GOVERNANCE",
    } == found.meta.forwarded
