"""Tests of s4gw.observability.metrics: S4's names, bounded labels, sums over processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from s4gw.observability import Metrics
from s4gw.observability.metrics import BUCKET_LABELS_MAX

CHILD = """
import os, sys
from pathlib import Path
from s4gw.observability import Metrics, prepare_directory, worker_gone
prepare_directory(Path(sys.argv[1]))
children = []
for _ in range(2):
    child = os.fork()
    if not child:
        metrics = Metrics()
        metrics.request_started()
        metrics.request_started()
        metrics.request_done(
            operation="PutObject", codec="cpu-zstd", result="ok", bytes_in=10, bytes_out=0, latency_s=0.1
        )
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
worker_gone(children[0])
sys.stdout.buffer.write(Metrics().render())
"""


def samples(text: bytes) -> dict[str, float]:
    """Every sample of an exposition, by name and labels."""
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_names_are_s4s() -> None:
    """Dashboards made for S4 find their series."""
    metrics = Metrics()
    metrics.request_done(
        operation="GetObject",
        codec="cpu-zstd",
        result="ok",
        bytes_in=1,
        bytes_out=2,
        latency_s=0.003,
        original=1000,
        stored=100,
    )
    metrics.policy_denied("s3:GetObject", "bucket")
    found = samples(metrics.render())
    expected = {
        "s4_requests_total[('codec', 'cpu-zstd'), ('op', 'GetObject'), ('result', 'ok')]": 1,
        "s4_bytes_in_total[('op', 'GetObject')]": 1,
        "s4_bytes_out_total[('op', 'GetObject')]": 2,
        "s4_request_latency_seconds_count[('op', 'GetObject')]": 1,
        "s4_request_latency_seconds_bucket[('le', '0.005'), ('op', 'GetObject')]": 1,
        "s4_policy_denials_total[('action', 's3:GetObject'), ('bucket', 'bucket')]": 1,
        "s4_original_bytes_total[('codec', 'cpu-zstd')]": 1000,
        "s4_stored_bytes_total[('codec', 'cpu-zstd')]": 100,
        "s4_compression_ratio_sum[('codec', 'cpu-zstd')]": 10,
    }
    assert expected.items() <= found.items()


def test_buckets_cannot_flood_the_labels() -> None:
    """Bucket names are the client's; past a bound they are counted together."""
    metrics = Metrics()
    for number in range(BUCKET_LABELS_MAX + 10):
        metrics.policy_denied("s3:GetObject", f"bucket-{number}")
    metrics.policy_denied("s3:GetObject", "bucket-0")
    found = {name: value for name, value in samples(metrics.render()).items() if name.startswith("s4_policy_denials_t")}
    other = "s4_policy_denials_total[('action', 's3:GetObject'), ('bucket', '_other')]"
    assert (BUCKET_LABELS_MAX + 1, 10) == (len(found), found[other])


def test_processes_are_summed_and_the_dead_are_in_no_flight(tmp_path: Path) -> None:
    """Counters of a worker that is gone stay; what it had in flight does not."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "metrics")], check=True, capture_output=True, env=os.environ
    )
    found = samples(done.stdout)
    requests = found["s4_requests_total[('codec', 'cpu-zstd'), ('op', 'PutObject'), ('result', 'ok')]"]
    assert (2, 20, 1) == (requests, found["s4_bytes_in_total[('op', 'PutObject')]"], found["s4_in_flight_requests[]"])


def test_deferred_numbers_appear_when_they_are_published() -> None:
    """A worker publishes regularly; whoever renders has what was counted before."""
    metrics = Metrics()
    metrics.deferred = True
    metrics.request_started()
    for latency_s in (0.0001, 0.003, 100.0):
        metrics.request_done(
            operation="GetObject", codec="-", result="ok", bytes_in=0, bytes_out=0, latency_s=latency_s
        )
    name = "s4_request_latency_seconds_bucket[('le', '{}'), ('op', 'GetObject')]"
    found = samples(metrics.render())
    counted = [found[name.format(bound)] for bound in ("0.0005", "0.0025", "0.005", "60.0", "+Inf")]
    assert [1, 1, 2, 2, 3] == counted


def test_a_new_run_counts_from_zero(tmp_path: Path) -> None:
    """Files of an earlier run are dropped, and nothing else in the directory."""
    directory = tmp_path / "metrics"
    directory.mkdir()
    (directory / "counter_1.db").write_bytes(b"old")
    (directory / "note.txt").write_bytes(b"not ours")
    done = subprocess.run([sys.executable, "-c", CHILD, str(directory)], check=True, capture_output=True)
    names = {path.name for path in directory.iterdir()}
    assert (False, True, True) == ("counter_1.db" in names, "note.txt" in names, bool(done.stdout))


def test_calls_to_the_upstream_are_counted() -> None:
    """By operation and outcome, retries beside them."""
    metrics = Metrics()
    metrics.upstream_done("GetObject", "ok", seconds=0.003, retries=0)
    metrics.upstream_done("GetObject", "SlowDown", seconds=0.5, retries=2)
    found = samples(metrics.render())
    assert (1, 1, 2, 2) == (
        found["s4_upstream_requests_total[('op', 'GetObject'), ('result', 'ok')]"],
        found["s4_upstream_requests_total[('op', 'GetObject'), ('result', 'SlowDown')]"],
        found["s4_upstream_retries_total[('op', 'GetObject')]"],
        found["s4_upstream_latency_seconds_count[('op', 'GetObject')]"],
    )


FULL_DISK = """
import os, sys
from pathlib import Path
from s4gw.observability import Metrics, prepare_directory, share_as
prepare_directory(Path(sys.argv[1]))
if sys.argv[2:]:
    def full(*_):
        raise OSError(28, "No space left on device")
    os.posix_fallocate = full
share_as()
metrics = Metrics()
metrics.request_started()
metrics.request_done(operation="PutObject", codec="cpu-zstd", result="ok", bytes_in=10, bytes_out=0, latency_s=0.1)
metrics.publish()
holes = [file.name for file in Path(sys.argv[1]).glob("*.db") if file.stat().st_blocks * 512 < file.stat().st_size]
print(holes, bool(list(Path(sys.argv[1]).glob("*.db"))), b"s4_requests_total" in metrics.render())
"""


def test_shared_files_have_no_holes_to_fill(tmp_path: Path) -> None:
    """On a disk that has become full, filling one would kill the worker (SIGBUS); on a full one it counts alone."""
    shown = [
        subprocess.run(
            [sys.executable, "-c", FULL_DISK, str(tmp_path / str(number)), *more],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for number, more in enumerate(([], ["full"]))
    ]
    assert ["[] True True\n", "[] False False\n"] == shown
