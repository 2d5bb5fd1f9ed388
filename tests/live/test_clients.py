"""Other clients that people point at S3: rclone, s3fs, DuckDB, pyarrow, restic and curl."""

from __future__ import annotations

import filecmp
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.live import datasets
from tests.live.gateway import MAIN, REGION, Gateway
from tests.live.test_awscli import same

pytestmark = pytest.mark.clients
Run = Callable[..., str]
S3FS_PYTHON = Path(__file__).resolve().parents[2] / ".venv-s3fs" / "bin" / "python"


def needs(tool: str) -> pytest.MarkDecorator:
    """Skip where Debian's package *tool* is not installed."""
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed (apt install {tool})")


@pytest.fixture
def rclone(gateway: Gateway, command: Run, tmp_path: Path) -> Run:
    """The program with a remote named ``gw``."""
    remote = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": gateway.url, "REGION": REGION, "FORCE_PATH_STYLE": "true"}
    remote |= {"ACCESS_KEY_ID": MAIN.access_key, "SECRET_ACCESS_KEY": MAIN.secret_key}
    environment = {f"RCLONE_CONFIG_GW_{name}": value for name, value in remote.items()}
    environment["RCLONE_CONFIG"] = str(tmp_path / "none.conf")

    def run(*words: str | Path) -> str:
        return command("rclone", *words, **environment)

    return run


def test_rclone_copies_and_checks(rclone: Run, bucket: str, tmp_path: Path) -> None:
    """`rclone copy` and `rclone check --download` find no difference, `sync` removes what is gone."""
    tree, back = tmp_path / "tree", tmp_path / "back"
    tree.mkdir()
    datasets.document_tree(tree)
    rclone("copy", tree, f"gw:{bucket}/docs")
    rclone("check", tree, f"gw:{bucket}/docs")
    rclone("check", "--download", tree, f"gw:{bucket}/docs")
    rclone("copy", f"gw:{bucket}/docs", back)
    different = same(tree, back)
    (tree / "one").unlink()
    rclone("sync", tree, f"gw:{bucket}/docs")
    sizes = json.loads(rclone("size", "--json", f"gw:{bucket}/docs"))
    local = [path.stat().st_size for path in tree.rglob("*") if path.is_file()]
    assert ([], len(local), sum(local)) == (different, sizes["count"], sizes["bytes"])


def test_rclone_multipart(rclone: Run, bucket: str, files: Path, tmp_path: Path) -> None:
    """Multipart uploads with rclone's own part sizes keep content, size and modification time."""
    source = datasets.make("nginx-16m", files)
    options = ("--s3-chunk-size", "5Mi", "--s3-upload-cutoff", "5Mi", "--s3-upload-concurrency", "3")
    rclone("copy", *options, source, f"gw:{bucket}/big")
    rclone("check", "--download", source, f"gw:{bucket}/big")
    rclone("move", f"gw:{bucket}/big", f"gw:{bucket}/moved")
    rclone(
        "copy", "--multi-thread-streams", "4", "--multi-thread-cutoff", "1Mi", f"gw:{bucket}/moved", tmp_path / "back"
    )
    assert filecmp.cmp(source, tmp_path / "back" / source.name, shallow=False)


@pytest.mark.skipif(not S3FS_PYTHON.exists(), reason=".venv-s3fs is not installed (make .venv-s3fs/.installed)")
def test_s3fs_and_duckdb(command: Run, bucket: str, files: Path) -> None:
    """s3fs writes in parts, reads by ranges, lists, copies and removes; DuckDB queries Parquet through it."""
    program = Path(__file__).parent / "programs" / "s3fs_session.py"
    result = json.loads(command(S3FS_PYTHON, program, bucket, datasets.make("parquet", files)))
    expected = {
        "ranges": True,
        "whole": True,
        "size": 12_800_000,
        "listed": ["dir/a", "dir/b c", "dir/data.bin"],
        "left": ["b c", "copy", "data.bin"],
        "query": True,
    }
    assert expected == result


def test_pyarrow_reads_parquet_by_ranges(gateway: Gateway, s3: Any, bucket: str, files: Path) -> None:
    """The S3 client of pyarrow writes Parquet and reads single columns and row groups of it by ranges."""
    import pyarrow.fs as pafs
    import pyarrow.parquet as pq

    source = datasets.make("parquet", files)
    remote = pafs.S3FileSystem(
        access_key=MAIN.access_key,
        secret_key=MAIN.secret_key,
        endpoint_override=gateway.address,
        scheme="http",
        region=REGION,
    )
    s3.upload_file(str(source), bucket, "there.parquet")
    table = pq.read_table(source)
    pq.write_table(table, f"{bucket}/written.parquet", filesystem=remote, row_group_size=50_000)
    column = pq.read_table(f"{bucket}/there.parquet", columns=["user_id"], filesystem=remote)
    with remote.open_input_file(f"{bucket}/there.parquet") as link:
        group = pq.ParquetFile(link).read_row_group(3, columns=["ts", "latency_ms"])
    written = pq.read_table(f"{bucket}/written.parquet", filesystem=remote)
    expected = pq.ParquetFile(source).read_row_group(3, columns=["ts", "latency_ms"])
    assert (True, True, True) == (
        column.equals(table.select(["user_id"])),
        group.equals(expected),
        written.equals(table),
    )


@needs("restic")
def test_restic_backs_up_and_restores(gateway: Gateway, command: Run, bucket: str, tmp_path: Path) -> None:
    """A restic repository is made, checked in full, restored and pruned."""
    tree = tmp_path / "tree"
    tree.mkdir()
    datasets.document_tree(tree)
    settings = {"RESTIC_REPOSITORY": f"s3:{gateway.url}/{bucket}/repo", "RESTIC_PASSWORD": "p"}
    for words in (
        ("init",),
        ("backup", str(tree)),
        ("check", "--read-data"),
        ("restore", "latest", "--target", str(tmp_path / "back")),
        ("forget", "latest", "--prune"),
    ):
        command("restic", "--no-cache", *words, **settings)
    assert [] == same(tree, tmp_path / "back" / tree.relative_to("/"))


@needs("curl")
def test_curl_signs_for_itself(gateway: Gateway, command: Run, s3: Any, bucket: str, files: Path) -> None:
    """`curl --aws-sigv4` uploads and downloads."""
    source = datasets.make("log", files)
    signing = ("--aws-sigv4", f"aws:amz:{REGION}:s3", "--user", f"{MAIN.access_key}:{MAIN.secret_key}")
    quiet = ("curl", "--silent", "--show-error", "--fail")
    plain = ("-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD")
    command(*quiet, *signing, *plain, "--upload-file", source, f"{gateway.url}/{bucket}/from-curl")
    command(*quiet, *signing, *plain, f"{gateway.url}/{bucket}/from-curl", "-o", "back")
    stored = s3.get_object(Bucket=bucket, Key="from-curl")["Body"].read()
    digest = command("sha256sum", "back").split()[0]
    assert (source.read_bytes(), hashlib.sha256(stored).hexdigest()) == (stored, digest)
