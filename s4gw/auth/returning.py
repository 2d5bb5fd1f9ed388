"""Clients that come again: a request that differs from a verified one of theirs as their next one does.

What stands before the signature in an Authorization header, the credential and the names of the signed headers, is the
same in each request of a client. Where it is known, nothing has to be taken apart or derived again.

SECURITY: every check of `s4gw.auth.sigv4` is made here as well, and whatever fails one is given to it to be judged, so
that nothing is accepted here that it would refuse.
"""

from __future__ import annotations

from s4gw.auth.canonical import canonical_request
from s4gw.auth.credentials import CredentialStore
from s4gw.auth.model import AuthRequest, Identity
from s4gw.auth.sigv4 import (
    PAYLOAD_HEADER,
    SIGNATURE,
    SKEW_MAX_S,
    header_identity,
    is_signature,
    parse_iso_time,
    signing_prefix,
)


def authenticate_returning(request: AuthRequest, credentials: CredentialStore, *, now: float) -> Identity | None:
    """Who sent *request*, if a client that is known has signed it in its Authorization header.

    PERF: 9 us instead of 13 for a small request.

    Args:
        request: As sent.
        credentials: Who may sign, and what is known of them.
        now: Seconds since the epoch.

    Returns: None, if the request is to be looked at in full.
    Raises: InvalidArgument, InvalidRequest, UnsupportedSignature: about ``x-amz-content-sha256`` of a signed request.
    """
    values = dict(request.headers)
    start, _, signature = values.get("authorization", "").rpartition(SIGNATURE)
    known = credentials.recall_start(start)
    if known is None or len(values) < len(request.headers):
        return None
    signer, signed = known
    timestamp, payload_hash = values.get("x-amz-date", ""), values.get(PAYLOAD_HEADER)
    moment = parse_iso_time(timestamp)
    if (
        moment is None
        or payload_hash is None
        or not timestamp.startswith(signer.date)
        or abs(now - moment) > SKEW_MAX_S
    ):
        return None
    for name in values.keys() - signed.all:  # a list of names with a security token's was never verified
        if name == "host" or name.startswith("x-amz-"):
            return None
    canonical = canonical_request(request, values, signed, payload_hash)
    if b"  " in canonical or b"\t" in canonical:
        return None  # runs of blanks may have to be made one; those at the ends the parser has taken off
    if not is_signature(signature, signing_prefix(timestamp, signer), canonical, signer.mac):
        return None
    return header_identity(signer, timestamp, moment, payload_hash, signature, now=now)
