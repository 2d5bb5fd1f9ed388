"""SIGKILL of the committer in the middle of lifecycle passes: what had to go goes, what is locked stays."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from s4gw.backends import BucketInfo, EmbeddedBackend, ObjectMeta
from s4gw.backends.lifecycle import Event, Pass
from s4gw.bucketconfig import DefaultRetention, ObjectLock, dump_document
from s4gw.bucketconfig.lifecycle import parse_lifecycle
from s4gw.s3.errors import ServiceUnavailable
from s4gw.store.lock import COMMITTER_LOCK, FileLock
from s4gw.store.rebuild import rebuild_index
from tests.backends.kit import BUCKET, OWNER, put
from tests.store.kit import check_references, contents

OBJECTS = 120
KILLS = 4
SEED = 20261128
RULES = {
    "Rules": [
        {"Status": "Enabled", "Filter": {"Prefix": "old/"}, "Expiration": {"Days": 1}},
        {"Status": "Enabled", "Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
        {"Status": "Enabled", "Filter": {}, "Expiration": {"ExpiredObjectDeleteMarker": True}},
    ]
}


def test_killing_the_committer_during_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s4gw.backends.lifecycle.BATCH", 7)
    data_dir, rng = tmp_path / "data", random.Random(SEED)
    backend = EmbeddedBackend(data_dir)
    info = BucketInfo(name=BUCKET, owner=OWNER, created_ms=1, versioning="Enabled", object_lock=DefaultRetention())
    backend.create_bucket(info)
    backend.put_config(BUCKET, "lifecycle", dump_document(parse_lifecycle(RULES)))
    held = ObjectMeta(owner=OWNER, lock=ObjectLock(hold=True))
    locked = {put(backend, f"held/{n}", meta=held).version_id for n in range(5)}
    new = {put(backend, f"held/{n}").version_id for n in range(5)}
    for number in range(OBJECTS):
        put(backend, f"old/{number:03}")
    now_ms = int(time.time() * 1000) + 10 * 86_400_000
    for _ in range(KILLS):
        left = rng.randrange(5, 40)

        def tell(_event: Event) -> None:
            nonlocal left
            left -= 1
            if not left:
                os.kill(int((data_dir / COMMITTER_LOCK).read_text()), signal.SIGKILL)

        with suppress(ServiceUnavailable):
            Pass(backend, now_ms=now_ms, tell=tell).run()
        now_ms += 10 * 86_400_000
    for _ in range(4):  # hidden, then removed, then the markers; the first may meet the connection that was cut
        with suppress(ServiceUnavailable):
            Pass(backend, now_ms=now_ms).run()
        now_ms += 10 * 86_400_000
    found = {obj.version_id for obj in backend.list_versions(BUCKET).objects}
    backend.close()
    os.kill(int((data_dir / COMMITTER_LOCK).read_text()), signal.SIGKILL)
    FileLock(data_dir / COMMITTER_LOCK, wait=True).release()
    check_references(data_dir)
    before = contents(data_dir)
    rebuild_index(data_dir)
    assert (locked | new, before) == (found, contents(data_dir))
