"""From an operation to the resource that carries it out.

Falcon asks for a resource by path; here the operation has been found already (`S3Request.address`), so that routing is
one look-up. An operation that S3 knows and this gateway does not answers NotImplemented, never a silent yes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from s4gw.s3.errors import NotImplemented as S3NotImplemented

if TYPE_CHECKING:
    import falcon

    from s4gw.gateway.request import S3Request
    from s4gw.gateway.services import Services


class Resource(Protocol):
    """One S3 operation."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Carry the operation out. Raises: S3 errors."""


class _AnyMethod(dict[str, Callable[..., None]]):
    """The responder whatever the method: the operation has taken the method into account."""

    def __init__(self, responder: Callable[..., None]) -> None:
        super().__init__()
        self._responder = responder

    def __missing__(self, _method: str) -> Callable[..., None]:
        return self._responder


class OperationRouter:
    """Falcon's router interface over the table of resources."""

    def __init__(self, services: Services, resources: Mapping[str, Callable[[Services], Resource]]) -> None:
        self._routes: dict[str, tuple[Resource, _AnyMethod, dict[str, Any], str]] = {}
        for name, make in resources.items():
            resource = make(services)
            self._routes[name] = (resource, _AnyMethod(resource.respond), {}, name)

    def find(self, _uri: str, req: S3Request | None = None) -> tuple[Resource, _AnyMethod, dict[str, Any], str]:
        """The resource of the request's operation, as Falcon wants it. Raises: NotImplemented."""
        if req is None:
            raise TypeError("this router goes by the request")
        route = self._routes.get(req.operation.name)
        if route is None:
            raise S3NotImplemented(f"{req.operation.name} is not implemented.", Operation=req.operation.name)
        return route

    def add_route(self, uri_template: str, resource: object, **_options: Any) -> None:
        """Routes come from the table; nothing is added later."""
        raise NotImplementedError(f"{uri_template}: {resource!r} belongs into gateway.resources")
