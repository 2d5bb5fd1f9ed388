"""What each worker loads: services, then the application over them.

Called in the worker, after the fork, never before: descriptors of the store must not be inherited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from s4gw.gateway import services
from s4gw.gateway.app import Application, create_app
from s4gw.observability import log

if TYPE_CHECKING:
    from s4gw.gateway.access import Access
    from s4gw.settings import Settings


def make_app(settings: Settings, access: Access) -> Application:
    """Build the application of one worker."""
    log.configure(settings.log_format)
    return create_app(services.build(settings, access))
