"""The files that say who may come in: key pairs and the gateway-wide policy.

They are read by the master, before workers are forked and again on SIGHUP, so that a broken file stops a start with
one clear line and leaves a running gateway as it is. On the very first start a root key pair is made.

Secrets are written to files that only the owner can read (0600) and are shown once, by the start page.
"""

from __future__ import annotations

import os
import secrets
import string
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from s4gw.auth import Credentials, CredentialsFileError, CredentialStore, owner_id_of, parse_credentials_file
from s4gw.policy import PolicyError, parse_policy
from s4gw.settings import Settings, SettingsError

if TYPE_CHECKING:
    from s4gw.policy import Policy

ROOT_NAME: Final = "root"
ACCESS_KEY_LENGTH: Final = 20
SECRET_KEY_LENGTH: Final = 40
"""As AWS's."""
FILE_BYTES_MAX: Final = 4 * 1024**2

_HEADING: Final = (
    "# Root key pair of this gateway, made at its first start. Keep it secret; delete it to get a new one.\n"
)


@dataclass(frozen=True, slots=True)
class Access:
    """Who may come in, and what policy stands before all others."""

    credentials: CredentialStore
    policy: Policy | None = None

    @property
    def owner_id(self) -> str:
        """Canonical id of the user who owns an upstream's buckets: the one named root, else the first."""
        pairs = list(self.credentials)
        return next((pair.owner_id for pair in pairs if pair.name == ROOT_NAME), pairs[0].owner_id if pairs else "")


def load(settings: Settings) -> Access:
    """Read key pairs and policy.

    Raises: SettingsError, in one line without secrets.
    """
    pairs: list[Credentials] = []
    if settings.root_access_key:
        pairs.append(Credentials(settings.root_access_key, settings.root_secret_key, owner_id_of(ROOT_NAME), ROOT_NAME))
    for path in (settings.credentials_file, settings.generated_credentials):
        if path is not None and path.is_file() and not (pairs and path == settings.generated_credentials):
            try:
                pairs.extend(parse_credentials_file(_text(path)))
            except CredentialsFileError as error:
                raise SettingsError(f"{path}: {error}") from error
    try:
        store = CredentialStore(pairs)
    except CredentialsFileError as error:
        raise SettingsError(f"credentials: {error}") from error
    if settings.policy is None:
        return Access(store)
    try:
        return Access(store, parse_policy(_text(settings.policy)))
    except PolicyError as error:
        raise SettingsError(f"{settings.policy}: {error}") from error


def ensure_root_key(settings: Settings) -> Credentials | None:
    """Make a root key pair where nobody could come in otherwise.

    Returns: the new pair, to be shown once; None when there was one, or another source of key pairs is set.
    Raises: SettingsError, when the file cannot be written.
    """
    path = settings.generated_credentials
    if settings.root_access_key or settings.credentials_file is not None or path.exists():
        return None
    pair = Credentials(
        access_key="".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(ACCESS_KEY_LENGTH)),
        secret_key="".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(SECRET_KEY_LENGTH)),
        owner_id=owner_id_of(ROOT_NAME),
        name=ROOT_NAME,
    )
    text = (
        f"{_HEADING}[{pair.name}]\naws_access_key_id = {pair.access_key}\naws_secret_access_key = {pair.secret_key}\n"
    )
    try:
        _write_new(path, text)
    except FileExistsError:
        return None  # another start was faster; its pair is read
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    return pair


def _write_new(path: Path, text: str) -> None:
    """Create *path* with *text* in one step, readable by its owner only."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)  # unlike a rename, never replaces a pair that is in use
    finally:
        temporary.unlink()


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise SettingsError(f"{path}: larger than {FILE_BYTES_MAX} bytes")
        return data.decode()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not UTF-8") from error
