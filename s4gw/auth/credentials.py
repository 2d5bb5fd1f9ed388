"""The users and their key pairs, and the file that they are read from.

A `CredentialStore` never changes once made; a reload makes another. It also owns the cache of signing keys, which
are derived from the secrets it holds, so that forgetting the store forgets them. Reading the file is the caller's.
"""

from __future__ import annotations

import configparser
import hashlib
import hmac
from collections.abc import Iterable, Iterator
from typing import Final

from s4gw.auth.mfa import decode_secret
from s4gw.auth.model import Credentials, SignedHeaders, Signer

SIGNERS_MAX: Final = 4096
"""Signing keys kept. One belongs to (access key, day, region), so this is days of many users."""

SIGNED_HEADERS_MAX: Final = 1024
"""SignedHeaders lists kept; real clients send a few dozen different ones.

As many beginnings of Authorization headers, which name a signing key and such a list.
"""

_KEY_FIELD: Final = "aws_access_key_id"
_SECRET_FIELD: Final = "aws_secret_access_key"  # noqa: S105 - the name of a field
_MFA_FIELDS: Final = ("mfa_serial", "mfa_secret")
_FIELDS: Final = frozenset({_KEY_FIELD, _SECRET_FIELD, "owner_id", "email", *_MFA_FIELDS})


class CredentialsFileError(ValueError):
    """The credentials file cannot be used; the text says where and why, and holds no secret."""


def owner_id_of(name: str) -> str:
    """Canonical user id of the user *name* when none is configured: stable, 64 lower-case hex digits."""
    return hashlib.sha256(b"s4gw owner id\0" + name.encode()).hexdigest()


class CredentialStore:
    """Looks up key pairs and users.

    Args:
        credentials: All pairs; several may share an ``owner_id``, then they are one user's.

    Raises: CredentialsFileError, when two pairs have the same access key or an e-mail address names two users.
    """

    __slots__ = ("_by_email", "_by_key", "_devices", "_names", "_signed_headers", "_signers", "_starts")

    def __init__(self, credentials: Iterable[Credentials]) -> None:
        self._by_key: dict[str, Credentials] = {}
        self._names: dict[str, str] = {}
        self._by_email: dict[str, str] = {}
        self._devices: dict[tuple[str, str], bytes] = {}
        for pair in credentials:
            if pair.access_key in self._by_key:
                raise CredentialsFileError(f"[{pair.name}] uses an access key that another section has already")
            self._by_key[pair.access_key] = pair
            self._names.setdefault(pair.owner_id, pair.name)
            if pair.email and self._by_email.setdefault(pair.email.lower(), pair.owner_id) != pair.owner_id:
                raise CredentialsFileError(f"[{pair.name}] has the e-mail address of another user")
            if pair.mfa_serial:
                self._devices[(pair.owner_id, pair.mfa_serial)] = pair.mfa_secret
        self._signers: dict[str, Signer] = {}
        self._signed_headers: dict[str, SignedHeaders] = {}
        self._starts: dict[str, tuple[Signer, SignedHeaders]] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Credentials]:
        return iter(self._by_key.values())

    def find(self, access_key: str) -> Credentials | None:
        """The pair with this access key, or None."""
        return self._by_key.get(access_key)

    def owner_name(self, owner_id: str) -> str | None:
        """Name of the user with this canonical id (its first section's), or None."""
        return self._names.get(owner_id)

    def owner_by_email(self, email: str) -> str | None:
        """Canonical id of the user with this e-mail address, or None."""
        return self._by_email.get(email.lower())

    def mfa_secret(self, owner_id: str, serial: str) -> bytes | None:
        """Secret of this MFA device of the user, or None when the user has no such device."""
        return self._devices.get((owner_id, serial))

    def recall_signer(self, credential: str) -> Signer | None:
        """The signer of a Credential element that was verified before, or None."""
        return self._signers.get(credential)

    def recall_headers(self, listed: str) -> SignedHeaders | None:
        """A SignedHeaders element that was verified before, or None."""
        return self._signed_headers.get(listed)

    def recall_start(self, start: str) -> tuple[Signer, SignedHeaders] | None:
        """What a verified Authorization header said that began like this, or None."""
        return self._starts.get(start)

    def remember_start(self, start: str, meaning: tuple[Signer, SignedHeaders]) -> None:
        """Keep what stands before the signature in the Authorization header of a *verified* request."""
        if len(self._starts) >= SIGNED_HEADERS_MAX:
            self._starts.clear()
        self._starts[start] = meaning

    def remember(self, credential: str, signer: Signer, signed: SignedHeaders) -> None:
        """Keep what a *verified* request was checked with; forged ones cannot push others out."""
        if credential not in self._signers:
            if len(self._signers) >= SIGNERS_MAX:
                self._signers.clear()
            self._signers[credential] = signer
        if signed.text not in self._signed_headers:
            if len(self._signed_headers) >= SIGNED_HEADERS_MAX:
                self._signed_headers.clear()
            self._signed_headers[signed.text] = signed


def derive_signing_key(secret_key: str, date: str, region: str, service: str = "s3") -> bytes:
    """The SigV4 signing key.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
    """
    key = hmac.digest(b"AWS4" + secret_key.encode(), date.encode(), "sha256")
    key = hmac.digest(key, region.encode(), "sha256")
    key = hmac.digest(key, service.encode(), "sha256")
    return hmac.digest(key, b"aws4_request", "sha256")


def parse_credentials_file(text: str) -> CredentialStore:
    """Read users and key pairs from the text of a credentials file.

    The format is that of AWS's shared credentials file: a section per key pair, named after the user, with
    ``aws_access_key_id``, ``aws_secret_access_key`` and optionally ``owner_id``, ``email``, and ``mfa_serial`` with
    ``mfa_secret`` (base32). Sections with one ``owner_id`` are several pairs of one user.

    Raises: CredentialsFileError (not INI, a field missing or unknown, no section at all, a pair named twice).
    """
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(text)
    except configparser.Error as error:
        # SECURITY: the parser's own message quotes the offending line, which may be the secret.
        line = getattr(error, "lineno", None)
        where = f" (line {line})" if line else ""
        raise CredentialsFileError(f"not in the format of an AWS credentials file{where}") from None
    pairs = [_pair(name, dict(parser[name])) for name in parser.sections()]
    if not pairs:
        raise CredentialsFileError("holds no section with a key pair")
    return CredentialStore(pairs)


def _pair(name: str, fields: dict[str, str]) -> Credentials:
    """One section of the file as a key pair."""
    unknown = fields.keys() - _FIELDS
    if unknown:
        raise CredentialsFileError(f"[{name}] has unknown fields: {', '.join(sorted(unknown))}")
    for required in (_KEY_FIELD, _SECRET_FIELD):
        if not fields.get(required):
            raise CredentialsFileError(f"[{name}] lacks {required}")
    access_key = fields[_KEY_FIELD]
    if not access_key.isascii() or not access_key.isprintable() or any(c in access_key for c in "/,; ="):
        raise CredentialsFileError(f"[{name}] has an access key with characters that a signature cannot carry")
    return Credentials(
        access_key=access_key,
        secret_key=fields[_SECRET_FIELD],
        owner_id=fields.get("owner_id") or owner_id_of(name),
        name=name,
        email=fields.get("email", ""),
        mfa_serial=fields.get("mfa_serial", ""),
        mfa_secret=_mfa_secret(name, fields),
    )


def _mfa_secret(name: str, fields: dict[str, str]) -> bytes:
    serial, secret = (fields.get(field, "") for field in _MFA_FIELDS)
    if bool(serial) != bool(secret):
        raise CredentialsFileError(f"[{name}] has one of mfa_serial and mfa_secret without the other")
    try:
        return decode_secret(secret) if secret else b""
    except ValueError as error:
        raise CredentialsFileError(f"[{name}] has an mfa_secret that is {error}") from None
