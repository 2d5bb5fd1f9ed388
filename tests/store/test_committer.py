"""The committer: one transaction for many, each refused alone, an answer only after both flushes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import apsw
import msgspec
import pytest

from s4gw.store import BucketExists, NoBucket, NoKey, NoSpace, Store, ops
from s4gw.store.committer import Committer
from s4gw.store.errors import Refused
from s4gw.store.layout import RecordKind
from s4gw.store.ops import Journal, Order, Request, When
from s4gw.store.rebuild import rebuild_index
from s4gw.store.record import Buffer
from s4gw.store.recovery import prepare, recover
from s4gw.store.schema import unpack_runs
from s4gw.store.volume import Extent
from s4gw.store.walk import scan_volume
from tests.store.kit import (
    BUCKET,
    check_references,
    contents,
    delete,
    get,
    keys,
    make_bucket,
    nonce,
    order,
    put,
    put_op,
)

NO_SPACE = 28


class Disk:
    """What a committer does to the disk; fails when told to."""

    def __init__(self) -> None:
        self.flushes: list[int] = []
        self.fail_flush = False
        self.fail_write = False

    def flush(self, fd: int) -> None:
        self.flushes.append(fd)
        if self.fail_flush:
            self.fail_flush = False
            raise OSError(5, "Input/output error")
        os.fdatasync(fd)

    def writev(self, fd: int, buffers: Sequence[Buffer]) -> int:
        if self.fail_write:
            raise OSError(NO_SPACE, "No space left on device")
        return os.writev(fd, buffers)


class Rig:
    """A committer over a failing disk, and a store that uses it."""

    def __init__(self, data_dir: Path, volume_bytes: int = 1024**3) -> None:
        prepare(data_dir)
        recover(data_dir)
        self.data_dir = data_dir
        self.disk = Disk()
        self.committer = Committer(
            data_dir, flush=self.disk.flush, writev=self.disk.writev, volume_bytes=volume_bytes, clock=lambda: 1000.0
        )
        self.store = Store(data_dir, committer=self.committer)

    def close(self) -> None:
        self.store.close()
        self.committer.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path / "data")
    make_bucket(made.store)
    yield made
    made.close()


def journals(data_dir: Path, volume: int = 1) -> list[Journal]:
    return [
        msgspec.msgpack.decode(found.payload, type=Journal)
        for found in scan_volume(data_dir, volume)
        if found.head.kind is RecordKind.JOURNAL
    ]


def test_a_batch_is_one_flush_and_one_journal_record(rig: Rig) -> None:
    rig.disk.flushes.clear()
    before = len(journals(rig.data_dir))
    requests = [Request([order(put_op(f"k{n}", [], 0))]) for n in range(20)]
    replies = rig.committer.commit(requests)
    assert [""] * 20 == [reply.outcomes[0].error for reply in replies]
    assert (1, before + 1, 20) == (
        len(rig.disk.flushes),
        len(journals(rig.data_dir)),
        len(journals(rig.data_dir)[-1].entries),
    )


def test_each_order_is_refused_alone(rig: Rig) -> None:
    replies = rig.committer.commit(
        [
            Request([order(put_op("a", [], 0)), order(put_op("x", [], 0, bucket="nope"))]),
            Request([Order(msgspec.Raw(b"\x93\xa2zz\x01\x02"))]),
            Request([]),
            Request([order(put_op("b", [], 0))]),
        ]
    )
    assert [["", "no_bucket"], ["bad_operation"], [], [""]] == [[o.error for o in r.outcomes] for r in replies]
    assert ["a", "b"] == keys(rig.store)


def test_orders_of_one_batch_see_each_other(rig: Rig) -> None:
    when = ops.When(if_none_match="*")
    replies = rig.committer.commit([Request([order(put_op("a", [], 0, when=when))]) for _ in range(3)])
    assert ["", "precondition", "precondition"] == [reply.outcomes[0].error for reply in replies]


def test_nothing_is_written_when_all_were_refused(rig: Rig) -> None:
    size = (rig.data_dir / "volumes" / "0000000001.s4v").stat().st_size
    rig.disk.flushes.clear()
    with pytest.raises(BucketExists):
        make_bucket(rig.store)
    delete(rig.store, "not there")
    assert (size, []) == ((rig.data_dir / "volumes" / "0000000001.s4v").stat().st_size, rig.disk.flushes)


def test_failed_flush_fails_the_batch_and_closes_the_volume(rig: Rig) -> None:
    put(rig.store, "before", b"1")
    rig.disk.fail_flush = True
    body = rig.store.stage()
    body.write(b"2")
    extents, inline = rig.store.finish(body)
    with pytest.raises(NoSpace):
        rig.store.submit(put_op("during", extents, 1), inline)
    with pytest.raises(NoSpace):
        rig.store.submit(put_op("again", extents, 1), inline)
    put(rig.store, "after", b"3")
    index = apsw.Connection(str(rig.data_dir / "index.db"), flags=apsw.SQLITE_OPEN_READONLY)
    assert (["after", "before"], b"1", [(1, "bad"), (2, "open")]) == (
        keys(rig.store),
        get(rig.store, "before"),
        index.execute("SELECT id, state FROM volumes ORDER BY id").fetchall(),
    )
    index.close()


def test_batch_that_did_not_reach_the_disk_is_void_in_a_rebuilt_index(rig: Rig) -> None:
    put(rig.store, "before")
    rig.disk.fail_flush = True
    with pytest.raises(NoSpace):
        put(rig.store, "during")
    put(rig.store, "after")
    before = contents(rig.data_dir)
    rig.close()
    rebuild_index(rig.data_dir)
    assert before == contents(rig.data_dir)
    rig.committer = Committer(rig.data_dir)


def test_full_disk_refuses_and_recovers(rig: Rig) -> None:
    put(rig.store, "before")
    rig.disk.fail_write = True
    with pytest.raises(NoSpace):
        put(rig.store, "during")
    rig.disk.fail_write = False
    put(rig.store, "after")
    assert ["after", "before"] == keys(rig.store)
    check_references(rig.data_dir)


def test_extent_of_an_unknown_volume_is_refused(rig: Rig) -> None:
    with pytest.raises(NoSpace):
        rig.store.submit(put_op("k", [Extent(99, 40, 5, 1)], 5))


def test_volumes_rotate_by_size_and_old_bodies_stay_readable(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "data", volume_bytes=100_000)
    make_bucket(rig.store)
    for number in range(20):
        put(rig.store, f"k{number:02}", bytes([number]) * 30_000)
    assert [bytes([number]) * 30_000 for number in range(20)] == [get(rig.store, f"k{n:02}") for n in range(20)]
    assert 5 <= len(list((rig.data_dir / "volumes").iterdir())) <= 8
    before = contents(rig.data_dir)
    rig.close()
    rebuild_index(rig.data_dir)
    assert before == contents(rig.data_dir)


def test_oversized_extents_and_empty_ones_are_refused(rig: Rig) -> None:
    for size in (0, 5 * 1024**2):
        with pytest.raises(NoSpace):
            rig.store.submit(put_op("k", [Extent(1, 40, size, 1)], size))


def test_ten_thousand_parts_become_one_object(rig: Rig) -> None:
    rig.store.submit(ops.CreateUpload(BUCKET, b"k", "u", 1, b"d"))
    body = rig.store.stage()
    body.write(b"0123456789")
    extents, _ = rig.store.finish(body)
    operations = [(ops.PutPart(BUCKET, b"k", "u", number, extents, b"d"), None) for number in range(1, 10_001)]
    outcomes = rig.store.submit_all(operations)
    chosen = [(number, outcome.seq) for number, outcome in enumerate(outcomes, 1) if isinstance(outcome, ops.Outcome)]
    made = rig.store.submit(ops.Complete(BUCKET, b"k", "u", chosen, extents, 7, "e", b"m", b"f", b"n" * 16))
    assert (100_010, b"0123456789" * 10_001) == (made.stored_size, get(rig.store, "k"))


def test_missing_bucket_and_key_have_their_own_errors(rig: Rig) -> None:
    with pytest.raises(NoBucket):
        rig.store.index.current("nope", b"k")
    with pytest.raises(NoKey):
        rig.store.index.current(BUCKET, b"k")


def test_a_small_body_rides_with_its_order(rig: Rig) -> None:
    """The committer appends it, journals where it lies, and gives it back; refused, it leaves dead bytes only."""
    body = rig.store.stage()
    body.write(b"small")
    outcome = rig.store.put(ops.Put(BUCKET, b"ride", [], 5, "e", b"m", b"f", nonce()), body)
    row = rig.store.index.current(BUCKET, b"ride")
    extents = [rig.store.index.extents(first, count) for first, count, _ in unpack_runs(row.extents or b"")]
    again = rig.store.stage()
    again.write(b"other")
    with pytest.raises(Refused):
        rig.store.put(ops.Put(BUCKET, b"ride", [], 5, "e", b"m", b"f", nonce(), When(None, "*", None, None)), again)
    assert (5, 5) == (outcome.stored_size, extents[0][0].size)
    assert b"small" == rig.store.read(unpack_runs(row.extents or b""), 0, 5)


def test_a_payload_goes_with_a_small_put_only(rig: Rig) -> None:
    """Any other order with a payload, and one that is too large, is refused alone; its neighbours are carried out."""
    put = ops.Put(BUCKET, b"fine", [], 1, "e", b"m", b"f", nonce())
    orders = [
        Order(msgspec.Raw(msgspec.msgpack.encode(ops.PutConfig(BUCKET, "cors", None))), None, b"x"),
        Order(msgspec.Raw(msgspec.msgpack.encode(put)), None, bytes(ops.PAYLOAD_BYTES_MAX + 1)),
        Order(msgspec.Raw(msgspec.msgpack.encode(put)), None, b"y"),
    ]
    outcomes = rig.store._send(Request(orders)).outcomes
    assert [True, True, False] == [bool(outcome.error) for outcome in outcomes]
    assert b"y" == rig.store.read(unpack_runs(rig.store.index.current(BUCKET, b"fine").extents or b""), 0, 1)
