"""`s4gw hint`: says what a prefix is made of, shows it, forgets it; `s4gw inspect` shows what holds for an object."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from s4gw.backends import EmbeddedBackend
from s4gw.backends.base import BucketInfo, ObjectMeta
from s4gw.codec import AutoDispatcher
from s4gw.objects import DigestPlan, Objects
from s4gw.tools import cli
from tests.objects.bodies import BytesSource

GAPS = np.cumsum(np.random.default_rng(3).integers(1, 5, 2**15)).astype("<u4").tobytes()


def test_hints_of_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Set beside a running store, in use at once, listed by prefix, shown by inspect, forgotten."""
    data = ["--data-dir", str(tmp_path / "data")]
    backend = EmbeddedBackend(tmp_path / "data")
    backend.create_bucket(BucketInfo(name="b", owner="o", created_ms=0))
    objects = Objects(backend, AutoDispatcher(), threads=2)
    assert [0, 0] == [cli.main(["hint", *said, *data]) for said in (["s3://b", "u32"], ["s3://b/x/", "f64"])]
    assert 0 == cli.main(["hint", "s3://b", *data])
    listed = capsys.readouterr().out.splitlines()
    objects.put("b", "x/a", BytesSource(GAPS), meta=ObjectMeta(owner="o"), plan=DigestPlan())
    assert 0 == cli.main(["inspect", "s3://b/x/a", *data])
    shown = capsys.readouterr().out
    assert [0, 1, 0] == [cli.main(["hint", f"s3://b/{name}", "none", *data]) for name in ("x/", "x/", "")]
    assert 0 == cli.main(["hint", "s3://b", *data])
    after = capsys.readouterr()
    objects.close()
    backend.close()
    assert [line.split() for line in listed] == [["u32", "s3://b/"], ["f64", "s3://b/x/"]]
    assert ("hint: f64, the bucket's" in shown, "pack u32" in shown) == (True, True)
    assert ("", "s4gw hint: s3://b/x/ has no hint\n") == (after.out, after.err)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["b", "u32", "--data-dir", "DATA"], "b: write s3://BUCKET/PREFIX"),
        (["s3://b", "u32"], "--data-dir or --endpoint-url says where the bucket is"),
        (["s3://none", "u32", "--data-dir", "DATA"], "s3://none: The specified bucket does not exist"),
        (
            ["s3://b", "u31", "--data-dir", "DATA"],
            "'u31' is no hint: u16 to u64, i16 to i64, f32, f64, record:2 to record:64, text, raw",
        ),
    ],
)
def test_misuse_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], line: str) -> None:
    """Wrong words and buckets that are not there."""
    backend = EmbeddedBackend(tmp_path, in_process=True)
    backend.create_bucket(BucketInfo(name="b", owner="o", created_ms=0))
    backend.close()
    status = cli.main(["hint", *(str(tmp_path) if word == "DATA" else word for word in words)])
    assert (2, f"s4gw hint: {line}\n") == (status, capsys.readouterr().err)
