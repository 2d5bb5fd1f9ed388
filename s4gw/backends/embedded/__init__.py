"""The backend over the embedded store: S3's words outside, the store's operations inside."""

from s4gw.backends.embedded.backend import EmbeddedBackend
from s4gw.backends.embedded.buckets import Usage

__all__ = ["EmbeddedBackend", "Usage"]
