"""What a data engineer does with s3fs and DuckDB: write, list, read by ranges, copy, remove, query Parquet.

    s3fs_session.py BUCKET PARQUET_FILE

The endpoint and keys come from the environment. It prints one JSON object for the test to judge.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import duckdb
import s3fs


def main(bucket: str, parquet: Path) -> dict[str, object]:
    """Do everything once. Returns what came of it."""
    files = s3fs.S3FileSystem(client_kwargs={"endpoint_url": os.environ["AWS_ENDPOINT_URL"]})
    data = bytes(range(256)) * 50_000
    with files.open(f"{bucket}/dir/data.bin", "wb", block_size=5 * 2**20) as sink:
        sink.write(data)
    with files.open(f"{bucket}/dir/data.bin", "rb", block_size=2**16) as source:
        source.seek(1_000_001)
        middle = source.read(777)
        source.seek(-10, 2)
        end = source.read()
    files.pipe({f"{bucket}/dir/a": b"1", f"{bucket}/dir/b c": b"2"})
    files.put(str(parquet), f"{bucket}/table.parquet")
    listed = sorted(files.find(f"{bucket}/dir"))
    files.copy(f"{bucket}/dir/a", f"{bucket}/dir/copy")
    files.rm(f"{bucket}/dir/a")
    duckdb.register_filesystem(files)
    query = "SELECT count(*), sum(user_id), max(ts) FROM read_parquet(?) WHERE latency_ms > 20"
    remote = duckdb.execute(query, [f"s3://{bucket}/table.parquet"]).fetchall()
    local = duckdb.execute(query, [str(parquet)]).fetchall()
    return {
        "ranges": middle == data[1_000_001:1_000_778] and end == data[-10:],
        "whole": files.cat(f"{bucket}/dir/data.bin") == data,
        "size": files.info(f"{bucket}/dir/data.bin")["size"],
        "listed": [name.removeprefix(f"{bucket}/") for name in listed],
        "left": sorted(name.rpartition("/")[2] for name in files.ls(f"{bucket}/dir", refresh=True)),
        "query": remote == local and remote[0][0] > 0,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], Path(sys.argv[2]))))
