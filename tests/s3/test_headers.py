"""What is kept of a request's headers, and what goes back."""

from __future__ import annotations

import pytest

from s4gw.s3 import errors
from s4gw.s3.headers import from_form, metadata_from, overrides_from, system_from, without_aws_chunked


def test_metadata_is_kept_as_sent() -> None:
    """Values come back byte for byte, names without prefix."""
    headers = {
        "x-amz-meta-a": " v\xc3\xa9 =?UTF-8?Q?x?=",
        "x-amz-meta-a_b": "",
        "x-amz-metadata-directive": "COPY",
        "content-type": "x",
    }

    assert {"a": " v\xc3\xa9 =?UTF-8?Q?x?=", "a_b": ""} == metadata_from(headers)


def test_metadata_has_room_for_two_kibibytes() -> None:
    """Names and values together may have 2,048 bytes and not one more."""
    fits = {"x-amz-meta-ab": "v" * 2046}

    assert {"ab": "v" * 2046} == metadata_from(fits)
    with pytest.raises(errors.MetadataTooLarge) as caught:
        metadata_from({**fits, "x-amz-meta-c": ""})
    assert "2049" == caught.value.facts["Size"]


def test_system_headers() -> None:
    """The headers that S3 keeps are kept, empty ones and others are not; aws-chunked is transport."""
    headers = {
        "content-type": "text/plain",
        "content-encoding": "aws-chunked, gzip",
        "cache-control": "",
        "expires": "whenever",
        "host": "h",
        "x-amz-website-redirect-location": "/other",
    }

    expected = {
        "content-type": "text/plain",
        "content-encoding": "gzip",
        "expires": "whenever",
        "x-amz-website-redirect-location": "/other",
    }
    assert expected == system_from(headers)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("aws-chunked", ""),
        ("AWS-Chunked,gzip", "gzip"),
        ("gzip,aws-chunked", "gzip"),
        ("gzip, br", "gzip, br"),
        (",aws-chunked,", ""),
    ],
)
def test_aws_chunked_is_removed(sent: str, kept: str) -> None:
    """Only the token goes; an encoding without it stays as it was."""
    assert kept == without_aws_chunked(sent)


def test_content_encoding_of_transport_only_is_not_kept() -> None:
    """An object sent with nothing but aws-chunked has no Content-Encoding."""
    assert {} == system_from({"content-encoding": "aws-chunked"})


def test_redirect_must_be_a_place() -> None:
    """A website redirect is a path or a web address."""
    with pytest.raises(errors.InvalidRedirectLocation) as caught:
        system_from({"x-amz-website-redirect-location": "javascript:x"})

    assert 400 == caught.value.status


def test_overrides() -> None:
    """response-* parameters replace headers; text beyond latin-1 travels as UTF-8."""
    query = {"response-content-type": "a/b", "response-content-disposition": "x=é鍵\t", "response-color": "red"}

    expected = {"Content-Type": "a/b", "Content-Disposition": "x=é鍵\t".encode().decode("latin-1")}
    assert expected == overrides_from(query)


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\x00", "\x7f"])
def test_override_cannot_add_a_header(value: str) -> None:
    """Control characters in an override are refused, so a signed URL cannot split the response."""
    with pytest.raises(errors.InvalidArgument) as caught:
        overrides_from({"response-content-language": value})

    assert "response-content-language" == caught.value.facts["ArgumentName"]


def test_form_fields_become_headers() -> None:
    """Text of a form is kept as the bytes that a header would have carried."""
    sent = from_form({"x-amz-meta-a": "é鍵", "content-type": "text/plain"})

    assert {"a": "é鍵".encode().decode("latin-1")} == metadata_from(sent)
    assert {"content-type": "text/plain"} == system_from(sent)


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "\x00", "鍵"])
def test_what_no_header_can_carry_is_not_kept(value: str) -> None:
    """A field that could not be given back as a header, or would become two, is refused when it is stored."""
    with pytest.raises(errors.InvalidArgument) as kept:
        system_from({"content-disposition": value})
    with pytest.raises(errors.InvalidArgument) as described:
        metadata_from({"x-amz-meta-a": value})

    assert ("content-disposition", "x-amz-meta-a") == tuple(e.value.facts["ArgumentName"] for e in (kept, described))
