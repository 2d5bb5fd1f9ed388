"""A browser's question before it sends a request of another origin (CORS preflight)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s4gw.bucketconfig import cors
from s4gw.gateway.resources.base import Resource
from s4gw.s3.errors import AccessForbidden, BadRequest

if TYPE_CHECKING:
    import falcon

    from s4gw.gateway.request import S3Request


class Preflight(Resource):
    """OPTIONS: answered from the bucket's CORS rules, without authentication, and never with data."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """The headers of the first rule that fits."""
        sent = req.header_map
        origin, method = sent.get("origin"), sent.get("access-control-request-method")
        if not origin or not method:
            raise BadRequest("Insufficient information. Origin request header needed.")
        allowed = cors.preflight_headers(
            cors.stored_cors(self.backend.get_bucket(req.bucket).configs),
            origin=origin,
            method=method,
            requested=sent.get("access-control-request-headers", "").split(","),
        )
        if allowed is None:
            raise AccessForbidden
        resp.set_headers(allowed)
        resp.content_length = 0
