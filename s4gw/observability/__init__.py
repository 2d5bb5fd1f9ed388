"""What the gateway tells about itself: logs and metrics."""

from s4gw.observability.link import Link, begin, current
from s4gw.observability.log import configure, get_logger, line_writer, shorten
from s4gw.observability.metrics import Metrics, prepare_directory, share_as, worker_gone

__all__ = [
    "Link",
    "Metrics",
    "begin",
    "configure",
    "current",
    "get_logger",
    "line_writer",
    "prepare_directory",
    "share_as",
    "shorten",
    "worker_gone",
]
