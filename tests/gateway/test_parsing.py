"""The short way of reading a request gives what gunicorn's own gives, for good requests and for hostile ones."""

from __future__ import annotations

import os
import re
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.gateway import parsing
from tests.gateway.kit import configured

SIGNED = (
    b"PUT /bucket/a%20b//c?partNumber=1&uploadId=x HTTP/1.1\r\nHost: localhost:8014\r\nX-Amz-Date: 20260101T000000Z\r\n"
    b"X-Amz-Meta-A_b: \xc3\xa9\r\nx-amz-meta-a-b:   spaced  out \r\nAuthorization: AWS4-HMAC-SHA256 Credential=k\r\n"
    b"Content-Length: 4\r\n\r\nbody"
)
BARE_LF = re.compile(rb"(?<!\r)\n")
LINES = [
    b"Host: other",
    b"Content-Type: a/b",
    b"Content-Type: c/d",
    b"Content-Length: 4",
    b"Content-Length: 5",
    b"Content-Length: +4",
    b"Content-Length: 4, 4",
    b"Content-Length: \xb2",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: gzip",
    b"Transfer-Encoding: x-unknown",
    b"Expect: 100-continue",
    b"Expect: something",
    b"Connection: close",
    b"Connection: Keep-Alive",
    b"Connection: keep-alive, x",
    b"X-Forwarded-Proto: https",
    b"X-Forwarded-Proto: http",
    b"X-Forwarded-Ssl: on",
    b" folded",
    b"no colon",
    b"bad name: x",
    b"X-Long: " + b"y" * 9000,
    b"X-Control: a\x01b",
    b"",
]


def outcome(raw: bytes, *, short: bool, peer: str = "127.0.0.1") -> Any:
    """What comes of reading *raw*: the facts of the request, or the name of the refusal."""
    cfg = parsing.Snapshot(configured())
    cfg.s4_short_way = cfg.s4_short_way and short
    client, server = socket.socketpair()
    with closing(server):
        with closing(client):
            client.sendall(raw)
        parser = RequestParser(cfg, server, (peer, 1))
        parser.unreader = parsing.HeaderUnreader(server)
        try:
            req = parsing.next_request(parser)
        except (StopIteration, NoMoreData) as ended:
            return type(ended).__name__
        except ParseException as error:
            return type(parsing.refusal(error)).__name__
        reader = req.body.reader
        return (
            req.method,
            req.uri,
            req.version,
            req.lower,
            req.fields,
            req.scheme,
            req.should_close(),
            parsing.expects(req),
            type(reader).__name__,
            getattr(reader, "length", None),
            req.unreader.take_buffered(),
        )


def both(raw: bytes, peer: str = "127.0.0.1") -> tuple[Any, Any]:
    """The outcome of gunicorn's way and of ours; ours refuses bare line feeds, too."""
    theirs, ours = outcome(raw, short=False, peer=peer), outcome(raw, short=True, peer=peer)
    return ("BadRequest" if ours == "BadRequest" and BARE_LF.search(raw) else theirs), ours


def test_the_short_way_is_the_one_in_use() -> None:
    """With the settings that are shipped and the C parser, which is a requirement."""
    assert parsing.Snapshot(configured()).s4_short_way


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.0.0.1"])
def test_a_signed_request_is_read_alike(peer: str) -> None:
    """Names with `_`, bytes above 127, repeated headers and blanks around values included."""
    theirs, ours = both(SIGNED, peer)
    assert theirs == ours
    assert ("x-amz-meta-a_b", "\xc3\xa9") in ours[3]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("start", [b"GET /b/k HTTP/1.1", b"POST /b HTTP/1.0", b"\r\nGET / HTTP/1.1"])
def test_each_odd_header_is_taken_or_refused_alike(start: bytes, line: bytes) -> None:
    """Alone, and beside the length of a body."""
    for extra in (b"", b"Content-Length: 4\r\n", b"X-Forwarded-Proto: https\r\n"):
        theirs, ours = both(start + b"\r\nHost: x\r\n" + extra + line + b"\r\n\r\nbody")
        assert theirs == ours


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"GET",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"get / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET /%b HTTP/1.1\r\n\r\n" % (b"x" * 9000),
        b"\r\nGET /%b HTTP/1.1\r\n\r\n" % (b"x" * 8180),
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(101)) + b"\r\n",
    ],
)
def test_requests_that_do_not_parse_are_refused_alike(raw: bytes) -> None:
    """Cut, empty, too long, or of another protocol."""
    theirs, ours = both(raw)
    assert theirs == ours


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=5), st.integers(0, 500), st.binary(max_size=2))
def test_broken_requests_are_taken_or_refused_alike(lines: list[bytes], place: int, noise: bytes) -> None:
    """Any of the odd headers together, with some bytes overwritten."""
    raw = bytearray(SIGNED.replace(b"Content-Length: 4\r\n", b"".join(line + b"\r\n" for line in lines)))
    raw[place : place + len(noise)] = noise
    theirs, ours = both(bytes(raw))
    assert theirs == ours


class _Pieces:
    """A socket that gives what it is told to, in pieces."""

    def __init__(self, pieces: list[bytes], ready: int) -> None:
        self._pieces = list(pieces)
        self._ready = ready

    def fileno(self) -> int:
        return self._ready

    def recv(self, size: int) -> bytes:
        if not self._pieces:
            return b""
        piece = self._pieces.pop(0)
        if len(piece) > size:
            self._pieces.insert(0, piece[size:])
        return piece[:size]


@settings(max_examples=200, deadline=None)
@given(
    pieces=st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    steps=st.lists(
        st.tuples(st.sampled_from(["read", "some", "unread", "take"]), st.integers(0, 60), st.integers(0, 60)),
        max_size=12,
    ),
)
def test_reading_ahead_is_as_gunicorns(pieces: list[bytes], steps: list[tuple[str, int, int]]) -> None:
    """Any order of reading, reading some and giving back yields the same bytes."""
    with Path(os.devnull).open("rb") as always_readable:
        theirs, ours = (
            _read_by(kind(_Pieces(pieces, always_readable.fileno()), max_chunk=16), steps)
            for kind in (SocketUnreader, parsing.HeaderUnreader)
        )
    assert theirs == ours


def _read_by(unreader: Any, steps: list[tuple[str, int, int]]) -> list[bytes]:
    got = []
    for step, size, more in steps:
        if step == "read":
            got.append(unreader.read(size, read_ahead=more or None))
        elif step == "some":
            got.append(unreader.read())
        elif step == "unread":
            unreader.unread(b"x" * size)
        else:
            got.append(unreader.take_buffered())
    return got
