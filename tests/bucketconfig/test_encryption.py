"""What is asked for and would not be done is refused with S3's error, by name; nothing asked for is no encryption."""

from __future__ import annotations

from functools import partial
from typing import Final

import pytest

from s4gw.bucketconfig import encryption
from s4gw.s3.errors import S3Error

ASKED: Final = "x-amz-server-side-encryption"
KEY: Final = "x-amz-server-side-encryption-customer-algorithm"
SOURCE_KEY: Final = "x-amz-copy-source-server-side-encryption-customer-key"
PLAIN: Final = {"content-type": "a/b", "x-amz-meta-x-amz-server-side-encryption": "1", "x-amz-acl": "private"}
OTHERS: Final = ("UploadPart", "UploadPartCopy", "CompleteMultipartUpload", "RenameObject")


def code(operation: str, name: str, value: str, *, upstream: bool) -> str:
    sent = {**PLAIN, name: value}
    asked = partial(encryption.of_upstream, operation) if upstream else partial(encryption.of_store, operation, None)
    with pytest.raises(S3Error) as caught:
        asked(sent)
    assert "secret" not in str((caught.value, caught.value.facts)), "a customer's key is repeated"
    return caught.value.code


@pytest.mark.parametrize("operation", ["PutObject", *OTHERS])
def test_nothing_asked_for_is_clear(operation: str) -> None:
    assert encryption.CLEAR == encryption.of_store(operation, None, PLAIN) == encryption.of_upstream(operation, PLAIN)


@pytest.mark.parametrize(
    ("name", "value", "deciding", "other"),
    [
        (ASKED, "AES256", "NotImplemented", "InvalidArgument"),
        (ASKED, "aws:kms", "NotImplemented", "InvalidArgument"),
        (ASKED, "rot13", "InvalidEncryptionAlgorithmError", "InvalidArgument"),
        (f"{ASKED}-aws-kms-key-id", "k", "NotImplemented", "InvalidArgument"),
        (f"{ASKED}-bucket-key-enabled", "true", "NotImplemented", "InvalidArgument"),
        (KEY, "AES256", "NotImplemented", "NotImplemented"),
        (f"{ASKED}-customer-key", "secret", "NotImplemented", "NotImplemented"),
        (SOURCE_KEY, "secret", "InvalidRequest", "InvalidRequest"),
    ],
)
def test_what_is_asked_of_the_store_is_refused(name: str, value: str, deciding: str, other: str) -> None:
    """Parts have nothing to say but a customer's key, as in S3."""
    for operation in ("PutObject", "CopyObject", "CreateMultipartUpload"):
        assert deciding == code(operation, name, value, upstream=False)
    for operation in OTHERS:
        assert other == code(operation, name, value, upstream=False)


def test_a_default_that_would_not_be_kept_is_refused() -> None:
    """Of a data directory that a version with encryption has written."""
    for sent in ({}, PLAIN, {ASKED: "AES256"}):
        with pytest.raises(S3Error) as caught:
            encryption.of_store("PutObject", b"{}", sent)
        assert "NotImplemented" == caught.value.code


def test_an_upstream_is_told_and_a_clients_key_is_not() -> None:
    """Headers go as they came; keys of the client's own are refused."""
    asked = {ASKED: "aws:kms", f"{ASKED}-aws-kms-key-id": "k", f"{ASKED}-context": "e30="}
    assert asked == encryption.of_upstream("CopyObject", {**PLAIN, **asked}).told
    assert "NotImplemented" == code("PutObject", f"{ASKED}-customer-key", "secret", upstream=True)
    assert "InvalidArgument" == code("UploadPart", ASKED, "AES256", upstream=True)
    assert "InvalidRequest" == code("CopyObject", SOURCE_KEY, "secret", upstream=True)


@pytest.mark.parametrize(
    ("name", "expected"), [(KEY, "InvalidRequest"), (SOURCE_KEY, "InvalidRequest"), (ASKED, "InvalidArgument")]
)
def test_reads_name_no_encryption(name: str, expected: str) -> None:
    """No object here has a customer's key."""
    encryption.check_read(PLAIN)
    with pytest.raises(S3Error) as caught:
        encryption.check_read({**PLAIN, name: "AES256"})
    assert expected == caught.value.code
