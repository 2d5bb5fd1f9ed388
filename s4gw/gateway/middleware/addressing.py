"""Finds out what a request is about (bucket, key, query, operation) before anybody decides on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import falcon

    from s4gw.gateway.request import S3Request
    from s4gw.gateway.services import Services


class Addressing:
    """Sets the address of the request; a target that names nothing is refused here."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def process_request(self, req: S3Request, _resp: falcon.Response) -> None:
        req.address(self._services)
