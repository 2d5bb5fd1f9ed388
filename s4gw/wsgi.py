"""What each worker loads: services, then the application over them.

Called in the worker, after the fork, never before: descriptors of the store must not be inherited.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from s4gw.backends.embedded import EmbeddedBackend
from s4gw.codec import LEVEL_DEFAULT, AlwaysDispatcher, AutoDispatcher, Choice, CodecId, Dispatcher, SamplingDispatcher
from s4gw.gateway.app import Application, create_app
from s4gw.gateway.chores import chores
from s4gw.gateway.middleware.authorization import PolicyAuthorizer
from s4gw.gateway.services import Services
from s4gw.gpu import Client
from s4gw.objects import Objects
from s4gw.observability import Metrics, log

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from s4gw.gateway.access import Access
    from s4gw.gpu import Link
    from s4gw.settings import Settings


SQUISH_LEVELS: Final = {"fast": (1, 1), "balanced": (1, 3), "archive": (9, 19)}
"""The fast zstd level, and the one to take where a trial says that it saves something."""


def make_app(settings: Settings, access: Access, link: Link | None = None) -> Application:
    """Build the application of one worker; *link* leads to the GPU worker."""
    log.configure(settings.log_format, debug=settings.log_level == "debug")
    return create_app(build_services(settings, access, link))


def build_services(settings: Settings, access: Access, link: Link | None = None) -> Services:
    """Make what one worker holds."""
    metrics = Metrics()
    backend = EmbeddedBackend(
        settings.data_dir, parent_pid=os.getppid(), volume_bytes=settings.volume_bytes, chores=chores(settings)
    )
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
        ),
        metrics=metrics,
    )


def encoder(settings: Settings, link: Link | None, metrics: Metrics) -> Callable[[Executor], Client] | None:
    """What makes the client of the GPU worker, where there is one."""
    if link is None:
        return None
    return lambda pool: Client(
        link, pool, metrics.gpu, bytes_min=settings.gpu_min_bytes, verify_every=settings.gpu_verify
    )


def dispatcher(settings: Settings) -> Dispatcher:
    """The chooser of codecs that the settings ask for."""
    if settings.codec == "auto":
        levels = SQUISH_LEVELS[settings.squish] if settings.zstd_level is None else (settings.zstd_level,) * 2
        if settings.s4_compatible or settings.squish == "fast":
            return SamplingDispatcher(CodecId.CPU_ZSTD, levels=levels)
        return AutoDispatcher(levels)
    codec = CodecId.from_label(settings.codec)
    if settings.dispatcher == "always":
        level = LEVEL_DEFAULT[codec] if settings.zstd_level is None else settings.zstd_level
        return AlwaysDispatcher(Choice(codec, level))
    return SamplingDispatcher(default=codec, level=settings.zstd_level)
