"""What the supervisor tells the GPU worker: as JSON on its command line."""

from __future__ import annotations

from typing import Final

import msgspec

METRICS_NAME: Final = "gpu"
"""What the process counts under, and its successors after it."""
BATCH_S_MAX: Final = 5.0
"""A launch of 128 MiB takes well under a second on the slowest device considered; one that hangs never ends."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """How one GPU worker process is to run."""

    engine: str
    """``module:function``; the function takes *device* and gives an `Engine`, or raises EngineUnavailable."""
    device: int
    ring: int
    """Descriptor of the memory."""
    queues: tuple[tuple[int, int, int, int], ...]
    """Per lane: reading and writing descriptor of the requests, then of the answers."""
    generation: int
    parent_pid: int
    batch_s_max: float = BATCH_S_MAX
    log_format: str = "pretty"
