"""What every resource shares: reading parameters in boto3's shape, answering in the same.

A resource is one S3 operation. Its `respond` parses, loads, calls `objects` or the backend, and fills the response;
errors are raised as S3 errors and rendered in one place, `gateway.faults`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from s4gw.s3 import model

if TYPE_CHECKING:
    import falcon

    from s4gw.backends.base import Backend
    from s4gw.gateway.request import S3Request
    from s4gw.gateway.services import Services
    from s4gw.objects import Objects

XML_BODY_BYTES_MAX: Final = 2 * 1024 * 1024
"""DeleteObjects may name 1,000 keys of 1 KiB, and CompleteMultipartUpload 10,000 parts with checksums."""


class Resource:
    """Base of all operations; keeps nothing between requests."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.backend: Backend = services.backend
        """Where stored bytes and their descriptions lie."""
        self.objects: Objects = services.objects
        """The squishing layer."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Carry the operation out. Raises: S3 errors."""
        raise NotImplementedError


def parameters(req: S3Request, body: bytes = b"") -> dict[str, Any]:
    """The operation's input in boto3's shape; *body* is the document that it takes, if any."""
    return model.read_request(
        req.operation.name, bucket=req.bucket, key=req.key, query=req.query, headers=req.header_map, body=body
    )


def answer(req: S3Request, resp: falcon.Response, result: Mapping[str, Any]) -> None:
    """Fill *resp* from the operation's output in boto3's shape."""
    wire = model.write_response(req.operation.name, result)
    resp.status = wire.status
    resp.set_headers(wire.headers)
    if wire.body:
        resp.data = wire.body


def quoted(etag: str) -> str:
    """An ETag as headers and documents carry it."""
    return f'"{etag}"'
