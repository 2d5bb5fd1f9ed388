"""Tests of s4gw.observability.log: one line per event, whatever a client puts into a key."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from s4gw.observability import configure, get_logger, shorten


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    before = list(root.handlers), root.level
    yield
    configure("json")
    root.handlers[:], root.level = before


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def test_json_lines_hold_the_fields(stream: io.StringIO) -> None:
    """Time, level and event, then what the caller tells."""
    configure("json", stream)
    get_logger().info("request", op="GetObject", key="a b\n", ratio=1.5, missing=None)
    line = json.loads(stream.getvalue())
    moment = line.pop("timestamp")
    assert {
        "level": "info",
        "event": "request",
        "op": "GetObject",
        "key": "a b\n",
        "ratio": 1.5,
        "missing": None,
    } == line
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", moment)


@pytest.mark.parametrize("log_format", ["json", "pretty"])
@pytest.mark.parametrize("key", ["a\nb", "a\x1b[31mb", 'a" ok=true', "a\u2028b", "a\x00b"])
def test_a_key_cannot_forge_lines(stream: io.StringIO, log_format: str, key: str) -> None:
    """Line breaks, terminal codes and quotes of a client come out escaped."""
    configure(log_format, stream)
    get_logger().info("request", key=key)
    text = stream.getvalue()
    line = text.removesuffix("\n")
    plain = line.isprintable() if log_format == "pretty" else json.loads(line)["key"] == key
    assert (1, True) == (text.count("\n"), plain)


def test_pretty_lines_leave_out_what_is_not_there(stream: io.StringIO) -> None:
    """People read what there is to tell."""
    configure("pretty", stream)
    get_logger().info("request", op="GetObject", codec="-", error="", ratio=None, status=200)
    assert stream.getvalue().endswith("info    request op=GetObject status=200\n")


@pytest.mark.parametrize("log_format", ["json", "pretty"])
def test_tracebacks_are_logged(stream: io.StringIO, log_format: str) -> None:
    """An error carries where it came from."""
    configure(log_format, stream)
    error = ValueError("odd")
    get_logger().error("internal error", exc_info=error)
    assert "ValueError: odd" in stream.getvalue()


def test_libraries_log_in_the_same_format(stream: io.StringIO) -> None:
    """What gunicorn says is a line like any other."""
    configure("json", stream)
    logging.getLogger("gunicorn.error").warning("worker %s", 7)
    line = json.loads(stream.getvalue())
    assert ("worker 7", "warning", "gunicorn.error") == (line["event"], line["level"], line["logger"])


def test_long_keys_are_cut() -> None:
    """A key may have a kilobyte; its beginning is enough to find it."""
    assert ("k" * 256, "k" * 256 + "…") == (shorten("k" * 256), shorten("k" * 257))
