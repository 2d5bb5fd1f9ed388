"""A second factor shown with a request: ``x-amz-mfa``, the serial number of a device and the code on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from s4gw.auth.mfa import check_code, parse_header
from s4gw.gateway.resources.grants import bucket_of
from s4gw.s3.errors import AccessDenied

if TYPE_CHECKING:
    from s4gw.gateway.request import S3Request

HEADER: Final = "x-amz-mfa"
MESSAGE: Final = "Mfa Authentication must be used for this request"


def shown(req: S3Request) -> bool:
    """Whether the bucket's owner shows a code of a device of theirs, which is used up by that; False without a header.

    Raises: AccessDenied, for a code that is wrong, was used before or is not the owner's.
    """
    value = req.header_map.get(HEADER)
    if value is None:
        return False
    serial, code = parse_header(value)
    owner = req.principal.owner_id
    # SECURITY: as in S3, the second factor is the bucket owner's, whoever else may delete versions.
    secret = req.services.credentials.mfa_secret(owner, serial) if owner == bucket_of(req).owner else None
    step = None if secret is None else check_code(secret, code, req.services.clock())
    if step is None:
        raise AccessDenied(MESSAGE)
    req.services.backend.use_mfa_code(f"{owner} {serial}", step)
    return True


def shown_for_delete(req: S3Request) -> bool:
    """As `shown`; where the bucket does not ask for a code, none is used up."""
    return bucket_of(req).mfa_delete == "Enabled" and shown(req)
