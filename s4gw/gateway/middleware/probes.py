"""``/health``, ``/ready`` and ``/metrics``: answered before S3 sees the request, without credentials.

They shadow buckets of these names in path style, as S4's do; such buckets stay reachable as virtual hosts, and there
these paths are keys. On the metrics port nothing else is answered: what is reachable there needs no signature, so it
must not lead anywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from s4gw.observability.metrics import CONTENT_TYPE
from s4gw.s3.errors import MethodNotAllowed, NotFound, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    import falcon

    from s4gw.gateway.request import S3Request
    from s4gw.gateway.services import Services

METHODS: Final = frozenset({"GET", "HEAD"})


class Probes:
    """Answers probes; everything else goes on, except on the metrics port."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._probes: dict[str, Callable[[falcon.Response], None]] = {
            "/health": self._health,
            "/ready": self._ready,
            "/metrics": self._metrics,
        }
        port = services.settings.metrics_port
        self._metrics_port = None if port is None else str(port)

    def process_request(self, req: S3Request, resp: falcon.Response) -> None:
        probe = self._probes.get(req.raw_path)
        only_probes = req.env.get("SERVER_PORT") == self._metrics_port
        if probe is None and only_probes:
            resp.complete = True
            raise NotFound
        if probe is None or (not only_probes and self._is_key(req)):
            return
        resp.complete = True
        if req.method not in METHODS:
            raise MethodNotAllowed(Method=req.method, ResourceType="PROBE")
        probe(resp)

    def _is_key(self, req: S3Request) -> bool:
        """Whether the host names a bucket, so that the path is the key of an object in it."""
        return req.virtual_bucket(self._services.settings.domains) is not None

    def _health(self, resp: falcon.Response) -> None:
        """This worker answers."""
        resp.content_type = "text/plain"
        resp.data = b"ok\n"

    def _ready(self, resp: falcon.Response) -> None:
        """A write would succeed now."""
        try:
            self._services.backend.check()
        except ServiceUnavailable:
            resp.status = ServiceUnavailable.status
            resp.content_type = "text/plain"
            resp.data = b"not ready\n"
            return
        self._health(resp)

    def _metrics(self, resp: falcon.Response) -> None:
        resp.content_type = CONTENT_TYPE
        resp.data = self._services.metrics.render()
