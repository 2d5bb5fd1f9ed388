"""Random work on a store over a `Disk`, and the judgement of what a power cut or a failing write left of it."""

from __future__ import annotations

import random
import shutil
from contextlib import closing, suppress
from pathlib import Path

from s4gw.store import Refused, Store, Unavailable, ops, unpack_runs
from s4gw.store.agreement import disagreements
from s4gw.store.committer import Committer
from s4gw.store.compaction import Compactor
from s4gw.store.rebuild import rebuild_index
from s4gw.store.recovery import prepare, recover
from s4gw.store.schema import open_reader
from s4gw.store.scrub import every_volume, scrub
from s4gw.store.upkeep import Filler, Pace, upkeep
from s4gw.store.usage import Policy
from tests.crash.disk import Disk
from tests.store.kit import BUCKET, all_rows, nonce

VOLUME_BYTES = 60_000
KEYS = [f"k{number}" for number in range(12)]
SIZES = (0, 10, 700, 3000, 20_000, 30_000)
State = dict[str, bytes]


class Play:
    """Carries out random steps and marks on the disk what was promised.

    Marks are (sequence of step, state before, state after, answered).
    """

    def __init__(self, disk: Disk, seed: int) -> None:
        self.disk = disk
        self.rng = random.Random(seed)
        self.state: State = {}
        self.refused = 0
        recover(disk.data_dir)
        self.committer = Committer(disk.data_dir, volume_bytes=VOLUME_BYTES, flush=disk.fsync, writev=disk.writev)
        self.store = Store(disk.data_dir, committer=self.committer, writev=disk.writev)

    def run(self, steps: int) -> None:
        """Some steps; ends with everything closed."""
        self.store.submit(ops.CreateBucket(BUCKET, "o", 1, "r", "", {}))
        self.disk.mark((dict(self.state), dict(self.state)))
        for _ in range(steps):
            self.step()
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        self.store.close()
        self.committer.close()

    def step(self) -> None:
        """One thing that may happen."""
        roll = self.rng.random()
        if roll < 0.55:
            self.put()
        elif roll < 0.75:
            self.change(lambda: self.store.submit(ops.Delete(BUCKET, self.key().encode(), None, nonce())), drop=True)
        elif roll < 0.82:
            self.multipart()
        elif roll < 0.88:
            self.committer.checkpoint(idle=True)
        elif roll < 0.97:
            self.quietly(self.compact)
        else:
            self.quietly(self.scrub)

    def key(self) -> str:
        """The key of this step."""
        return self._key

    def put(self) -> None:
        data = self.rng.randbytes(self.rng.choice(SIZES))
        scope = self.rng.choice([None, b"b"])

        def work() -> None:
            body = self.store.stage(scope)
            body.write(data)
            self.store.put(ops.Put(BUCKET, self.key().encode(), [], len(data), "e", b"m", b"f", nonce()), body)

        self.change(work, data)

    def multipart(self) -> None:
        parts = [self.rng.randbytes(20_000) for _ in range(2)]

        def work() -> None:
            key, upload = self.key().encode(), f"u{self.rng.random()}"
            self.store.submit(ops.CreateUpload(BUCKET, key, upload, 1, b"d"))
            chosen = []
            for number, data in enumerate(parts, 1):
                body = self.store.stage()
                body.write(data)
                extents, _ = self.store.finish(body)
                chosen.append((number, self.store.submit(ops.PutPart(BUCKET, key, upload, number, extents, b"d")).seq))
            self.store.submit(ops.Complete(BUCKET, key, upload, chosen, [], 40_000, "e", b"m", b"f", nonce()))

        self.change(work, b"".join(parts))

    def change(self, work: object, data: bytes = b"", *, drop: bool = False) -> None:
        """Carry *work* out on a random key; before and after are marked."""
        self._key = self.rng.choice(KEYS)
        before, after = dict(self.state), dict(self.state)
        if drop:
            after.pop(self._key, None)
        else:
            after[self._key] = data
        self.disk.mark((before, after))
        try:
            assert callable(work)
            work()
        except (Unavailable, Refused):
            self.refused += 1
            after = before
        self.state = after
        self.disk.mark((after, after))

    def quietly(self, work: object) -> None:
        """Upkeep may fail when the disk does; the next run goes on."""
        assert callable(work)
        with suppress(Unavailable, Refused, OSError):
            work()

    def compact(self) -> None:
        policy = Policy("crash", 0.05, 1, self.rng.choice([0, 10**9]), 0.0)
        with upkeep(self.store, Pace(self.store.data_dir, 0), writev=self.disk.writev) as run:
            Compactor(run, volume_bytes=VOLUME_BYTES, grace_s=0, move_grace_s=0).run(policy)

    def scrub(self) -> None:
        with upkeep(self.store, Pace(self.store.data_dir, 0), writev=self.disk.writev) as run:
            scrub(run, Filler(run, VOLUME_BYTES), every_volume(run))


def expected_at(disk: Disk, cut: int) -> list[State]:
    """The states that are right after a cut: what was answered, with or without what was under way."""
    for event in reversed(disk.events[:cut]):
        if event.what == "mark":
            return list(event.mark)
    return []


def state_of(data_dir: Path) -> State | None:
    """What a store that opens now holds, read in full; None when it has no bucket."""
    store = Store(data_dir, in_process=True, volume_bytes=VOLUME_BYTES)
    with closing(store):
        if not store.index.buckets():
            return None
        found: State = {}
        for row in store.index.list_current(BUCKET, prefix=b"", delimiter=b"", after=b"", limit=1000)[0]:
            version = store.index.current(BUCKET, row.key)
            packed, inline = store.index.body(version.seq)
            body = store.read(unpack_runs(packed), 0, version.stored_size)
            assert inline in (None, body), "the index has other bytes than the volume"
            found[row.key.decode()] = body
        return found


def judge(data_dir: Path, allowed: list[State]) -> None:
    """The store opens, holds one of the *allowed* states, agrees with itself, and is the same made anew."""
    found = state_of(data_dir)
    if not allowed:
        return  # the power went before the bucket was there
    assert found in allowed
    assert [] == disagree(data_dir)
    before = essence(data_dir)
    rebuilt = rebuild_index(data_dir)
    assert before == essence(data_dir)
    assert [] == rebuilt.gaps
    assert [] == disagree(data_dir)
    store = Store(data_dir, in_process=True, volume_bytes=VOLUME_BYTES)
    with closing(store), upkeep(store, Pace(data_dir, 0)) as run:
        done = Compactor(run, volume_bytes=VOLUME_BYTES, grace_s=0, move_grace_s=0).run(
            Policy("after", 0.01, 1, 0, 0.0)
        )
    assert [] == done.damaged
    assert found == state_of(data_dir)


def disagree(data_dir: Path) -> list[str]:
    """What does not agree within the index."""
    connection = open_reader(data_dir / "index.db")
    try:
        return disagreements(connection)
    finally:
        connection.close()


def essence(data_dir: Path) -> dict[str, object]:
    """All rows but those that tell of files and moments which a rebuild cannot know."""
    rows = all_rows(data_dir)
    return {name: rows[name] for name in rows if name not in ("volumes", "state", "damaged", "totals")}


def power_cuts(place: Path, seed: int, *, steps: int, images: int) -> int:
    """One random run, and *images* of what a power cut at random moments may leave. Returns: images judged."""
    disk = Disk(place / f"run{seed}")
    prepare(disk.data_dir)
    with disk.inserted():
        Play(disk, seed).run(steps)
    rng = random.Random(seed)
    for number in range(images):
        cut = rng.randrange(1, len(disk.events) + 1)
        target = place / "image"
        chooser = None if number % 4 == 0 else random.Random(f"{seed}/{number}")
        disk.image(target, cut, chooser, share=1 if number % 4 == 1 else rng.choice([0.2, 0.5, 0.9]))
        try:
            judge(target, expected_at(disk, cut))
        except BaseException as error:
            error.add_note(f"seed {seed}, image {number}, cut after {cut} of {len(disk.events)} events")
            raise
        shutil.rmtree(target)
    shutil.rmtree(disk.data_dir)
    return images


def failing_write(place: Path, seed: int, fail_at: int, failure: int, *, steps: int) -> bool:
    """A run in which one write or flush fails, judged at its end. Returns: whether it came to that write."""
    disk = Disk(place / f"run{seed}")
    prepare(disk.data_dir)
    try:
        with disk.inserted():
            play = Play(disk, seed)
            play.store.submit(ops.CreateBucket(BUCKET, "o", 1, "r", "", {}))
            disk.failure = failure
            disk.fail_at = disk.writes + fail_at
            for _ in range(steps):
                play.step()
            play.close()
        judge(disk.data_dir, [play.state])
    except BaseException as error:
        error.add_note(f"seed {seed}, failure {failure} of write {fail_at}")
        raise
    shutil.rmtree(disk.data_dir)
    return disk.failed
