"""The fault engine: the CPU engine, which goes wrong as the environment tells it to.

``S4GW_TEST_FAULT`` names a file with a character per batch to come, "." for a sound one, else the place in `KINDS` of
what goes wrong, in base 36; later ones are sound. It outlives the processes, so that a worker that died is followed by
a sound one, and may be written again.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from s4gw.gpu.cpu import CpuEngine
from s4gw.gpu.engine import DeviceOutOfMemory, EngineError, EngineUnavailable, Task

VARIABLE: Final = "S4GW_TEST_FAULT"
KINDS: Final = (
    "hang",
    "hang-holding-the-lock",
    "exit",
    "segv",
    "short",
    "wrong",
    "long",
    "empty",
    "fewer",
    "huge",
    "out-of-memory",
    "raise",
    "garbage",
)


class FaultEngine(CpuEngine):
    """See the module's text."""

    name = "fault"

    def __init__(self) -> None:
        super().__init__()
        self._file = Path(os.environ[VARIABLE])

    def _due(self) -> str:
        """What the next batch is to meet; empty for nothing."""
        with self._file.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            coming = file.read()
            file.seek(0)
            file.truncate()
            file.write(coming[1:])
        return "" if coming[:1] in {"", "."} else KINDS[int(coming[0], 36)]

    def encode_batch(self, task: Task, chunks: Sequence[memoryview]) -> Sequence[bytes | EngineError]:
        kind = self._due()
        if not kind:
            return super().encode_batch(task, chunks)
        match kind:
            case "hang":
                time.sleep(3600)
            case "hang-holding-the-lock":
                ctypes.PyDLL(None).sleep(3600)  # as a C extension that never gives the interpreter lock back
            case "exit":
                os._exit(1)
            case "segv":
                ctypes.string_at(0)
            case "out-of-memory":
                raise DeviceOutOfMemory("no room")
            case "raise":
                raise RuntimeError("broken")
        results = list(super().encode_batch(task, chunks))
        sound = [each if isinstance(each, bytes) else b"" for each in results]
        match kind:
            case "short":
                return [each[: len(each) // 2] for each in sound]
            case "wrong":  # sound frames of other bytes
                return super().encode_batch(task, [memoryview(bytes(len(chunk))) for chunk in chunks])
            case "long":
                return [each + b"more" for each in sound]
            case "empty":
                return [b"" for _ in sound]
            case "fewer":
                return sound[1:]
            case "huge":
                return [bytes(64 * 1024**2) for _ in sound]
        return [os.urandom(max(1, len(each))) for each in sound]


def make(device: int) -> FaultEngine:
    """The engine, for the worker."""
    return FaultEngine()


def none(device: int) -> FaultEngine:
    """No engine."""
    raise EngineUnavailable("no device")


def plan(folder: Path, kind: str, batches: str) -> str:
    """Let *batches* come, of which those that are "x" meet *kind*. Returns: value of `VARIABLE`."""
    file = folder / "batches-to-come"
    file.write_text(batches.replace("x", "0123456789abcdefghijklmnopqrstuvwxyz"[KINDS.index(kind)]))
    return str(file)
