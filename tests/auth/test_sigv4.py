"""Header signatures: everything botocore signs is accepted, nothing else is."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.auth import ANONYMOUS, AuthRequest, Credentials, CredentialStore, PayloadMode, authenticate
from s4gw.s3.errors import (
    AccessDenied,
    AuthorizationHeaderMalformed,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidRequest,
    InvalidToken,
    RequestTimeTooSkewed,
    S3Error,
    SignatureDoesNotMatch,
    UnsupportedSignature,
)
from tests.auth.signing import ACCESS_KEY, ALICE, HOST, NOW, SECRET_KEY, outcome, signed_header, store

KEYS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=40)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)

AWS_NOW = 1_369_353_600.0
"""2013-05-24T00:00:00Z, the moment of AWS's examples."""
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


def aws_example(
    method: str, path: str, query: str, headers: list[tuple[str, str]], signed: str, signature: str
) -> AuthRequest:
    """A request of AWS's documentation."""
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20130524/us-east-1/s3/aws4_request,"
        f"SignedHeaders={signed},Signature={signature}"
    )
    common = [("host", "examplebucket.s3.amazonaws.com"), ("x-amz-date", "20130524T000000Z")]
    return AuthRequest(method, path, query, [*common, *headers, ("authorization", authorization)], secure=True)


AWS_EXAMPLES = {
    "get object": aws_example(
        "GET",
        "/test.txt",
        "",
        [("range", "bytes=0-9"), ("x-amz-content-sha256", EMPTY_SHA256)],
        "host;range;x-amz-content-sha256;x-amz-date",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "put object": msgspec.structs.replace(
        aws_example(
            "PUT",
            "/test%24file.text",
            "",
            [
                ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
                ("x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"),
            ],
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        )
    ),
    "get bucket lifecycle": aws_example(
        "GET",
        "/",
        "lifecycle",
        [("x-amz-content-sha256", EMPTY_SHA256)],
        "host;x-amz-content-sha256;x-amz-date",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "list objects": aws_example(
        "GET",
        "/",
        "max-keys=2&prefix=J",
        [("x-amz-content-sha256", EMPTY_SHA256)],
        "host;x-amz-content-sha256;x-amz-date",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}


@pytest.mark.parametrize("name", AWS_EXAMPLES)
def test_examples_of_aws_are_accepted(name: str) -> None:
    """The signatures that AWS publishes verify."""
    identity = authenticate(AWS_EXAMPLES[name], store(), now=AWS_NOW)
    assert identity.principal == ALICE.principal


@settings(max_examples=100, deadline=None)
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    key=KEYS,
    query=st.dictionaries(NAMES, KEYS | st.just(""), max_size=4),
    meta=st.dictionaries(NAMES, VALUES, max_size=3),
    body=st.binary(max_size=50),
    region=st.sampled_from(["us-east-1", "eu-central-1", "garage"]),
)
def test_what_botocore_signs_is_accepted(
    method: str, key: str, query: dict[str, str], meta: dict[str, str], body: bytes, region: str
) -> None:
    """Any key, parameters, metadata, body and region: the principal is found, the body bound to its digest."""
    target = f"/bucket/{quote(key, safe='/~')}"
    if query:
        target += "?" + "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in query.items())
    request = signed_header(
        method, target, headers={f"x-amz-meta-{name}": value for name, value in meta.items()}, body=body, region=region
    )
    identity = authenticate(request, store(), now=NOW)
    assert (ALICE.principal, "header") == (identity.principal, identity.auth_type)
    assert hashlib.sha256(body).hexdigest() == identity.payload.sha256


@settings(max_examples=100, deadline=None)
@given(
    part=st.sampled_from(["method", "path", "query", "header", "authorization"]),
    at=st.integers(0, 10_000),
    by=st.integers(1, 255),
)
def test_any_changed_byte_is_refused(part: str, at: int, by: int) -> None:
    """One other byte in method, path, query, a signed header or the Authorization header ends the request."""
    request = signed_header(
        "PUT", "/bucket/some/key?partNumber=1&uploadId=x", headers={"x-amz-meta-a": "value"}, body=b"x"
    )

    def other(text: str) -> str:
        spot = at % len(text)
        changed = chr((ord(text[spot]) + by) % 256)
        return text[:spot] + changed + text[spot + 1 :]

    names = {
        "header": ("x-amz-meta-a", "x-amz-date", "x-amz-content-sha256", "host"),
        "authorization": ("authorization",),
    }
    changes: dict[str, Any] = {}
    if part in names:
        chosen = names[part][at % len(names[part])]
        changes["headers"] = [(name, other(value) if name == chosen else value) for name, value in request.headers]
    else:
        changes[part] = other(getattr(request, part))
    forged = msgspec.structs.replace(request, **changes)
    if same_meaning(request, forged):
        return
    knowing = store()
    authenticate(request, knowing, now=NOW)  # what it remembers of this one must not help the forged one
    outcomes = [outcome(forged, users) for users in (store(), knowing)]
    assert outcomes[0] == outcomes[1]
    assert outcomes[0] in (400, 403, ANONYMOUS)


def same_meaning(request: AuthRequest, forged: AuthRequest) -> bool:
    """Whether the change leaves every covered value as it was, e.g. blanks or an empty parameter."""
    squeezed = [(name, " ".join(value.split())) for name, value in forged.headers]
    pairs = sorted(part for part in forged.query.split("&") if part)
    same_query = pairs == sorted(request.query.split("&"))
    same_headers = squeezed == [(name, " ".join(value.split())) for name, value in request.headers]
    return same_headers and same_query and forged.path == request.path and forged.method == request.method


def test_another_secret_is_refused() -> None:
    """Knowing the access key is not enough."""
    request = signed_header("GET", "/bucket", secret="guess")
    with pytest.raises(SignatureDoesNotMatch) as caught:
        authenticate(request, store(), now=NOW)
    assert SECRET_KEY not in str(caught.value.facts)


def test_an_unknown_key_is_named() -> None:
    """S3 tells unknown access keys apart from wrong signatures."""
    request = signed_header("GET", "/bucket")
    with pytest.raises(InvalidAccessKeyId) as caught:
        authenticate(request, CredentialStore([]), now=NOW)
    assert ACCESS_KEY == caught.value.facts["AWSAccessKeyId"]


@pytest.mark.parametrize("skew", [-901.0, 901.0])
def test_a_clock_that_is_off_is_refused(skew: float) -> None:
    """More than fifteen minutes in either direction is too much, and the client learns the server's time."""
    request = signed_header("GET", "/bucket")
    with pytest.raises(RequestTimeTooSkewed) as caught:
        authenticate(request, store(), now=NOW + skew)
    assert "900000" == caught.value.facts["MaxAllowedSkewMilliseconds"]


@pytest.mark.parametrize("skew", [-899.0, 899.0])
def test_a_clock_that_is_nearly_right_is_accepted(skew: float) -> None:
    """Less than fifteen minutes is fine."""
    assert ALICE.principal == authenticate(signed_header("GET", "/bucket"), store(), now=NOW + skew).principal


def test_a_date_header_stands_in_for_x_amz_date() -> None:
    """Old clients sign the Date header instead."""
    request = signed_header("GET", "/bucket", headers={"Date": "Tue, 14 Nov 2023 22:13:20 GMT"})
    assert ("date", "x-amz-date" in dict(request.headers)) == ("date", False)
    assert ALICE.principal == authenticate(request, store(), now=NOW).principal


def test_an_unsigned_amz_header_is_refused() -> None:
    """Nobody can add a header that changes what a signed request does."""
    request = signed_header("PUT", "/bucket/key")
    added = msgspec.structs.replace(request, headers=[*request.headers, ("x-amz-acl", "public-read")])
    with pytest.raises(AccessDenied) as caught:
        authenticate(added, store(), now=NOW)
    assert "x-amz-acl" == caught.value.facts["HeadersNotSigned"]


def test_a_second_value_of_a_signed_header_is_refused() -> None:
    """A repeated header counts with both values."""
    request = signed_header("PUT", "/bucket/key", headers={"x-amz-acl": "private"})
    added = msgspec.structs.replace(request, headers=[*request.headers, ("x-amz-acl", "public-read")])
    with pytest.raises(SignatureDoesNotMatch):
        authenticate(added, store(), now=NOW)


def test_a_path_may_be_spelled_in_another_way() -> None:
    """A client that signs ``%2B`` and sends ``+`` in the path names the same key."""
    request = signed_header("GET", "/bucket/a%2Bb%28c%29")
    respelled = msgspec.structs.replace(request, path="/bucket/a+b(c)")
    assert ALICE.principal == authenticate(respelled, store(), now=NOW).principal


def test_a_plus_in_the_query_is_not_respelled() -> None:
    """``+`` means a blank to the gateway, so it cannot stand for a signed ``%2B``."""
    request = signed_header("GET", "/bucket?prefix=a%2Bb")
    respelled = msgspec.structs.replace(request, query="prefix=a+b")
    with pytest.raises(SignatureDoesNotMatch):
        authenticate(respelled, store(), now=NOW)


def test_dots_and_slashes_are_signed_as_sent() -> None:
    """S3 does not tidy paths."""
    request = signed_header("GET", "/bucket//a/../b/./c//")
    assert ALICE.principal == authenticate(request, store(), now=NOW).principal


def test_bytes_above_127_in_headers_are_signed_as_sent() -> None:
    """A UTF-8 header, which WSGI shows as Latin-1, verifies."""
    value = "naïve é"
    request = signed_header("PUT", "/bucket/key", headers={"content-disposition": value})
    headers = [(n, v.encode().decode("latin-1") if n == "content-disposition" else v) for n, v in request.headers]
    identity = authenticate(msgspec.structs.replace(request, headers=headers), store(), now=NOW)
    assert ALICE.principal == identity.principal


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("AWS AKIAIOSFODNN7EXAMPLE:c2lnbmF0dXJl", InvalidRequest),
        ("AWS4-ECDSA-P256-SHA256 Credential=a/b", UnsupportedSignature),
        ("Bearer token", InvalidArgument),
        ("AWS4-HMAC-SHA256", AuthorizationHeaderMalformed),
        ("AWS4-HMAC-SHA256 Credential=a/20231114/r/s3/aws4_request,SignedHeaders=host", AuthorizationHeaderMalformed),
        (
            "AWS4-HMAC-SHA256 Credential=a/r/s3/aws4_request,SignedHeaders=host,Signature=0",
            AuthorizationHeaderMalformed,
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/20231114/r/ec2/aws4_request,SignedHeaders=host,Signature=0",
            AuthorizationHeaderMalformed,
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/20231114/r/s3/aws5_request,SignedHeaders=host,Signature=0",
            AuthorizationHeaderMalformed,
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/today/r/s3/aws4_request,SignedHeaders=host,Signature=0",
            AuthorizationHeaderMalformed,
        ),
        (
            f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20231113/r/s3/aws4_request,SignedHeaders=host,Signature=0",
            AuthorizationHeaderMalformed,
        ),
        ("AWS4-HMAC-SHA256 Credential=a,Credential=b,SignedHeaders=host,Signature=0", AuthorizationHeaderMalformed),
    ],
)
def test_other_authorization_headers_get_their_own_error(value: str, error: type[S3Error]) -> None:
    """Each malformed or unsupported header is refused by S3's code."""
    headers = [
        ("host", HOST),
        ("x-amz-date", "20231114T221320Z"),
        ("x-amz-content-sha256", EMPTY_SHA256),
        ("authorization", value),
    ]
    with pytest.raises(error):
        authenticate(AuthRequest("GET", "/", "", headers, secure=False), store(), now=NOW)


def test_the_payload_header_is_required() -> None:
    """S3 wants x-amz-content-sha256 on every signed request."""
    request = signed_header("GET", "/bucket")
    bare = msgspec.structs.replace(request, headers=[(n, v) for n, v in request.headers if n != "x-amz-content-sha256"])
    with pytest.raises(InvalidRequest):
        authenticate(bare, store(), now=NOW)


def test_a_missing_date_is_refused() -> None:
    """A signature without time could be replayed for ever."""
    request = signed_header("GET", "/bucket")
    bare = msgspec.structs.replace(request, headers=[(n, v) for n, v in request.headers if n != "x-amz-date"])
    with pytest.raises(AccessDenied):
        authenticate(bare, store(), now=NOW)


def test_temporary_credentials_are_refused() -> None:
    """There is no token service, so no token is valid."""
    request = signed_header("GET", "/bucket", headers={"x-amz-security-token": "token"})
    with pytest.raises(InvalidToken):
        authenticate(request, store(), now=NOW)


@pytest.mark.parametrize("mode", [PayloadMode.STREAMING_SIGNED, PayloadMode.STREAMING_SIGNED_TRAILER])
def test_signed_chunks_bring_a_chain(mode: PayloadMode) -> None:
    """A streaming payload comes with what its chunks are to be checked with."""
    request = signed_header("PUT", "/bucket/key", payload=mode.value)
    payload = authenticate(request, store(), now=NOW).payload
    assert (mode, True) == (payload.mode, payload.signer is not None)


def test_an_unknown_payload_is_refused() -> None:
    """Neither a digest nor a word that S3 knows."""
    request = signed_header("PUT", "/bucket/key", payload="STREAMING-SOMETHING")
    with pytest.raises(InvalidArgument):
        authenticate(request, store(), now=NOW)


def test_nothing_signed_is_anonymous() -> None:
    """Anonymous is an identity, not an error; an empty Authorization header counts as none."""
    request = AuthRequest("GET", "/bucket/key", "", [("host", HOST), ("authorization", " ")], secure=False)
    identity = authenticate(request, store(), now=NOW)
    assert (ANONYMOUS, "anonymous") == (identity.principal, identity.auth_type)


def test_anonymous_requests_cannot_sign_chunks() -> None:
    """Chunk signatures without a key prove nothing."""
    headers = [("host", HOST), ("x-amz-content-sha256", PayloadMode.STREAMING_SIGNED.value)]
    with pytest.raises(InvalidRequest):
        authenticate(AuthRequest("PUT", "/bucket/key", "", headers, secure=False), store(), now=NOW)


def test_two_signatures_are_one_too_many() -> None:
    """Header and query together are refused."""
    request = signed_header("GET", "/bucket?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0")
    with pytest.raises(InvalidArgument):
        authenticate(request, store(), now=NOW)


def test_several_pairs_of_one_user_share_the_owner() -> None:
    """Both key pairs lead to the same canonical id."""
    second = Credentials("SECOND", "other", ALICE.owner_id, "alice-laptop")
    users = CredentialStore([ALICE, second])
    assert ALICE.owner_id == authenticate(signed_header("GET", "/"), users, now=NOW).principal.owner_id
    assert "alice" == users.owner_name(second.owner_id)
