"""Adds to an answer what lets a browser show it to a page of another origin, where the bucket's rules allow that.

Errors get the headers as well, or the page could not tell why it was refused. Preflights are an operation of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from s4gw.bucketconfig import cors_headers, stored_cors
from s4gw.s3.errors import NoSuchBucket

if TYPE_CHECKING:
    import falcon

    from s4gw.backends.base import BucketInfo
    from s4gw.gateway.request import S3Request
    from s4gw.gateway.services import Services


class Cors:
    """Sets the ``Access-Control-*`` headers of actual requests."""

    def __init__(self, services: Services) -> None:
        self._backend = services.backend

    def process_response(self, req: S3Request, resp: falcon.Response, _resource: object, _succeeded: bool) -> None:  # noqa: FBT001 - Falcon's signature
        if not req.bucket or req.method == "OPTIONS":
            return
        origin = req.header_map.get("origin")
        if not origin:
            return
        info = self._bucket(req)
        if info is not None:
            # As in S3: a client that says which method it is about is answered for that one.
            method = req.header_map.get("access-control-request-method") or req.method
            resp.set_headers(cors_headers(stored_cors(info.configs), origin=origin, method=method))

    def _bucket(self, req: S3Request) -> BucketInfo | None:
        """The bucket, also of a request that was refused before it was looked up."""
        if req.bucket_info is not None:
            return req.bucket_info
        try:
            return self._backend.get_bucket(req.bucket)
        except NoSuchBucket:
            return None
