"""``s4gw`` with the fault engine in place of the CPU engine: run as a program by the live tests."""

from __future__ import annotations

import sys

from s4gw.gpu import supervisor
from s4gw.tools import cli

if __name__ == "__main__":
    supervisor.CPU_ENGINE = "tests.gpu.faults:make"  # type: ignore[misc] # final for everybody else
    sys.exit(cli.main())
