"""``s4gw`` with the fault engine in place of any other, and less patience: run as a program by the live tests."""

from __future__ import annotations

import sys

from s4gw import gpu
from s4gw.tools import cli


def faulty(mode: str) -> gpu.Wanted | None:
    """What ``--gpu`` asks for, whatever it says."""
    del mode
    return gpu.Wanted(engine="tests.gpu.faults:make", batch_s_max=2)


if __name__ == "__main__":
    gpu.wanted = faulty
    sys.exit(cli.main())
