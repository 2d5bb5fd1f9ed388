"""Gives every request an id before anything can go wrong with it, so that every answer carries one."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

from s4gw.observability import begin

if TYPE_CHECKING:
    import falcon

    from s4gw.gateway.request import S3Request
    from s4gw.gateway.services import Services

HOST_ID_BYTES = 32


class RequestId:
    """Sets ``x-amz-request-id``, and ``x-amz-id-2``, which tells worker processes apart and nothing else."""

    def __init__(self, services: Services) -> None:
        self._ids = services.ids
        self._linked = services.upstream is not None
        self._host_id = base64.b64encode(os.urandom(HOST_ID_BYTES)).decode()

    def process_request(self, req: S3Request, resp: falcon.Response) -> None:
        req.request_id = self._ids()
        if self._linked:
            begin(req.request_id)
        resp.set_header("x-amz-request-id", req.request_id)
        resp.set_header("x-amz-id-2", self._host_id)
