"""The authentication middleware: every request gets an identity or an error."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from s4gw.auth import AuthRequest
from s4gw.gateway.middleware.authentication import Authentication
from s4gw.s3.errors import SignatureDoesNotMatch
from s4gw.s3.operation import PREFLIGHT, ROUTED, Operation
from s4gw.settings import Settings
from tests.auth.signing import ALICE, HOST, NOW, signed_header, store


def authenticated(request: AuthRequest, asked: Operation = ROUTED["PutObject"]) -> Any:
    """*request* after the middleware."""
    services = SimpleNamespace(credentials=store(), clock=lambda: NOW, settings=Settings())
    req = SimpleNamespace(
        operation=asked,
        method=request.method,
        raw_path=request.path,
        raw_query=request.query,
        raw_headers=request.headers,
        header_map=dict(request.headers),
        secure=request.secure,
    )
    Authentication(cast("Any", services)).process_request(cast("Any", req), cast("Any", None))
    return req.identity


def test_the_signer_is_found() -> None:
    """From method, path, query and headers as sent."""
    identity = authenticated(signed_header("PUT", "/bucket/k%20k?partNumber=1&uploadId=u", body=b"x"))
    assert (ALICE.principal, "header") == (identity.principal, identity.auth_type)


def test_nobody_is_anonymous() -> None:
    """A request without signature goes on, as nobody."""
    assert authenticated(AuthRequest("GET", "/", "", [("host", HOST)], secure=False)).principal.anonymous


def test_a_forged_request_ends_here() -> None:
    """Nothing else sees it."""
    with pytest.raises(SignatureDoesNotMatch):
        authenticated(signed_header("GET", "/bucket", secret="guess"))


def test_a_preflight_is_the_browsers_own() -> None:
    """It names a presigned URL and cannot be signed as that request will be."""
    request = signed_header("GET", "/bucket", secret="guess")
    assert authenticated(request, PREFLIGHT).principal.anonymous
