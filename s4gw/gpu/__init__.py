"""The GPU worker: one process that compresses for all gateway workers, and how they talk to it.

`protocol` and `batch` are pure; `lane` and `ring` are what processes share; `channel` and `client` are the gateway
worker's end, `worker` and `process` the other one, `supervisor` what keeps it running; `cpu` and `nvcomp` are its
engines. CUDA is loaded by `nvcomp` alone, in the worker process alone. Whatever fails here, the CPU does the work.
"""

from s4gw.gpu.client import CONTAINERS as GPU_CONTAINERS
from s4gw.gpu.client import Client
from s4gw.gpu.engine import EngineUnavailable as Unavailable
from s4gw.gpu.nvml import require as require_device
from s4gw.gpu.protocol import State
from s4gw.gpu.ring import Link
from s4gw.gpu.supervisor import SLOTS_PER_LANE, Supervisor, Wanted, installed, wanted

__all__ = [
    "GPU_CONTAINERS",
    "SLOTS_PER_LANE",
    "Client",
    "Link",
    "State",
    "Supervisor",
    "Unavailable",
    "Wanted",
    "installed",
    "require_device",
    "wanted",
]
