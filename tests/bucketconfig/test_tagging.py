"""Tags: S3's rules for keys, values and numbers, in documents and headers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.bucketconfig.tagging import (
    BUCKET_TAGS_MAX,
    OBJECT_TAGS_MAX,
    format_header,
    parse_header,
    parse_tag_set,
    tag_set,
)
from s4gw.s3.errors import InvalidArgument, InvalidTag, MalformedXML, S3Error

CHARACTERS = st.characters(codec="utf-8", categories=("L", "M", "N", "Zs"), include_characters="+-=._:/@")
TAGS = st.dictionaries(
    st.text(CHARACTERS, min_size=1, max_size=20).filter(lambda key: not key.lower().startswith("aws:")),
    st.text(CHARACTERS, max_size=20),
    max_size=OBJECT_TAGS_MAX,
)


@settings(max_examples=100, deadline=None)
@given(TAGS)
def test_tags_survive_both_spellings(tags: dict[str, str]) -> None:
    """Document and header give back what was put in."""
    assert [tags, tags] == [parse_header(format_header(tags)), parse_tag_set(tag_set(tags), limit=OBJECT_TAGS_MAX)]


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80))
def test_any_header_is_read_or_refused(text: str) -> None:
    """No header brings another error, and what is read keeps the rules."""
    try:
        tags = parse_header(text)
    except S3Error:
        return
    assert len(tags) <= OBJECT_TAGS_MAX
    assert "" not in tags


def numbered(count: int) -> list[dict[str, str]]:
    """That many tags."""
    return [{"Key": str(number), "Value": ""} for number in range(count)]


@pytest.mark.parametrize("limit", [OBJECT_TAGS_MAX, BUCKET_TAGS_MAX])
def test_as_many_as_allowed(limit: int) -> None:
    """And one more is refused."""
    assert limit == len(parse_tag_set(numbered(limit), limit=limit))
    with pytest.raises(InvalidTag):
        parse_tag_set(numbered(limit + 1), limit=limit)


@pytest.mark.parametrize(
    ("tag", "error"),
    [
        ({"Key": "", "Value": "v"}, InvalidTag),
        ({"Key": "k" * 129, "Value": "v"}, InvalidTag),
        ({"Key": "k", "Value": "v" * 257}, InvalidTag),
        ({"Key": "aws:k", "Value": "v"}, InvalidTag),
        ({"Key": "AWS:k", "Value": "v"}, InvalidTag),
        ({"Key": "k!", "Value": "v"}, InvalidTag),
        ({"Key": "k", "Value": "a\nb"}, InvalidTag),
        ({"Key": "k"}, MalformedXML),
        ({"Value": "v"}, MalformedXML),
    ],
)
def test_a_bad_tag_is_refused(tag: dict[str, str], error: type[S3Error]) -> None:
    """By S3's code."""
    with pytest.raises(error):
        parse_tag_set([tag], limit=OBJECT_TAGS_MAX)


def test_the_longest_tag_is_accepted() -> None:
    """128 characters of key, 256 of value; characters, not bytes."""
    assert {"é" * 128: "ü" * 256} == parse_tag_set([{"Key": "é" * 128, "Value": "ü" * 256}], limit=1)


def test_a_key_twice_is_refused() -> None:
    """Neither of two values is the right one."""
    with pytest.raises(InvalidTag):
        parse_tag_set([{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}], limit=OBJECT_TAGS_MAX)
    with pytest.raises(InvalidArgument):
        parse_header("k=1&k=2")


@pytest.mark.parametrize("header", ["&".join(f"k{n}=v" for n in range(11)), "=v", "%ff=v", "k=" + "v" * 257])
def test_a_bad_header_is_refused(header: str) -> None:
    """Too many, no key, no UTF-8, too long."""
    with pytest.raises(InvalidTag):
        parse_header(header)


def test_a_very_long_header_is_refused() -> None:
    """Before it is taken apart."""
    with pytest.raises(InvalidArgument):
        parse_header("k=" + "v" * 20_000)
