"""The WSGI application: middleware in order, the router, the fault handler. Holds no state of its own.

A request passes: id, probes, accounting, address, identity; then the router finds its resource and authorization
decides on it, so that no operation is reached without both, and what is written is asked about encryption; then the
resource answers. Whatever goes wrong on the way
ends in `gateway.faults`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import falcon

from s4gw.gateway import faults
from s4gw.gateway.middleware.accounting import Accounting
from s4gw.gateway.middleware.addressing import Addressing
from s4gw.gateway.middleware.authentication import Authentication
from s4gw.gateway.middleware.authorization import Authorization
from s4gw.gateway.middleware.cors import Cors
from s4gw.gateway.middleware.encryption import Encryption
from s4gw.gateway.middleware.probes import Probes
from s4gw.gateway.middleware.request_id import RequestId
from s4gw.gateway.request import S3Request
from s4gw.gateway.resources import RESOURCES
from s4gw.gateway.resources.delegated import UPSTREAM_RESOURCES
from s4gw.gateway.router import OperationRouter, Resource

if TYPE_CHECKING:
    from s4gw.gateway.services import Services


class Application(falcon.App[S3Request, falcon.Response]):
    """The application of one worker."""

    services: Services

    def tick(self) -> None:
        """Our worker calls this ten times a second, which lets metrics be published by it."""
        self.services.metrics.deferred = True
        self.services.metrics.publish()
        for work in self.services.regularly:
            work()


def create_app(
    services: Services, resources: Mapping[str, Callable[[Services], Resource]] | None = None
) -> Application:
    """Make the application of one worker; *resources* stand in for the operations that it would have."""
    if resources is None:
        resources = RESOURCES if services.upstream is None else UPSTREAM_RESOURCES
    # type: Falcon's own router and a media type are all that its annotations allow; an answer of S3 may have none.
    app: Application = Application(  # type: ignore[call-overload]
        media_type=None,
        request_type=S3Request,
        router=OperationRouter(services, resources),
        middleware=[
            RequestId(services),
            Probes(services),
            Accounting(services),
            Cors(services),
            Addressing(services),
            Authentication(services),
            Authorization(services),
            Encryption(services),
        ],
        independent_middleware=True,
    )
    app.add_error_handler(Exception, faults.handle)
    # Falcon's own errors would answer in JSON.
    app.add_error_handler(falcon.HTTPError, faults.handle)
    app.services = services
    return app
