"""The program of the GPU worker: ``python -m s4gw.gpu.process CONFIG``, started by the supervisor.

Nothing of CUDA is loaded before this process runs, and nothing of it outlives the process: whatever breaks in a driver
or a kernel, the supervisor starts another one.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

import msgspec

from s4gw.gpu.config import METRICS_NAME, Config
from s4gw.gpu.engine import Engine, EngineUnavailable
from s4gw.gpu.lane import LaneQueue
from s4gw.gpu.protocol import ANSWER_SIZE, REQUEST_SIZE, State
from s4gw.gpu.ring import Ring
from s4gw.gpu.worker import Worker
from s4gw.observability import Metrics, get_logger, log, share_as

EXIT_UNAVAILABLE: Final = 71
EXIT_DISABLED: Final = 72


def run(config: Config) -> int:
    """Serve as *config* says. Returns: exit status."""
    log.configure(config.log_format)
    try:
        parent = os.pidfd_open(config.parent_pid)
    except ProcessLookupError:
        return 0
    ring = Ring(config.ring)
    share_as(METRICS_NAME)
    metrics = Metrics()
    metrics.gpu.starts.inc()
    metrics.gpu.state.set(State.STARTING)
    try:
        engine = _make(config)
        ring.reserve()
        engine.adopt(ring.whole)
    except (EngineUnavailable, OSError) as error:
        ring.set_state(State.UNAVAILABLE, str(error))
        metrics.gpu.state.set(State.UNAVAILABLE)
        return EXIT_UNAVAILABLE
    requests = [LaneQueue(REQUEST_SIZE, reading, writing) for reading, writing, _, _ in config.queues]
    answers = [LaneQueue(ANSWER_SIZE, reading, writing) for _, _, reading, writing in config.queues]
    worker = Worker(
        ring,
        requests,
        answers,
        engine,
        metrics,
        generation=config.generation,
        parent=parent,
        batch_s_max=config.batch_s_max,
    )
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the master, which ends this process in order
    ring.describe(engine.name, engine.encodes, engine.decodes)
    ring.beat()
    ring.set_state(State.READY)
    metrics.gpu.state.set(State.READY)
    get_logger().info("gpu worker ready", engine=engine.name, pid=os.getpid())
    worker.serve()
    if ring.state is State.DISABLED:
        metrics.gpu.state.set(State.DISABLED)
        return EXIT_DISABLED
    metrics.gpu.state.set(State.OFF)
    return 0


def _make(config: Config) -> Engine:
    """Make the engine; whatever its libraries do at import, the answer is an engine or EngineUnavailable."""
    module, _, function = config.engine.partition(":")
    try:
        engine: Engine = getattr(importlib.import_module(module), function)(config.device)
    except EngineUnavailable:
        raise
    except Exception as error:
        raise EngineUnavailable(f"{type(error).__name__}: {error}") from error
    return engine


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the process; the argument is `Config` as JSON."""
    (text,) = sys.argv[1:] if arguments is None else arguments
    status = run(msgspec.json.decode(text, type=Config))
    sys.stderr.flush()
    os._exit(status)  # streams that hang, and libraries that tidy up at exit, must not hold the process


if __name__ == "__main__":
    main()
