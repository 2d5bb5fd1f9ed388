"""`s4gw train-dict` beside a running gateway: its workers write with the dictionary from the next request on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.live import upstreams
from tests.live.gateway import Gateway
from tests.objects.test_dictionaries import document


def test_running_workers_use_a_new_dictionary(
    gateway: Gateway, s3: Any, bucket: str, command: Callable[..., str]
) -> None:
    """No restart; clients see nothing; the copy in another bucket reads as well."""
    for number in range(60):
        s3.put_object(Bucket=bucket, Key=f"logs/{number}", Body=document(number))
    data = ("--data-dir", gateway.folder / "data")
    told = command("s4gw", "train-dict", f"s3://{bucket}/logs/", "--size", "2K", *data)
    new = document(4711)
    put = s3.put_object(Bucket=bucket, Key="logs/new", Body=new)
    got = s3.get_object(Bucket=bucket, Key="logs/new")
    s3.create_bucket(Bucket=f"{bucket}-copy")
    s3.copy_object(Bucket=f"{bucket}-copy", Key="k", CopySource={"Bucket": bucket, "Key": "logs/new"})
    copied = s3.get_object(Bucket=f"{bucket}-copy", Key="k", Range="bytes=10-19")["Body"].read()
    shown = [command("s4gw", "inspect", f"s3://{name}", *data) for name in (f"{bucket}/logs/new", f"{bucket}-copy/k")]
    assert "in use for" in told
    assert (new, len(new), put["ETag"]) == (got["Body"].read(), got["ContentLength"], got["ETag"])
    assert (new[10:20], [True, True]) == (copied, ["cpu-zstd-dict" in each for each in shown])
    assert [f"logs/{number}" for number in sorted(map(str, range(60)))] + ["logs/new"] == [
        each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]
    ]


def test_an_upstream_keeps_dictionary_and_rule(command: Callable[..., str], tmp_path: Path) -> None:
    """Trained past any gateway; one that is started in front of the bucket then writes with it, as S4 would read it."""
    with upstreams.s4gw(tmp_path / "store") as store:
        behind = store.client()
        behind.create_bucket(Bucket="events")
        for number in range(60):
            behind.put_object(Bucket="events", Key=f"logs/{number}", Body=document(number))
        where = ("--endpoint-url", store.url, "--upstream-addressing", "path")
        told = command("s4gw", "train-dict", "s3://events/logs/", "--size", "2K", *where, **store.environment)
        with upstreams.in_front(tmp_path / "front", store, "--workers", "1") as front:
            client = front.client()
            client.put_object(Bucket="events", Key="logs/new", Body=document(4711))
            got = client.get_object(Bucket="events", Key="logs/new")["Body"].read()
            listed = [each["Key"] for each in client.list_objects_v2(Bucket="events", MaxKeys=2)["Contents"]]
        stored = behind.head_object(Bucket="events", Key="logs/new")
    name = told.splitlines()[-1].partition(":")[0]
    assert (document(4711), ["logs/0", "logs/1"]) == (got, listed)
    assert (name, True) == (stored["Metadata"]["s4-dict-id"], stored["ContentLength"] * 2 < len(got))
