"""Is there a driver and a device? Asked of NVML, which needs neither CUDA nor memory of a device."""

from __future__ import annotations

import importlib
from typing import Any

from s4gw.gpu.engine import EngineUnavailable


def require(device: int) -> None:
    """Come back if the driver knows GPU number *device*. Raises: EngineUnavailable, with the reason."""
    try:
        pynvml: Any = importlib.import_module("pynvml")
    except ImportError as error:
        raise EngineUnavailable("s4gw[gpu] is not installed: no nvidia-ml-py") from error
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise EngineUnavailable(f"no CUDA device: {error}") from error
    try:
        count = int(pynvml.nvmlDeviceGetCount())
    finally:
        pynvml.nvmlShutdown()
    if device >= count:
        raise EngineUnavailable(f"no CUDA device {device}: the driver knows {count}")
