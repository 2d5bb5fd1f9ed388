"""Whether this machine has a GPU."""

from __future__ import annotations

from functools import cache

from s4gw.gpu import nvml
from s4gw.gpu.engine import EngineUnavailable


@cache
def has_device() -> bool:
    """A GPU is at hand."""
    try:
        nvml.require(0)
    except EngineUnavailable:
        return False
    return True
