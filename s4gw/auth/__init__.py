"""Who asks: verifies AWS signatures and holds the users.

Pure: the time is an argument, the credentials file arrives as text. Errors a client may see are S3's.
"""

from s4gw.auth.authenticate import authenticate
from s4gw.auth.chunks import ChunkSigner
from s4gw.auth.credentials import CredentialsFileError, CredentialStore, owner_id_of, parse_credentials_file
from s4gw.auth.model import (
    ANONYMOUS,
    ANONYMOUS_IDENTITY,
    AuthRequest,
    Credentials,
    Identity,
    PayloadMode,
    PayloadPlan,
    Principal,
)
from s4gw.auth.outgoing import OutgoingSigner
from s4gw.auth.post_policy import FormPolicy, authenticate_form, form_policy
from s4gw.auth.presign import headers_in_query

__all__ = [
    "ANONYMOUS",
    "ANONYMOUS_IDENTITY",
    "AuthRequest",
    "ChunkSigner",
    "CredentialStore",
    "Credentials",
    "CredentialsFileError",
    "FormPolicy",
    "Identity",
    "OutgoingSigner",
    "PayloadMode",
    "PayloadPlan",
    "Principal",
    "authenticate",
    "authenticate_form",
    "form_policy",
    "headers_in_query",
    "owner_id_of",
    "parse_credentials_file",
]
