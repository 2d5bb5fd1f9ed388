"""Objects in a bucket of another S3 service, the *upstream*; boto3 is imported here and nowhere else."""

from s4gw.backends.remote.backend import RemoteBackend
from s4gw.backends.remote.breaker import Breaker
from s4gw.backends.remote.buckets import Buckets
from s4gw.backends.remote.catalogue import Catalogue
from s4gw.backends.remote.client import Answered, Upstream
from s4gw.backends.remote.config import UpstreamSettings
from s4gw.backends.remote.delegate import Delegate
from s4gw.backends.remote.errors import UpstreamUnavailable

__all__ = [
    "Answered",
    "Breaker",
    "Buckets",
    "Catalogue",
    "Delegate",
    "RemoteBackend",
    "Upstream",
    "UpstreamSettings",
    "UpstreamUnavailable",
]
