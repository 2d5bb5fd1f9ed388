"""Finds out who sent a request, before anything is done for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s4gw.auth import ANONYMOUS_IDENTITY, AuthRequest, authenticate
from s4gw.s3.operation import PREFLIGHT
from s4gw.s3.uri import bucket_from_host

if TYPE_CHECKING:
    import falcon

    from s4gw.gateway.request import S3Request
    from s4gw.gateway.services import Services


class Authentication:
    """Sets the identity of every request; one whose signature is not right ends here.

    A request without a signature becomes anonymous. A form post carries its signature in the form: its resource
    replaces the identity once it has read the form, and asks for authorization again.
    """

    def __init__(self, services: Services) -> None:
        self._credentials = services.credentials
        self._clock = services.clock
        self._sigv2 = services.settings.sigv2_links
        self._sigv2_headers = services.settings.sigv2_headers
        # Version 2 signs the bucket that the host names.
        self._domains = services.settings.domains if self._sigv2 or self._sigv2_headers else ()

    def process_request(self, req: S3Request, _resp: falcon.Response) -> None:
        if req.operation is PREFLIGHT:
            # A browser asks on its own behalf, without the signature of the request that it asks about.
            req.identity = ANONYMOUS_IDENTITY
            return
        req.identity = authenticate(
            AuthRequest(
                method=req.method,
                path=req.raw_path,
                query=req.raw_query,
                headers=req.raw_headers,
                secure=req.secure,
                virtual_bucket=self._virtual_bucket(req) if self._domains else "",
            ),
            self._credentials,
            now=self._clock(),
            sigv2=self._sigv2,
            sigv2_headers=self._sigv2_headers,
        )

    def _virtual_bucket(self, req: S3Request) -> str:
        """The bucket that the host names, or empty."""
        return bucket_from_host(req.header_map.get("host", ""), self._domains) or ""
