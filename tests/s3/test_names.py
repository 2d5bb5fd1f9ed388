"""Bucket and key names follow AWS's rules for general purpose buckets."""

from __future__ import annotations

import pytest

from s4gw.s3 import check_bucket_name, check_key, errors

GOOD = ["abc", "a.b.c", "my-bucket", "1bucket2", "a--b", "a" * 63, "192.168.5.4.a", "1.2.3", "a.1.2.3.4"]
BAD = [
    "", "ab", "a" * 64, "Abc", "a_b", "a..b", "a.-b", "a-.b", "-ab", "ab-", ".ab", "ab.", "192.168.5.4", "999.1.1.1",
    "xn--abc", "sthree-abc", "amzn-s3-demo-abc", "abc-s3alias", "abc--ol-s3", "abc.mrap", "abc--x-s3", "abc--table-s3",
    "abc\n", "äbc", "a b", "a/b",
]  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_good_bucket_name(name: str) -> None:
    """A name that AWS takes is taken."""
    check_bucket_name(name)


@pytest.mark.parametrize("name", BAD)
def test_bad_bucket_name(name: str) -> None:
    """A name that AWS refuses is InvalidBucketName."""
    with pytest.raises(errors.InvalidBucketName) as caught:
        check_bucket_name(name)

    assert name == caught.value.facts["BucketName"]


@pytest.mark.parametrize("key", ["k", "a" * 1024, "é" * 512, "\x00\x01\n", "../../etc/passwd", "/", "\U0001f600" * 256])
def test_good_key(key: str) -> None:
    """Any text of 1 to 1024 bytes is a key."""
    check_key(key)


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("", "UserKeyMustBeSpecified"),
        ("a" * 1025, "KeyTooLongError"),
        ("é" * 513, "KeyTooLongError"),
        ("\U0001f600" * 257, "KeyTooLongError"),
    ],
)
def test_bad_key(key: str, code: str) -> None:
    """Length is counted in bytes of UTF-8."""
    with pytest.raises(errors.S3Error) as caught:
        check_key(key)

    assert code == caught.value.code
