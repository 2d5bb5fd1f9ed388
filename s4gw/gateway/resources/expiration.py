"""What answers tell of lifecycle rules: when the object that they are about will expire, an upload be ended."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from s4gw.bucketconfig import Rule, Seen, abort_of, expiry_header, expiry_of, stored_lifecycle

if TYPE_CHECKING:
    from s4gw.backends.base import StoredObject, Upload
    from s4gw.gateway.request import S3Request


CONFIG: Final = "lifecycle"
"""Document of a bucket that has rules."""


def headers(req: S3Request, obj: StoredObject) -> dict[str, str]:
    """``x-amz-expiration`` of a current version that a rule is about."""
    info = req.bucket_info
    if info is None or CONFIG not in info.configs:
        return {}
    rules = _rules(req)
    if not rules or not obj.is_latest:
        return {}
    seen = Seen(
        key=obj.key,
        size=obj.size,
        modified_ms=obj.modified_ms,
        latest=True,
        marker=False,
        tags=lambda: obj.meta.tags,
    )
    found = expiry_of(rules, seen)
    return {} if found is None else {"x-amz-expiration": expiry_header(*found)}


def of_upload(req: S3Request, upload: Upload) -> dict[str, Any]:
    """Members of an answer about an upload that a rule will end."""
    found = abort_of(_rules(req), upload.key, upload.started_ms)
    return {} if found is None else {"AbortDate": found[0], "AbortRuleId": found[1]}


def _rules(req: S3Request) -> tuple[Rule, ...]:
    configs = req.bucket_info.configs if req.bucket_info is not None else {}
    # PERF: most buckets have none; those that have are asked with every request.
    return _parsed(configs[CONFIG]) if CONFIG in configs else ()


@lru_cache(maxsize=1024)
def _parsed(stored: bytes) -> tuple[Rule, ...]:
    return stored_lifecycle({CONFIG: stored})
