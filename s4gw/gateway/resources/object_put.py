"""Writing objects: PutObject and PostObject (browser form)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from s4gw.gateway.resources import expiration
from s4gw.gateway.resources.base import Resource, quoted
from s4gw.gateway.resources.upload_request import digest_plan, meta_of, telling, write_conditions
from s4gw.s3.errors import EntityTooLarge, InvalidRequest

if TYPE_CHECKING:
    import falcon

    from s4gw.gateway.request import S3Request
    from s4gw.objects import Written

OBJECT_BYTES_MAX: Final = 5 * 1024**3
"""One PUT or one part, as in S3."""


def check_length(length: int | None) -> None:
    """Raises: EntityTooLarge before a byte of the body is read."""
    if length is not None and length > OBJECT_BYTES_MAX:
        raise EntityTooLarge(ProposedSize=str(length), MaxSizeAllowed=str(OBJECT_BYTES_MAX))


def versions_are_told(req: S3Request) -> bool:
    """Whether a write answers with a version id: only where versioning makes one."""
    return req.bucket_info is not None and req.bucket_info.versioning == "Enabled"


def written_headers(req: S3Request, written: Written) -> dict[str, str]:
    """Headers of a successful write."""
    meta = written.object.meta
    found = {"ETag": quoted(written.object.etag)}
    for name, value in meta.checksums.items():
        found[f"x-amz-checksum-{name.lower()}"] = value
        found["x-amz-checksum-type"] = meta.checksum_type
    info = req.bucket_info
    if info is not None and expiration.CONFIG in info.configs:
        found.update(expiration.headers(req, written.object))
    if versions_are_told(req):
        found["x-amz-version-id"] = written.object.version_id
    if meta.forwarded:
        found.update(meta.forwarded)
    return found


def note(req: S3Request, written: Written) -> None:
    """Tell log and metrics what squishing made of the body."""
    req.facts.codec = written.codec
    req.facts.original_bytes = written.size
    req.facts.stored_bytes = written.stored_size


class PutObject(Resource):
    """Store a body as the current version of a key."""

    def respond(self, req: S3Request, resp: falcon.Response) -> None:
        """Durable before the answer; nothing is visible when anything about the body is wrong."""
        said, body = telling(req.header_map), req.body
        if "x-amz-write-offset-bytes" in said:
            raise InvalidRequest("Appending is for directory buckets")
        check_length(body.length)
        meta, plan = meta_of(req, said), digest_plan(req, fields=said)
        if meta.lock is not None and not plan.expected and plan.trailer is None:
            raise InvalidRequest(
                "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock "
                "parameters"
            )
        written = self.objects.put(
            req.bucket,
            req.key,
            body,
            meta=meta,
            plan=plan,
            conditions=write_conditions(said),
        )
        note(req, written)
        resp.set_headers(written_headers(req, written))
