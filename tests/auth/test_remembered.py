"""What is remembered of verified requests makes the next one cheaper and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from s4gw.auth import authenticate
from s4gw.s3.errors import SignatureDoesNotMatch
from tests.auth.signing import ALICE, NOW, outcome, signed_header, store


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
