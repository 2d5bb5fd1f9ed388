"""How the upstream is reached."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """How the upstream is reached. Credentials come by AWS's chain: environment, files, instance role."""

    endpoint_url: str
    region: str = "us-east-1"
    """Signed for; most servers that are not AWS take any."""
    addressing: str = "auto"
    """path, virtual (the bucket in the host name), or auto: as boto3 sees fit for the endpoint."""
    connections: int = 32
    """Kept open per process; at least as many as threads that may ask at once."""
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 60.0
    """Longest silence of the upstream in the middle of an answer."""
    attempts: int = 3
    """Of one call, the first included."""
    retries: str = "standard"
    """standard, or adaptive, which also slows the gateway down when the upstream throttles."""
    verify: bool | str = True
    """Check the upstream's certificate, if a path: by the CA bundle there."""
    lean: bool = True
    """Hot operations take the short way past boto3. Its attempt is not counted among `attempts`."""


def signs_payload(settings: UpstreamSettings) -> bool:
    """Whether bodies are hashed for the signature: where nothing else keeps them from being changed on the way."""
    parts = urlsplit(settings.endpoint_url)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return False
    try:
        return not ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return True
