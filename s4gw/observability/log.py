"""Structured logs on standard error: one line per request, as JSON or for people.

Field names of the request line are S4's: op, bucket, key, codec, bytes_in, bytes_out, ratio, latency_ms, ok. Beside
them stand status, request_id, access_key and, after an error, its S3 code. Secrets, signatures and query strings are
never logged. Lines of gunicorn and of other libraries come out in the same format.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

import msgspec
import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from structlog.typing import FilteringBoundLogger

KEY_CHARACTERS_MAX: Final = 256
"""A key has up to 1024 bytes; the log keeps its beginning."""

_NOTHING: Final = ("", "-", None)


def configure(log_format: str, stream: TextIO | None = None, *, debug: bool = False) -> None:
    """Set up logging of this process.

    Args:
        log_format: "json" or "pretty".
        stream: Where lines go; standard error by default.
        debug: Write lines of level debug as well.
    """
    target = stream if stream is not None else sys.stderr
    render = _render_json if log_format == "json" else _render_pretty
    structlog.configure(
        # PERF: one processor instead of a chain of four: 6 instead of 15 us a line.
        processors=[_Line(render)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if debug else logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(target),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(_ForeignFormatter(_Line(render)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for chatty in ("botocore", "boto3", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class _Line:
    """Makes a line of an event: time and level first, a traceback where there is one."""

    def __init__(self, render: Callable[[dict[str, Any]], str]) -> None:
        self._render = render
        self._second = (0, "")

    def __call__(self, _logger: Any, level: str, event: MutableMapping[str, Any]) -> str:
        line = {"timestamp": self._timestamp(time.time()), "level": level, "event": event.pop("event", ""), **event}
        error = line.pop("exc_info", None)
        if error is not None:
            line["exception"] = "".join(traceback.format_exception(error)).rstrip()
        return self._render(line)

    def stamped(self, line: dict[str, Any]) -> str:
        """As the call, for a line that begins with ``timestamp``, which is set here, ``level`` and ``event``."""
        line["timestamp"] = self._timestamp(time.time())
        return self._render(line)

    def _timestamp(self, now: float) -> str:
        """ISO 8601 in UTC, with milliseconds; the part that changes once a second is kept."""
        second = int(now)
        kept, text = self._second
        if kept != second:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = (second, text)
        return f"{text}.{int((now - second) * 1000):03d}Z"


class _ForeignFormatter(logging.Formatter):
    """Lines of libraries that log through the standard library, in our format."""

    def __init__(self, line: _Line) -> None:
        super().__init__()
        self._line = line

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {"event": record.getMessage(), "logger": record.name}
        if record.exc_info and record.exc_info[1] is not None:
            event["exc_info"] = record.exc_info[1]
        return self._line(None, record.levelname.lower(), event)


def line_writer() -> Callable[[dict[str, Any]], None]:
    """A short way to the log for the line that every request writes.

    It takes the line whole: ``timestamp``, of any value, ``level`` and ``event`` first, then the fields.
    PERF: the logger's own way costs 20 us more: keyword arguments, contexts, proxies.
    """
    factory: Any = structlog.get_config()["logger_factory"]
    write = factory().msg
    (processor,) = structlog.get_config()["processors"]
    stamped = processor.stamped
    return lambda line: write(stamped(line))


def get_logger() -> FilteringBoundLogger:
    """The logger of this process."""
    return cast("FilteringBoundLogger", structlog.get_logger())


_ENCODE: Final = msgspec.json.Encoder(enc_hook=str).encode


def _render_json(line: dict[str, Any]) -> str:
    return _ENCODE(line).decode()


def _render_pretty(line: dict[str, Any]) -> str:
    """One line for people: time, level, event, then what is there to tell."""
    trace = line.pop("exception", None)
    (_, moment), (_, level), (_, name), *rest = line.items()
    known = [f"{key}={value}" for key, value in rest if value not in _NOTHING]
    facts = " ".join(known)
    if not facts.isprintable() or '"' in facts or facts.count(" ") != len(known) - 1:
        # PERF: one look at all of them; each by itself only where some value needs quotes.
        facts = " ".join([f"{key}={_plain(value)}" for key, value in rest if value not in _NOTHING])
    text = f"{moment} {level:<7} {name} {facts}"
    return text if trace is None else f"{text}\n{trace}"


def _plain(value: object) -> object:
    """SECURITY: keys are the client's; one with line breaks or terminal codes in it must not forge log lines."""
    if not isinstance(value, str) or (value.isprintable() and " " not in value and '"' not in value):
        return value
    return json.dumps(value)


def shorten(key: str) -> str:
    """A key as it is logged."""
    return key if len(key) <= KEY_CHARACTERS_MAX else key[:KEY_CHARACTERS_MAX] + "…"
