"""The credentials file: what it may say, and that errors never show a secret."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.auth import Credentials, CredentialsFileError, CredentialStore, owner_id_of, parse_credentials_file
from s4gw.auth.credentials import SIGNED_HEADERS_MAX, SIGNERS_MAX
from s4gw.auth.mac import Mac
from s4gw.auth.model import SignedHeaders, Signer

FILE = """
# two users, one of them with two pairs
[alice]
aws_access_key_id = AKALICE
aws_secret_access_key = s3cr3t%with=signs/+
email = Alice@example.com

[alice-laptop]
aws_access_key_id = AKALICE2
aws_secret_access_key = other
owner_id = {alice}

[bob]
aws_access_key_id = AKBOB
aws_secret_access_key = bobs
owner_id = bob-id
""".format(alice=owner_id_of("alice"))
PAIR = "[alice]\naws_access_key_id = A\naws_secret_access_key = SECRET\n"


def test_users_and_pairs_are_read() -> None:
    """Names, ids, secrets and addresses arrive as written."""
    users = parse_credentials_file(FILE)
    found = [users.find(key) for key in ("AKALICE", "AKALICE2", "AKBOB")]
    assert [
        Credentials("AKALICE", "s3cr3t%with=signs/+", owner_id_of("alice"), "alice", "Alice@example.com"),
        Credentials("AKALICE2", "other", owner_id_of("alice"), "alice-laptop"),
        Credentials("AKBOB", "bobs", "bob-id", "bob"),
    ] == found


def test_users_are_found_by_id_and_address() -> None:
    """As access control lists name them."""
    users = parse_credentials_file(FILE)
    assert ("alice", owner_id_of("alice")) == (
        users.owner_name(owner_id_of("alice")),
        users.owner_by_email("alice@EXAMPLE.com"),
    )
    assert (None, None, None) == (users.find("AKNOBODY"), users.owner_name("nobody"), users.owner_by_email("x@y"))


def test_the_default_owner_id_looks_like_one_of_s3() -> None:
    """Stable, 64 lower-case hexadecimal digits, another for each name."""
    ids = {owner_id_of("alice"), owner_id_of("alice"), owner_id_of("bob")}
    assert [2, {64}] == [len(ids), {len(one) for one in ids}]
    assert all(set(one) <= set("0123456789abcdef") for one in ids)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[alice]\naws_access_key_id = A\n",
        "[alice]\naws_secret_access_key = SECRET\n",
        "[alice]\naws_access_key_id = A\naws_secret_access_key =\n",
        "[alice]\naws_access_key_id = A\naws_secret_access_key = SECRET\nregion = x\n",
        "[alice]\naws_access_key_id = A/B\naws_secret_access_key = SECRET\n",
        PAIR + PAIR.replace("alice", "bob"),
        "[alice]\naws_access_key_id = A\naws_secret_access_key = SECRET\n[alice]\n",
        "aws_secret_access_key = SECRET\n",
        "[alice\naws_secret_access_key = SECRET\n",
        "[alice]\naws_access_key_id = A\nSECRET\n",
        PAIR + "email=x@y\n" + PAIR.replace("alice", "bob").replace(" A\n", " B\n") + "email=X@Y\n",
    ],
)
def test_a_broken_file_is_refused_without_its_secrets(text: str) -> None:
    """The reason is told, the secret is not."""
    with pytest.raises(CredentialsFileError) as caught:
        parse_credentials_file(text)
    assert "SECRET" not in str(caught.value)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No input brings another error."""
    try:
        users = parse_credentials_file(text)
    except CredentialsFileError:
        return
    assert len(users) > 0


def test_secrets_do_not_print() -> None:
    """Neither a pair nor its principal shows its secret."""
    pair = Credentials("AK", "SECRET", "id", "name")
    signer = Signer(pair, pair.principal, "20260101", "20260101/r/s3/aws4_request", b"KEYBYTES", Mac(b"KEYBYTES"))
    shown = repr(pair) + str(pair.principal) + repr(signer)
    assert ("SECRET" in shown, "KEYBYTES" in shown) == (False, False)


def test_the_caches_are_bounded() -> None:
    """More days, regions and header lists than fit do not grow the store."""
    pair = Credentials("AK", "SECRET", "id", "name")
    users = CredentialStore([pair])
    for number in range(SIGNERS_MAX + SIGNED_HEADERS_MAX):
        signer = Signer(pair, pair.principal, "20260101", f"20260101/{number}/s3/aws4_request", b"key", Mac(b"key"))
        signed = SignedHeaders.parse(f"host;x-{number}")
        users.remember(f"AK/{signer.scope}", signer, signed)
        users.remember_start(f"AK/{signer.scope}", (signer, signed))
    assert len(users._signers) <= SIGNERS_MAX
    assert len(users._signed_headers) <= SIGNED_HEADERS_MAX
    assert len(users._starts) <= SIGNED_HEADERS_MAX
