"""Keeps a GPU worker running beside the gateway: starts it, restarts it when it dies, kills it when it hangs.

Called from the master's loop, about once a second and whenever a child ends; it never waits. A worker that finds no
device, driver or memory is not tried again, unless there was one before; an engine that gave wrong bytes never is.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from s4gw.gpu.config import BATCH_S_MAX, METRICS_NAME, Config
from s4gw.gpu.protocol import State
from s4gw.gpu.ring import Link
from s4gw.observability import get_logger

CPU_ENGINE: Final = "s4gw.gpu.cpu:make"
GPU_ENGINE: Final = "s4gw.gpu.nvcomp:make"
GPU_MODULES: Final = ("pynvml", "cupy", "nvidia.nvcomp")
"""What the extra ``s4gw[gpu]`` installs."""

SLOTS_PER_LANE: Final = 16
"""Frames that one gateway worker may have with the GPU worker: four bodies of `objects.receive.FRAMES_IN_FLIGHT`."""
BEAT_S_MAX: Final = 3.0
"""Silence after which a worker is killed; it shows life four times a second."""
START_S_MAX: Final = 90.0
"""Loading CUDA's libraries and kernels from a cold disk takes many seconds."""
RESTART_S_MIN: Final = 0.1
RESTART_S_MAX: Final = 10.0
HEALTHY_S: Final = 30.0
"""Lived that long: the next death is restarted from at once again."""
RETRY_UNAVAILABLE_S: Final = 60.0
ALLOCATOR: Final = {
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024**2),
    "MALLOC_TRIM_THRESHOLD_": str(512 * 1024**2),
    "MALLOC_TOP_PAD_": str(16 * 1024**2),
}
"""glibc keeps blocks of the size of a frame instead of mapping each anew; the gateway's workers say so as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which engine is to run.

    Attributes:
        engine: ``module:function``, see `config.Config`.
        device: Number of the GPU.
        batch_s_max: Seconds that a launch may take.
        beat_s_max: Seconds of silence after which the worker is killed.
    """

    engine: str
    device: int = 0
    batch_s_max: float = BATCH_S_MAX
    beat_s_max: float = BEAT_S_MAX


def wanted(mode: str) -> Wanted | None:
    """What ``--gpu`` asks for; None: no worker process.

    Args:
        mode: "off", "cpu", "auto" (the first GPU, where the extra is installed) or the number of a GPU.
    """
    if mode == "off" or (mode == "auto" and not installed()):
        return None
    if mode == "cpu":
        return Wanted(engine=CPU_ENGINE)
    return Wanted(engine=GPU_ENGINE, device=0 if mode == "auto" else int(mode))


def installed() -> bool:
    """The libraries of the extra ``s4gw[gpu]`` are there; looks, and loads nothing."""
    try:
        return all(importlib.util.find_spec(module) is not None for module in GPU_MODULES)
    except ModuleNotFoundError:
        return False


class Supervisor:
    """One GPU worker and its successors.

    Args:
        link: What it serves; made before any fork.
        what: The engine.
        log_format: For its log.
        gone: Called with the name that a worker counted under, when it has ended.
    """

    def __init__(self, link: Link, what: Wanted, *, log_format: str, gone: Callable[[str], None]) -> None:
        self.link = link
        self._what = what
        self._log_format = log_format
        self._gone = gone
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self._started_s = 0.0
        self._due_s: float | None = None
        self._delay_s = RESTART_S_MIN
        self._was_ready = False

    @property
    def pid(self) -> int | None:
        """Process id of the worker, if one runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start a worker; `tick` from now on."""
        ring = self.link.ring
        ring.set_state(State.STARTING)
        ring.set_generation(ring.generation + 1)
        queues = tuple(
            (*request.descriptors, *answer.descriptors)
            for request, answer in zip(self.link.requests, self.link.answers, strict=True)
        )
        config = Config(
            engine=self._what.engine,
            device=self._what.device,
            ring=ring.descriptor,
            queues=queues,
            generation=ring.generation,
            parent_pid=os.getpid(),
            batch_s_max=self._what.batch_s_max,
            log_format=self._log_format,
        )
        self._started_s, self._due_s = time.monotonic(), None
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own module, our own interpreter
                [sys.executable, "-m", "s4gw.gpu.process", msgspec.json.encode(config).decode()],
                pass_fds=(ring.descriptor, *(descriptor for lane in queues for descriptor in lane)),
                stdin=subprocess.DEVNULL,
                env=os.environ | ALLOCATOR,
                start_new_session=True,  # Ctrl-C goes to the master, which ends its children in order
            )
            self._pidfd = os.pidfd_open(self._process.pid)
        except OSError as error:  # no processes, no memory, no descriptors: nothing that should end a gateway
            get_logger().error("gpu worker: cannot be started; tried again", reason=str(error), in_s=RESTART_S_MAX)
            if self._process is not None:  # one that cannot be watched
                self._process.kill()
                self._process.wait()
                self._process = None
            self._due_s = self._started_s + RESTART_S_MAX

    def tick(self) -> None:
        """Look after the worker."""
        now = time.monotonic()
        if self._process is not None:
            if self._dead():
                pid, state = self._process.pid, self.link.ring.state
                self._bury()
                self._plan(now, pid, state)
            elif self._hangs(now):
                get_logger().error("gpu worker: shows no life; killed", pid=self._process.pid)
                # Nothing more is sent there, also if a driver keeps it from dying; its slots stay its own until it has.
                self.link.ring.set_state(State.STARTING, "the worker shows no life")
                self._started_s = now
                self._signal(signal.SIGKILL)
        if self._process is None and self._due_s is not None and now >= self._due_s:
            self.start()

    def stop(self, wait_s: float = 2.0) -> None:
        """End the worker for good: it gets *wait_s* to finish what it does."""
        if self._process is not None:
            self._signal(signal.SIGTERM)
            select.select([self._pidfd], [], [], wait_s)
            if not self._dead():
                self._signal(signal.SIGKILL)
                select.select([self._pidfd], [], [], wait_s)
            if self._dead():
                self._bury()
            else:  # stuck in a driver; waiting for it would keep the gateway from ending
                get_logger().error("gpu worker: does not end", pid=self._process.pid)
        self._due_s = None
        if self.link.ring.state in {State.READY, State.STARTING}:
            self.link.ring.set_state(State.OFF)

    def _dead(self) -> bool:
        return bool(select.select([self._pidfd], [], [], 0)[0])

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # dead, and collected by gunicorn
            signal.pidfd_send_signal(self._pidfd, number)

    def _hangs(self, now: float) -> bool:
        ring = self.link.ring
        if ring.state in {State.STARTING, State.UNAVAILABLE}:  # it shows no life yet; or has none to show, and ends
            return now - self._started_s > START_S_MAX
        return now - ring.heartbeat_s > self._what.beat_s_max

    def _bury(self) -> None:
        """The worker is dead for certain: its slots are free."""
        process, ring = self._process, self.link.ring
        assert process is not None
        process.wait()  # at once: it is dead; should gunicorn have collected it, this takes it well
        os.close(self._pidfd)
        self._process, self._pidfd = None, -1
        if ring.state is State.READY:
            ring.set_state(State.STARTING, "the worker ended")
        ring.set_generation(ring.generation + 1)
        self._gone(METRICS_NAME)

    def _plan(self, now: float, pid: int, state: State) -> None:
        """Say when the next one starts, if there is to be one."""
        if state is State.DISABLED:
            return  # whoever disabled it has said so
        self._was_ready = self._was_ready or state is State.READY
        if state is State.UNAVAILABLE:
            get_logger().warning("gpu: not used, the CPU compresses", reason=self.link.ring.reason)
            self._due_s = now + RETRY_UNAVAILABLE_S if self._was_ready else None
            return
        if now - self._started_s > HEALTHY_S:
            self._delay_s = RESTART_S_MIN
        self._due_s = now + self._delay_s
        get_logger().warning("gpu worker ended; another one starts", pid=pid, in_s=self._delay_s)
        self._delay_s = min(2 * self._delay_s, RESTART_S_MAX)
