"""Conditional writes on servers that do not know them: found out once, then held here as well as can be.

An upstream that knows If-None-Match and If-Match on writes decides atomically; it gets them and that is all. One that
ignores them would overwrite what a client wanted kept. So before the first such write of a process, two writes of a
probe show which kind it is. Where they are ignored, the object is looked at first: not atomic, but never ignored.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from s4gw.backends.remote.reserved import OWN_PREFIX
from s4gw.s3.errors import ConditionalRequestConflict, NoSuchKey, PreconditionFailed, S3Error

CONDITIONAL: Final = frozenset({"CompleteMultipartUpload", "CopyObject", "PutObject"})
IGNORED: Final = "the upstream ignores conditions of writes; they are checked before the write, not with it"

Call = Callable[..., dict[str, Any]]


class WriteConditions:
    """Safe to use from any thread.

    Args:
        call: Carries an operation out upstream, as `Upstream.call`.
        notice: Told in words when the upstream ignores conditions.
    """

    def __init__(self, call: Call, notice: Callable[[str], None]) -> None:
        self._call = call
        self._notice = notice
        self._lock = threading.Lock()
        self._heeded: bool | None = None

    def hold(self, operation: str, params: Mapping[str, Any]) -> None:
        """Return when *operation* may go up with its conditions. Raises: PreconditionFailed, NoSuchKey."""
        if operation not in CONDITIONAL or not ("IfNoneMatch" in params or "IfMatch" in params):
            return
        if params["Key"].startswith(OWN_PREFIX):  # the gateway's own protocol asks for no more than it is given
            return
        if self._heeded is None:
            with self._lock:
                if self._heeded is None:
                    self._heeded = self._find_out(params["Bucket"])
        if self._heeded is False:
            self._check(params)

    def _find_out(self, bucket: str) -> bool | None:
        """Whether the upstream decides; None when it cannot be told now."""
        place = {"Bucket": bucket, "Key": f"{OWN_PREFIX}probe/{uuid.uuid4().hex}"}
        made: list[str | None] = []

        def write() -> None:
            made.append(self._call("PutObject", **place, Body=b"probe", IfNoneMatch="*").get("VersionId"))

        try:
            write()
            write()
        except (PreconditionFailed, ConditionalRequestConflict):
            return True if made else None
        except S3Error:
            return None  # nothing can be written here, or not with a condition: the upstream says so itself
        finally:
            for version_id in dict.fromkeys(made):
                with suppress(S3Error):
                    self._call("DeleteObject", **place, VersionId=version_id)
        self._notice(IGNORED)
        return False

    def _check(self, params: Mapping[str, Any]) -> None:
        """Look first, as the upstream would not."""
        match = params.get("IfMatch")
        try:
            found = self._call("HeadObject", Bucket=params["Bucket"], Key=params["Key"])
        except NoSuchKey:
            if match is not None:
                raise
            return
        if match is None:
            raise PreconditionFailed(Condition="If-None-Match")
        if match.strip('"') not in ("*", str(found.get("ETag", "")).strip('"')):
            raise PreconditionFailed(Condition="If-Match")
