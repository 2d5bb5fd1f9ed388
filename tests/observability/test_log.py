"""Tests of s4gw.observability.log: one line per event, whatever a client puts into a key."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4gw.observability import configure, get_logger, line_writer, shorten


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


@given(
    fields=st.dictionaries(
        st.sampled_from(["op", "key", "codec", "ratio", "status", "ok", "error"]),
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.just("-")),
    )
)
def test_pretty_lines_tell_each_fact_that_is_there(fields: dict[str, object]) -> None:
    """In the order given, each as it is or, where it could be misread, quoted."""
    stream = io.StringIO()
    configure("pretty", stream)
    get_logger().info("request", **fields)
    told = []
    for name, value in fields.items():
        if value not in ("", "-", None):
            plain = not isinstance(value, str) or (value.isprintable() and " " not in value and '"' not in value)
            told.append(f"{name}={value if plain else json.dumps(value)}")
    assert stream.getvalue().partition(" request ")[2] == " ".join(told) + "\n"


def test_the_line_of_a_request_is_the_loggers(stream: io.StringIO) -> None:
    """The short way writes what the logger itself would, but for the moment."""
    fields = {"op": "GetObject", "key": "a b", "ratio": None, "latency_ms": 0.25, "ok": True, "status": 200}
    for log_format in ("json", "pretty"):
        configure(log_format, stream)
        get_logger().info("request", **fields)
        line_writer()({"timestamp": "", "level": "info", "event": "request", **fields})
        logged, short = (re.sub(r"\d{4}-\S{20}Z?", "", line) for line in stream.getvalue().splitlines()[-2:])
        assert logged == short
