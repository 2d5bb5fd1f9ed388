"""`s4gw train-dict`: learns from objects or files, judges by others, installs what pays, says so otherwise."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from s4gw.backends import EmbeddedBackend
from s4gw.backends.base import BucketInfo, ObjectMeta
from s4gw.codec import SamplingDispatcher
from s4gw.objects import DigestPlan, Objects
from s4gw.tools import cli
from tests.objects.bodies import BytesSource
from tests.objects.test_dictionaries import document


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Objects]:
    backend = EmbeddedBackend(tmp_path / "data")
    backend.create_bucket(BucketInfo(name="b", owner="o", created_ms=0))
    objects = Objects(backend, SamplingDispatcher(), threads=2)
    yield objects
    objects.close()
    backend.close()


def put(objects: Objects, key: str, data: bytes) -> int:
    return objects.put("b", key, BytesSource(data), meta=ObjectMeta(owner="o"), plan=DigestPlan()).stored_size


def test_a_prefix_of_a_running_store(
    store: Objects, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Trained from its objects, in use at once, listed, read by cat and inspect, and forgotten again."""
    data = ["--data-dir", str(tmp_path / "data")]
    for number in range(120):
        put(store, f"logs/{number:03}", document(number))
    before = put(store, "logs/new", document(777))
    status = cli.main(["train-dict", "s3://b/logs/", *data, "--size", "2K"])
    told = capsysbinary.readouterr().out.decode()
    after = put(store, "logs/new", document(777))
    assert 0 == cli.main(["train-dict", "s3://b", "--list", *data])
    listed = capsysbinary.readouterr().out.decode().split()
    assert 0 == cli.main(["cat", "s3://b/logs/new", *data])
    original = capsysbinary.readouterr().out
    assert 0 == cli.main(["inspect", "s3://b/logs/new", *data])
    shown = capsysbinary.readouterr().out.decode()
    assert (0, True, True) == (status, "96 samples learned; 25 others" in told, after * 2 < before)
    name = store.dictionaries.table("b")["logs/"]
    assert ([name, "s3://b/logs/"], True) == (listed, f"dictionary: {name}" in shown)
    assert (document(777), True) == (original, "cpu-zstd-dict" in shown)
    assert 0 == cli.main(["train-dict", "s3://b/logs/", "--forget", *data])
    assert before == put(store, "logs/newer", document(777))
    assert 1 == cli.main(["train-dict", "s3://b/logs/", "--forget", *data])


def test_files_of_a_folder(store: Objects, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For a prefix, or into a file."""
    folder = tmp_path / "samples" / "deeper"
    folder.mkdir(parents=True)
    for number in range(100):
        (folder / f"{number}.json").write_bytes(document(number))
    (folder / "large").write_bytes(bytes(100_000))
    command = ["train-dict", str(tmp_path / "samples"), "--size", "2K"]
    out = tmp_path / "dictionary"
    installed = cli.main([*command, "--for", "s3://b/docs/", "--data-dir", str(tmp_path / "data")])
    written = cli.main([*command, "--out", str(out)])
    name = store.dictionaries.table("b")["docs/"]
    assert (0, 0, True) == (installed, written, f"{name}: in use for s3://b/docs/" in capsys.readouterr().out)
    assert store.backend.get_bucket("b").configs[f"s4-dictionary-{name}"] == out.read_bytes()


def test_one_that_does_not_pay_is_not_installed(
    store: Objects, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Samples with nothing in common: status 1 and a line; --force installs it."""
    rng = random.Random(3)
    for number in range(60):
        put(store, f"noise/{number}", rng.randbytes(2000))
    command = ["train-dict", "s3://b/noise/", "--data-dir", str(tmp_path / "data"), "--size", "1K"]
    status = cli.main(command)
    assert (1, "s4gw train-dict: it saves less than 3 %: not installed\n") == (status, capsys.readouterr().err)
    assert {} == store.dictionaries.table("b")
    assert (0, ["noise/"]) == (cli.main([*command, "--force"]), list(store.dictionaries.table("b")))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["s3://b/x"], "--data-dir or --endpoint-url says where the bucket is"),
        (["s3://b/x", "--data-dir", "/nowhere"], "/nowhere is no data directory"),
        (["s3://nothing/x", "--data-dir", "DATA"], "s3://nothing: The specified bucket does not exist"),
        (["s3://b/x", "--data-dir", "DATA"], "0 objects of up to 64 KiB are too few to learn from"),
        (["s3://", "--data-dir", "DATA"], "s3://: write s3://BUCKET/PREFIX"),
        (["s3://b/x", "--data-dir", "DATA", "--size", "1M"], "--size: a dictionary of 256 to 114688 bytes"),
        (["folder"], "a folder needs --for s3://BUCKET/PREFIX, or --out FILE"),
    ],
)
def test_misuse_is_one_line(
    store: Objects, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    """Exit status 2, and nothing is changed."""
    status = cli.main(["train-dict", *(str(tmp_path / "data") if word == "DATA" else word for word in words)])
    assert (2, f"s4gw train-dict: {line}\n") == (status, capsys.readouterr().err)
    assert {} == store.dictionaries.table("b")


def test_a_folder_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """As every command that cannot run: status 3."""
    status = cli.main(["train-dict", "/no/such/folder", "--out", "/tmp/x"])
    assert (3, "s4gw: /no/such/folder: No such file or directory\n") == (status, capsys.readouterr().err)
