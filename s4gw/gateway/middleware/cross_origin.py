"""Tells browsers that a page of another origin may read an answer, as the bucket's CORS rules say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s4gw.bucketconfig import cors

if TYPE_CHECKING:
    import falcon

    from s4gw.gateway.request import S3Request
    from s4gw.gateway.services import Services


class CrossOrigin:
    """Adds the headers to every answer about a bucket with rules, errors included, when an Origin was sent."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def process_response(self, req: S3Request, resp: falcon.Response, _resource: object, _succeeded: bool) -> None:  # noqa: FBT001
        info = req.bucket_info
        if info is None or "cors" not in info.configs or "origin" not in req.header_map:
            return
        rules = cors.stored_cors(info.configs)
        for name, value in cors.cors_headers(rules, origin=req.header_map["origin"], method=req.method):
            resp.set_header(name, value)
