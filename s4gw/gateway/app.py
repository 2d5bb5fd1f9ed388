"""The WSGI application: middleware in order, the router, the fault handler. Holds no state of its own.

A request passes: id, probes, accounting, address, identity; then the router finds its resource and authorization
decides on it, so that no operation is reached without both, and what is written is asked about encryption; then the
resource answers. Whatever goes wrong on the way ends in `gateway.faults`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import falcon

from s4gw.gateway import faults
from s4gw.gateway.answer import S3Response
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


class Application(falcon.App[S3Request, S3Response]):
    """The application of one worker.

    Args:
        services: Of the worker.
        router: Finds the resource of an operation.
        steps: Middleware in Falcon's sense, independent of each other; answers pass it in the reverse order.
    """

    def __init__(self, services: Services, router: OperationRouter, steps: Sequence[Any]) -> None:
        super().__init__()
        self.services = services
        self._resource_of = router.resource_of
        self._before = [step.process_request for step in steps if hasattr(step, "process_request")]
        self._deciding = [step.process_resource for step in steps if hasattr(step, "process_resource")]
        self._after = [step.process_response for step in reversed(steps) if hasattr(step, "process_response")]

    def __call__(self, env: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """WSGI's callable: Falcon's order of things, with its error handlers.

        PERF: its own, and a router that answers by method and template, took 7 of 95 us for a GET of 1 KiB.
        """
        req, resp = S3Request(env), S3Response()
        try:
            for begin in self._before:
                begin(req, resp)
                if resp.complete:  # a probe
                    break
            else:
                resource = self._resource_of(req.operation)
                for decide in self._deciding:
                    decide(req, resp, resource, {})
                resource.respond(req, resp)
        except Exception as error:  # noqa: BLE001 - `faults` decides what each is
            self._handle_exception(req, resp, error, {})
        for end in self._after:
            try:
                end(req, resp, None, True)
            except Exception as error:  # noqa: BLE001 - as above
                self._handle_exception(req, resp, error, {})
        return resp.begin(start_response, head=req.method == "HEAD")

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
    app = Application(
        services,
        OperationRouter(services, resources),
        [
            RequestId(services),
            Probes(services),
            Accounting(services),
            Cors(services),
            Addressing(services),
            Authentication(services),
            Authorization(services),
            Encryption(services),
        ],
    )
    app.add_error_handler(Exception, faults.handle)
    # Falcon's own errors would answer in JSON.
    app.add_error_handler(falcon.HTTPError, faults.handle)
    return app
