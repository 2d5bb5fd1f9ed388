"""One-time codes: the vectors of the RFC, the skew that is allowed, and what a header says."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4gw.auth.credentials import CredentialsFileError, parse_credentials_file
from s4gw.auth.mfa import STEP_S, check_code, code_at, decode_secret, parse_header

SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("now", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037")],
)
def test_vectors_of_rfc_6238(now: int, code: str) -> None:
    assert (code, now // STEP_S) == (code_at(SECRET, now // STEP_S), check_code(SECRET, code, now))


def test_one_step_of_skew() -> None:
    now = 2_000_000_000
    steps = [check_code(SECRET, code_at(SECRET, now // STEP_S + shift), now) for shift in (-2, -1, 0, 1, 2)]
    assert [None, *(now // STEP_S + shift for shift in (-1, 0, 1)), None] == steps


@given(st.text(max_size=8))
def test_other_texts_are_no_codes(text: str) -> None:
    right = {code_at(SECRET, step) for step in (0, 1, 2)}
    assert text in right or check_code(SECRET, text, 45.0) is None


@given(st.binary(min_size=10, max_size=40))
def test_secrets_as_applications_show_them(secret: bytes) -> None:
    text = base64.b32encode(secret).decode().rstrip("=").lower()
    spaced = " ".join(text[start : start + 4] for start in range(0, len(text), 4))
    assert secret == decode_secret(spaced)


@pytest.mark.parametrize(
    ("value", "parsed"),
    [
        ("20899872 301749", ("20899872", "301749")),
        ("arn:aws:iam::1:mfa/x 1", ("arn:aws:iam::1:mfa/x", "1")),
        ("1", ("", "1")),
    ],
)
def test_header(value: str, parsed: tuple[str, str]) -> None:
    assert parsed == parse_header(value)


def section(**fields: str) -> str:
    lines = "".join(f"{name} = {value}\n" for name, value in fields.items())
    return f"[alice]\naws_access_key_id = AK\naws_secret_access_key = sk\n{lines}"


def test_devices_belong_to_users() -> None:
    text = base64.b32encode(SECRET).decode()
    store = parse_credentials_file(section(owner_id="alice-id", mfa_serial="s1", mfa_secret=text))
    found = [store.mfa_secret("alice-id", "s1"), store.mfa_secret("alice-id", "s2"), store.mfa_secret("bob-id", "s1")]
    assert [SECRET, None, None] == found
    assert "12345" not in repr(store.find("AK"))


@pytest.mark.parametrize(
    "fields", [{"mfa_serial": "s"}, {"mfa_secret": "GEZDGNBVGY3TQOJQ"}, {"mfa_serial": "s", "mfa_secret": "0"}]
)
def test_half_a_device_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(CredentialsFileError):
        parse_credentials_file(section(**fields))
