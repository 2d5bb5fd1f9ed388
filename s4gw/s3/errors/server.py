"""Errors on the side of the service, and answers that send the client elsewhere. One class per S3 code."""

# ruff: noqa: A001 - classes are named as S3 names its codes
from __future__ import annotations

from s4gw.s3.errors.base import S3Error


class InternalError(S3Error):
    """S3 code ``InternalError``."""

    code = "InternalError"
    status = 500
    message = "We encountered an internal error. Please try again."


class MethodNotAllowed(S3Error):
    """S3 code ``MethodNotAllowed``."""

    code = "MethodNotAllowed"
    status = 405
    message = "The specified method is not allowed against this resource."


class NotFound(S3Error):
    """S3 code ``NotFound``."""

    code = "NotFound"
    status = 404
    message = "Not Found"


class NotImplemented(S3Error):
    """S3 code ``NotImplemented``."""

    code = "NotImplemented"
    status = 501
    message = "A header or operation you provided implies functionality that is not implemented"


class NotModified(S3Error):
    """S3 code ``NotModified``."""

    code = "NotModified"
    status = 304
    message = "Not Modified"


class PermanentRedirect(S3Error):
    """S3 code ``PermanentRedirect``."""

    code = "PermanentRedirect"
    status = 301
    message = (
        "The bucket you are attempting to access must be addressed using the specified endpoint. Please send "
        "all future requests to this endpoint."
    )


class ServiceUnavailable(S3Error):
    """S3 code ``ServiceUnavailable``."""

    code = "ServiceUnavailable"
    status = 503
    message = "Service is unable to handle request."


class SlowDown(S3Error):
    """S3 code ``SlowDown``."""

    code = "SlowDown"
    status = 503
    message = "Please reduce your request rate."
