"""What each worker loads: services, then the application over them.

Called in the worker, after the fork, never before: descriptors of the store must not be inherited.
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from s4gw.backends.embedded import EmbeddedBackend
from s4gw.codec import LEVEL_DEFAULT, AlwaysDispatcher, AutoDispatcher, Choice, CodecId, Dispatcher, SamplingDispatcher
from s4gw.gateway import malloc
from s4gw.gateway.app import Application, create_app
from s4gw.gateway.chores import chores
from s4gw.gateway.middleware.authorization import PolicyAuthorizer
from s4gw.gateway.services import Delegate, Services
from s4gw.gpu import GPU_CONTAINERS, Client
from s4gw.objects import Objects
from s4gw.observability import Metrics, current, log, share_as
from s4gw.observability.store_metrics import StoreCollector
from s4gw.settings import CODECS_GPU
from s4gw.store import upkeeping

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from s4gw.backends import remote
    from s4gw.backends.base import Backend
    from s4gw.gateway.access import Access
    from s4gw.gpu import Link
    from s4gw.settings import Settings


SQUISH_LEVELS: Final = {"fast": (1, 1), "balanced": (1, 3), "archive": (9, 19)}
"""The fast zstd level, and the one to take where a trial says that it saves something."""


CATALOGUE: Final = "catalogue.db"
"""Under the data directory: what is known of an upstream's objects; may be deleted at any time."""


def make_app(settings: Settings, access: Access, link: Link | None = None) -> Application:
    """Build the application of one worker; *link* leads to the GPU worker."""
    log.configure(settings.log_format, debug=settings.log_level == "debug")
    return create_app(build_services(settings, access, link))


def build_services(settings: Settings, access: Access, link: Link | None = None) -> Services:
    """Make what one worker holds."""
    share_as()
    metrics = Metrics()
    backend: Backend
    upstream: Delegate | None = None
    regularly: tuple[Callable[[], None], ...] = (malloc.Trimmer(),) if malloc.is_glibc() else ()
    if settings.endpoint_url is None:
        backend = EmbeddedBackend(
            settings.data_dir,
            parent_pid=os.getppid(),
            volume_bytes=settings.volume_bytes,
            chores=chores(settings),
            dedup=settings.dedup,
        )
        metrics.collectors.append(StoreCollector(partial(upkeeping.stats, settings.data_dir)))
    else:
        backend, upstream, wanted = _upstream(settings, settings.endpoint_url, access, metrics)
        regularly += wanted
    return Services(
        settings=settings,
        backend=backend,
        objects=Objects(
            backend,
            dispatcher(settings),
            encoder=encoder(settings, link, metrics),
            explain=settings.log_level == "debug",
        ),
        credentials=access.credentials,
        authorizer=PolicyAuthorizer(
            backend,
            metrics=metrics,
            clock=time.time,
            policy=access.policy,
            trusted_proxies=settings.trusted_proxies,
            sole_owner=access.owner_id if upstream is not None else "",
        ),
        metrics=metrics,
        upstream=upstream,
        regularly=regularly,
    )


def _upstream(
    settings: Settings, endpoint_url: str, access: Access, metrics: Metrics
) -> tuple[Backend, Delegate, tuple[Callable[[], None], ...]]:
    """The backend in front of an upstream, the way past it, and what it wants done regularly.

    Nothing is asked before the first request.
    """
    # Late: boto3 takes 0.2 s to load, which a gateway on its own disk need not spend.
    from s4gw.backends import remote

    def answered(call: remote.Answered) -> None:
        metrics.upstream_done(call.operation, call.code or "ok", seconds=call.seconds, retries=call.attempts - 1)
        cause = current()
        if cause is not None:
            cause.add(call.request_id)
        if call.failed:
            log.get_logger().warning(
                "upstream",
                op=call.operation,
                bucket=call.bucket,
                status=call.status,
                error=call.code,
                attempts=call.attempts,
                upstream_id=call.request_id,
                request_id="" if cause is None else cause.request_id,
            )

    def refusing(is_open: bool) -> None:  # noqa: FBT001 - as the breaker calls it
        metrics.upstream_breaker.set(is_open)
        log.get_logger().warning("upstream is down, failing fast" if is_open else "upstream is back")

    reached = upstream_settings(settings, endpoint_url)
    upstream = remote.Upstream(reached, observer=answered, breaker=remote.Breaker(changed=refusing))
    catalogue = remote.Catalogue(settings.data_dir / CATALOGUE)
    backend = remote.RemoteBackend(
        upstream,
        owner=access.owner_id,
        region=settings.region,
        catalogue=catalogue,
        listing_mode=settings.listing,
    )
    # In the other modes a listing shows what the catalogue does not know as it is stored: own writes must not wait.
    regularly = (catalogue.tick,) if settings.listing == "exact" else ()
    return backend, remote.Delegate(upstream, backend.buckets), regularly


def upstream_settings(settings: Settings, endpoint_url: str) -> remote.UpstreamSettings:
    """How the upstream is reached."""
    from s4gw.backends import remote

    return remote.UpstreamSettings(
        endpoint_url=endpoint_url,
        region=settings.upstream_region or settings.region,
        addressing=settings.upstream_addressing,
        connections=settings.upstream_connections,
        connect_timeout_s=settings.upstream_connect_timeout,
        read_timeout_s=settings.upstream_read_timeout,
        attempts=settings.upstream_attempts,
        retries=settings.upstream_retries,
        verify=True if settings.upstream_ca_bundle is None else str(settings.upstream_ca_bundle),
        lean=settings.upstream_lean,
    )


def encoder(settings: Settings, link: Link | None, metrics: Metrics) -> Callable[[Executor], Client] | None:
    """What makes the client of the GPU worker, where there is one."""
    if link is None:
        return None
    prefer = next((codec for codec in GPU_CONTAINERS if codec.label == settings.codec), None)
    return lambda pool: Client(
        link,
        pool,
        metrics.gpu,
        bytes_min=settings.gpu_min_bytes,
        verify_every=settings.gpu_verify,
        prefer=prefer,
    )


def dispatcher(settings: Settings) -> Dispatcher:
    """The chooser of codecs that the settings ask for."""
    name = CODECS_GPU.get(settings.codec, settings.codec)
    if name == "auto":
        levels = SQUISH_LEVELS[settings.squish] if settings.zstd_level is None else (settings.zstd_level,) * 2
        if settings.s4_compatible or settings.squish == "fast":
            return SamplingDispatcher(CodecId.CPU_ZSTD, levels=levels)
        return AutoDispatcher(levels)
    codec = CodecId.from_label(name)
    if settings.dispatcher == "always":
        level = LEVEL_DEFAULT[codec] if settings.zstd_level is None else settings.zstd_level
        return AlwaysDispatcher(Choice(codec, level))
    return SamplingDispatcher(default=codec, level=settings.zstd_level)
