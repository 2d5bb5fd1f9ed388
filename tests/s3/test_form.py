"""Forms are taken apart the same way whatever the split, and what is no upload form is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4gw.s3 import errors
from s4gw.s3.form import PRE_DATA_BYTES_MAX, Fields, FileData, FormReader, Signal

TYPE = 'multipart/form-data; charset=utf-8; boundary="xx yy"'
LINE = b"--xx yy"


def part(name: str, content: bytes, more: str = "") -> bytes:
    return LINE + f'\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + LINE + b"--\r\n"


def read(body: bytes, step: int = 1 << 20, content_type: str = TYPE) -> tuple[list[Fields], bytes]:
    reader = FormReader(content_type)
    fields: list[Fields] = []
    content = b""
    for start in range(0, len(body), step):
        reader.feed(body[start : start + step])
        while not isinstance(event := reader.next_event(), Signal):
            if isinstance(event, Fields):
                fields.append(event)
            else:
                assert isinstance(event, FileData)
                content += event.data
    reader.end_of_input()
    return fields, content


@given(st.binary(max_size=300) | st.just(b"\r\n--xx y\r\n--xx"), st.integers(1, 200), st.text(max_size=20))
def test_form_in_any_split(content: bytes, step: int, value: str) -> None:
    """Fields come first, then the file's bytes exactly, even when they look much like a delimiter."""
    if b"\r\n" + LINE in b"\r\n" + content:
        return
    value = value.replace("\r\n" + LINE.decode(), "").replace("${filename}", "")
    body = form(part("Key", value.encode()), part("file", content, '; filename="f"'), part("late", b"ignored"))

    fields, got = read(body, step)

    assert [{"key": value}] == [dict(f.values) for f in fields]
    assert content == got


def test_names_fold_and_first_wins() -> None:
    """Field names have no case; a repeated one keeps its first value."""
    fields, _ = read(form(part("kEy", b"1"), part("KEY", b"2"), part("file", b"")))

    assert {"key": "1"} == fields[0].values


@pytest.mark.parametrize(
    ("sent", "filename"),
    [
        ('; filename="a.txt"', "a.txt"),
        ('; filename="C:\\\\dir\\\\a.txt"', "a.txt"),
        ("; filename=a.txt", "a.txt"),
        ('; filename="/home/a b.txt"', "a b.txt"),
        ('; filename="q\\"q"', 'q"q'),
        ('; filename="é"', "é"),
        ("", ""),
    ],
)
def test_filename(sent: str, filename: str) -> None:
    """${filename} becomes the last component of the file's name."""
    fields, _ = read(form(part("key", b"up/${filename}!"), part("file", b"", sent)))

    assert (filename, f"up/{filename}!") == (fields[0].filename, fields[0].values["key"])


def test_preamble_and_bare_parts_are_tolerated() -> None:
    """Text before the first delimiter is skipped."""
    _, got = read(b"preamble\r\n" + form(part("file", b"x")))

    assert b"x" == got


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "multipart/form-data",
        "multipart/mixed; boundary=x",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "x" * 300,
    ],
)
def test_content_type_without_boundary(content_type: str) -> None:
    """Without form-data and a boundary of sensible size there is no form."""
    with pytest.raises(errors.MalformedPOSTRequest) as caught:
        FormReader(content_type)

    assert 400 == caught.value.status


REFUSED = [
    (form(part("key", b"1")), "InvalidArgument"),
    (form(), "InvalidArgument"),
    (LINE + b"\r\n\r\nvalue\r\n" + LINE + b"--", "MalformedPOSTRequest"),
    (form(LINE + b"\r\nnonsense\r\n\r\nvalue\r\n"), "MalformedPOSTRequest"),
    (form(LINE + b"\r\nContent-Disposition: attachment; name=a\r\n\r\nvalue\r\n"), "MalformedPOSTRequest"),
    (form(part("", b"1")), "MalformedPOSTRequest"),
    (form(part("key", b"\xff"), part("file", b"")), "MalformedPOSTRequest"),
    (LINE + b"??" + form(part("file", b"")), "MalformedPOSTRequest"),
    (b"", "MalformedPOSTRequest"),
    (part("file", b"never ends"), "MalformedPOSTRequest"),
    (b"\x00" * (PRE_DATA_BYTES_MAX + 1), "MaxPostPreDataLengthExceededError"),
    (form(part("key", b"v" * PRE_DATA_BYTES_MAX), part("file", b"")), "MaxPostPreDataLengthExceededError"),
    (form(*(part(f"f{n}", b"v" * 100) for n in range(200)), part("file", b"")), "MaxPostPreDataLengthExceededError"),
    (form(*(part(f"{n}", b"") for n in range(300)), part("file", b"")), "MaxPostPreDataLengthExceededError"),
]


@pytest.mark.parametrize("step", [13, 1 << 20])
@pytest.mark.parametrize(("body", "code"), REFUSED)
def test_form_that_is_refused(body: bytes, code: str, step: int) -> None:
    """A form without a file, malformed, cut or with too much before the file gets S3's error, in any split."""
    with pytest.raises(errors.S3Error) as caught:
        read(body, step)

    assert code == caught.value.code


def test_large_file_is_not_predata() -> None:
    """Only what stands before the file counts against the limit, also when all comes at once."""
    content = bytes(100_000)

    assert content == read(form(part("key", b"v" * 1000), part("file", content)))[1]
