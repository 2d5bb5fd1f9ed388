"""boto3 without a socket: its requests go straight into the WSGI application, its answers come straight back."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from s4gw.auth import Credentials
from tests.gateway.kit import ALICE


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


def client_of(app: Any, user: Credentials = ALICE) -> Any:
    """A boto3 client of *app* (or of a carrier into it) that signs for *user* and asks once."""
    carrier = app if isinstance(app, InProcess) else InProcess(app)
    client = boto3.client(
        "s3",
        endpoint_url="http://s3.test",
        region_name="us-east-1",
        aws_access_key_id=user.access_key,
        aws_secret_access_key=user.secret_key,
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )
    client.meta.events.register("before-send.s3", carrier.send)
    return client
