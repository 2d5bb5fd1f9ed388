"""The one entrance: finds out how a request is signed and verifies it.

A request carries at most one kind of signature. One without any is anonymous, which is an identity like others:
whether it may do something is policy's business. Form posts come in anonymous; their signature is in the form, and
`s4gw.auth.post_policy` verifies it.
"""

from __future__ import annotations

from s4gw.auth.credentials import CredentialStore
from s4gw.auth.model import ANONYMOUS, AuthRequest, Identity
from s4gw.auth.presign import authenticate_query, presign_parameters
from s4gw.auth.sigv4 import authenticate_header, payload_plan
from s4gw.s3.errors import InvalidArgument


def authenticate(request: AuthRequest, credentials: CredentialStore, *, now: float) -> Identity:
    """Find out who sent *request*.

    Args:
        request: Method, path, query and headers exactly as sent.
        credentials: Users and their key pairs.
        now: Seconds since the epoch.

    Returns: The identity; its principal is `ANONYMOUS` when nothing is signed.
    Raises: S3's error for any signature that is malformed, too old, unknown or wrong.
    """
    authorization = [value for name, value in request.headers if name == "authorization" and value.strip()]
    parameters = presign_parameters(request.query)
    if len(authorization) + bool(parameters) > 1:
        raise InvalidArgument(
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
            "parameter or the Authorization header should be specified",
            ArgumentName="Authorization",
        )
    if authorization:
        return authenticate_header(request, authorization[0].strip(), credentials, now=now)
    if parameters:
        return authenticate_query(request, parameters, credentials, now=now)
    declared = next((value.strip() for name, value in request.headers if name == "x-amz-content-sha256"), None)
    return Identity(principal=ANONYMOUS, auth_type="anonymous", payload=payload_plan(declared, None))
