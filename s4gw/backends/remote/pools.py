"""Threads that wait for the upstream on behalf of requests."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class ContextPool(ThreadPoolExecutor):
    """Threads that work in the context of whoever asks them, so that log lines of a call name its request."""

    def submit(self, work: Callable[P, T], /, *args: P.args, **more: P.kwargs) -> Future[T]:
        context = copy_context()
        return super().submit(lambda: context.run(work, *args, **more))


class Pools:
    """Threads of one process that wait for the upstream, started when first needed, so after any fork.

    Attributes:
        requests: For many small requests of one operation.
        bodies: For parts on their way up; apart, so that a listing does not wait for them.
    """

    def __init__(self, *, requests: int = 32, bodies: int = 8) -> None:
        self.requests = ContextPool(requests, "upstream")
        self.bodies = ContextPool(bodies, "upload")

    def close(self) -> None:
        """Let running work end and give the threads back."""
        self.requests.shutdown(wait=True, cancel_futures=True)
        self.bodies.shutdown(wait=True, cancel_futures=True)
