"""An upstream that goes wrong at random: what was acknowledged is there, and no wrong byte is ever served."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from tests.live import upstreams
from tests.live.fault_proxy import Fault, proxied
from tests.live.upstreams import Upstream

MIB: Final = 1024**2
WRITERS: Final = 4
STEPS: Final = 40
KEYS: Final = 3
FAULTY: Final = 0.08
"""Share of requests to the upstream that go wrong; with two attempts, every thirtieth call of a client fails."""
SIZES: Final = (0, 10, 5000, 300_000, 3 * MIB)
FAILURES: Final = (ClientError, BotoCoreError)


class Writer:
    """Owns some keys, and knows what each may hold."""

    def __init__(self, s3: Any, number: int) -> None:
        self._s3 = s3
        self._rng = random.Random(number)
        self._number = number
        self.may_hold: dict[str, set[bytes | None]] = {f"w{number}/{key}": {None} for key in range(KEYS)}
        self.wrong: list[str] = []
        self.done = 0

    def run(self) -> None:
        """Do one thing after another, whatever fails."""
        for step in range(STEPS):
            key = self._rng.choice(list(self.may_hold))
            act = self._rng.choice((self._put, self._put, self._upload, self._get, self._get, self._delete))
            try:
                act(key, self._body(step))
            except FAILURES:
                continue
            self.done += 1

    def _body(self, step: int) -> bytes:
        size = self._rng.choice(SIZES)
        mark = b"%d/%d " % (self._number, step)
        filler = self._rng.randbytes(size) if self._rng.random() < 0.5 else mark * (size // len(mark))
        return mark + filler

    def _put(self, key: str, body: bytes) -> None:
        self._changes(key, body, lambda: self._s3.put_object(Bucket="chaos", Key=key, Body=body))

    def _delete(self, key: str, _body: bytes) -> None:
        self._changes(key, None, lambda: self._s3.delete_object(Bucket="chaos", Key=key))

    def _upload(self, key: str, body: bytes) -> None:
        """In two parts."""
        where = {"Bucket": "chaos", "Key": key}
        where["UploadId"] = self._s3.create_multipart_upload(**where)["UploadId"]
        first = body * (5 * MIB // len(body) + 1)
        parts = [
            {"PartNumber": number, "ETag": self._s3.upload_part(**where, PartNumber=number, Body=part)["ETag"]}
            for number, part in enumerate((first, body), start=1)
        ]
        ended = {"MultipartUpload": {"Parts": parts}}
        self._changes(key, first + body, lambda: self._s3.complete_multipart_upload(**where, **ended))

    def _changes(self, key: str, body: bytes | None, act: Any) -> None:
        """What fails may have happened; what succeeds has."""
        self.may_hold[key].add(body)
        act()
        self.may_hold[key] = {body}

    def _get(self, key: str, _body: bytes) -> None:
        self.look(key)

    def look(self, key: str) -> None:
        """Read *key*, and note when it holds what it cannot."""
        try:
            found: bytes | None = self._s3.get_object(Bucket="chaos", Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise
            found = None
        if found not in self.may_hold[key]:
            self.wrong.append(f"{key}: {found and found[:20]!r}")
        self.may_hold[key] = {found}


def test_no_byte_is_lost_or_wrong(tmp_path: Path) -> None:
    """Connections break, answers are lost or cut, errors come: the old object or the new one, never anything else."""
    rng = random.Random(14)
    chosen = (Fault.RESET, Fault.ERROR, Fault.UNAVAILABLE, Fault.TRUNCATE, Fault.LOST)
    with upstreams.s4gw(tmp_path / "up", "--codec", "passthrough") as store, proxied(store.url) as proxy:
        through = Upstream("proxy", proxy.url)
        with upstreams.in_front(tmp_path / "front", through, "--workers", "1", "--upstream-attempts", "2") as gateway:
            gateway.client().create_bucket(Bucket="chaos")
            writers = [Writer(gateway.client(), number) for number in range(WRITERS)]
            proxy.chance = lambda _operation: rng.choice(chosen) if rng.random() < FAULTY else None
            with ThreadPoolExecutor(WRITERS) as pool:
                list(pool.map(Writer.run, writers))
            proxy.chance = lambda _operation: None
            for writer in writers:
                for key in writer.may_hold:
                    writer.look(key)
    done = sum(writer.done for writer in writers)
    assert ([], True) == ([wrong for writer in writers for wrong in writer.wrong], done > WRITERS * STEPS // 2)
