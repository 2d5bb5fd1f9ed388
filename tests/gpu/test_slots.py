"""Frames that are received into the ring: whose a slot is when, and that nothing wrong is stored from one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from s4gw.checksum import crc32c
from s4gw.codec import ChecksumMismatch, Choice, CodecId, encode_payload
from s4gw.gpu.client import Client
from s4gw.gpu.job import Slot
from s4gw.gpu.protocol import CHUNK_BYTES_MAX, State, Status
from s4gw.gpu.ring import Link
from tests.gpu.kit import KIB, WAIT_S, ZSTD, decoded, running, text, until
from tests.gpu.test_client import Rogue


@pytest.fixture
def gpu(tmp_path: Path) -> Iterator[Rogue]:
    """A hand-made GPU worker with two slots."""
    made = Rogue(tmp_path)
    yield made
    made.client.close()


def filled(client: Client, chunk: bytes) -> Slot:
    """A slot that *chunk* was received into."""
    slot = client.reserve(len(chunk))
    assert slot is not None
    slot.view[:] = chunk
    return slot


def free(client: Client) -> int:
    """How many slots can be reserved now; they are given back."""
    found: list[Slot] = []
    while (slot := client.reserve(KIB)) is not None:
        found.append(slot)
    for slot in found:
        slot.give_back()
    return len(found)


def claimed_by_another(link: Link) -> bool:
    """A process that starts now gets the lane."""
    child = os.fork()
    if child == 0:
        os._exit(0 if link.claim() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_frame_is_sent_from_where_it_was_received(gpu: Rogue) -> None:
    """No copy, and the result lies beside the chunk, which stays as it is."""
    slot = filled(gpu.client, gpu.chunk)
    future = gpu.client.submit(slot.view, ZSTD, slot)
    request = gpu.request()
    ring = gpu.link.ring
    assert (slot.number, gpu.chunk) == (request.slot, bytes(ring.slot(0, request.slot)[: request.size]))
    _, payload = encode_payload(ZSTD, gpu.chunk)
    ring.result(0, request.slot)[: len(payload)] = payload
    gpu.answer(request, Status.DONE, len(payload), crc32c(payload))
    assert gpu.chunk == decoded(future.result(WAIT_S)) == bytes(slot.view)
    slot.give_back()


@pytest.mark.parametrize("answered_first", [True, False])
def test_a_slot_is_free_when_nobody_has_it(gpu: Rogue, *, answered_first: bool) -> None:
    """Neither the thread that received into it nor the GPU worker, whoever is done with it first."""
    slot = filled(gpu.client, gpu.chunk)
    future = gpu.client.submit(slot.view, ZSTD, slot)
    request = gpu.request()
    before = free(gpu.client)
    steps = [lambda: gpu.answer(request, Status.FAILED), slot.give_back]
    first, second = steps if answered_first else reversed(steps)
    first()
    assert not answered_first or gpu.chunk == decoded(future.result(WAIT_S))
    between = free(gpu.client)
    second()
    assert gpu.chunk == decoded(future.result(WAIT_S))
    assert (1, 1) == (before, between)
    assert until(lambda: free(gpu.client) == 2)


def test_a_late_answer_finds_its_slot_unused(gpu: Rogue) -> None:
    """The deadline ends the job, not the GPU worker's right to the slot."""
    slot = filled(gpu.client, gpu.chunk)
    future = gpu.client.submit(slot.view, ZSTD, slot)
    request = gpu.request()
    assert (gpu.chunk, 1) == (decoded(future.result(WAIT_S)), gpu.fallbacks("deadline"))
    slot.give_back()
    assert 1 == free(gpu.client)
    gpu.answer(request, Status.FAILED)
    assert until(lambda: free(gpu.client) == 2)


def test_a_body_outlives_the_gpu_worker(gpu: Rogue) -> None:
    """What is being received when it dies stays its receiver's under the next one, and can be sent to that."""
    slot = filled(gpu.client, gpu.chunk)
    lost = filled(gpu.client, gpu.chunk)
    future = gpu.client.submit(lost.view, ZSTD, lost)
    gpu.request()
    gpu.link.ring.set_generation(2)
    assert (gpu.chunk, 1) == (decoded(future.result(WAIT_S)), gpu.fallbacks("worker_lost"))
    lost.give_back()
    assert gpu.client.reserve(KIB) is None  # which greets the new one
    gpu.answer(gpu.request(), Status.WELCOME, generation=2)
    assert until(lambda: gpu.client.ready)
    assert 1 == free(gpu.client)
    again = gpu.client.submit(slot.view, ZSTD, slot)
    request = gpu.request()
    gpu.answer(request, Status.INCOMPRESSIBLE, generation=2)
    assert (slot.number, gpu.chunk) == (request.slot, decoded(again.result(WAIT_S)))
    slot.give_back()
    assert 2 == free(gpu.client)


@pytest.mark.parametrize("status", [Status.FAILED, Status.INCOMPRESSIBLE, Status.OUT_OF_MEMORY])
def test_a_chunk_that_changed_is_never_stored(gpu: Rogue, status: Status) -> None:
    """A GPU worker that writes where it must not: the write fails, and nobody uses the engine any more."""
    slot = filled(gpu.client, gpu.chunk)
    future = gpu.client.submit(slot.view, ZSTD, slot)
    request = gpu.request()
    gpu.link.ring.slot(0, request.slot)[100] ^= 1
    gpu.answer(request, status)
    with pytest.raises(ChecksumMismatch):
        future.result(WAIT_S)
    assert State.DISABLED is gpu.link.ring.state
    slot.give_back()


def test_a_lane_is_kept_while_a_slot_is_held(tmp_path: Path) -> None:
    """A process that ends gives up its lane when the last body has been received, not earlier."""
    gpu = Rogue(tmp_path)
    slot = filled(gpu.client, gpu.chunk)
    gpu.client.close()
    kept = not claimed_by_another(gpu.link)
    future = gpu.client.submit(slot.view, ZSTD, slot)
    assert gpu.chunk == decoded(future.result(WAIT_S))
    slot.give_back()
    assert (True, True, None) == (kept, claimed_by_another(gpu.link), gpu.client.reserve(KIB))


def test_what_is_not_for_the_ring_is_done_from_its_slot(gpu: Rogue) -> None:
    """The choice is made when the bytes are there; sizes that are never sent get no slot."""
    slot = filled(gpu.client, gpu.chunk)
    high = gpu.client.submit(slot.view, Choice(CodecId.CPU_ZSTD, 19), slot).result(WAIT_S)
    assert (gpu.chunk, []) == (decoded(high), list(gpu.link.requests[0].drain()))
    slot.give_back()
    assert [None, None] == [gpu.client.reserve(size) for size in (KIB - 1, CHUNK_BYTES_MAX + 1)]


def test_slow_senders_leave_slots_to_others(tmp_path: Path) -> None:
    """A quarter of the lane is for chunks that are there."""
    with running(tmp_path, slots=8) as gpu:
        assert gpu.ready()
        held = [filled(gpu.client, text(KIB)) for _ in range(6)]
        assert gpu.client.reserve(KIB) is None
        chunks = [text(64 * KIB, seed) for seed in range(20)]
        frames = [gpu.client.submit(memoryview(chunk), ZSTD).result(WAIT_S) for chunk in chunks]
        assert (chunks, 0) == ([decoded(frame) for frame in frames], gpu.fallbacks("ring_full"))
        for slot in held:
            slot.give_back()
