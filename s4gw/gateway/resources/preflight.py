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
        if not origin:
            raise BadRequest("Insufficient information. Origin request header needed.")
        if method not in cors.METHODS:
            raise BadRequest(f"Invalid Access-Control-Request-Method: {method or 'null'}")
        kind = "OBJECT" if req.key else "BUCKET"
        rules = cors.stored_cors(self.backend.get_bucket(req.bucket).configs)
        if not rules:
            raise AccessForbidden(
                "CORSResponse: CORS is not enabled for this bucket.", Method=method, ResourceType=kind
            )
        allowed = cors.preflight_headers(
            rules,
            origin=origin,
            method=method,
            requested=sent.get("access-control-request-headers", "").split(","),
        )
        if allowed is None:
            raise AccessForbidden(Method=method, ResourceType=kind)
        resp.set_headers(allowed)
        resp.content_length = 0
