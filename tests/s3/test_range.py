"""Ranges select what HTTP and S3 say, half-open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4gw.s3 import errors
from s4gw.s3.range import ByteRange, parse_copy_range, parse_range

FOUND = [
    ("bytes=0-0", (0, 1)),
    ("bytes=2-4", (2, 5)),
    ("bytes=2-", (2, 10)),
    ("bytes=2-99", (2, 10)),
    ("bytes=-3", (7, 10)),
    ("bytes=-99", (0, 10)),
    ("Bytes = 1-2 ", (1, 3)),
    ("bytes=00000000000000000000000001-00000000000000000000000002", (1, 3)),
    (f"bytes=0-{'9' * 5000}", (0, 10)),
    (f"bytes=-{'9' * 5000}", (0, 10)),
]


@pytest.mark.parametrize(("header", "span"), FOUND)
def test_range_of_ten_bytes(header: str, span: tuple[int, int]) -> None:
    """First, last, suffix; an end past the last byte is cut."""
    assert ByteRange(*span) == parse_range(header, 10)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=4-2",
        "bytes=0-1,3-4",
        "items=0-1",
        "bytes=1-2x",
        "bytes=\u0661-\u0662",
    ],
)
def test_range_that_s3_ignores(header: str | None) -> None:
    """No header, a malformed one and several ranges all mean the whole object."""
    assert parse_range(header, 10) is None


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=10-", 10), ("bytes=10-20", 10), ("bytes=-0", 10), ("bytes=0-0", 0), ("bytes=-1", 0)]
)
def test_range_without_a_byte(header: str, size: int) -> None:
    """A range that holds no byte is InvalidRange, with the size the object has."""
    with pytest.raises(errors.InvalidRange) as caught:
        parse_range(header, size)

    assert (str(size), f"bytes */{size}") == (
        caught.value.facts["ActualObjectSize"],
        caught.value.headers["Content-Range"],
    )


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 20))
def test_range_is_the_slice(start: int, length: int, size: int) -> None:
    """A range equals Python's slice of the whole whenever it is not refused."""
    data = bytes(range(size))
    try:
        found = parse_range(f"bytes={start}-{start + length}", size)
    except errors.InvalidRange:
        got = b""
    else:
        assert found is not None
        got = data[found.start : found.end]
        assert found.size == len(got)

    assert data[start : start + length + 1] == got


@pytest.mark.parametrize(
    "header",
    ["bytes=3-2", "bytes=-3", "bytes=3-", "0-3", "bytes=0-1,3-4", "bytes=a-b", ""],
)
def test_copy_range_is_strict(header: str) -> None:
    """A copy's range must have both ends, in order."""
    with pytest.raises(errors.InvalidArgument) as caught:
        parse_copy_range(header, 10)

    assert "x-amz-copy-source-range" == caught.value.facts["ArgumentName"]


@pytest.mark.parametrize("header", ["bytes=0-10", "bytes=10-20"])
def test_copy_range_lies_inside_the_source(header: str) -> None:
    """Unlike a GET's, a copy's range is not cut to what is there."""
    with pytest.raises(errors.InvalidRange) as caught:
        parse_copy_range(header, 10)

    assert "10" == caught.value.facts["ActualObjectSize"]


def test_copy_range() -> None:
    """A copy's range is half-open inside; without the header it is the whole source."""
    assert (ByteRange(0, 10), None) == (parse_copy_range("bytes=0-9", 10), parse_copy_range(None, 10))
