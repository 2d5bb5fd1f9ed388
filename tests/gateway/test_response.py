"""Tests of s4gw.gateway.response: framing, limits, and headers that cannot break out of their lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4gw.gateway.response import InvalidHeaderError, Response


class Sink:
    """A socket that takes at most *room* bytes per call."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.room = room
        self.calls = 0
        self.data = b""

    def sendmsg(self, pieces: Sequence[Any]) -> int:
        return self.send(b"".join(pieces))

    def send(self, data: Any) -> int:
        self.calls += 1
        taken = bytes(data[: self.room])
        self.data += taken
        return len(taken)


def answer(
    blocks: Sequence[bytes],
    headers: Sequence[tuple[str, str]] = (),
    *,
    status: str = "200 OK",
    head: bool = False,
    version: tuple[int, int] = (1, 1),
    sink: Sink | None = None,
) -> tuple[Sink, Response]:
    """Send an answer."""
    sink = sink if sink is not None else Sink()
    resp = Response(sink, head=head, version=version, date="now", may_keep=lambda: True)
    resp.start_response(status, headers)
    for block in blocks:
        resp.write(block)
    resp.close()
    return sink, resp


def test_header_and_first_block_leave_together() -> None:
    """One system call for a small answer."""
    sink, resp = answer([b"hello"], [("Content-Length", "5"), ("ETag", '"x"')])
    expected = (
        b"HTTP/1.1 200 OK\r\nServer: S4GW\r\nDate: now\r\nConnection: keep-alive\r\n"
        b'Content-Length: 5\r\nETag: "x"\r\n\r\nhello'
    )
    assert (expected, 1, True) == (sink.data, sink.calls, resp.keeps())


@given(
    blocks=st.lists(st.binary(max_size=300), max_size=5),
    room=st.integers(1, 400),
    known=st.booleans(),
)
def test_any_split_by_the_kernel_sends_the_same_bytes(blocks: list[bytes], room: int, *, known: bool) -> None:
    """However little the kernel takes at a time, nothing is lost or sent twice."""
    headers = [("Content-Length", str(sum(map(len, blocks))))] if known else []
    whole, _ = answer(blocks, headers)
    split, _ = answer(blocks, headers, sink=Sink(room))
    assert whole.data == split.data


def test_an_unknown_length_is_chunked() -> None:
    """Empty blocks must not end the body."""
    sink, resp = answer([b"one", b"", b"two"])
    assert (True, True) == (sink.data.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"), resp.keeps())


def test_an_old_client_gets_its_end_by_closing() -> None:
    """HTTP/1.0 knows no chunks."""
    sink, resp = answer([b"one"], version=(1, 0))
    assert (True, True, False) == (sink.data.endswith(b"\r\n\r\none"), b"Connection: close" in sink.data, resp.keeps())


def test_never_more_than_announced() -> None:
    """What is too much would be taken for the next answer."""
    sink, _ = answer([b"hello", b"world"], [("Content-Length", "7")])
    assert sink.data.endswith(b"\r\n\r\nhellowo")


def test_a_short_answer_ends_its_connection() -> None:
    """The client waits for bytes that do not come; it must not get another answer's."""
    _, resp = answer([b"hel"], [("Content-Length", "5")])
    assert not resp.keeps()


@pytest.mark.parametrize(
    ("status", "head", "length"),
    [
        ("200 OK", True, b"Content-Length: 5\r\n"),
        ("304 Not Modified", False, b"Content-Length: 5\r\n"),
        ("204 x", False, b""),
    ],
)
def test_answers_without_a_body_have_none(status: str, head: bool, length: bytes) -> None:
    """HEAD and 304 tell the length that GET would have; 204 may not."""
    sink, resp = answer([b"hello"], [("Content-Length", "5")], status=status, head=head)
    assert (False, True, bool(length), True) == (
        b"hello" in sink.data,
        sink.data.endswith(b"\r\n\r\n"),
        b"Content-Length" in sink.data,
        resp.keeps(),
    )


@pytest.mark.parametrize(
    "header",
    [
        ("X-A", "a\r\nSet-Cookie: b"),
        ("X-A", "a\nb: c"),
        ("X-A", "a\rb"),
        ("X-A", "a\x00b"),
        ("X-A\r\nX-B", "c"),
        ("X A", "b"),
        ("", "b"),
        ("X-A:", "b"),
    ],
)
def test_a_header_cannot_break_out_of_its_line(header: tuple[str, str]) -> None:
    """Values may come from clients: metadata, response-* parameters."""
    with pytest.raises(InvalidHeaderError):
        answer([], [header])


def test_wide_characters_travel_as_utf8() -> None:
    """A file name that Latin-1 does not have must not break the answer."""
    sink, _ = answer([], [("Content-Disposition", 'attachment; filename="日本"'), ("X-Latin", "é")])
    assert 'filename="日本"'.encode() in sink.data


def test_hop_by_hop_headers_are_the_servers() -> None:
    """An application cannot claim to chunk, or to close."""
    sink, _ = answer([], [("Transfer-Encoding", "chunked"), ("Connection", "close"), ("Content-Length", "0")])
    assert (1, False) == (sink.data.count(b"Connection"), b"Transfer-Encoding" in sink.data)
