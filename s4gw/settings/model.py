"""The frozen `Settings` with their defaults, and the names and bounds of what may be chosen."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

CODECS: Final = ("auto", "passthrough", "cpu-zstd", "cpu-gzip", "zstd-cascade")
CODECS_GPU: Final = {
    "nvcomp-zstd": "cpu-zstd",
    "nvcomp-gzip": "cpu-gzip",
    "nvcomp-bitcomp": "auto",
    "nvcomp-gdeflate": "auto",
}
"""Codecs of the GPU worker -> what is written where that does not serve. The first two are one format."""
CODECS_OF_S4: Final = frozenset({"auto", "passthrough", "cpu-zstd", "cpu-gzip", *CODECS_GPU})
CODECS_WITH_LEVEL: Final = frozenset({"auto", "cpu-zstd", "zstd-cascade"})
SQUISH: Final = ("balanced", "fast", "archive")
ZSTD_LEVELS: Final = range(1, 23)
VOLUME_BYTES_MIN: Final = 16 * 1024**2
VOLUME_BYTES_DEFAULT: Final = 1024**3
LIFECYCLE_DAY_S: Final = 86_400
UPKEEP_BYTES_PER_S: Final = 64 * 1024**2  # read and written: a tenth of what one SSD does
RECLAIM_GRACE_S: Final = 3600
DEDUP: Final = ("bucket", "store", "off")
THREADS_DEFAULT: Final = 8
"""Enough to overlap a commit's fsync with other requests; more only trade the interpreter lock."""
THREADS_MAX: Final = 256
WORKERS_MAX: Final = 512
UPSTREAM_CONNECTIONS_MAX: Final = 4096
SECONDS_MAX: Final = 3600

GPU_MIN_BYTES_DEFAULT: Final = 256 * 1024
"""Below, a copy and two messages cost more than they save; to be measured on a GPU."""
GPU_VERIFY_DEFAULT: Final = 64

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingsError(ValueError):
    """A setting cannot be used; the text is one line that says which and why, without secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this gateway runs."""

    host: str = "127.0.0.1"
    port: int = 8014
    """0 lets the kernel choose."""
    domains: tuple[str, ...] = ()
    """Hosts under which ``bucket.domain`` names a bucket."""
    region: str = "us-east-1"
    """What GetBucketLocation tells, and the region of buckets that name none."""
    codec: str = "auto"
    squish: str = "balanced"
    """How much time squishing may take, where the codec is chosen automatically."""
    s4_compatible: bool = False
    """Write only what S4 (Rust) can read."""
    zstd_level: int | None = None
    """None: chosen by trial, 1 or 3."""
    dispatcher: str = "sampling"
    gpu: str = "auto"
    """"auto", "off", "cpu" or the number of a GPU."""
    gpu_min_bytes: int = GPU_MIN_BYTES_DEFAULT
    """Smaller frames are compressed where they are."""
    gpu_verify: int = GPU_VERIFY_DEFAULT
    """One result in so many is decoded on the CPU before it is used."""
    data_dir: Path = Path("data")
    volume_bytes: int = VOLUME_BYTES_DEFAULT
    lifecycle_day_s: int = LIFECYCLE_DAY_S
    """How long a day of lifecycle rules lasts; shorter ones are for tests."""
    upkeep_rate: int = UPKEEP_BYTES_PER_S
    dedup: str = DEDUP[0]
    reclaim_grace_s: int = RECLAIM_GRACE_S
    """How fast compaction and scrubbing may be (0: no limit); for how long deleted bytes stay for their readers."""
    credentials_file: Path | None = None
    root_access_key: str = ""
    root_secret_key: str = field(default="", repr=False)
    policy: Path | None = None
    sigv2_headers: bool = False
    """Authorization headers of Signature Version 2 are accepted, for clients that know nothing newer."""
    sigv2_links: bool = True
    """Presigned URLs and forms may carry Signature Version 2: what SDKs still make for us-east-1 unless told."""
    trusted_proxies: tuple[Network, ...] = ()
    """Peers whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    workers: int | None = None
    """None: as the gunicorn configuration says, which is one per core by default."""
    threads: int | None = None
    pin_workers: bool = True
    """One worker per core, where there are at least as many workers as cores."""
    metrics_port: int | None = None
    """A second listener that answers probes and metrics only."""
    log_format: str = "pretty"
    log_level: str = "info"
    gunicorn_conf: Path | None = None
    endpoint_url: str | None = None
    """The upstream that objects are kept in; None: this gateway's own disk."""
    upstream_region: str | None = None
    """What requests to the upstream are signed for; None: as `region`."""
    upstream_addressing: str = "auto"
    upstream_connections: int = 32
    """Kept open per worker."""
    upstream_connect_timeout: int = 5
    """Seconds, as the next."""
    upstream_read_timeout: int = 60
    upstream_attempts: int = 3
    upstream_retries: str = "standard"
    upstream_ca_bundle: Path | None = None
    upstream_lean: bool = True
    """Operations on objects go past boto3."""
    listing: str = "exact"
    """How listings learn the original sizes of objects in an upstream."""

    @property
    def runtime_dir(self) -> Path:
        """Sockets and metric files of the running processes; emptied at start."""
        return self.data_dir / "run"

    @property
    def generated_credentials(self) -> Path:
        """Where the root key pair of the first start is kept."""
        return self.data_dir / "credentials"


def default_workers() -> int:
    """One per core that this process may use."""
    return len(os.sched_getaffinity(0))
