"""Form uploads: the policy binds every field, the signature binds the policy."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.auth import authenticate_form, form_policy
from s4gw.s3.errors import (
    AccessDenied,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidPolicyDocument,
    InvalidRequest,
    InvalidToken,
    S3Error,
    SignatureDoesNotMatch,
)
from tests.auth.signing import ACCESS_KEY, ALICE, NOW, SECRET_KEY, signed_form, store

POLICY: Mapping[str, Any] = {
    "expiration": "2030-01-01T00:00:00.000Z",
    "conditions": [
        {"bucket": "bucket"},
        ["starts-with", "$key", "user/"],
        {"acl": "private"},
        ["starts-with", "$Content-Type", "image/"],
        ["content-length-range", 10, 1000],
    ],
}
FIELDS = {"key": "user/a.png", "acl": "private", "Content-Type": "image/png"}


def form(policy: Mapping[str, Any] = POLICY, changed: Mapping[str, str] | None = None) -> dict[str, str]:
    """A signed form, its fields changed afterwards."""
    fresh = {**policy, "conditions": list(policy.get("conditions", []))} if "conditions" in policy else dict(policy)
    return signed_form(fresh, FIELDS) | dict(changed or {})


def raw_form(document: object) -> dict[str, str]:
    """Fields with any policy, signed with Signature Version 2."""
    encoded = base64.b64encode(json.dumps(document).encode()).decode()
    digest = hmac.digest(SECRET_KEY.encode(), encoded.encode(), "sha1")
    return {
        **{name.lower(): value for name, value in FIELDS.items()},
        "policy": encoded,
        "awsaccesskeyid": ACCESS_KEY,
        "signature": base64.b64encode(digest).decode(),
    }


def test_a_form_of_botocore_is_accepted() -> None:
    """The signer is found, and the sizes it allows."""
    fields = form()
    identity = authenticate_form(fields, store(), now=NOW, bucket="bucket")
    policy = form_policy(fields)
    assert policy is not None
    assert (ALICE.principal, "post", (10, 1000)) == (identity.principal, identity.auth_type, policy.size_range)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"key": "other/a.png"}, r'\["starts-with", "\$key", "user/"\]'),
        ({"acl": "public-read"}, r'\["eq", "\$acl", "private"\]'),
        ({"content-type": "text/html"}, "content-type"),
        ({"content-type": "image/png,text/html"}, "content-type"),
        ({"x-amz-meta-extra": "1"}, "Extra input fields: x-amz-meta-extra"),
        ({"success_action_redirect": "http://evil"}, "Extra input fields"),
    ],
)
def test_a_field_outside_the_policy_is_refused(changed: dict[str, str], text: str) -> None:
    """Neither another value nor another field gets through, and the client learns which."""
    with pytest.raises(AccessDenied, match=text):
        authenticate_form(form(changed=changed), store(), now=NOW, bucket="bucket")


def test_another_bucket_is_refused() -> None:
    """The bucket is where the form was sent, not what a field says."""
    with pytest.raises(AccessDenied):
        authenticate_form(form(changed={"bucket": "bucket"}), store(), now=NOW, bucket="other")


def test_documented_fields_need_no_condition() -> None:
    """x-ignore- fields and the submit button may be added."""
    fields = form(changed={"x-ignore-me": "1", "submit": "Upload"})
    assert ALICE.principal == authenticate_form(fields, store(), now=NOW, bucket="bucket").principal


def test_the_bucket_needs_a_condition() -> None:
    """A policy that names no bucket would open them all."""
    policy = {**POLICY, "conditions": list(POLICY["conditions"])[1:]}
    with pytest.raises(AccessDenied, match="Extra input fields: bucket"):
        authenticate_form(form(policy), store(), now=NOW, bucket="bucket")


def test_an_expired_policy_is_refused() -> None:
    """From its expiration on."""
    ends = 1_893_456_000.0
    assert ALICE.principal == authenticate_form(form(), store(), now=ends - 1, bucket="bucket").principal
    with pytest.raises(AccessDenied, match="Policy expired"):
        authenticate_form(form(), store(), now=ends, bucket="bucket")


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(["policy", "x-amz-signature", "x-amz-date", "x-amz-credential"]),
    at=st.integers(0, 5000),
    by=st.integers(1, 90),
)
def test_any_changed_byte_is_refused(name: str, at: int, by: int) -> None:
    """One other character in policy, signature, date or credential ends the upload."""
    fields = form()
    text = fields[name]
    spot = at % len(text)
    changed = chr(33 + (ord(text[spot]) - 33 + by) % 94)
    if changed == text[spot]:
        return
    with pytest.raises(S3Error) as caught:
        authenticate_form(fields | {name: text[:spot] + changed + text[spot + 1 :]}, store(), now=NOW, bucket="bucket")
    assert caught.value.status in (400, 403)


def test_the_sizes_that_a_policy_allows() -> None:
    """Inclusive at both ends."""
    policy = form_policy(form())
    assert policy is not None
    assert (10, 1000) == policy.size_range


def test_a_form_without_signature_is_anonymous() -> None:
    """Whether it may upload is the bucket's business."""
    identity = authenticate_form({"key": "a"}, store(), now=NOW, bucket="bucket")
    assert (True, "anonymous") == (identity.principal.anonymous, identity.auth_type)


def test_a_signature_without_policy_is_refused() -> None:
    """It signs nothing."""
    fields = form()
    del fields["policy"]
    with pytest.raises(InvalidArgument):
        authenticate_form(fields, store(), now=NOW, bucket="bucket")


def test_a_policy_without_signature_is_refused() -> None:
    """Anybody can write a policy."""
    fields = form()
    with pytest.raises(InvalidArgument):
        authenticate_form({"key": "user/a", "policy": fields["policy"]}, store(), now=NOW, bucket="bucket")


def test_signature_version_2_has_to_be_asked_for() -> None:
    """Refused by default, verified when allowed."""
    fields = raw_form(POLICY)
    with pytest.raises(InvalidRequest):
        authenticate_form(fields, store(), now=NOW, bucket="bucket")
    identity = authenticate_form(fields, store(), now=NOW, bucket="bucket", sigv2=True)
    assert (ALICE.principal, "AWS") == (identity.principal, identity.signature_version)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"signature": "bm9wZQ=="}, SignatureDoesNotMatch),
        ({"signature": ""}, InvalidArgument),
        ({"awsaccesskeyid": ""}, InvalidArgument),
        ({"awsaccesskeyid": "NOBODY"}, InvalidAccessKeyId),
        ({"x-amz-security-token": "t"}, InvalidToken),
    ],
)
def test_a_forged_version_2_form_is_refused(changed: dict[str, str], error: type[S3Error]) -> None:
    """Also where Signature Version 2 is allowed."""
    with pytest.raises(error):
        authenticate_form(raw_form(POLICY) | changed, store(), now=NOW, bucket="bucket", sigv2=True)


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"conditions": []},
        {"expiration": "2030-01-01T00:00:00Z"},
        {"expiration": "2030-01-01T00:00:00Z", "CONDITIONS": []},
        {"expiration": "2030-01-01T00:00:00Z", "conditions": {}},
        {"expiration": "2030-01-01 00:00:00+00:00", "conditions": []},
        {"expiration": "2030-13-01T00:00:00Z", "conditions": []},
        {"expiration": 5, "conditions": []},
        {"expiration": "2030-01-01T00:00:00Z", "conditions": [{}]},
        {"expiration": "2030-01-01T00:00:00Z", "conditions": [{"a": "b", "c": "d"}]},
        {"expiration": "2030-01-01T00:00:00Z", "conditions": [{"a": 5}]},
        {"expiration": "2030-01-01T00:00:00Z", "conditions": ["text"]},
        {"expiration": "2030-01-01T00:00:00Z", "conditions": [["content-length-range", 0]]},
        {"expiration": "2030-01-01T00:00:00Z", "conditions": [["content-length-range", -1, 5]]},
        {"expiration": "2030-01-01T00:00:00Z", "conditions": [["content-length-range", True, 5]]},
        {"expiration": "2030-01-01T00:00:00Z", "conditions": [["ends-with", "$key", "a"]]},
        {"expiration": "2030-01-01T00:00:00Z", "conditions": [["eq", "key", "a"]]},
    ],
)
def test_a_malformed_policy_is_refused(document: object) -> None:
    """S3's own error for each, before anything is uploaded."""
    with pytest.raises(InvalidPolicyDocument):
        authenticate_form(raw_form(document), store(), now=NOW, bucket="bucket", sigv2=True)


@pytest.mark.parametrize(
    "encoded", ["!", "e30", base64.b64encode(b"[" * 15_000).decode(), base64.b64encode(b"\xff").decode()]
)
def test_a_policy_that_is_no_json_is_refused(encoded: str) -> None:
    """Broken base64, broken JSON, broken UTF-8 and bottomless nesting."""
    with pytest.raises(InvalidPolicyDocument):
        form_policy({"policy": encoded})


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["expiration", "conditions", "a"]), inner, max_size=3)
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read_or_refused(document: object) -> None:
    """No document brings another error."""
    fields = {"policy": base64.b64encode(json.dumps(document).encode()).decode()}
    try:
        policy = form_policy(fields)
    except InvalidPolicyDocument:
        return
    assert policy is not None


def test_operators_and_names_ignore_case() -> None:
    """As S3 reads them."""
    policy = {
        "expiration": "2030-01-01T00:00:00Z",
        "conditions": [
            {"bUcKeT": "bucket"},
            ["StArTs-WiTh", "$KeY", "user/"],
            {"AcL": "private"},
            ["STARTS-WITH", "$CoNtEnT-TyPe", ""],
        ],
    }
    assert (
        ALICE.principal == authenticate_form(raw_form(policy), store(), now=NOW, bucket="bucket", sigv2=True).principal
    )
