"""Counts and logs each S3 request once, when its last byte has left or its client has gone.

A streamed answer is accounted for by the stream itself, in its ``close``, which every WSGI server calls: only there
it is known how much was sent, and whether all of it was.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from s4gw.observability import current, get_logger, line_writer, shorten

if TYPE_CHECKING:
    import falcon

    from s4gw.gateway.answer import S3Response
    from s4gw.gateway.request import S3Request
    from s4gw.gateway.services import Services

OK: Final = "ok"


class Accounting:
    """One log line and one set of metric increments per request."""

    def __init__(self, services: Services) -> None:
        self._metrics = services.metrics
        self._linked = services.upstream is not None
        self._write = line_writer()

    def process_request(self, req: S3Request, _resp: falcon.Response) -> None:
        req.started = time.monotonic()
        self._metrics.request_started()

    def process_response(self, req: S3Request, resp: S3Response, _resource: object, _succeeded: bool) -> None:  # noqa: FBT001
        if not req.started:
            return  # a probe
        if resp.stream is not None:
            resp.stream = _Accounted(self, req, resp, resp.stream)
            return
        data = resp.data
        if data is not None and req.method != "HEAD":
            req.facts.bytes_out = len(data)
        self.finish(req, resp)

    def finish(self, req: S3Request, resp: S3Response) -> None:
        """Account for *req*, whose answer is complete."""
        seconds = time.monotonic() - req.started
        facts = req.facts
        body = req.body_opened
        bytes_in = facts.bytes_in if body is None else body.received
        operation = req.operation_name
        result = facts.error or OK
        self._metrics.request_done(
            operation=operation,
            codec=facts.codec,
            result=result,
            bytes_in=bytes_in,
            bytes_out=facts.bytes_out,
            latency_s=seconds,
            original=facts.original_bytes,
            stored=facts.stored_bytes,
        )
        if facts.error == "ClientDisconnected":
            self._metrics.disconnects.inc()
        line = {
            "timestamp": "",
            "level": "info",
            "event": "request",
            "op": operation,
            "bucket": req.bucket,
            "key": shorten(req.key),
            "codec": facts.codec,
            "bytes_in": bytes_in,
            "bytes_out": facts.bytes_out,
            "ratio": _hundredths(facts.original_bytes / facts.stored_bytes) if facts.stored_bytes else None,
            "latency_ms": _hundredths(seconds * 1000),
            "ok": not facts.error,
            "status": resp.status,
            "error": facts.error,
            "access_key": req.access_key,
            "request_id": req.request_id,
        }
        link = current() if self._linked else None
        if link is not None:
            line |= {"upstream_requests": link.count, "upstream_ids": ",".join(link.ids)}
        self._write(line)


def _hundredths(value: float) -> float:
    """*value*, not negative, rounded. PERF: `round` to digits takes 1 us more."""
    return int(value * 100 + 0.5) / 100


class _Accounted:
    """A streamed answer that is accounted for when it ends."""

    def __init__(self, accounting: Accounting, req: S3Request, resp: S3Response, stream: Any) -> None:
        self._accounting = accounting
        self._req = req
        self._resp = resp
        self._stream = stream
        self._blocks: Iterator[bytes] = iter(stream)
        self._sent = 0
        self._closed = False
        self._complete = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            block = next(self._blocks)
        except StopIteration:
            self._complete = True
            raise
        except Exception as error:
            # The status line has left; all that can be done is to cut the connection, which the worker does.
            self._req.facts.error = type(error).__name__
            get_logger().error("answer broken off", request_id=self._req.request_id, exc_info=error)
            raise
        self._sent += len(block)
        return block

    def close(self) -> None:
        """Called by the server at the end, whatever end it was."""
        if self._closed:
            return
        self._closed = True
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()
        facts = self._req.facts
        facts.bytes_out = self._sent
        if not self._complete and not facts.error:
            facts.error = "ClientDisconnected"
        self._accounting.finish(self._req, self._resp)
