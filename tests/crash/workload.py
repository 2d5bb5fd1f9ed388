"""Random work on a store over a `Disk`, and the judgement of what a power cut or a failing write left of it."""

from __future__ import annotations

import random
import shutil
from contextlib import closing, suppress
from pathlib import Path
from unittest.mock import patch

import pytest

from s4gw.backends import EmbeddedBackend
from s4gw.backends.lifecycle import Event, Pass
from s4gw.s3.errors import S3Error
from s4gw.store import FLAG_MARKER, Refused, Store, Unavailable, ops, tables, unpack_runs
from s4gw.store.agreement import disagreements
from s4gw.store.committer import Committer
from s4gw.store.compaction import Compactor
from s4gw.store.rebuild import rebuild_index
from s4gw.store.recovery import prepare, recover
from s4gw.store.schema import open_reader
from s4gw.store.scrub import every_volume, scrub
from s4gw.store.upkeep import Filler, Pace, upkeep
from s4gw.store.usage import Policy
from tests.crash.ageing import CONFIGS, DAY_MS, FACTS, META, OLD, Kept, Objects, add, due, upload_document
from tests.crash.disk import Disk
from tests.store.kit import BUCKET, all_rows, nonce

VOLUME_BYTES = 60_000
KEYS = [f"{prefix}k{number}" for prefix in ("", OLD) for number in range(6)]
SIZES = (0, 10, 700, 3000, 20_000, 30_000)
EXPIRED_AT_ONCE = 2
DEAD_MAX = 3  # dead bodies are removed in nearly every run
State = dict[str, tuple[bytes | None, ...]]
"""Bodies of the versions of each key, newest first; None for a marker."""


def state_from(objects: Objects) -> State:
    """What of the model can be seen in a store."""
    return {key: tuple(version.body for version in versions) for key, versions in objects.items()}


class Play:
    """Carries out random steps and marks on the disk what was promised: the states that are right from then on.

    Every other seed has a bucket with versions. The clock stands still within a step.
    """

    def __init__(self, disk: Disk, seed: int) -> None:
        self.disk = disk
        self.rng = random.Random(seed)
        self.versioned = bool(seed % 2)
        self.objects: Objects = {}
        self.uploads: dict[str, int] = {}
        self.now_ms = 1_700_000_000_000
        self.refused = self.expired = 0
        recover(disk.data_dir)
        self.committer = Committer(
            disk.data_dir,
            volume_bytes=VOLUME_BYTES,
            clock=lambda: self.now_ms / 1000,
            flush=disk.fsync,
            writev=disk.writev,
        )
        self.store = Store(disk.data_dir, committer=self.committer, writev=disk.writev)

    @property
    def state(self) -> State:
        """What was answered."""
        return state_from(self.objects)

    def run(self, steps: int) -> None:
        """Some steps; ends with everything closed."""
        self.make_bucket()
        self.disk.mark([self.state])
        for _ in range(steps):
            self.step()
        self.close()

    def make_bucket(self) -> None:
        """The one bucket, with lifecycle rules."""
        self.store.submit(ops.CreateBucket(BUCKET, "o", 1, "", "Enabled" if self.versioned else "", CONFIGS))

    def close(self) -> None:
        """Let go of the files."""
        self.store.close()
        self.committer.close()

    def step(self) -> None:
        """One thing that may happen."""
        self.now_ms += 1000 * self.rng.randrange(DAY_MS // 2000)
        roll = self.rng.random()
        if roll < 0.50:
            self.put()
        elif roll < 0.65:
            self.change(lambda: self.store.submit(ops.Delete(BUCKET, self.key().encode(), None, nonce())), None)
        elif roll < 0.72:
            self.multipart()
        elif roll < 0.74:
            self.leave_upload()
        elif roll < 0.82:
            self.expire()
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
            self.store.put(ops.Put(BUCKET, self.key().encode(), [], len(data), "e", META, FACTS, nonce()), body)

        self.change(work, data)

    def multipart(self) -> None:
        parts = [self.rng.randbytes(20_000) for _ in range(2)]

        def work() -> None:
            upload = self.start_upload()
            chosen = [(number, self.put_part(upload, number, data)) for number, data in enumerate(parts, 1)]
            key = self.key().encode()
            self.store.submit(ops.Complete(BUCKET, key, upload, chosen, [], 40_000, "e", META, FACTS, nonce()))
            del self.uploads[upload]

        self.change(work, b"".join(parts))

    def leave_upload(self) -> None:
        """An upload that nobody completes."""
        self._key = self.rng.choice(KEYS)
        data = self.rng.randbytes(20_000)
        self.quietly(lambda: self.put_part(self.start_upload(), 1, data))

    def start_upload(self) -> str:
        """Of the key of this step. Returns: its id."""
        upload = f"u{self.rng.random()}"
        document = upload_document(self.key(), upload, self.now_ms)
        self.store.submit(ops.CreateUpload(BUCKET, self.key().encode(), upload, self.now_ms, document))
        self.uploads[upload] = self.now_ms
        return upload

    def put_part(self, upload: str, number: int, data: bytes) -> int:
        """Returns: its sequence."""
        body = self.store.stage()
        body.write(data)
        extents, _ = self.store.finish(body)
        return self.store.submit(ops.PutPart(BUCKET, self.key().encode(), upload, number, extents, b"d")).seq

    def change(self, work: object, data: bytes | None) -> None:
        """Carry *work* out on a random key, a put of *data* or (None) a delete; before and after are marked."""
        self._key = self.rng.choice(KEYS)
        after = add(self.objects, self._key, Kept(data, self.now_ms), versioned=self.versioned)
        self.disk.mark([self.state, state_from(after)])
        try:
            assert callable(work)
            work()
        except (Unavailable, Refused):
            self.refused += 1
        else:
            self.objects = after
        self.disk.mark([self.state])

    def expire(self) -> None:
        """A lifecycle pass takes what is due, in order and nothing else, a transaction for two decisions."""
        steps = due(self.objects, self.now_ms, versioned=self.versioned)
        states = [self.state, *(state_from(objects) for _, objects in steps)]
        told: list[tuple[str, str]] = []
        aborted: set[str] = set()

        def tell(event: Event) -> None:
            if event.action == "abort":
                aborted.add(event.version_id)
                return
            told.append((event.key, event.action))
            self.disk.mark(states[len(told) :])  # what has expired stays expired

        self.disk.mark(states)
        backend = EmbeddedBackend(self.disk.data_dir, store=self.store)
        whole = True
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("s4gw.backends.lifecycle.BATCH", EXPIRED_AT_ONCE)
            try:
                Pass(backend, now_ms=self.now_ms, day_ms=DAY_MS, tell=tell).run()
            except S3Error:
                whole = False
        expected = [step for step, _ in steps]
        assert expected[: None if whole else len(told)] == told
        ripe = {upload for upload, started_ms in self.uploads.items() if self.now_ms >= started_ms + DAY_MS}
        assert aborted == ripe if whole else aborted <= ripe
        for upload in aborted:
            del self.uploads[upload]
        if told:
            self.objects = steps[len(told) - 1][1]
        self.expired += len(told) + len(aborted)
        self.disk.mark([self.state])

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
        listed, _ = store.index.list_versions(
            BUCKET, prefix=b"", delimiter=b"", after=b"", after_version="", limit=10_000
        )
        for row in listed:
            body = None
            if not row.flags & FLAG_MARKER:
                packed, inline = store.index.body(row.seq)
                body = bytes(store.read(unpack_runs(packed), 0, row.stored_size))
                assert inline in (None, body), "the index has other bytes than the volume"
            key = row.key.decode()
            found[key] = (*found.get(key, ()), body)
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


@patch.object(tables, "DEAD_MAX", DEAD_MAX)
def power_cuts(place: Path, seed: int, *, steps: int, images: int) -> int:
    """One random run, and *images* of what a power cut at random moments may leave, each judged.

    Returns: how much lifecycle passes have taken in the run.
    """
    disk = Disk(place / f"run{seed}")
    prepare(disk.data_dir)
    with disk.inserted():
        play = Play(disk, seed)
        play.run(steps)
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
    return play.expired


@patch.object(tables, "DEAD_MAX", DEAD_MAX)
def failing_write(place: Path, seed: int, fail_at: int, failure: int, *, steps: int) -> bool:
    """A run in which one write or flush fails, judged at its end. Returns: whether it came to that write."""
    disk = Disk(place / f"run{seed}")
    prepare(disk.data_dir)
    try:
        with disk.inserted():
            play = Play(disk, seed)
            play.make_bucket()
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
