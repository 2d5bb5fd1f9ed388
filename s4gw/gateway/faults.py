"""From any exception to what an S3 client is told: one table, one document, one place that logs the unexpected.

An `S3Error` is an answer. Errors of the libraries below are translated by `TABLE`, which a test holds complete.
Everything else is a fault of ours: `InternalError`, logged once with its traceback and the request id. A client that
went away is an outcome, not a fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import falcon

from s4gw.codec import CodecError, CodecUnavailable
from s4gw.gateway.request import S3Request
from s4gw.gateway.wire import ClientDisconnectedError
from s4gw.objects import ObjectsError
from s4gw.observability import get_logger
from s4gw.s3 import xml_write
from s4gw.s3.errors import BadRequest, InternalError, S3Error, ServiceUnavailable
from s4gw.store import StoreError, Unavailable

STATUS_CLIENT_GONE: Final = 499
"""What the log shows for a client that did not wait; nobody receives it."""
NO_BODY: Final = frozenset({204, 304})
KEPT: Final = frozenset({"x-amz-request-id", "x-amz-id-2"})
"""Of what stands in an answer when it becomes that to an error; CORS adds its own afterwards."""

TABLE: Final[Mapping[type[Exception], type[S3Error]]] = {
    Unavailable: ServiceUnavailable,
    StoreError: InternalError,
    CodecUnavailable: ServiceUnavailable,
    CodecError: InternalError,
    ObjectsError: InternalError,
    falcon.HTTPError: BadRequest,
}
"""Library error -> what the client is told; the nearest base class counts."""


def translate(error: Exception) -> S3Error | None:
    """The S3 error for *error*, or None when nobody foresaw it."""
    if isinstance(error, S3Error):
        return error
    for kind in type(error).__mro__:
        answer = TABLE.get(kind)
        if answer is not None:
            return answer()
    return None


def handle(req: S3Request, resp: falcon.Response, error: Exception, _params: Any = None) -> None:
    """Falcon's error handler: fill *resp* with the error document."""
    if isinstance(error, ClientDisconnectedError):
        req.facts.error = "ClientDisconnected"
        resp.status = STATUS_CLIENT_GONE
        resp.data = b""
        return
    fill(req, resp, _answer(req, error))


def document(req: S3Request, error: BaseException) -> bytes:
    """The error document that ends an answer whose status has left already."""
    answer = _answer(req, error)
    req.facts.error = answer.code
    return xml_write.error_document(answer, resource=req.raw_path, request_id=req.request_id, host_id="")


def _answer(req: S3Request, error: BaseException) -> S3Error:
    answer = (translate(error) if isinstance(error, Exception) else None) or InternalError()
    # What a backend answers for damage or a full disk says nothing to the client; its cause says it to the operator.
    if answer.status >= InternalError.status and (answer is not error or error.__cause__ is not None):
        if isinstance(answer, ServiceUnavailable):  # foreseen, and of each request while a disk is full: one line
            cause = error.__cause__ or error
            get_logger().error("unavailable", request_id=req.request_id, reason=f"{type(cause).__name__}: {cause}")
        else:
            get_logger().error("internal error", request_id=req.request_id, code=answer.code, exc_info=error)
    return answer


def fill(req: S3Request, resp: falcon.Response, answer: S3Error) -> None:
    """Make *resp* the answer to an error; whatever a responder had put there is dropped."""
    req.facts.error = answer.code
    resp.status = answer.status
    resp.stream = None
    resp.text = None
    resp.data = None
    for name in resp.headers:
        if name not in KEPT:
            resp.delete_header(name)
    for name, value in answer.headers.items():
        resp.set_header(name, value)
    if answer.status in NO_BODY:
        return
    resp.content_type = "application/xml"
    resp.data = xml_write.error_document(
        answer, resource=req.raw_path, request_id=req.request_id, host_id=resp.get_header("x-amz-id-2") or ""
    )
