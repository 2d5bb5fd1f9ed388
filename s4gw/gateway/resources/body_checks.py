"""Documents in request bodies: read whole, bounded, and checked against the digests that came with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s4gw.gateway.resources.upload_request import digest_plan
from s4gw.s3.errors import InvalidRequest

if TYPE_CHECKING:
    from s4gw.gateway.request import S3Request


def read_document(
    req: S3Request, limit: int, *, digest_required: bool = False, checksum_of_object: bool = False
) -> bytes:
    """Give the body of *req*, at most *limit* bytes of it.

    Args:
        req: The request; its body must not have been read.
        limit: Largest body in bytes.
        digest_required: The operation destroys something, so S3 wants Content-MD5 or a checksum.
        checksum_of_object: The checksum header speaks of the object that the document makes, not of the document.

    Raises: MaxMessageLengthExceeded, BadDigest, InvalidDigest, InvalidRequest, XAmzContentSHA256Mismatch.
    """
    headers = req.header_map
    if checksum_of_object:
        headers = {name: value for name, value in headers.items() if not name.startswith("x-amz-checksum-")}
    plan = digest_plan(req, fields=headers)
    if digest_required and not plan.expected and plan.trailer is None:
        raise InvalidRequest("Missing required header for this request: Content-MD5")
    body = req.body.read_all(limit)
    if plan.expected or plan.trailer is not None:
        plan.check(plan.of_whole(body), req.body.trailers)
    return body
