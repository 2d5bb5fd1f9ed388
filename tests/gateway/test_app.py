"""Tests of s4gw.gateway.app: what every request goes through, over a memory backend."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import falcon
import msgspec
import pytest

import s4gw.codec
import s4gw.objects
import s4gw.store
from s4gw.auth import ANONYMOUS_IDENTITY
from s4gw.backends import BucketInfo
from s4gw.codec import CorruptFrame
from s4gw.gateway import faults
from s4gw.gateway.app import create_app
from s4gw.gateway.request import S3Request
from s4gw.gateway.services import Services
from s4gw.gateway.wire import ClientDisconnectedError
from s4gw.observability import log
from s4gw.s3 import operation
from s4gw.s3.errors import NoSuchKey, NotModified, ServiceUnavailable
from s4gw.settings import Settings
from tests.gateway.kit import Answer, call, make_services


class AllowAll:
    """Stands in for the authorizer."""

    def authorize(self, *_arguments: object, **_options: object) -> None:
        """Everything is allowed."""


def responding(action: Callable[[S3Request, falcon.Response], None]) -> Any:
    """A resource class that does *action*."""

    class Resource:
        def __init__(self, services: Services) -> None:
            self.services = services

        def respond(self, req: S3Request, resp: falcon.Response) -> None:
            action(req, resp)

    return Resource


def raising(error: Exception) -> Any:
    """A resource class that fails."""

    def fail(_req: S3Request, _resp: falcon.Response) -> None:
        raise error

    return responding(fail)


class Gateway:
    """A client of one application whose GetObject is the test's."""

    def __init__(self, resource: Any, **settings: Any) -> None:
        self.lines = io.StringIO()
        log.configure("json", self.lines)
        services = make_services(Settings(data_dir=Path("unused"), **settings))
        self.services = replace(services, authorizer=AllowAll())
        self.app = create_app(self.services, {"GetObject": resource, "HeadObject": resource})

    def get(self, target: str = "/bucket/key", *, method: str = "GET", port: int = 8014, **headers: str) -> Answer:
        """Send a request."""
        return call(self.app, method, target, headers, port=port)

    @property
    def events(self) -> list[dict[str, Any]]:
        """What was logged."""
        return [json.loads(line) for line in self.lines.getvalue().splitlines()]

    def metric(self, name: str) -> list[str]:
        """Lines of one metric."""
        return re.findall(rf"^{name}(?:{{.*}})? .*$", self.services.metrics.render().decode(), re.MULTILINE)


@pytest.fixture(autouse=True)
def _log() -> Iterator[None]:
    yield
    log.configure("json")


def test_every_answer_carries_its_ids() -> None:
    """Success, error, probe: support can find each in the log."""
    gateway = Gateway(raising(NoSuchKey(Key="key")))
    answers = [gateway.get(), gateway.get("/health"), gateway.get("/bucket/%zz"), gateway.get("/nowhere?acl")]
    assert ["0123456789ABCDEF"] * 4 == [answer.headers["x-amz-request-id"] for answer in answers]
    assert all(answer.headers["x-amz-id-2"] for answer in answers)


def test_errors_are_s3_documents() -> None:
    """Code, message, facts, resource and ids, as S3 writes them."""
    answer = Gateway(raising(NoSuchKey(Key="key", headers={"x-amz-delete-marker": "true"}))).get()
    assert (404, "application/xml", "true") == (
        answer.status,
        answer.headers["content-type"],
        answer.headers["x-amz-delete-marker"],
    )
    for part in ("<Code>NoSuchKey</Code>", "<Key>key</Key>", "<Resource>/bucket/key</Resource>", "0123456789ABCDEF"):
        assert part in answer.text


def test_errors_drop_what_the_responder_had_begun() -> None:
    """An ETag or a range of the object does not belong to the error document."""

    def begin(_req: S3Request, resp: falcon.Response) -> None:
        resp.set_header("ETag", '"x"')
        resp.set_header("Content-Range", "bytes 0-1/2")
        resp.stream = iter([b"never"])
        raise ServiceUnavailable(headers={"Retry-After": "1"})

    answer = Gateway(responding(begin)).get()
    assert (503, "1", None, None) == (
        answer.status,
        answer.headers["retry-after"],
        answer.headers.get("etag"),
        answer.headers.get("content-range"),
    )


def test_not_modified_has_no_body() -> None:
    """304 is its status line and headers."""
    answer = Gateway(raising(NotModified())).get()
    assert (304, b"", None) == (answer.status, answer.body, answer.headers.get("content-type"))


def test_head_has_no_body_and_no_invented_type() -> None:
    """An error of HEAD is told by its status alone."""
    answer = Gateway(raising(NoSuchKey())).get(method="HEAD")
    assert (404, b"") == (answer.status, answer.body)


def test_the_unforeseen_is_an_internal_error_and_logged_once() -> None:
    """The client learns nothing of it; the log has the traceback under the request's id."""
    gateway = Gateway(raising(RuntimeError("secret detail")))
    answer = gateway.get()
    faulty = [event for event in gateway.events if "exception" in event]
    assert (500, False, 1, "0123456789ABCDEF") == (
        answer.status,
        "secret detail" in answer.text,
        len(faulty),
        faulty[0]["request_id"],
    )
    assert "secret detail" in faulty[0]["exception"]


def test_every_error_of_the_libraries_has_a_row() -> None:
    """An error that a library may raise is translated, never a surprise."""
    modules = (s4gw.codec, s4gw.store, s4gw.objects)
    classes = [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Exception)
    ]
    missing = [kind for kind in classes if not any(base in faults.TABLE for base in kind.__mro__)]
    assert (True, []) == (len(classes) > 10, missing)


def test_damage_is_refused_and_logged() -> None:
    """A read that would give wrong bytes is an internal error, with a line that says so."""
    gateway = Gateway(raising(CorruptFrame("frame 3")))
    answer = gateway.get()
    assert (500, "InternalError") == (answer.status, gateway.events[0]["code"])


def test_a_full_disk_is_one_line_for_each_request() -> None:
    """It says what is the matter, and no traceback fills what is left of the disk."""
    gateway = Gateway(raising(s4gw.store.Unavailable("append to volume 1: No space left on device")))
    answer = gateway.get()
    line = gateway.events[0]
    expected = (503, "unavailable", "Unavailable: append to volume 1: No space left on device", False)
    assert expected == (answer.status, line["event"], line["reason"], "exc_info" in line)


def test_a_client_that_left_is_no_fault() -> None:
    """No traceback, one line, one count."""
    gateway = Gateway(raising(ClientDisconnectedError()))
    gateway.get()
    assert [("request", "ClientDisconnected")] == [(event["event"], event["error"]) for event in gateway.events]
    assert ["s4_client_disconnects_total 1.0"] == gateway.metric("s4_client_disconnects_total")


def test_a_request_is_logged_and_counted_once() -> None:
    """S4's field and metric names, for a success and for an error."""

    def answer(req: S3Request, resp: falcon.Response) -> None:
        req.facts.codec = "cpu-zstd"
        req.facts.original_bytes, req.facts.stored_bytes = 100, 25
        resp.data = b"0123456789"

    gateway = Gateway(responding(answer))
    gateway.get("/bucket/some%0Akey")
    (line,) = gateway.events
    expected = {
        "op": "GetObject",
        "bucket": "bucket",
        "key": "some\nkey",
        "codec": "cpu-zstd",
        "bytes_in": 0,
        "bytes_out": 10,
        "ratio": 4.0,
        "ok": True,
        "status": 200,
        "error": "",
        "access_key": "",
        "request_id": "0123456789ABCDEF",
    }
    assert expected.items() <= line.items()
    assert line["latency_ms"] >= 0
    counted = [
        's4_requests_total{codec="cpu-zstd",op="GetObject",result="ok"} 1.0',
        's4_bytes_out_total{op="GetObject"} 10.0',
        's4_original_bytes_total{codec="cpu-zstd"} 100.0',
        's4_stored_bytes_total{codec="cpu-zstd"} 25.0',
        's4_request_latency_seconds_count{op="GetObject"} 1.0',
        "s4_in_flight_requests 0.0",
    ]
    rendered = gateway.services.metrics.render().decode()
    assert [] == [text for text in counted if text not in rendered]


def test_errors_are_counted_by_their_code() -> None:
    """The outcome label tells what went wrong."""
    gateway = Gateway(raising(NoSuchKey()))
    gateway.get()
    assert ['s4_requests_total{codec="-",op="GetObject",result="NoSuchKey"} 1.0'] == gateway.metric("s4_requests_total")


def test_a_stream_is_accounted_for_when_it_ends() -> None:
    """What was sent is known at the end only; until then the request is in flight."""
    seen: list[list[str]] = []
    gateway: Gateway

    def stream(_req: S3Request, resp: falcon.Response) -> None:
        def blocks() -> Iterator[bytes]:
            yield b"12345"
            seen.append(gateway.metric("s4_in_flight_requests"))
            yield b"678"

        resp.stream = blocks()

    gateway = Gateway(responding(stream))
    answer = gateway.get()
    assert (b"12345678", [["s4_in_flight_requests 1.0"]], 8) == (
        answer.body,
        seen,
        gateway.events[0]["bytes_out"],
    )


def test_a_stream_that_breaks_is_an_error_in_the_log() -> None:
    """The status line had left, so only log and metrics can tell."""

    def stream(_req: S3Request, resp: falcon.Response) -> None:
        def blocks() -> Iterator[bytes]:
            yield b"12345"
            raise CorruptFrame("frame 2")

        resp.stream = blocks()

    gateway = Gateway(responding(stream))
    with pytest.raises(CorruptFrame):
        gateway.get()
    last = gateway.events[-1]
    assert ("request", False, "CorruptFrame", 5) == (last["event"], last["ok"], last["error"], last["bytes_out"])


def test_operations_without_a_resource_are_not_implemented() -> None:
    """What S3 knows and we do not is said so; nothing answers with a silent yes."""
    gateway = Gateway(raising(NoSuchKey()))
    answer = gateway.get("/bucket?logging")
    assert (501, True) == (answer.status, "<Code>NotImplemented</Code>" in answer.text)


@pytest.mark.parametrize("form", [{}, {"content-type": "multipart/form-data; boundary=x"}], ids=["plain", "form"])
def test_no_operation_is_reached_without_authentication_and_authorization(form: dict[str, str]) -> None:
    """By construction: each resource answers behind both, whatever the operation and whatever the body claims to be."""
    calls: list[str] = []

    class Refuse(AllowAll):
        def authorize(self, *arguments: object, **_options: object) -> None:
            req = arguments[0]
            assert isinstance(req, S3Request)
            assert req.identity == ANONYMOUS_IDENTITY
            calls.append(str(arguments[1]))
            raise NoSuchKey

    services = replace(make_services(), authorizer=Refuse())
    resources = {name: raising(AssertionError("reached")) for name in operation.ROUTED}
    app = create_app(services, resources)
    for (method, scope, marker), rows in operation.TABLE.items():
        row = rows[-1]
        path = {"service": "/", "bucket": "/bucket", "key": "/bucket/key"}[scope.value]
        query = "&".join([marker] * bool(marker) + [f"{name}={value}" for name, value in row.query])
        headers = {} if row.header is None else {row.header[0]: row.header[1] or "bucket/key"}
        call(app, method, f"{path}?{query}", headers | form)
    assert len(operation.TABLE) == len(calls)


@pytest.mark.parametrize(
    ("origin", "allowed"), [("https://page.example", "https://page.example"), ("https://evil.example", None)]
)
def test_browsers_are_told_what_the_buckets_rules_allow(origin: str, allowed: str | None) -> None:
    """On errors, too: a page must be able to see why it was refused."""
    gateway = Gateway(raising(NoSuchKey()))
    backend = gateway.services.backend
    backend.create_bucket(BucketInfo(name="bucket", owner="a" * 64, created_ms=0))
    rules = [{"AllowedOrigins": ["https://page.example"], "AllowedMethods": ["GET"]}]
    backend.put_config("bucket", "cors", msgspec.json.encode({"CORSRules": rules}))
    answers = [gateway.get(Origin=origin), gateway.get(), gateway.get("/nobucket/key", Origin=origin)]
    found = [answer.headers.get("access-control-allow-origin") for answer in answers]
    assert [allowed, None, None] == found


def test_probes_need_no_signature_and_are_not_counted() -> None:
    """They shadow buckets of their names, in path style, for reading methods."""
    gateway = Gateway(raising(NoSuchKey()))
    answers = [gateway.get(path) for path in ("/health", "/ready", "/metrics")]
    refused = gateway.get("/health", method="PUT")
    assert ([200] * 3, 405, []) == (
        [answer.status for answer in answers],
        refused.status,
        gateway.metric("s4_requests_total"),
    )
    assert "s4_in_flight_requests" in answers[2].text


def test_a_key_named_like_a_probe_is_a_key() -> None:
    """Where the host names the bucket, nobody gets "ok" for an object; the domain itself and the metrics port probe."""

    def answer(req: S3Request, resp: falcon.Response) -> None:
        resp.data = f"{req.bucket} {req.key}".encode()

    gateway = Gateway(responding(answer), domains=("s3.example",), metrics_port=9100)
    objects = [gateway.get(path, Host="first.s3.example").text for path in ("/health", "/ready", "/metrics")]
    probes = [gateway.get("/health", Host="s3.example"), gateway.get("/health", Host="first.s3.example", port=9100)]
    assert ["first health", "first ready", "first metrics"] == objects
    assert ["ok\n"] * 2 == [probe.text for probe in probes]


def test_not_ready_when_a_write_would_fail() -> None:
    """A load balancer takes the gateway out while its store cannot answer."""
    gateway = Gateway(raising(NoSuchKey()))

    def check() -> None:
        raise ServiceUnavailable

    gateway.services.backend.check = check  # type: ignore[method-assign] # a store that cannot answer
    assert (503, 200) == (gateway.get("/ready").status, gateway.get("/health").status)


def test_the_metrics_port_answers_probes_only() -> None:
    """What is reachable without a signature leads nowhere else."""
    gateway = Gateway(raising(AssertionError("reached")), metrics_port=9100)
    probe = gateway.get("/metrics", port=9100)
    other = gateway.get("/bucket/key", port=9100)
    assert (200, 404) == (probe.status, other.status)
