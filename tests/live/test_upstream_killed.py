"""A gateway that dies in the middle of a write to its upstream: the old object stands or the new one, and a sweep finds
the rest.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from s4gw.backends import remote
from s4gw.backends.remote.sweep import Ages, sweep
from tests.live import upstreams
from tests.live.fault_proxy import Fault, FaultProxy
from tests.live.gateway import Gateway, wait_until
from tests.live.upstreams import Upstream

MIB: Final = 1024**2
BUCKET: Final = "doomed"
OLD: Final = b"what was there before\n" * 1000
SMALL: Final = b"what comes instead\n" * 1000
LARGE: Final = os.urandom(21 * MIB)
SOURCE: Final = b"what is copied\n" * 5000


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, proxy: FaultProxy) -> Iterator[Gateway]:
    through = Upstream("proxy", proxy.url)
    with upstreams.in_front(tmp_path_factory.mktemp("front") / "gw", through, "--workers", "1") as gateway:
        gateway.client().create_bucket(Bucket=BUCKET)
        yield gateway


def put_small(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="k", Body=SMALL)


def put_large(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="k", Body=LARGE)


def copy(s3: Any) -> None:
    s3.copy_object(Bucket=BUCKET, Key="k", CopySource=f"{BUCKET}/source", MetadataDirective="REPLACE")


STEPS: Final[list[tuple[Callable[[Any], None], str, bytes]]] = [
    (put_small, "PutObject", SMALL),
    (put_large, "CreateMultipartUpload", LARGE),
    (put_large, "PutObject", LARGE),
    (put_large, "UploadPart", LARGE),
    (put_large, "CompleteMultipartUpload", LARGE),
    (copy, "CopyObject", SOURCE),
]


@pytest.mark.parametrize("lost", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("write", "operation", "new"), STEPS, ids=[f"{w.__name__}-{o}" for w, o, _ in STEPS])
def test_killed_at_each_step(
    front: Gateway, proxy: FaultProxy, write: Callable[[Any], None], operation: str, new: bytes, lost: bool
) -> None:
    """Whether the upstream has carried the request out or not, readers see one of the two objects."""
    s3 = front.client(retries={"total_max_attempts": 1})
    s3.put_object(Bucket=BUCKET, Key="k", Body=OLD)
    s3.put_object(Bucket=BUCKET, Key="source", Body=SOURCE)
    (worker,) = front.workers()
    proxy.forget()
    if lost:
        proxy.fail(operation, Fault.LOST, times=100)
    else:
        proxy.delay_s = 0.15
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(_carried_out, write, s3)
        assert wait_until(lambda: proxy.count()[operation] > int(lost), 30)  # the second time, its answer was lost
        os.kill(worker, signal.SIGKILL)
        asked.result()
    proxy.delay_s = 0.0
    proxy.rules.clear()
    assert wait_until(lambda: worker not in front.workers() and front.alive(), 30)
    got = s3.get_object(Bucket=BUCKET, Key="k")
    assert (True, True) == (got["Body"].read() in (OLD, new), got["ContentLength"] in (len(OLD), len(new)))


def _carried_out(write: Callable[[Any], None], s3: Any) -> bool:
    with contextlib.suppress(ClientError, BotoCoreError):
        write(s3)
        return True
    return False


def test_what_the_dead_have_left_is_swept(store: Upstream, front: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads that nobody will go on with, and the notes about them; objects stay."""
    del front
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    backend = remote.RemoteBackend(remote.Upstream(remote.UpstreamSettings(endpoint_url=store.url)), owner="o")
    later_ms = int(time.time() * 1000) + 10 * 24 * 3600 * 1000
    sweep(backend, BUCKET, later_ms, Ages())
    backend.close()
    direct = store.client()
    left = [one["Key"] for one in direct.list_objects_v2(Bucket=BUCKET).get("Contents", ())]
    assert ([], []) == (
        [key for key in left if key not in ("k", "source")],
        direct.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []),
    )
