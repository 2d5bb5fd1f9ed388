"""A WSGI application for tests of the worker: answers what it was sent, refuses, streams and breaks off."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from s4gw.auth.model import UNSIGNED_PAYLOAD
from s4gw.gateway.request import S3Request

BLOCK = b"x" * (256 * 1024)


def app(env: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Choose by the first word of the path."""
    req = S3Request(env)
    action = req.raw_path.split("/")[1]
    if action == "refuse":
        return _plain(start_response, "403 Forbidden", b"refused")
    if action == "fault":
        raise RuntimeError("fault of the application")
    if action == "stream":
        start_response("200 OK", [("Content-Length", str(64 * len(BLOCK)))])
        return (BLOCK for _ in range(64))
    if action == "chunked":
        start_response("200 OK", [])
        blocks: list[Any] = [b"one", b"", memoryview(b"two")]  # the worker takes any buffer
        return iter(blocks)
    if action == "broken":
        start_response("200 OK", [("Content-Length", str(64 * len(BLOCK)))])
        return _broken()
    if action == "headers":
        shown = "\n".join(f"{name}={value}" for name, value in req.raw_headers if name.startswith("x-"))
        return _plain(start_response, "200 OK", shown.encode("latin-1"))
    if action == "target":
        return _plain(start_response, "200 OK", f"{req.raw_path} {req.raw_query}".encode())
    if action == "pid":
        return _plain(start_response, "200 OK", str(os.getpid()).encode())
    return _plain(start_response, "200 OK", _body(req))


def _body(req: S3Request) -> bytes:
    from s4gw.gateway.body import open_body

    body = open_body(req.env, req.header_map, UNSIGNED_PAYLOAD)
    return body.read_all(64 * 1024 * 1024)


def _broken() -> Iterator[bytes]:
    yield BLOCK
    raise RuntimeError("damaged")


def _plain(start_response: Callable[..., Any], status: str, body: bytes) -> list[bytes]:
    start_response(status, [("Content-Length", str(len(body)))])
    return [body]
