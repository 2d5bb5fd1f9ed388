"""Tests of s4gw.auth.returning: what is remembered of verified requests makes the next one cheaper, no more."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4gw.auth import AuthRequest, CredentialStore, authenticate
from s4gw.auth.credentials import derive_signing_key
from s4gw.auth.returning import authenticate_returning
from s4gw.s3.errors import S3Error, SignatureDoesNotMatch
from tests.auth.signing import ACCESS_KEY, ALICE, HOST, NOW, SECRET_KEY, outcome, signed_header, store


def test_forged_requests_do_not_fill_the_caches() -> None:
    """Only what was verified is remembered."""
    users = store()
    for region in range(20):
        request = signed_header("GET", "/bucket", region=f"r{region}", secret="guess")
        with pytest.raises(SignatureDoesNotMatch):
            authenticate(request, users, now=NOW)
    assert 0 == len(users._signers) + len(users._signed_headers) + len(users._starts)


def test_the_cached_key_is_the_key() -> None:
    """A second request verifies with what the first one left, and a forged one does not."""
    users = store()
    request = signed_header("GET", "/bucket")
    authenticate(request, users, now=NOW)
    assert ALICE.principal == authenticate(request, users, now=NOW).principal
    with pytest.raises(SignatureDoesNotMatch):
        authenticate(signed_header("GET", "/bucket", secret="guess"), users, now=NOW)


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: text.replace("Signature=", "Signature= "),
        lambda text: text + ", Extra=1",
        lambda text: text + "\xe9",
        lambda text: text[:-1] + "\u0661",
        lambda text: text[:-64] + "Signature=" + text[-64:],
        lambda text: text.replace("AWS4-HMAC-SHA256 ", "Bearer "),
    ],
)
def test_a_remembered_beginning_changes_nooutcome(rewrite: Callable[[str], str]) -> None:
    """Whatever stands around the signature is judged as it would be in a first request."""
    users = store()
    request = signed_header("GET", "/bucket")
    authenticate(request, users, now=NOW)
    headers = [(n, rewrite(v) if n == "authorization" else v) for n, v in request.headers]
    odd = msgspec.structs.replace(request, headers=headers)
    assert outcome(odd, store()) == outcome(odd, users)


def by_hand(timestamp: str, day: str, color: str, **more: str) -> AuthRequest:
    """A request that is signed as no SDK does: with the key of *day*, and with its values as they are."""
    headers = {"host": HOST, "x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-date": timestamp, "x-amz-meta-c": color}
    lines, names = "".join(f"{name}:{value}\n" for name, value in headers.items()), ";".join(headers)
    canonical = f"GET\n/bucket\n\n{lines}\n{names}\nUNSIGNED-PAYLOAD"
    scope = f"{day}/us-east-1/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(derive_signing_key(SECRET_KEY, day, "us-east-1"), text.encode(), "sha256").hex()
    credential = f"Credential={ACCESS_KEY}/{scope}"
    headers["authorization"] = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={signature}"
    return AuthRequest("GET", "/bucket", "", list({**headers, **more}.items()), secure=False)


MIDNIGHT = 1_700_006_400.0
"""The 15th of November 2023 begins."""


@pytest.mark.parametrize(
    ("request_", "now"),
    [
        (by_hand("20231114T235959Z", "20231114", "dark  red"), MIDNIGHT),
        (by_hand("20231114T235959Z", "20231114", "dark\tred"), MIDNIGHT),
        (by_hand("20231115T000001Z", "20231114", "red"), MIDNIGHT),
        (by_hand("20231114T235959Z", "20231114", "red"), MIDNIGHT + 900),
        (by_hand("20231114T235959Z", "20231114", "red"), MIDNIGHT - 902),
        (by_hand("20231114T235959Z", "20231114", "red", **{"x-amz-acl": "public-read"}), MIDNIGHT),
        (by_hand("20231114T235959Z", "20231114", "red", **{"x-amz-security-token": "t"}), MIDNIGHT),
    ],
    ids=["blanks", "tab", "day", "late", "early", "loose", "token"],
)
def test_whoever_is_known_is_refused_as_others_are(request_: AuthRequest, now: float) -> None:
    """A right signature is not enough in a client's second request either."""
    users = store()
    authenticate(by_hand("20231114T235950Z", "20231114", "red"), users, now=MIDNIGHT)
    assert len(users._starts) == 1
    for known in (store(), users):
        with pytest.raises(S3Error):
            authenticate(request_, known, now=now)


def judged(request: AuthRequest, users: CredentialStore, now: float) -> Any:
    """All that authentication says of *request*."""
    try:
        found = authenticate(request, users, now=now)
    except S3Error as error:
        return error.code, error.text, error.facts
    return msgspec.structs.replace(found, payload=msgspec.structs.replace(found.payload, signer=None))


AMONG = ("host", "x-amz-date", "x-amz-content-sha256", "x-amz-meta-color", "authorization", "accept")
EDITS = st.one_of(
    st.tuples(st.just("method"), st.sampled_from(["PUT", "HEAD"])),
    st.tuples(st.just("path"), st.sampled_from(["/bucket/k%20k", "/bucket/k%2bk", "/bucket/k+k", "/bucket/other"])),
    st.tuples(st.just("query"), st.sampled_from(["", "a=1&b=2", "b=2&a=1", "X-Amz-Date=1", "AWSAccessKeyId=1"])),
    st.tuples(st.just("drop"), st.sampled_from(AMONG)),
    st.tuples(st.just("add"), st.sampled_from([*AMONG, "x-amz-acl", "x-amz-security-token", "x-other"])),
    st.tuples(st.just("blank"), st.sampled_from(AMONG)),
    st.tuples(st.just("digit"), st.sampled_from(AMONG)),
)


@given(
    edits=st.lists(EDITS, max_size=3),
    payload=st.sampled_from(["", "UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-X", "f" * 64]),
    color=st.sampled_from(["red", "dark  red", "dark\tred", " red ", "r\xe9d"]),
    late=st.sampled_from([0.0, -5.0, 899.9, 901.0, -901.0, 86_400.0]),
)
def test_a_client_that_comes_again_is_judged_as_if_it_came_first(
    edits: list[tuple[str, str]], payload: str, color: str, late: float
) -> None:
    """Whatever is changed of a request, those who know the client say of it what those say who do not."""
    users = store()
    request = signed_header("GET", "/bucket/k%20k?b=2&a=1", headers={"x-amz-meta-color": color}, payload=payload)
    outcome(request, users)
    for kind, value in edits:
        headers = list(request.headers)
        if kind == "drop":
            headers = [pair for pair in headers if pair[0] != value]
        elif kind == "add":
            headers.append((value, "1"))
        elif kind == "blank":
            headers = [(name, text.replace("e", "e  ") if name == value else text) for name, text in headers]
        elif kind == "digit":
            headers = [(name, text[:-1] + "0" if name == value else text) for name, text in headers]
        else:
            request = msgspec.structs.replace(request, **{kind: value})
        request = msgspec.structs.replace(request, headers=headers)
    assert judged(request, store(), NOW + late) == judged(request, users, NOW + late)


def test_a_client_that_comes_again_is_known() -> None:
    """Its second request goes the short way, which gives the same identity."""
    users = store()
    request = signed_header("PUT", "/bucket/key", payload="UNSIGNED-PAYLOAD")
    assert authenticate_returning(request, users, now=NOW) is None
    assert authenticate(request, users, now=NOW) == authenticate_returning(request, users, now=NOW)
