"""``s4gw sweep`` says what it removes, and what it could not."""

from __future__ import annotations

import re
from typing import Any

import pytest

from s4gw.backends import ObjectMeta, Upload, remote
from s4gw.backends.remote import RemoteBackend
from s4gw.s3.errors import NoSuchBucket
from s4gw.tools import cli
from tests.backends.remote_fake import FakeUpstream

URL = "http://upstream.test"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeUpstream:
    """An upstream with two buckets; an upload in one of them."""
    made = FakeUpstream()
    for bucket in ("first", "second"):
        made.call("CreateBucket", Bucket=bucket)
    monkeypatch.setattr(remote, "Upstream", lambda _: made)
    backend: Any = RemoteBackend(made, owner="me")
    backend.create_upload("first", Upload(key="k", upload_id="a", started_ms=1, meta=ObjectMeta()))
    return made


def test_uploads_in_use_stay(fake: FakeUpstream, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == cli.main(["sweep", "--endpoint-url", URL])
    assert [".s4gw/uploads/a"] == fake.keys("first")
    assert ["first: 0 idle uploads", "second: 0 idle uploads"] == re.findall(
        r"^\w+: 0 \w+ \w+", capsys.readouterr().out, re.MULTILINE
    )


def test_idle_ones_go(fake: FakeUpstream, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["sweep", "--endpoint-url", URL, "--idle-days", "0", "--bucket", "first"]
    assert 0 == cli.main([*flags, "--dry-run"])
    assert [".s4gw/uploads/a"] == fake.keys("first")
    assert 0 == cli.main(flags)
    assert [] == fake.keys("first")
    said = [line.split(",")[0] for line in capsys.readouterr().out.splitlines()]
    assert ["first: 1 idle uploads", "first: 1 idle uploads"] == said


def test_a_bucket_that_fails_does_not_keep_the_others(fake: FakeUpstream, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_operation: str, params: Any) -> None:
        if params.get("Bucket") == "first":
            raise NoSuchBucket(BucketName="first")

    fake.before = fail
    assert 3 == cli.main(["sweep", "--endpoint-url", URL])
    said = capsys.readouterr()
    assert ("second: 0 idle", "s4gw: first:") == (said.out[:14], said.err[:12])


def test_without_an_upstream_there_is_nothing_to_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == cli.main(["sweep"])
    assert "--endpoint-url" in capsys.readouterr().err
