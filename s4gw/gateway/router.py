"""From an operation to the resource that carries it out.

The operation has been found already (`S3Request.address`), so that routing is one look-up. An operation that S3 knows
and this gateway does not answers NotImplemented, never a silent yes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from s4gw.s3.errors import NotImplemented as S3NotImplemented

if TYPE_CHECKING:
    import falcon

    from s4gw.gateway.request import S3Request
    from s4gw.gateway.services import Services
    from s4gw.s3.operation import Operation


class Resource(Protocol):
    """One S3 operation."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Carry the operation out. Raises: S3 errors."""


class OperationRouter:
    """The table of resources, each made once."""

    def __init__(self, services: Services, resources: Mapping[str, Callable[[Services], Resource]]) -> None:
        self._resources = {name: make(services) for name, make in resources.items()}

    def resource_of(self, operation: Operation) -> Resource:
        """Raises: NotImplemented."""
        resource = self._resources.get(operation.name)
        if resource is None:
            raise S3NotImplemented(f"{operation.name} is not implemented.", Operation=operation.name)
        return resource
