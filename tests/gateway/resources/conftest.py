"""A boto3 client whose requests go straight into the WSGI application over a memory backend."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from s4gw.gateway.app import create_app
from tests.gateway.kit import ALICE, make_services


class Raw(io.BytesIO):
    """A response body as botocore reads it."""

    def stream(self, **_options: Any) -> Iterator[bytes]:
        yield self.getvalue()


class InProcess:
    """Carries botocore's prepared requests into the application."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def send(self, request: Any, **_context: Any) -> AWSResponse:
        parts = urlsplit(request.url)
        body = request.body or b""
        data = body if isinstance(body, bytes | bytearray) else body.read()
        headers = {_text(name): _text(value) for name, value in request.headers.items()}
        headers.setdefault("Host", parts.netloc)
        env: dict[str, Any] = {
            f"HTTP_{name.upper().replace('-', '_')}": value
            for name, value in headers.items()
            if name.lower() not in ("content-type", "content-length", "expect")
        }
        env |= {
            "REQUEST_METHOD": request.method,
            "RAW_URI": parts.path + (f"?{parts.query}" if parts.query else ""),
            "PATH_INFO": "/",
            "QUERY_STRING": "",
            "REMOTE_ADDR": "127.0.0.1",
            "SERVER_PORT": "80",
            "SERVER_NAME": "s3.test",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": parts.scheme,
            "wsgi.input": io.BytesIO(data),
            "wsgi.errors": io.StringIO(),
            "CONTENT_LENGTH": str(len(data)) if data or request.method in ("PUT", "POST") else "",
            "CONTENT_TYPE": headers.get("Content-Type", ""),
        }
        started: list[tuple[str, list[tuple[str, str]]]] = []
        blocks = self._app(env, lambda status, sent, *_: started.append((status, sent)))
        content = b"".join(blocks)
        if hasattr(blocks, "close"):
            blocks.close()
        ((status, sent),) = started
        return AWSResponse(request.url, int(status[:3]), dict(sent), Raw(content))


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


@pytest.fixture
def s3() -> Iterator[Any]:
    """Client of an empty server; it owns what it makes."""
    services = make_services(clock=time.time)
    client = boto3.client(
        "s3",
        endpoint_url="http://s3.test",
        region_name="us-east-1",
        aws_access_key_id=ALICE.access_key,
        aws_secret_access_key=ALICE.secret_key,
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )
    client.meta.events.register("before-send.s3", InProcess(create_app(services)).send)
    yield client
    services.objects.close()


@pytest.fixture
def bucket(s3: Any) -> str:
    """A bucket of the client's."""
    s3.create_bucket(Bucket="bucket")
    return "bucket"
