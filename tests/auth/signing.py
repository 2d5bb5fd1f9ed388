"""Requests signed by botocore, in the form in which the gateway sees them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import botocore.auth
from botocore.auth import S3SigV4Auth, S3SigV4PostAuth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from s4gw.auth import AuthRequest, Credentials, CredentialStore, authenticate
from s4gw.s3.errors import S3Error

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
HOST = "127.0.0.1:8014"
NOW = 1_700_000_000.0

ALICE = Credentials(ACCESS_KEY, SECRET_KEY, "a" * 64, "alice")


def store() -> CredentialStore:
    """A fresh store with one user."""
    return CredentialStore([ALICE])


def at(moment: float) -> Any:
    """Let botocore believe that it is *moment*, in seconds since the epoch."""
    then = dt.datetime.fromtimestamp(moment, dt.UTC)
    return mock.patch.object(
        botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: _naive(then, remove_tzinfo)
    )


def _naive(then: dt.datetime, remove: bool) -> dt.datetime:
    return then.replace(tzinfo=None) if remove else then


def as_received(request: AWSRequest) -> AuthRequest:
    """What a server reads from the wire for *request*."""
    parts = urlsplit(request.url)
    headers = [
        (name.lower(), value if isinstance(value, str) else value.decode()) for name, value in request.headers.items()
    ]
    if not any(name == "host" for name, _ in headers):
        headers.insert(0, ("host", parts.netloc))
    return AuthRequest(request.method, parts.path, parts.query, headers, secure=False)


def signed_header(
    method: str,
    target: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    region: str = "us-east-1",
    moment: float = NOW,
    secret: str = SECRET_KEY,
    payload: str = "",
) -> AuthRequest:
    """A request that botocore signed in its Authorization header; *payload* replaces the digest of the body."""
    request = AWSRequest(method=method, url=f"http://{HOST}{target}", data=body, headers=dict(headers or {}))
    signer = S3SigV4Auth(BotoCredentials(ACCESS_KEY, secret), "s3", region)
    if payload:
        signer.payload = lambda _request: payload
    with at(moment):
        signer.add_auth(request)
    return as_received(request)


def signed_query(
    method: str,
    target: str,
    *,
    headers: Mapping[str, str] | None = None,
    expires: int = 3600,
    region: str = "us-east-1",
    moment: float = NOW,
) -> AuthRequest:
    """A request that botocore presigned."""
    request = AWSRequest(method=method, url=f"http://{HOST}{target}", headers=dict(headers or {}))
    with at(moment):
        S3SigV4QueryAuth(BotoCredentials(ACCESS_KEY, SECRET_KEY), "s3", region, expires=expires).add_auth(request)
    return as_received(request)


def signed_form(policy: Mapping[str, Any], fields: Mapping[str, str], *, moment: float = NOW) -> dict[str, str]:
    """Fields of a form whose policy botocore signed."""
    request = AWSRequest(method="POST", url=f"http://{HOST}/bucket")
    request.context["s3-presign-post-fields"] = dict(fields)
    request.context["s3-presign-post-policy"] = dict(policy)
    with at(moment):
        S3SigV4PostAuth(BotoCredentials(ACCESS_KEY, SECRET_KEY), "s3", "us-east-1").add_auth(request)
    return {name.lower(): str(value) for name, value in request.context["s3-presign-post-fields"].items()}


def outcome(request: AuthRequest, users: CredentialStore) -> Any:
    """Who sent it, or the status of the error, which depends on the byte that was changed."""
    try:
        return authenticate(request, users, now=NOW).principal
    except S3Error as error:
        return error.status
