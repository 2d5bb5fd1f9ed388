"""The flags of ``s4gw serve``: their names, kinds of value and help."""

from __future__ import annotations

import argparse
from typing import Final

from s4gw.settings.model import (
    CODECS,
    CODECS_GPU,
    GPU_MIN_BYTES_DEFAULT,
    GPU_VERIFY_DEFAULT,
    LIFECYCLE_DAY_S,
    RECLAIM_GRACE_S,
    THREADS_DEFAULT,
    UPKEEP_BYTES_PER_S,
    VOLUME_BYTES_DEFAULT,
    Settings,
)

LATER: Final = {
    **dict.fromkeys(("--tls-cert", "--tls-key"), "TLS"),
    **dict.fromkeys(("--acme", "--acme-contact", "--acme-cache-dir", "--acme-staging"), "ACME certificates"),
    **dict.fromkeys(("--otlp-endpoint", "--service-name"), "OpenTelemetry export"),
}
"""Flags of S4 that this release does not have; naming one is an error."""

UPSTREAM_FLAGS: Final = (
    (
        "--endpoint-url",
        "URL",
        "keep objects in this S3 service instead of --data-dir; credentials as for the AWS tools",
    ),
    ("--upstream-region", "NAME", "region that requests to it are signed for (--region)"),
    ("--upstream-addressing", "KIND", "path, virtual or auto: where its bucket names stand (auto)"),
    ("--upstream-connections", "N", "kept open to it, per process (32)"),
    ("--upstream-connect-timeout", "SECONDS", "until it must have taken a connection (5)"),
    ("--upstream-read-timeout", "SECONDS", "longest silence in the middle of an answer (60)"),
    ("--upstream-attempts", "N", "tries of a request that fails, the first included (3)"),
    ("--upstream-retries", "KIND", "standard, or adaptive: slow down when it throttles (standard)"),
    ("--upstream-ca-bundle", "FILE", "authorities that its certificate is checked by (the system's)"),
    ("--upstream-lean", "yes|no", "send operations on objects past boto3, which takes less CPU (yes)"),
    ("--listing", "KIND", "exact, cached or physical: where sizes in listings come from (exact)"),
)
"""Flag, kind of value and help of what concerns an upstream; but for the first, they mean nothing without one."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``s4gw serve``; none has a default, so that the environment can be told apart."""
    default = Settings()
    flags: list[tuple[str, str, str]] = [
        ("--host", "ADDRESS", f"address to listen on ({default.host})"),
        ("--port", "PORT", f"port to listen on ({default.port})"),
        ("--domain", "HOST", "serve bucket.HOST as well as HOST/bucket; comma-separated"),
        ("--region", "NAME", f"region that clients are told ({default.region})"),
        ("--codec", "NAME", f"{', '.join((*CODECS, *CODECS_GPU))} ({default.codec})"),
        ("--squish", "KIND", "fast: zstd 1; balanced: the best of all codecs; archive: with zstd 9 or 19 (balanced)"),
        ("--s4-compatible", "yes|no", "write only what S4 (Rust) can read (no)"),
        ("--zstd-level", "N", "1-22; left out, each object's own sample decides between 1 and 3"),
        ("--dispatcher", "KIND", "sampling: skip what does not shrink; always: use --codec for everything (sampling)"),
        ("--gpu", "auto|off|cpu|N", "auto: a GPU, where s4gw[gpu] is installed; cpu: the same without one (auto)"),
        ("--gpu-min-bytes", "N", f"smaller frames stay in the process that receives them ({GPU_MIN_BYTES_DEFAULT})"),
        ("--gpu-verify", "N", f"decode one result in N on the CPU before it is used; 1: all ({GPU_VERIFY_DEFAULT})"),
        ("--data-dir", "DIR", "where objects are kept (./data)"),
        ("--volume-bytes", "N", f"size at which a new volume begins ({VOLUME_BYTES_DEFAULT})"),
        ("--lifecycle-day-s", "N", f"seconds that a day of lifecycle rules lasts, fewer for tests ({LIFECYCLE_DAY_S})"),
        ("--dedup", "KIND", "store equal frames once: within a bucket, within the store, or not: off (bucket)"),
        ("--upkeep-rate", "N", f"bytes per second for compaction and scrubbing; 0: no limit ({UPKEEP_BYTES_PER_S})"),
        ("--reclaim-grace-s", "N", f"seconds that deleted bytes stay for who is reading them ({RECLAIM_GRACE_S})"),
        ("--credentials-file", "FILE", "users and key pairs, in the format of AWS's credentials file"),
        ("--policy", "FILE", "AWS-style policy that every request has to pass as well"),
        ("--sigv2-headers", "yes|no", "take Authorization headers of Signature Version 2, for very old clients (no)"),
        ("--sigv2-links", "yes|no", "take presigned URLs and forms of Signature Version 2, the SDKs' default (yes)"),
        ("--trusted-proxies", "NETS", "proxies whose X-Forwarded-* count; comma-separated addresses or CIDR (none)"),
        ("--workers", "N", "processes (one per core)"),
        ("--threads", "N", f"threads per process ({THREADS_DEFAULT})"),
        ("--pin-workers", "yes|no", "bind each worker to a core when there are enough workers (yes)"),
        ("--metrics-port", "PORT", "a second listener for /health, /ready and /metrics only"),
        ("--log-format", "KIND", "pretty or json (pretty)"),
        ("--log-level", "KIND", "info; debug: also which codec was chosen and why (info)"),
        ("--gunicorn-conf", "FILE", "gunicorn settings (conf/gunicorn.conf.py beside the package, if present)"),
        *UPSTREAM_FLAGS,
    ]
    for flag, metavar, text in flags:
        parser.add_argument(flag, metavar=metavar, help=text)
    for flag in LATER:
        parser.add_argument(flag, nargs="?", const="", help=argparse.SUPPRESS)
