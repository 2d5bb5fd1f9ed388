"""A long CompleteMultipartUpload answers at once, stays alive, and ends in its result or its error."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s4gw.backends import MemoryBackend, StoredObject
from s4gw.gateway.resources import keep_alive, multipart
from s4gw.gateway.resources.keep_alive import begun, kept_alive
from s4gw.s3.errors import PreconditionFailed, ServiceUnavailable, SlowDown


def slots(free: int = 1) -> threading.Semaphore:
    return threading.Semaphore(free)


def test_work_under_way_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep_alive, "GRACE_S", 0)
    go, two = threading.Event(), slots(2)
    outcomes = [begun(lambda: go.wait(30), two) for _ in range(2)]
    with pytest.raises(SlowDown):
        begun(lambda: None, two)
    go.set()
    assert [True, True] == [outcome.result(timeout=30) for outcome in outcomes]
    with two, two:  # given back
        pass


def test_quick_work_is_done_at_once() -> None:
    assert 5 == begun(lambda: 5, slots()).result(timeout=0)


def test_work_knows_its_request() -> None:
    request: contextvars.ContextVar[str] = contextvars.ContextVar("request")
    request.set("this one")
    assert "this one" == begun(request.get, slots()).result()


def test_quick_error_keeps_its_class() -> None:
    def fail() -> None:
        raise PreconditionFailed

    with pytest.raises(PreconditionFailed):
        begun(fail, slots()).result(timeout=0)


def test_first_byte_does_not_wait_and_blanks_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep_alive, "GRACE_S", 0)
    monkeypatch.setattr(keep_alive, "INTERVAL_S", 0.001)
    go = threading.Event()
    outcome = begun(lambda: go.wait(30), slots())
    blocks = kept_alive(outcome, lambda done: b'<?xml version="1.0" encoding="UTF-8"?>\n<A>%r</A>' % done.result())
    first = [next(blocks) for _ in range(3)]
    go.set()
    assert [b'<?xml version="1.0" encoding="UTF-8"?>\n', b" ", b" "] == first
    assert b"<A>True</A>" == b"".join(blocks).strip()


def test_work_goes_on_when_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep_alive, "GRACE_S", 0)
    go = threading.Event()
    outcome = begun(lambda: go.wait(30), slots())
    blocks = kept_alive(outcome, lambda _: b"")
    next(blocks)
    del blocks
    go.set()
    assert outcome.result(timeout=30)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception | None], None]:
    """Let a Complete end only after its answer has begun, and then, if given, in an error."""
    go = threading.Event()
    failure: list[Exception | None] = [None]
    complete, follow = MemoryBackend.complete_upload, kept_alive

    def late(self: MemoryBackend, *args: Any, **more: Any) -> StoredObject:
        assert go.wait(30)
        if failure[0] is not None:
            raise failure[0]
        return complete(self, *args, **more)

    def following(outcome: Future[Any], document: Callable[[Future[Any]], bytes]) -> Iterator[bytes]:
        for block in follow(outcome, document):
            yield block
            go.set()

    monkeypatch.setattr(keep_alive, "GRACE_S", 0)
    monkeypatch.setattr(MemoryBackend, "complete_upload", late)
    monkeypatch.setattr(multipart, "kept_alive", following)
    return lambda error: failure.__setitem__(0, error)


def started(s3: Any, bucket: str) -> dict[str, Any]:
    target = {"Bucket": bucket, "Key": "k"}
    target["UploadId"] = s3.create_multipart_upload(**target)["UploadId"]
    etag = s3.upload_part(**target, PartNumber=1, Body=b"one")["ETag"]
    return target | {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": etag}]}}


def test_client_gets_the_result(s3: Any, bucket: str, slow: Callable[[Exception | None], None]) -> None:
    slow(None)
    done = s3.complete_multipart_upload(**started(s3, bucket))
    assert (200, done["ETag"]) == (
        done["ResponseMetadata"]["HTTPStatusCode"],
        s3.head_object(Bucket=bucket, Key="k")["ETag"],
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PreconditionFailed(Condition="If-None-Match"), "PreconditionFailed"),
        (ServiceUnavailable(), "ServiceUnavailable"),
        (ZeroDivisionError(), "InternalError"),
    ],
)
def test_client_gets_the_error_in_the_document(
    s3: Any, bucket: str, slow: Callable[[Exception | None], None], error: Exception, code: str
) -> None:
    """boto3 looks into a 200 of CompleteMultipartUpload, as S3's own may hold an error too."""
    slow(error)
    with pytest.raises(ClientError) as caught:
        s3.complete_multipart_upload(**started(s3, bucket))
    assert code == caught.value.response["Error"]["Code"]
