"""Tests of s4gw.gpu.ring: memory, header and lanes as several processes see them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from s4gw.gpu.protocol import SLOT_BYTES, ProtocolError, State
from s4gw.gpu.ring import Link, Ring


def test_two_views_of_one_memory() -> None:
    """What one side writes the other reads, header and slots."""
    mine = Ring.make(2, 3)
    other = Ring(os.dup(mine.descriptor))
    mine.reserve()
    mine.slot(1, 2)[:5] = b"chunk"
    mine.describe("engine", frozenset({1, 65}), frozenset())
    mine.set_generation(7)
    mine.set_state(State.UNAVAILABLE, "why")
    assert (2, 3, b"chunk", SLOT_BYTES) == (
        other.lanes,
        other.slots,
        bytes(other.slot(1, 2)[:5]),
        len(other.slot(0, 0)),
    )
    assert ("engine", frozenset({1, 65}), frozenset()) == (other.engine, other.encodes, other.decodes)
    assert (7, State.UNAVAILABLE, "why") == (other.generation, other.state, other.reason)


def test_disabled_stays_disabled() -> None:
    """A worker that starts meanwhile must not make a bad engine good again."""
    ring = Ring.make(1, 1)
    ring.disable("wrong bytes")
    ring.set_state(State.READY)
    assert State.DISABLED is ring.state


def test_other_memory_is_refused() -> None:
    """A ring of another release, or of another size than it says."""
    descriptor = os.memfd_create("test")
    os.ftruncate(descriptor, 4096)
    with pytest.raises(ProtocolError):
        Ring(descriptor)
    ring = Ring.make(1, 1)
    os.ftruncate(ring.descriptor, 4096)
    with pytest.raises(ProtocolError):
        Ring(os.dup(ring.descriptor))


def test_a_lane_has_one_holder(tmp_path: Path) -> None:
    """Processes get different lanes; the kernel takes back those of the dead."""
    link = Link.make(2, 1, tmp_path / "locks")

    def claim_in_child() -> int:
        child = os.fork()
        if child == 0:
            claim = link.claim()
            os._exit(99 if claim is None else claim.lane)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    mine = link.claim()
    assert mine is not None
    assert (0, 1, 1) == (mine.lane, claim_in_child(), claim_in_child())
    mine.give_back()
    assert 0 == claim_in_child()
