"""Tests of s4gw.gateway.answer: which length and which body an answer has."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from s4gw.gateway.answer import S3Response


def begun(resp: S3Response, *, head: bool = False) -> tuple[str, dict[str, str], list[bytes]]:
    """Status, headers and blocks as a WSGI server gets them."""
    started: list[tuple[str, list[tuple[str, str]]]] = []
    blocks: Iterable[bytes] = resp.begin(lambda status, headers: started.append((status, headers)), head=head)
    ((status, headers),) = started
    return status, dict(headers), list(blocks)


def filled(status: int = 200, *, data: bytes | None = None, stream: Iterable[bytes] | None = None) -> S3Response:
    """An answer."""
    resp = S3Response()
    resp.status, resp.data = status, data
    resp.stream = stream
    return resp


@pytest.mark.parametrize(
    ("resp", "head", "length", "body"),
    [
        (filled(data=b"hello"), False, "5", b"hello"),
        (filled(data=b""), False, "0", b""),
        (filled(), False, "0", b""),
        (filled(stream=[b"a", b"b"]), False, None, b"ab"),
        (filled(data=b"hello"), True, "5", b""),
        (filled(), True, "0", b""),
        (filled(204), False, None, b""),
        (filled(304), False, None, b""),
        (filled(304), True, None, b""),
        (filled(503, data=b"error"), False, "5", b"error"),
    ],
)
def test_an_answer_has_the_length_of_its_body(resp: S3Response, *, head: bool, length: str | None, body: bytes) -> None:
    """HEAD tells that of GET; what can have no body has no length; of a stream nobody knows it."""
    _, headers, blocks = begun(resp, head=head)
    assert (length, body) == (headers.get("content-length"), b"".join(blocks))


def test_a_length_that_is_told_counts_where_there_is_no_body() -> None:
    """HEAD of an object tells the object's; of data it is always the data's own."""
    told = filled()
    told.set_headers({"Content-Length": "1000"})
    wrong = filled(data=b"hello")
    wrong.set_header("Content-Length", "1000")
    assert ("1000", "5") == (begun(told, head=True)[1]["content-length"], begun(wrong)[1]["content-length"])


def test_a_header_is_set_once_whatever_its_case() -> None:
    """The last one counts, as with Falcon's."""
    resp = filled(404)
    resp.set_headers([("ETag", "1"), ("X-A", "2")])
    resp.set_headers({"etag": "3"})
    resp.set_header("x-a", "4")
    status, headers, _ = begun(resp)
    assert ("404 Not Found", "3", "4") == (status, headers["etag"], headers["x-a"])
