"""The one entrance: finds out how a request is signed and verifies it.

A request carries at most one kind of signature. One without any is anonymous, which is an identity like others:
whether it may do something is policy's business. Form posts come in anonymous; their signature is in the form, and
`s4gw.auth.post_policy` verifies it.
"""

from __future__ import annotations

from s4gw.auth.canonical import header_values
from s4gw.auth.credentials import CredentialStore
from s4gw.auth.model import ANONYMOUS, AuthRequest, Identity
from s4gw.auth.presign import authenticate_query, presign_parameters
from s4gw.auth.returning import authenticate_returning
from s4gw.auth.sigv2 import authenticate_sigv2_header, authenticate_sigv2_query, is_sigv2_header, sigv2_parameters
from s4gw.auth.sigv4 import PAYLOAD_HEADER, authenticate_header, payload_plan
from s4gw.s3.errors import InvalidArgument, InvalidRequest


def authenticate(
    request: AuthRequest,
    credentials: CredentialStore,
    *,
    now: float,
    sigv2: bool = False,
    sigv2_headers: bool = False,
) -> Identity:
    """Find out who sent *request*.

    Args:
        request: Method, path, query and headers exactly as sent.
        credentials: Users and their key pairs.
        now: Seconds since the epoch.
        sigv2: Also accept URLs presigned with Signature Version 2.
        sigv2_headers: Also accept Authorization headers of that version.

    Returns: The identity; its principal is `ANONYMOUS` when nothing is signed.
    Raises: S3's error for any signature that is malformed, too old, unknown or wrong.
    """
    query = request.query
    parameters = presign_parameters(query) if "X-Amz-" in query else None
    older = sigv2_parameters(query) if "AWSAccessKeyId" in query else None
    if not parameters and not older:
        known = authenticate_returning(request, credentials, now=now)
        if known is not None:
            return known
    values = header_values(request.headers)
    if values.get("authorization"):
        if parameters or older:
            raise InvalidArgument(
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
                "parameter or the Authorization header should be specified",
                ArgumentName="Authorization",
            )
        if sigv2_headers and is_sigv2_header(values["authorization"]):
            return authenticate_sigv2_header(request, values, credentials, now=now)
        return authenticate_header(request, values, credentials, now=now)
    if parameters:
        return authenticate_query(request, values, parameters, credentials, now=now)
    if older:
        if not sigv2:
            raise InvalidRequest(
                "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
            )
        return authenticate_sigv2_query(request, values, older, credentials, now=now)
    return Identity(ANONYMOUS, "anonymous", payload_plan(values.get(PAYLOAD_HEADER), None))
