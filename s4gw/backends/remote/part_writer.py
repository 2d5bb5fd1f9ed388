"""The body of a part on its way upstream: kept while it is small, sent as an upload of the upstream's when it is not.

Memory: `SPILL_BYTES` at most while it is kept, then `BLOCK_BYTES` being filled and as many being sent.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from typing import Any, Final

from s4gw.backends.bodies import Buffer
from s4gw.backends.remote.blocks import Blocks
from s4gw.s3.errors import InternalError, S3Error

SPILL_BYTES: Final = 16 * 1024 * 1024
"""Up to here a part is one PUT."""
BLOCK_BYTES: Final = 8 * 1024 * 1024
"""Beyond, it goes up in blocks of this size: 5 GiB in 640 of them."""

Call = Callable[..., dict[str, Any]]


class PartWriter:
    """A `Writer` of the port for parts and tails.

    Args:
        call: Carries an operation out upstream.
        pool: Sends blocks while the next one is being filled.
        bucket: Of the upload.
        prefix: What the upload's objects lie under.
        params: Further parameters of what is created, such as encryption.
        spill_bytes: A body larger than this is sent as it comes.
        block_bytes: Size of a block.
    """

    shares = False

    def __init__(  # noqa: PLR0913 - where bytes go, and how
        self,
        call: Call,
        pool: Executor,
        bucket: str,
        prefix: str,
        params: Mapping[str, Any],
        *,
        spill_bytes: int = SPILL_BYTES,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self._call = call
        self._pool = pool
        self._spill_bytes = spill_bytes
        self._block_bytes = block_bytes
        self.params = params
        self.data_id = secrets.token_hex(16)
        self._place = {"Bucket": bucket, "Key": f"{prefix}data/{self.data_id}"}
        self._held = Blocks()
        self._upstream_id = ""
        self._sent: list[str] = []
        self._sending: Future[dict[str, Any]] | None = None
        self.size = 0

    @property
    def spilled(self) -> bool:
        """Whether bytes lie upstream already; otherwise `taken` gives them."""
        return bool(self._upstream_id)

    @property
    def data_key(self) -> str:
        """Where a spilled body lies once it is complete."""
        return self._place["Key"]

    def divide(self) -> None: ...

    def write(self, *buffers: Buffer) -> None:
        held = self._held
        for buffer in buffers:
            held.add(buffer)
            self.size += len(buffer)
        if self.spilled or held.size > self._spill_bytes:
            while held.size > self._block_bytes:
                self._send(held.take(self._block_bytes))

    def abort(self) -> None:
        self._held.clear()
        upstream_id, self._upstream_id = self._upstream_id, ""
        if upstream_id:
            if self._sending is not None:
                self._sending.exception()
            # What is left behind then is swept by age.
            with contextlib.suppress(S3Error):
                self._call("AbortMultipartUpload", **self._place, UploadId=upstream_id)

    def taken(self) -> list[bytearray]:
        """The bytes of a body that did not spill, to their new owner. Raises: InternalError."""
        if self.spilled:
            raise InternalError
        return self._held.take()

    def complete(self) -> str:
        """Make the spilled body one object upstream. Returns: its ETag. Raises: S3Error."""
        if self._held.size or not self._sent:
            self._send(self._held.take())
        self._settle()
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(self._sent, 1)]
        result = self._call(
            "CompleteMultipartUpload",
            **self._place,
            UploadId=self._upstream_id,
            MultipartUpload={"Parts": parts},
        )
        self._upstream_id = ""
        return str(result.get("ETag") or "").strip('"')

    def put(self) -> str:
        """Make a body that did not spill one object upstream. Returns: its ETag. Raises: S3Error."""
        result = self._call("PutObject", **self._place, Body=self.taken(), **self.params)
        return str(result.get("ETag") or "").strip('"')

    def _send(self, block: list[bytearray]) -> None:
        if not self._upstream_id:
            self._upstream_id = self._call("CreateMultipartUpload", **self._place, **self.params)["UploadId"]
        self._settle()
        self._sending = self._pool.submit(
            self._call,
            "UploadPart",
            **self._place,
            UploadId=self._upstream_id,
            PartNumber=len(self._sent) + 1,
            Body=block,
        )

    def _settle(self) -> None:
        """Wait for the block under way."""
        if self._sending is not None:
            sending, self._sending = self._sending, None
            self._sent.append(sending.result()["ETag"])
